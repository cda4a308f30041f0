//! The consensus core. Pure: time and seeds are passed in, outputs handed back.

pub mod alone;
