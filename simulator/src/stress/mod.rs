//! Stress tests: whether a live server holds under load, and whether the service gives the same result twice.
//!
//! * [`soak`]: load on a live server by the wall clock, to see that it holds.
//! * [`meta`]: the same run twice, compared byte by byte.

pub mod meta;
pub mod soak;
