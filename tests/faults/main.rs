//! Writes that are short or torn at any byte, files that are cut, and bits that flip. After each the node recovers to a
//! prefix of the journal that holds everything acknowledged, or it refuses with a message that names the file and the
//! position.
//!
//! The real code writes a real journal: commits, checkpoints, snapshots and retention. After every step the test copies
//! the files. A *crash* within a step leaves a mixture of the files before and after it, sector by sector or cut at any
//! byte. The node must always recover from it. *Damage* is a flipped bit, a cut or a lost sector anywhere in any file.
//! About ten thousand cases by default; `SLOTWISE_FAULTS=100000 cargo test --test faults` runs more.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong"
)]

mod damage;
mod images;
mod writer;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
    sync::Mutex,
};

use damage::{FaultCase, crash_within_step, damage_file};
use images::{FolderImage, event, expected_digests, scratch_folder, write_journal};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    engine::{hash, snapshot},
    journal::{Journal as _, LossPolicy, SqliteJournal},
    node::{encode_event, recover_state},
};
use writer::{become_writer_if_asked, writer_command};

#[expect(clippy::disallowed_methods, reason = "the flag that makes the run longer")]
fn case_count() -> usize {
    std::env::var("SLOTWISE_FAULTS").map_or(5_000, |cases| cases.parse().unwrap())
}

/// The tests of this file take turns. Until a child process has replaced its image, it holds the open files of its
/// parent, and with them the folder of the other test.
static TURN: Mutex<()> = Mutex::new(());

/// Starts from the damaged folder of a case, and with `append` goes on writing. Returns `true` if the node recovered,
/// and `false` if it refused, which only damage allows.
fn recovers(case: &FaultCase, digests: &[u64], append: bool) -> bool {
    let folder = scratch_folder();
    for (name, bytes) in &case.files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let description = &case.description;
    match recover_state(folder.path(), None, 1) {
        Ok(state) => {
            let position = state.position();
            assert!(
                case.positions.contains(&position),
                "{description}: recovered to {position}, not within {:?}",
                case.positions
            );
            let digest = hash("state", &[&snapshot::encode(&state).unwrap()]).word();
            assert_eq!(
                digest,
                digests[usize::try_from(position).unwrap()],
                "{description}: another state at {position}"
            );
            if append {
                // The next event is accepted, and the next start finds it.
                let mut journal = match SqliteJournal::open(folder.path(), LossPolicy::Refused) {
                    Ok(journal) => journal,
                    // Reading needs less of the file than writing does, so damage to the schema shows only here.
                    Err(why) => {
                        assert!(case.may_be_refused, "{description}: {why}");
                        return false;
                    }
                };
                let appended = journal.append(&[encode_event(&event(position))]);
                assert_eq!(appended.unwrap_or_else(|why| panic!("{description}: {why}")), position + 1);
                drop(journal);
                let again =
                    recover_state(folder.path(), None, 1).unwrap_or_else(|why| panic!("{description}: then {why}"));
                assert_eq!(again.position(), position + 1, "{description}");
            }
            true
        }
        Err(why) => {
            let why = why.to_string();
            assert!(case.may_be_refused, "{description}: {why}");
            let file = why.contains(folder.path().to_str().unwrap());
            let place = ["position ", "byte "]
                .iter()
                .any(|word| why.split(word).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
            assert!(file && place && !why.contains('\n'), "{description}: {why}");
            false
        }
    }
}

/// Events of the journal that is damaged.
const EVENTS: u64 = 150;

#[test]
fn a_torn_write_is_recovered_from_and_damage_is_survived_or_refused() {
    let _turn = TURN.lock();
    let digests = expected_digests(EVENTS + 1);
    let runs: Vec<Vec<FolderImage>> = (0..6).map(|seed| write_journal(EVENTS, seed)).collect();
    for step in ["commit", "checkpoint", "snapshot", "retention"] {
        assert!(runs.iter().flatten().filter(|image| image.step == step).count() > 3, "{step}");
    }
    let threads = 2;
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let (runs, digests) = (&runs, &digests);
        let work = move |thread: usize| {
            let mut rng = StdRng::seed_from_u64(u64::try_from(100 + thread).unwrap());
            let (mut whole, mut refused) = (0, 0);
            for i in 0..case_count().div_ceil(threads) {
                let images = &runs[rng.random_range(0..runs.len())];
                let at = rng.random_range(1..images.len());
                let case = if i % 2 == 0 {
                    crash_within_step(&images[at - 1], &images[at], &mut rng)
                } else {
                    damage_file(&images[at], &mut rng)
                };
                if recovers(&case, digests, i % 8 < 2) { whole += 1 } else { refused += 1 }
            }
            (whole, refused)
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (whole, refused) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{whole} recovered, {refused} refused");
    assert!(
        whole + refused >= case_count() && refused > case_count() / 50 && whole > case_count() / 2,
        "{whole} and {refused}"
    );
}

/// A write of the real engine fails at any byte. Everything acknowledged before the failure and, once there is space,
/// after it is there, and nothing is there twice.
#[test]
fn a_write_that_fails_at_any_byte_loses_nothing() {
    become_writer_if_asked();
    let _turn = TURN.lock();
    let digests = expected_digests(700);
    let mut rng = StdRng::seed_from_u64(5);
    let (mut full_disks, mut commits_after_full) = (0, 0);
    for case in 0..60_u64 {
        let folder = scratch_folder();
        let limit = rng.random_range(40..400);
        let mut child = writer_command("a_write_that_fails_at_any_byte_loses_nothing", case, folder.path(), limit)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut acknowledged, mut was_full, mut ended) = (0, false, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(position) = line.strip_prefix("acknowledged ") {
                acknowledged = position.parse::<u64>().unwrap();
                commits_after_full += u64::from(was_full);
            }
            was_full |= line.ends_with("full");
            assert!(!line.starts_with("failed"), "{line}");
            ended |= line == "end";
        }
        child.wait().unwrap();
        assert!(ended, "the writer of case {case} stopped before its end");
        full_disks += u64::from(was_full);
        let state =
            recover_state(folder.path(), None, 1).unwrap_or_else(|why| panic!("case {case}, limit {limit}: {why}"));
        assert_eq!(state.position(), acknowledged, "case {case}, limit {limit}");
        let digest = hash("state", &[&snapshot::encode(&state).unwrap()]).word();
        assert_eq!(digest, digests[usize::try_from(acknowledged).unwrap()]);
    }
    assert!(
        full_disks > 30 && commits_after_full > 30,
        "{full_disks} disks were full, {commits_after_full} commits followed"
    );
}
