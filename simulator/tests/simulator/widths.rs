//! Tables and sentences of every command on a terminal of 80 columns, and progress that never goes backwards.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use slotwise_simulator::scenario::shipped;

use crate::support::{
    logs::{ROWS, write},
    write_set,
};

const COLUMNS: usize = 80;

fn narrow(words: &[&str]) -> Output {
    let columns = COLUMNS.to_string();
    Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).env("COLUMNS", columns).args(words).output().unwrap()
}

fn printed(words: &[&str]) -> [String; 2] {
    let output = narrow(words);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    // A check that does not hold, or not yet, is a result too.
    let code = output.status.code();
    let texts = [text(output.stdout), text(output.stderr)];
    assert!(matches!(code, Some(0 | 1 | 4)) && !texts[0].is_empty(), "{words:?}: {code:?} {texts:?}");
    texts
}

/// Asserts that every line fits. A word that is longer than the line cannot be wrapped.
#[track_caller]
fn assert_fits(words: &[&str]) {
    for text in printed(words) {
        for line in text.lines() {
            let breakable = line.trim().contains(' ');
            assert!(line.chars().count() <= COLUMNS || !breakable, "{words:?}: {line:?} in\n{text}");
        }
    }
}

/// A log with three arms of long names, in which propensities of 0 and repeated decisions are left out.
fn long_log(folder: &Path) -> PathBuf {
    let mut text = "time,decision_id,segment,arm,propensity,reward\n".to_owned();
    for i in 0..400 {
        let arm = ["a-gift-that-is-wrapped-in-paper-with-stars-and-a-ribbon", "free-delivery", "nothing"][i % 3];
        let (decision, propensity) = (i - i % 40 / 39, if i % 50 == 0 { "0" } else { "0.4" });
        let reward = i32::from(i % 7 == 0);
        writeln!(text, "{},d{decision},s{},{arm},{propensity},{reward}", 1_793_491_200 + i, i % 2).unwrap();
    }
    write(folder, "a-log-of-decisions-whose-name-is-long-as-those-of-exports-often-are.csv", &text)
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let small: &[&str] = &["--small", "--set", "horizon=200", "--set", "replications=2", "--threads", "1"];
    assert_fits(&["list"]);
    for name in shipped::names() {
        assert_fits(&["explain", name]);
    }
    for name in ["shop", "simpson", "opt-out", "one-shopper", "email-campaign", "crawler"] {
        assert_fits(&[&["run", name], small].concat());
    }
    let log = long_log(folder.path());
    let log = log.to_str().unwrap();
    let everything =
        [log, "--arm", "free-delivery", "--arm", "a-gift-that-is-wrapped-in-paper-with-stars-and-a-ribbon"];
    for learn in ["matched", "all", "first"] {
        assert_fits(&[&["replay"], &everything[..], &["--learn", learn]].concat());
    }
    let bandit = write(folder.path(), "rows.csv", ROWS);
    assert_fits(&["replay", bandit.to_str().unwrap(), "--learn", "all"]);
    write_set(folder.path(), "a-set-of-words-with-a-long-name", 3, &[(0, "one"), (1, "two"), (2, "three")].repeat(40));
    let set = folder.path().join("a-set-of-words-with-a-long-name");
    let set = set.to_str().unwrap();
    assert_fits(&["replay", set]);
    assert_fits(&["replay", set, "--seeds", "3", "--drift", "--delay", "5"]);
    assert_fits(&["meta", set, "--rounds", "60"]);
    assert_fits(&["bench-learning", folder.path().to_str().unwrap(), "--seeds", "2"]);
    let slots = folder.path().join("slot.toml");
    std::fs::write(&slots, "[controls]\nexploration = 2\n").unwrap();
    let slot = slots.to_str().unwrap();
    assert_fits(&[&["compare", slot, slot, "--on", "simpson"], small].concat());
    assert_fits(&[&["sweep", "simpson", "--over", "slot.controls.exploration=0,1,2"], small].concat());
}

/// Returns the percentages of the progress, in their order.
fn percentages(progress: &str) -> Vec<u32> {
    progress.lines().filter_map(|line| line.split_once(" %, ")?.0.parse().ok()).collect()
}

#[test]
fn the_progress_of_a_replay_never_goes_backwards() {
    let folder = tempfile::tempdir().unwrap();
    let log = long_log(folder.path());
    let many: Vec<&str> = ["--arm", "free-delivery", "--arm", "nothing", "--threads", "4"].into();
    let [_, of_log] = printed(&[&["replay", log.to_str().unwrap()], &many[..]].concat());
    write_set(folder.path(), "words", 3, &[(0, "one"), (1, "two"), (2, "three")].repeat(40));
    let set = folder.path().join("words");
    let [_, of_set] = printed(&["replay", set.to_str().unwrap(), "--seeds", "3"]);
    for progress in [of_log, of_set] {
        let told = percentages(&progress);
        assert!(told.len() > 4 && told.is_sorted() && told.last() == Some(&100), "{told:?} in\n{progress}");
    }
}
