//! Stress tests: a live server under load, and the repeatability of a run.
//!
//! * [`soak`]: load on a live server by the wall clock, to see that it copes.
//! * [`meta`]: the same run twice, compared byte by byte.

pub mod meta;
pub mod soak;
