//! What clients and servers say to each other: the message, its two codecs and the framing. Pure.

pub mod message;

pub use message::{DecodeError, Message, MsgIds};
