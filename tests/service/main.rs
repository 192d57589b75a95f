//! Tests of the real server and the real programs.
//!
//! They are one program, because the client, the server and the runtime take longer to compile than the tests themselves.
//! `cargo test --test service api` runs the tests of one module.

mod access;
mod api;
mod approvals;
mod backups;
mod bad_input;
mod cli;
mod console;
mod controls;
mod deferred;
mod demo;
mod determinism;
mod disk;
mod documented_commands;
mod events;
mod examples;
mod export;
mod from_catalogue;
mod imports;
mod incoming;
mod items;
mod json;
mod learning;
mod learning_files;
mod marketer;
mod ofrep;
mod overload;
mod personalizer;
mod previews;
mod privacy;
mod process;
mod renames;
mod simulated;
mod slots_cli;
#[path = "../support/mod.rs"]
mod support;
mod traces;
