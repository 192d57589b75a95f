//! Shopper events and profiles, on the engine alone.
//!
//! * [`follows`]: how soon slots follow what a shopper clicks, measured on whole sessions.
//! * [`fold`]: the fold of shopper events, written another way and compared.
//! * [`profiles`]: what profiles keep, of whom, and for how long.
//! * [`size`]: memory of many profiles.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong, and says what it measured"
)]

mod fold;
mod follows;
mod profiles;
mod shop;
mod size;
