//! A real journal, and images of its folder after every step that changes a file.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    bandit::{Features, ModelSpec, Value},
    engine::{
        Body, ChosenArm, DecisionId, DecisionRecord, Event, Reason, RewardEvent, State, Subject, TRAFFIC, hash,
        snapshot,
    },
    journal::{Journal as _, LossPolicy, SqliteJournal},
    node::{encode_event, save_snapshot},
    slot::{Arm, ArmId, ChangeReason, Definition, Goal, RewardKind, SlotId},
};

/// Makes a temporary folder in memory if possible, because the tests make ten thousand of them.
pub(crate) fn scratch_folder() -> tempfile::TempDir {
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
    let kind = RewardKind {
        kind: "click".into(),
        weight: 1.0,
        use_value: false,
        cap: Some(1.0),
        winsorize: None,
        role: None,
        joins: None,
    };
    let goal = Goal { kinds: vec![kind], window_us: 200_000, ..Goal::default() };
    let id = SlotId::parse("slot_id", "offers").unwrap();
    Definition { arms: vec![arm("a"), arm("b")], goal, model: ModelSpec::linear(None, None), ..Definition::new(id) }
}

/// Returns event number `i`, from 0: the creation of a slot, then decisions and rewards in turn.
pub(crate) fn event(i: u64) -> Event {
    let definition = definition();
    let slot = definition.id.clone();
    let at_us = 1_793_000_000_000_000 + i64::try_from(i).unwrap() * 1_000;
    let id = |i: u64| DecisionId::new(1, 1_793_000_000_000_000 + i64::try_from(i).unwrap() * 1_000, i);
    let body = match i {
        0 => Body::SlotCreated { definition: Arc::new(definition), why: ChangeReason::new("someone", "created") },
        i if i.is_multiple_of(3) => Body::Rewarded(Box::new(RewardEvent {
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
            let chosen = ChosenArm {
                arm: definition.arms[usize::try_from(i % 2).unwrap()].id.clone(),
                propensity: 0.5,
                expected_reward: 0.25,
                baseline_position: 1,
                swap_probability: 0.0,
                reason: Reason::Exploring,
            };
            Body::Decided(Arc::new(DecisionRecord {
                catalogue_arms: Vec::new(),
                slot,
                id: id(i),
                request_id: i.is_multiple_of(5).then(|| format!("request-{i}")),
                subject: Subject { id: format!("subject-{}", i % 7), session_id: String::new() },
                context: [("age".to_owned(), Value::Number(f64::from(u32::try_from(i % 50).unwrap())))].into(),
                candidates: Vec::new(),
                already_shown: Vec::new(),
                chosen: vec![chosen],
                holdout: false,
                fallback: None,
                revision: 1,
                model: "linear".into(),
                seed: i,
                best_expected: 0.0,
                shadow_slate: Vec::new(),
                analysis: false,
                sticky: None,
                matched_rules: Vec::new(),
                scored: Vec::new(),
                excluded: Vec::new(),
                request_fingerprint: 0,
                client: String::new(),
                scaled_floors: false,
                expire_us: None,
                matches: None,
            }))
        }
    };
    Event { at_us, body }
}

/// Returns the hash of the state's bytes after each number of events.
pub(crate) fn expected_digests(events: u64) -> Vec<u64> {
    let mut state = State::default();
    let digest = |state: &State| hash("state", &[&snapshot::encode(state).unwrap()]).word();
    let mut digests = vec![digest(&state)];
    for i in 0..events {
        state.apply(&event(i));
        digests.push(digest(&state));
    }
    digests
}

/// The files of a folder, and the last acknowledged position.
#[derive(Clone)]
pub(crate) struct FolderImage {
    /// Step after which the files were copied: `"commit"`, `"checkpoint"`, `"snapshot"` or `"retention"`.
    pub(crate) step: &'static str,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) acknowledged: u64,
}

fn take_image(folder: &Path, step: &'static str, acknowledged: u64) -> FolderImage {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // The program rebuilds the log's index at every start, and the lock is empty.
        if !name.ends_with("-shm") && name != "lock" {
            files.insert(name.clone(), fs::read(folder.join(&name)).unwrap());
        }
    }
    FolderImage { step, files, acknowledged }
}

/// Writes a journal and copies its files after every step.
pub(crate) fn write_journal(events: u64, seed: u64) -> Vec<FolderImage> {
    let mut rng = StdRng::seed_from_u64(seed);
    let folder = scratch_folder();
    let mut journal = SqliteJournal::open(folder.path(), LossPolicy::Refused).unwrap();
    let second_connection = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    let mut images = vec![take_image(folder.path(), "created", 0)];
    let (mut state, mut done, mut saved) = (State::default(), 0, Vec::new());
    while done < events {
        let count = rng.random_range(1..12).min(events - done);
        let batch: Vec<Event> = (done..done + count).map(event).collect();
        journal.append(&batch.iter().map(encode_event).collect::<Vec<_>>()).unwrap();
        for event in &batch {
            state.apply(event);
        }
        done += count;
        images.push(take_image(folder.path(), "commit", done));
        let mut checkpoint = |mode: &str| {
            second_connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
            images.push(take_image(folder.path(), "checkpoint", done));
        };
        match rng.random_range(0..10) {
            0 => checkpoint("PASSIVE"),
            1 => checkpoint("RESTART"),
            2 => checkpoint("TRUNCATE"),
            3 | 4 => {
                save_snapshot(folder.path(), &state.freeze()).unwrap();
                images.push(take_image(folder.path(), "snapshot", done));
                saved.push(done);
                if let [.., drop, _, _] = saved[..] {
                    fs::remove_file(folder.path().join(format!("snapshot-{drop:020}.bin"))).unwrap();
                }
            }
            5 if saved.len() > 1 => {
                let covered = saved[saved.len() - 2];
                while journal.trim(&TRAFFIC, i64::MAX, covered, 20).unwrap() {}
                images.push(take_image(folder.path(), "retention", done));
            }
            _ => {}
        }
    }
    images
}
