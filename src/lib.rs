//! skeleton
#![allow(missing_docs, clippy::pedantic)]
pub mod stats;
pub mod bandit;
