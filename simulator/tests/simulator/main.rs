//! Tests of the simulator and its program. They are one program, which compiles faster than many.
//!
//! `cargo test --package slotwise-simulator --test simulator scenarios` runs the tests of one module.

mod broken;
mod documented_commands;
mod ends;
mod import;
mod learning;
mod live;
mod log_formats;
mod logged;
mod meta;
mod races;
mod replay;
mod scenarios;
mod soak;
mod stream;
mod support;
mod target;
mod touchpoints;
mod widths;
