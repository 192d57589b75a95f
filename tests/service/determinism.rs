//! State is a fold of the journal. The same journal, replayed from its beginning and from every snapshot that was ever
//! taken, by one worker and by several, gives the same bytes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{Clients, Process, click, context, decide, number, program, serve_command, slot, text};
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use slotwise::{
    engine::{State, snapshot},
    node::{fold, recover_state},
    wire::proto::{ClickModel, Controls, DecideRequest, RewardEvent, Slot, SlotKind, Subject, UpdateSlotRequest},
};

const ARMS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// Rounds of a shopper, who decides in every slot in each of them.
const ROUNDS: u32 = 120;
const SHOPPERS: u64 = 3;

/// Returns slots that learn in every possible way.
fn slots() -> Vec<Slot> {
    let ranking = |id: &str, click_model: ClickModel| {
        let mut ranking = Slot { kind: SlotKind::Ranking.into(), count: 4, ..slot(id, &ARMS) };
        ranking.goal.as_mut().unwrap().click_model = click_model.into();
        ranking
    };
    vec![
        slot("offers", &ARMS),
        slot("two", &ARMS[..2]),
        ranking("positions", ClickModel::PositionBased),
        ranking("cascade", ClickModel::Cascade),
        Slot { open_catalogue: true, ..ranking("plain", ClickModel::None) },
    ]
}

async fn send_shopper(address: String, shopper: u64, rounds: u32) {
    let mut clients = Clients::connect(&address).await;
    let mut rng = StdRng::seed_from_u64(shopper);
    for i in 0..rounds {
        // The pause makes the run long enough for a few snapshots.
        tokio::time::sleep(Duration::from_millis(20)).await;
        for slot in slots() {
            let request = DecideRequest {
                subject: Some(Subject { id: format!("s{}", rng.random_range(0..40)), session_id: String::new() }),
                context: context(&[
                    ("age", number(rng.random_range(18.0..80.0))),
                    ("device", text(["web", "app", "till"][rng.random_range(0..3)])),
                ]),
                request_id: if i % 4 == 0 { format!("{shopper}-{i}-{}", slot.slot_id) } else { String::new() },
                ..decide(&slot.slot_id)
            };
            let decision = clients.decide(request).await.unwrap();
            for arm in &decision.arms {
                if rng.random_bool(0.7) {
                    continue;
                }
                let id = format!("{shopper}-{i}-{}", arm.arm_id);
                let event = RewardEvent { arm_id: arm.arm_id.clone(), ..click(&id, &decision) };
                clients.reward(event.clone()).await.unwrap();
                if rng.random_bool(0.2) {
                    let back = RewardEvent { event_id: format!("{id}-back"), reverses_event_id: id, ..event };
                    clients.reward(back).await.unwrap();
                }
            }
            if rng.random_bool(0.02) {
                let controls = Controls { exploration: Some(rng.random_range(0.0..2.0)), ..Controls::default() };
                let update = UpdateSlotRequest {
                    slot: Some(Slot { controls: Some(controls), ..slot }),
                    update_mask: Some(prost_types::FieldMask { paths: vec!["controls.exploration".into()] }),
                    ..UpdateSlotRequest::default()
                };
                clients.slots.update_slot(update).await.unwrap();
            }
        }
    }
}

fn snapshots(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "bin")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_gives_the_same_bytes_from_anywhere_and_by_any_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "snapshot_interval = \"1s\"\nlog = \"error\"").unwrap();
    let mut command = serve_command(folder.path());
    command.arg("--config").arg(config.path());
    let mut process = Process::start_command(command);
    let mut clients = Clients::connect(&process.address).await;
    for slot in slots() {
        clients.create(slot).await.unwrap();
    }
    let mut shoppers = tokio::task::JoinSet::new();
    for shopper in 0..SHOPPERS {
        shoppers.spawn(send_shopper(process.address.clone(), shopper, ROUNDS));
    }
    // Old snapshots are deleted, so each is kept by a hard link, which outlives the file's name.
    let mut seen: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    while !shoppers.is_empty() {
        for path in snapshots(folder.path()) {
            let aside = kept.path().join(path.file_name().unwrap());
            if !seen.contains_key(&path) && fs::hard_link(&path, &aside).is_ok() {
                seen.insert(path, aside);
            }
        }
        if let Ok(Some(done)) = tokio::time::timeout(Duration::from_millis(50), shoppers.join_next()).await {
            done.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();

    let bytes = |state: &State| snapshot::encode(state).unwrap();
    let first = fold(folder.path(), 1).unwrap();
    let want = bytes(&first);
    let decisions: u64 = first.slots().map(|(_, slot)| slot.view().counters.decisions).sum();
    assert_eq!(decisions, u64::from(ROUNDS) * SHOPPERS * slots().len() as u64);
    for workers in [1, 2, 5] {
        assert!(bytes(&fold(folder.path(), workers).unwrap()) == want, "from the beginning, {workers} workers");
        assert!(
            bytes(&recover_state(folder.path(), None, workers).unwrap()) == want,
            "as at a start, {workers} workers"
        );
        for aside in seen.values() {
            let state = recover_state(folder.path(), Some(aside), workers).unwrap();
            assert!(bytes(&state) == want, "from {}, {workers} workers", aside.display());
        }
    }
    for aside in seen.values() {
        let written = fs::read(aside).unwrap();
        let state = snapshot::decode(&written).unwrap();
        // The header names the journal, which the state does not know.
        assert!(bytes(&state)[snapshot::HEADER..] == written[snapshot::HEADER..], "{}", aside.display());
    }
    assert!(seen.len() >= 2, "{} snapshots were taken", seen.len());
}

/// Decides and learns for a few seconds, kills the process and leaves its folder.
async fn leave_killed_folder(folder: &Path) {
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "snapshot_interval = \"1s\"\nlog = \"error\"").unwrap();
    let mut command = serve_command(folder);
    command.arg("--config").arg(config.path());
    let mut process = Process::start_command(command);
    let mut clients = Clients::connect(&process.address).await;
    for slot in slots() {
        clients.create(slot).await.unwrap();
    }
    send_shopper(process.address.clone(), 7, 60).await;
    while snapshots(folder).is_empty() {
        send_shopper(process.address.clone(), 8, 5).await;
    }
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_processor_without_fused_arithmetic_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    leave_killed_folder(folder.path()).await;
    // The C library has other code for a processor without these instructions, and that code differs in the last
    // digits.
    let verify = || {
        let mut command = program();
        command.args(["journal", "verify", "--fold", "--data"]).arg(folder.path());
        command
    };
    for mask in ["", "glibc.cpu.hwcaps=-FMA,-AVX2,-FMA4,-AVX2_Usable,-FMA_Usable"] {
        let output = verify().env("GLIBC_TUNABLES", mask).output().unwrap();
        let output_text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "with GLIBC_TUNABLES={mask}: {output_text}");
        assert!(
            output_text.contains("byte for byte what the journal gives"),
            "with GLIBC_TUNABLES={mask}: {output_text}"
        );
    }
}
