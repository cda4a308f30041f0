//! (being built)

pub mod show;
pub mod width;
