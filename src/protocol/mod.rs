//! What clients and servers say to each other: the message, its two codecs and the framing. Pure.
//!
//! One [`Message`] serves for requests, replies and pushes. The first byte of a connection fixes
//! how its bytes are cut into payloads ([`framing::Form`]); each payload says by its own first byte
//! which codec it is in ([`framing::Codec`]), [`json`] or [`binary`]. The reference //! message in both:
//!
//! ```text
//! {"cmd": "login", "src": "alice", "to": "server", "body": "This is a test message",
//!  "error": false, "msg_ids": "8d4a8912-5776-4438-ac14-8b791cfc63f2", "limit": 10}    162 bytes
//!
//! \x05login \x05alice \x06server \x00\x16This is a test message \x00
//! \x00&"8d4a8912-5776-4438-ac14-8b791cfc63f2" \x00\n                                   86 bytes
//! ```
//!
//! (JSON on one line, the binary form without the spaces.)
//!
//! | field | type | JSON | binary |
//! | --- | --- | --- | --- |
//! | `cmd` | text, 1..32 bytes | string | u8 length, bytes |
//! | `src` | text, 0..255 bytes | string | u8 length, bytes |
//! | `to` | text, 0..255 bytes | string | u8 length, bytes |
//! | `body` | text, 0..65,535 bytes | string | u16 length, bytes |
//! | `error` | bool | `true`, `false` | u8, 0 or 1 |
//! | `msg_ids` | at most 1,000 ids | string or array of them | u16 length, that JSON; 0 = none |
//! | `limit` | u16 | number | u16 |
//! | `time` | u64, 0 = absent | number, or no key | u64, in a tail with `seq`, or no tail |
//! | `seq` | u64, 0 = absent | number, or no key | u64 |
//!
//! Both decoders give either a message that [`Message::check`] takes, and that either encoder can
//! write, or a [`DecodeError`] with the code `bad-frame` or `too-long` and a sentence that says
//! what is wrong and where. A payload that cannot be decoded does not put the next one's start in
//! doubt; only [`framing::Split::TooLong`] does. What the JSON reader takes and refuses is listed
//! at [`json`], when the binary tails are there at [`binary`], the cutting at [`framing`].
//!
//! [`id`] has the message ids as numbers, [`name`] the account names; neither is applied by the
//! codecs, which carry any text in their place.

pub mod binary;
pub mod framing;
pub mod id;
pub mod json;
pub mod message;
pub mod name;
mod scan;

pub use message::{DecodeError, Message, MsgIds};
