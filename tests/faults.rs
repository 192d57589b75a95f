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
    reason = "a test stops at the first thing that is wrong"
)]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    ops::RangeInclusive,
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, ModelSpec, Value},
    engine::{Body, Chosen, Decided, DecisionId, Event, Reason, Rewarded, State, Subject, TRAFFIC, hash, snapshot},
    journal::{AppendError, Journal as _, SqliteJournal},
    node::{encode_event, recover_state, save_snapshot},
    slot::{Arm, ArmId, ChangeReason, Definition, Goal, RewardKind, SlotId},
};

/// Bytes that a disk writes at once.
const SECTOR: usize = 512;

#[expect(clippy::disallowed_methods, reason = "the flag that makes the run longer")]
fn cases() -> usize {
    std::env::var("SLOTWISE_FAULTS").map_or(10_500, |cases| cases.parse().unwrap())
}

/// Makes a temporary folder in memory if possible, because the tests make ten thousand of them.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap()
}

fn definition() -> Definition {
    let arm = |id: &str| {
        let id = ArmId::parse("arm_id", id).unwrap();
        Arc::new(Arm {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: slotwise::slot::Schedule::default(),
        })
    };
    let kind = RewardKind { kind: "click".into(), weight: 1.0, use_value: false, cap: Some(1.0), winsorize: None };
    let goal = Goal { kinds: vec![kind], window_us: 200_000, ..Goal::default() };
    let id = SlotId::parse("slot_id", "offers").unwrap();
    Definition { arms: vec![arm("a"), arm("b")], goal, model: ModelSpec::linear(None, None), ..Definition::new(id) }
}

/// Returns event number `i`, from 0: the creation of a slot, then decisions and rewards in turn.
fn event(i: u64) -> Event {
    let definition = definition();
    let slot = definition.id.clone();
    let at_us = 1_793_000_000_000_000 + i64::try_from(i).unwrap() * 1_000;
    let id = |i: u64| DecisionId::new(1, 1_793_000_000_000_000 + i64::try_from(i).unwrap() * 1_000, i);
    let body = match i {
        0 => Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::new("someone", "made") },
        i if i.is_multiple_of(3) => Body::Rewarded(Box::new(Rewarded {
            slot,
            event_id: format!("event-{i}"),
            decision: Some(id(i - 1)),
            subject: Subject::default(),
            arm: None,
            kind: "click".into(),
            value: None,
            time_us: at_us,
            reverses: None,
        })),
        i => {
            let chosen = Chosen {
                arm: definition.arms[usize::try_from(i % 2).unwrap()].id.clone(),
                propensity: 0.5,
                expected_reward: 0.25,
                baseline_position: 1,
                overlap: 0.0,
                reason: Reason::Exploring,
            };
            Body::Decided(Arc::new(Decided {
                slot,
                id: id(i),
                request_id: i.is_multiple_of(5).then(|| format!("request-{i}")),
                subject: Subject { id: format!("subject-{}", i % 7), session_id: String::new() },
                context: [("age".to_owned(), Value::Number(f64::from(u32::try_from(i % 50).unwrap())))].into(),
                candidates: Vec::new(),
                taken: Vec::new(),
                chosen: vec![chosen],
                holdout: false,
                fallback: None,
                revision: 1,
                model: "linear".into(),
                seed: i,
                best_expected: 0.0,
                would: Vec::new(),
                analysis: false,
                sticky: None,
                fired: Vec::new(),
                scored: Vec::new(),
                barred: Vec::new(),
                request_fingerprint: 0,
            }))
        }
    };
    Event { at_us, body }
}

/// Returns the hash of the state's bytes after each number of events.
fn truth(events: u64) -> Vec<u64> {
    let mut state = State::default();
    let digest = |state: &State| hash("state", &[&snapshot::encode(state).unwrap()]).word();
    let mut truth = vec![digest(&state)];
    for i in 0..events {
        state.apply(&event(i));
        truth.push(digest(&state));
    }
    truth
}

/// The files of a folder, and the last acknowledged position.
#[derive(Clone)]
struct Image {
    what: &'static str,
    files: BTreeMap<String, Vec<u8>>,
    acknowledged: u64,
}

fn image(folder: &Path, what: &'static str, acknowledged: u64) -> Image {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The program rebuilds the log's index at every start, and the lock is empty.
        if !name.ends_with("-shm") && name != "lock" {
            files.insert(name.clone(), fs::read(folder.join(&name)).unwrap());
        }
    }
    Image { what, files, acknowledged }
}

/// Writes a journal and copies its files after every step.
fn run(events: u64, seed: u64) -> Vec<Image> {
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = scratch();
    let mut journal = SqliteJournal::open(folder.path()).unwrap();
    let aside = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    let mut images = vec![image(folder.path(), "made", 0)];
    let (mut state, mut done, mut saved) = (State::default(), 0, Vec::new());
    while done < events {
        let some = rng.random_range(1..12).min(events - done);
        let batch: Vec<Event> = (done..done + some).map(event).collect();
        journal.append(&batch.iter().map(encode_event).collect::<Vec<_>>()).unwrap();
        for event in &batch {
            state.apply(event);
        }
        done += some;
        images.push(image(folder.path(), "commit", done));
        let mut checkpoint = |mode: &str| {
            aside.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
            images.push(image(folder.path(), "checkpoint", done));
        };
        match rng.random_range(0..10) {
            0 => checkpoint("PASSIVE"),
            1 => checkpoint("RESTART"),
            2 => checkpoint("TRUNCATE"),
            3 | 4 => {
                save_snapshot(folder.path(), &state.freeze()).unwrap();
                images.push(image(folder.path(), "snapshot", done));
                saved.push(done);
                if let [.., drop, _, _] = saved[..] {
                    fs::remove_file(folder.path().join(format!("snapshot-{drop:020}.bin"))).unwrap();
                }
            }
            5 if saved.len() > 1 => {
                let covered = saved[saved.len() - 2];
                while journal.trim(&TRAFFIC, i64::MAX, covered, 20).unwrap() {}
                images.push(image(folder.path(), "retention", done));
            }
            _ => {}
        }
    }
    images
}

/// The tests of this file take turns. Until a child process has replaced its image, it holds the open files of its
/// parent, and with them the folder of the other test.
static TURN: Mutex<()> = Mutex::new(());

/// A damaged folder and the outcomes that are allowed for it.
struct Case {
    told: String,
    files: BTreeMap<String, Vec<u8>>,
    /// Positions to which the node may recover.
    positions: RangeInclusive<u64>,
    may_be_refused: bool,
}

fn check(case: &Case, truth: &[u64], go_on: bool) -> bool {
    let folder = scratch();
    for (name, bytes) in &case.files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let told = &case.told;
    match recover_state(folder.path(), None, 1) {
        Ok(state) => {
            let position = state.position();
            assert!(
                case.positions.contains(&position),
                "{told}: recovered to {position}, not within {:?}",
                case.positions
            );
            let digest = hash("state", &[&snapshot::encode(&state).unwrap()]).word();
            assert_eq!(digest, truth[usize::try_from(position).unwrap()], "{told}: another state at {position}");
            if go_on {
                // The next event is accepted, and the next start finds it.
                let mut journal = match SqliteJournal::open(folder.path()) {
                    Ok(journal) => journal,
                    // Reading needs less of the file than writing does, so damage to the schema shows only here.
                    Err(why) => {
                        assert!(case.may_be_refused, "{told}: {why}");
                        return false;
                    }
                };
                let appended = journal.append(&[encode_event(&event(position))]);
                assert_eq!(appended.unwrap_or_else(|why| panic!("{told}: {why}")), position + 1);
                drop(journal);
                let again = recover_state(folder.path(), None, 1).unwrap_or_else(|why| panic!("{told}: then {why}"));
                assert_eq!(again.position(), position + 1, "{told}");
            }
            true
        }
        Err(why) => {
            let why = why.to_string();
            assert!(case.may_be_refused, "{told}: {why}");
            let file = why.contains(folder.path().to_str().unwrap());
            let place = ["position ", "byte "]
                .iter()
                .any(|word| why.split(word).skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
            assert!(file && place && !why.contains('\n'), "{told}: {why}");
            false
        }
    }
}

/// Makes the case of a crash within the step from one image to the next.
fn crash(before: &Image, after: &Image, rng: &mut StdRng) -> Case {
    let mut files = before.files.clone();
    let changed: Vec<&String> =
        after.files.keys().filter(|name| before.files.get(*name) != after.files.get(*name)).collect();
    // The watermark is written after the commit, and a snapshot gets its name only when it is whole.
    let order = |name: &str| u8::from(name == "journal.mark");
    let mut changed: Vec<&String> = changed.into_iter().filter(|name| !name.starts_with("snapshot-")).collect();
    changed.sort_by_key(|name| order(name));
    let none = Vec::new();
    let mut told = format!("crash in a {} after position {}", after.what, before.acknowledged);
    if changed.is_empty() {
        let name = after.files.keys().find(|name| !before.files.contains_key(*name));
        if let Some(name) = name {
            let cut = rng.random_range(0..=after.files[name].len());
            files.insert(format!("{name}.new"), after.files[name][..cut].to_vec());
            told = format!("{told}, {name} cut at {cut}");
        }
    } else {
        // Files change in the order in which they are written. A checkpoint may cut or restart the log only after the
        // main file is whole.
        let at = rng.random_range(0..changed.len());
        for (i, name) in changed.iter().enumerate().take(at + 1) {
            let (old, new) = (before.files.get(*name).unwrap_or(&none), &after.files[*name]);
            if i < at {
                files.insert((*name).clone(), new.clone());
                continue;
            }
            if new.len() < old.len() {
                // A file system cuts the whole tail of a file, or has not cut it yet.
                if rng.random_bool(0.5) {
                    files.insert((*name).clone(), new.clone());
                }
                break;
            }
            let longest = old.len().max(new.len());
            let mixed = if rng.random_bool(0.5) {
                // The file is new up to a byte and old after it. Beyond the old end the file system may have put zeros.
                let cut = rng.random_range(0..=longest);
                told = format!("{told}, {name} torn at byte {cut}");
                let mut mixed = new[..cut.min(new.len())].to_vec();
                mixed.extend_from_slice(old.get(mixed.len()..).unwrap_or(&[]));
                if rng.random_bool(0.3) && new.len() > mixed.len() {
                    mixed.resize(new.len(), 0);
                }
                mixed
            } else {
                // Sectors reach the disk in any order.
                told = format!("{told}, {name} by sectors");
                let share = rng.random_range(0.0..1.0);
                let length = if rng.random_bool(0.5) { new.len() } else { longest };
                let mut mixed = vec![0; length];
                for from in (0..length).step_by(SECTOR) {
                    let source = if rng.random_bool(share) { new } else { old };
                    let to = (from + SECTOR).min(length);
                    let have = source.len().clamp(from, to);
                    mixed[from..have].copy_from_slice(source.get(from..have).unwrap_or(&[]));
                }
                mixed
            };
            files.insert((*name).clone(), behind_header(name, old, new, mixed, rng));
        }
    }
    Case { told, files, positions: before.acknowledged..=after.acknowledged, may_be_refused: false }
}

/// Keeps the write order of a restarted log. SQLite syncs the new header before it writes anything behind it (`wal.c`,
/// `syncHeader`). So either only the header is torn, or the whole header is there.
fn behind_header(name: &str, old: &[u8], new: &[u8], mut mixed: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    const HEADER: usize = 32;
    let (Some(from), Some(to)) = (old.get(..HEADER), new.get(..HEADER)) else { return mixed };
    if !name.ends_with("-wal") || from == to {
        return mixed;
    }
    if rng.random_bool(0.3) {
        let cut = rng.random_range(0..=HEADER);
        let mut torn = old.to_vec();
        torn[..cut].copy_from_slice(&to[..cut]);
        return torn;
    }
    mixed.resize(mixed.len().max(HEADER), 0);
    mixed[..HEADER].copy_from_slice(to);
    mixed
}

/// Makes the case of one damaged file of an image.
fn damage(image: &Image, rng: &mut StdRng) -> Case {
    let mut files = image.files.clone();
    let names: Vec<String> =
        files.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| name.clone()).collect();
    let name = &names[rng.random_range(0..names.len())];
    let bytes = files.get_mut(name).unwrap();
    let at = rng.random_range(0..bytes.len());
    let how = match rng.random_range(0..4) {
        0 | 1 => {
            let bit = rng.random_range(0..8);
            bytes[at] ^= 1 << bit;
            format!("bit {bit} of byte {at} flipped")
        }
        2 => {
            bytes.truncate(at);
            format!("cut at byte {at}")
        }
        _ => {
            let from = at / SECTOR * SECTOR;
            let to = (from + SECTOR).min(bytes.len());
            bytes[from..to].fill(0);
            format!("zeros from byte {from} to {to}")
        }
    };
    let told = format!("{name} after a {} at position {}: {how}", image.what, image.acknowledged);
    Case { told, files, positions: image.acknowledged..=image.acknowledged, may_be_refused: true }
}

/// Events of the journal that is damaged.
const EVENTS: u64 = 150;

#[test]
fn a_torn_write_is_recovered_from_and_damage_is_survived_or_refused() {
    let _turn = TURN.lock();
    let truth = truth(EVENTS + 1);
    let runs: Vec<Vec<Image>> = (0..6).map(|seed| run(EVENTS, seed)).collect();
    for what in ["commit", "checkpoint", "snapshot", "retention"] {
        assert!(runs.iter().flatten().filter(|image| image.what == what).count() > 3, "{what}");
    }
    let threads = 2;
    let counts: Vec<(usize, usize)> = std::thread::scope(|scope| {
        let (runs, truth) = (&runs, &truth);
        let work = move |thread: usize| {
            let mut rng = StdRng::seed_from_u64(u64::try_from(100 + thread).unwrap());
            let (mut whole, mut refused) = (0, 0);
            for i in 0..cases().div_ceil(threads) {
                let images = &runs[rng.random_range(0..runs.len())];
                let at = rng.random_range(1..images.len());
                let case = if i % 2 == 0 {
                    crash(&images[at - 1], &images[at], &mut rng)
                } else {
                    damage(&images[at], &mut rng)
                };
                if check(&case, truth, i % 8 < 2) { whole += 1 } else { refused += 1 }
            }
            (whole, refused)
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (whole, refused) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    println!("{whole} recovered, {refused} refused");
    assert!(whole + refused >= cases() && refused > cases() / 50 && whole > cases() / 2, "{whole} and {refused}");
}

/// Variable that tells the child process its seed and folder.
const WRITER: &str = "SLOTWISE_FAULTY_WRITER";

/// Not a test by itself: the body of the child process that writes until a write fails. The test below starts it with a
/// folder; without one it does nothing.
#[test]
fn a_writer_whose_file_may_not_grow() {
    #[expect(clippy::disallowed_methods, reason = "how the parent tells it the folder")]
    let Ok(told) = std::env::var(WRITER) else { return };
    let (seed, folder) = told.split_once(' ').unwrap();
    let mut rng = StdRng::seed_from_u64(seed.parse().unwrap());
    let mut journal = SqliteJournal::open(Path::new(folder)).unwrap();
    let mut done = journal.last();
    let mut failures = 0;
    while done < 600 && failures < 4 {
        let some = rng.random_range(1..40);
        let batch: Vec<_> = (done..done + some).map(|i| encode_event(&event(i))).collect();
        match journal.append(&batch) {
            Ok(last) => {
                done = last;
                println!("acknowledged {done}");
            }
            Err(AppendError::Full { .. }) if failures < 2 => {
                failures += 1;
                println!("full");
                if failures == 2 {
                    // Lift the limit: there is space again.
                    let limit = rustix::process::Rlimit { current: None, maximum: None };
                    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
                }
            }
            Err(why) => {
                println!("failed {why}");
                break;
            }
        }
    }
    println!("end");
    std::io::stdout().flush().unwrap();
    // The process ends as in a crash: it closes nothing.
    std::process::abort();
}

/// A write of the real engine fails at any byte. Everything acknowledged before the failure and, once there is space,
/// after it is there, and nothing is there twice.
#[test]
fn a_write_that_fails_at_any_byte_loses_nothing() {
    let _turn = TURN.lock();
    let truth = truth(700);
    let mut rng = StdRng::seed_from_u64(5);
    let (mut full, mut after) = (0, 0);
    for case in 0..120_u64 {
        let folder = scratch();
        let test = std::env::current_exe().unwrap();
        let limit = rng.random_range(40..400);
        let mut child = Command::new("bash")
            // The shell ignores the limit's signal, so that the write fails instead. The limit counts blocks of 1024
            // bytes.
            .args(["-c", &format!("trap '' XFSZ; ulimit -S -f {limit}; ulimit -c 0; exec \"$@\""), "bash"])
            .arg(test)
            .args(["--exact", "a_writer_whose_file_may_not_grow", "--nocapture"])
            .env(WRITER, format!("{case} {}", folder.path().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (mut acknowledged, mut was_full, mut ended) = (0, false, false);
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some(position) = line.strip_prefix("acknowledged ") {
                acknowledged = position.parse::<u64>().unwrap();
                after += u64::from(was_full);
            }
            was_full |= line.ends_with("full");
            assert!(!line.starts_with("failed"), "{line}");
            ended |= line == "end";
        }
        child.wait().unwrap();
        assert!(ended, "the writer of case {case} was cut short");
        full += u64::from(was_full);
        let state =
            recover_state(folder.path(), None, 1).unwrap_or_else(|why| panic!("case {case}, limit {limit}: {why}"));
        assert_eq!(state.position(), acknowledged, "case {case}, limit {limit}");
        let digest = hash("state", &[&snapshot::encode(&state).unwrap()]).word();
        assert_eq!(digest, truth[usize::try_from(acknowledged).unwrap()]);
    }
    assert!(full > 60 && after > 60, "{full} were full, {after} commits came after that");
}
