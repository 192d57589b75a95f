//! The demo, run as the program that people run.

#![expect(clippy::unwrap_used, clippy::panic, reason = "its helpers are part of a test")]

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_slotwise")).arg("demo").args(arguments).output().unwrap()
}

/// Returns the lift that the summary gives a slot and the half-width of its interval, both in per cent.
#[track_caller]
fn lift(summary: &str, slot: &str) -> (f64, f64) {
    let line = summary.lines().find(|line| line.starts_with(slot)).unwrap_or_else(|| panic!("{slot}: {summary}"));
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |mark: &str| words[words.iter().position(|word| *word == mark).unwrap() + 1];
    let sign = words.iter().position(|word| *word == "±").unwrap();
    (words[sign - 2].parse().unwrap(), after("±").parse().unwrap())
}

/// Four seconds teach little, so the lift must only not be below zero by more than chance. 2.55 half-widths are five
/// standard errors: a service that chooses at random would exceed them once in a million runs, over the three slots.
#[test]
fn the_demo_ends_by_itself_with_a_lift_for_each_slot() {
    let output = demo(&["--seconds", "4"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (_, summary) = text.split_once("lift over uniform").unwrap();
    for slot in ["search", "offers", "email"] {
        let (lift, half_width) = lift(summary, slot);
        assert!(half_width > 0.0 && lift > -2.55 * half_width, "{slot}: {lift} ± {half_width}");
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("all of them counted") && text.contains("own reports say the same"), "{text}");
    assert!(!text.contains('\x1b'), "a pipe gets no escape sequences");
}

#[test]
fn a_taken_address_is_refused_in_one_line_with_a_hint() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let output = demo(&["--seconds", "1", "--grpc-address", &taken.local_addr().unwrap().to_string()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("--grpc-address") && error.lines().count() == 1, "{error}");
}
