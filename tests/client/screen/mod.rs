//! The full screen, without a terminal and with one.

mod golden;
mod hands;
mod hostile;
mod keeping;
mod list;
mod measure;
pub mod real;
mod seat;
mod truth;
mod typing;
mod widths;
