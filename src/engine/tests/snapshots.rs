//! Tests of snapshots, and of determinism.

use super::*;

#[test]
fn the_same_events_give_the_same_bytes_and_a_snapshot_with_its_tail_is_the_whole() {
    let world = busy_world(1);
    let whole = snapshot::encode(&world.state).unwrap();
    let mut state = State::default();
    for (i, event) in world.events.iter().enumerate() {
        if i % 97 == 0 {
            let bytes = snapshot::encode(&state).unwrap();
            state = snapshot::decode(&bytes).unwrap();
            assert!(snapshot::encode(&state).unwrap() == bytes, "at {i}");
        }
        state.apply(event);
    }
    assert!(state == world.state);
    assert!(snapshot::encode(&state).unwrap() == whole);
    let frozen: Vec<u8> =
        world.state.freeze().sections(&snapshot::Origin::default()).flat_map(Result::unwrap).collect();
    assert!(frozen == whole, "a frozen state is written as the state is");
    let counters = world.counters();
    let all = [counters.rewards, counters.duplicates, counters.late, counters.unmatched, counters.other_kinds];
    assert!(all[..4].iter().all(|&n| n > 10), "the run must exercise every outcome: {all:?}");
}

#[test]
fn every_width_of_instructions_gives_the_same_bytes() {
    let bytes = |width| with_width_limit(width, || snapshot::encode(&busy_world(3).state).unwrap());
    let widest = bytes(SimdWidth::Widest);
    assert!(bytes(SimdWidth::Avx2) == widest, "four numbers at once");
    assert!(bytes(SimdWidth::Baseline) == widest, "without instructions that only some processors have");
}

#[test]
fn damaged_snapshots_are_refused() {
    let bytes = snapshot::encode(&busy_world(2).state).unwrap();
    for at in [0, 9, 15, 25, 30, 40, bytes.len() / 2, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(snapshot::decode(&damaged).is_err(), "a flipped bit at {at}");
        assert!(snapshot::decode(&bytes[..at]).is_err(), "cut at {at}");
    }
    let mut newer = bytes;
    newer[11] = 99;
    assert!(
        matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Checksum(0))),
        "a flipped bit is no version"
    );
    let checksum = crc32fast::hash(&newer[..snapshot::HEADER - 4]);
    newer[snapshot::HEADER - 4..snapshot::HEADER].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Version(99))));
    newer[11] = 5;
    let checksum = crc32fast::hash(&newer[..snapshot::HEADER - 4]);
    newer[snapshot::HEADER - 4..snapshot::HEADER].copy_from_slice(&checksum.to_be_bytes());
    assert!(matches!(snapshot::decode(&newer), Err(snapshot::SnapshotError::Older(5))));
}

/// Two hundred revisions of a thousand arms, each of which changes one arm, are written as one table of arms and a
/// little more.
#[test]
fn a_snapshot_holds_each_version_of_an_arm_once() {
    let ids: Vec<String> = (0..1_000).map(|i| format!("arm{i}")).collect();
    let mut world = StateHarness::new(definition(&ids.iter().map(String::as_str).collect::<Vec<_>>()));
    let one = snapshot::encode(&world.state).unwrap().len();
    for i in 0..200 {
        let arm = arm_id(&format!("arm{}", 3 * i));
        world.change(Change::UpsertArms(vec![Arm { available: false, ..Arm::new(arm) }])).unwrap();
    }
    let bytes = snapshot::encode(&world.state).unwrap();
    // Each revision adds its settings, an arm, and at most 401 stretches of arms.
    assert!(bytes.len() < one + 200 * 2_800, "{} against {one}", bytes.len());
    let again = snapshot::decode(&bytes).unwrap();
    assert_eq!(again, world.state);
}
