//! The server as real processes.

mod accounts;
mod bounds;
mod config;
mod conversation;
mod durability;
mod framing;
mod holders;
mod many;
mod messages;
mod opening;
mod order;
mod reading;
mod reads;
mod stderr;
