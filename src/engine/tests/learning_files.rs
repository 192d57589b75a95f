//! Tests of learning as a file: it teaches another slot exactly, and nothing that is not whole is taken.

use super::*;
use crate::engine::{LearningFile, LearningFileError, LearningImport, SlotShard};

/// A slot that knows words, numbers and money.
fn taught(rates: bool) -> StateHarness {
    let mut wanted = definition(&["a", "b", "c"]);
    if rates {
        wanted.goal = Goal::default();
    }
    let mut world = StateHarness::new(wanted);
    world.update(|definition| definition.controls.policy = Some(Policy::Uniform));
    for n in 0..150_u32 {
        world.at_us += 60_000_000;
        let mut request = request();
        request.context.insert("device".into(), Value::Text(format!("d{}", n % 3)));
        request.context.insert("age".into(), Value::Number(f64::from(20 + n * 7 % 40)));
        let decided = world.decide(request);
        let earns = (decided.chosen[0].arm.as_str() == "b") == (n % 3 == 0);
        if earns {
            world.reward(&format!("e{n}"), &decided, "click", None);
        }
        if earns && n % 5 == 0 && !rates {
            world.reward(&format!("p{n}"), &decided, "buy", Some(f64::from(n)));
        }
    }
    world
}

fn file_of(world: &StateHarness, slot: &str) -> LearningFile {
    let (source, seed) = world.state.learning_of(&SlotId::parse("slot_id", slot).unwrap()).unwrap();
    LearningFile::write(&source, &seed).unwrap()
}

/// A service with a slot of the same definition that has learned nothing.
fn fresh(of: &StateHarness) -> StateHarness {
    let mut world = StateHarness::new((**of.state.slot("offers").unwrap().definition()).clone());
    world.at_us = of.at_us + HOUR_US;
    world
}

/// Scores and probabilities of every arm for some shoppers, bit for bit.
fn beliefs(world: &StateHarness) -> Vec<(u64, u64)> {
    let view = world.state.slot("offers").unwrap().view();
    let of = |device: u32| {
        let mut request = request();
        request.context.insert("device".into(), Value::Text(format!("d{device}")));
        request.context.insert("age".into(), Value::Number(35.0));
        let id = DecisionId::new(view.number, world.at_us, 1);
        let decided = decide(&view, request, DecideOptions::new(id, 7)).decided;
        decided.chosen.iter().map(|arm| (arm.expected_reward.to_bits(), arm.propensity.to_bits())).collect::<Vec<_>>()
    };
    (0..4).flat_map(of).collect()
}

fn import(world: &mut StateHarness, file: &LearningFile, weight: f64) -> Result<(), String> {
    world.change(Change::ImportLearning(Arc::new(file.clone()), weight)).map_err(|why| why.to_string())
}

#[test]
fn a_slot_of_another_service_knows_what_the_file_knows() {
    for rates in [true, false] {
        let world = taught(rates);
        let file = file_of(&world, "offers");
        assert_eq!((file.source().decisions, file.seed().arms().len()), (150, 3));
        let mut other = fresh(&world);
        let before = beliefs(&other);
        import(&mut other, &file, 1.0).unwrap();
        assert_ne!(beliefs(&other), before);
        let known = |world: &StateHarness| world.state.slot("offers").unwrap().learner().clone();
        assert_eq!(known(&other), known(&world), "rates: {rates}");
        // Both learn on alike.
        let mut one = StateHarness { at_us: other.at_us, count: 500, ..world };
        other.count = 500;
        for n in 0..20 {
            let (mine, theirs) = (one.decide(request()), other.decide(request()));
            assert_eq!(mine.chosen, theirs.chosen, "decision {n}");
            one.reward(&format!("x{n}"), &mine, "click", None);
            other.reward(&format!("x{n}"), &theirs, "click", None);
        }
        assert_eq!(known(&other), known(&one), "rates: {rates}");
        assert_eq!(other.counters().decisions, 20, "counts begin at zero");
    }
}

#[test]
fn with_a_weight_the_observations_of_the_file_count_less() {
    let world = taught(true);
    let (file, mut other) = (file_of(&world, "offers"), fresh(&world));
    import(&mut other, &file, 0.1).unwrap();
    let weight = |world: &StateHarness| {
        let view = world.state.slot("offers").unwrap().view();
        (0..3).map(|arm| view.learner.summary(arm).unwrap().weight()).sum::<f64>()
    };
    let (all, part) = (weight(&world), weight(&other));
    assert!((part / all - 0.1).abs() < 1e-6, "{part} of {all}");
    for weight in [0.0, -1.0, 1.5, f64::NAN] {
        let why = import(&mut fresh(&world), &file, weight).unwrap_err();
        assert!(why.starts_with("weight: "), "{why}");
    }
}

#[test]
fn the_fold_of_an_import_is_the_same_for_any_number_of_shards_and_after_a_snapshot() {
    let world = taught(true);
    let (file, mut other) = (file_of(&world, "offers"), fresh(&world));
    import(&mut other, &file, 0.5).unwrap();
    other.decide(request());
    let whole = snapshot::encode(&other.state).unwrap();
    assert!(snapshot::encode(&snapshot::decode(&whole).unwrap()).unwrap() == whole);
    // A file of a state that was read from a snapshot is the same file.
    let restored = snapshot::decode(&snapshot::encode(&world.state).unwrap()).unwrap();
    let (source, seed) = restored.learning_of(&slot_id()).unwrap();
    assert!(LearningFile::write(&source, &seed).unwrap().bytes() == file.bytes());
    for shards in 2..4 {
        let (mut ledger, mut parts) = State::default().split(shards);
        for event in &other.events {
            let step = ledger.step(event.at_us, &event.body);
            let at = SlotShard::index_of(event.body.slot().unwrap().as_str(), shards);
            parts[at].apply(step, &event.body, None);
            for part in &mut parts {
                part.sweep(step, None);
            }
        }
        assert!(snapshot::encode(&State::join(ledger, parts)).unwrap() == whole, "{shards} shards");
    }
}

#[test]
fn an_import_that_makes_no_sense_is_refused() {
    let world = taught(true);
    let file = file_of(&world, "offers");
    let mut used = fresh(&world);
    used.decide(request());
    let why = import(&mut used, &file, 1.0).unwrap_err();
    assert!(why.starts_with("slot_id: ") && why.contains("has made 1 decisions"), "{why}");
    used.change(Change::Reset).unwrap();
    import(&mut used, &file, 1.0).unwrap();
    import(&mut used, &file, 0.5).unwrap();
    let mut simulated = fresh(&world);
    simulated.update(|wanted| wanted.controls.simulated = Some(true));
    assert!(import(&mut simulated, &file, 1.0).unwrap_err().contains("simulated"));
    let mut of_values = StateHarness::new(definition(&["a"]));
    assert!(import(&mut of_values, &file, 1.0).unwrap_err().contains("rates"));
    let gone = Body::LearningImported(Box::new(LearningImport {
        slot: SlotId::parse("slot_id", "gone").unwrap(),
        file: Arc::new(file),
        weight: 1.0,
        why: ChangeReason::default(),
    }));
    assert_eq!(of_values.apply(gone), EventEffect::Change, "a slot that is gone takes nothing");
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let whole = file_of(&taught(true), "offers").bytes().to_vec();
    let read = |bytes: &[u8]| LearningFile::read(bytes.into());
    for end in (0..60).chain((60..whole.len()).step_by(499)) {
        let why = read(&whole[..end]).unwrap_err();
        let fits = matches!(why, LearningFileError::Foreign) == (end < 12);
        assert!(fits && (end < 12 || matches!(why, LearningFileError::Length { .. })), "cut at {end}: {why}");
    }
    assert!(matches!(read(&[&whole[..], b"x"].concat()), Err(LearningFileError::Length { .. })));
    assert_eq!(read(b"slot_id = \"offers\"\n").unwrap_err(), LearningFileError::Foreign);
    for at in (0..70).chain((70..whole.len()).step_by(991)) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        assert!(read(&damaged).is_err(), "a flipped bit at {at}");
    }
    let newer = resealed(&whole, |bytes| bytes[15] = 9);
    assert_eq!(read(&newer).unwrap_err(), LearningFileError::Newer(9));
    let large = vec![0; crate::slot::limits::LEARNING_BYTES_MAX + 1];
    assert!(matches!(read(&large), Err(LearningFileError::TooLarge(_))));
}

/// Changes a file and gives it the right checksum.
fn resealed(whole: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    change(&mut bytes);
    let length = (bytes.len() - 28) as u64;
    bytes[16..24].copy_from_slice(&length.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&bytes[..24]);
    hasher.update(&bytes[28..]);
    let sum = hasher.finalize();
    bytes[24..28].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Files that are made up, with a checksum that is right, are refused, or taken and worked with like any other.
#[test]
fn no_file_breaks_a_slot() {
    let mut rng = StdRng::seed_from_u64(77);
    let (mut refused, mut taken) = (0, 0);
    for rates in [true, false] {
        let world = taught(rates);
        let whole = file_of(&world, "offers").bytes().to_vec();
        for round in 0..250 {
            let bytes = resealed(&whole, |bytes| {
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(28..bytes.len());
                    // Indices and counts are small numbers, which take one byte.
                    let small = bytes[at] < 0x40 && round % 2 == 0;
                    bytes[at] = if small { rng.random_range(0..0x80) } else { rng.random() };
                }
            });
            let Ok(file) = LearningFile::read(bytes.into()) else {
                refused += 1;
                continue;
            };
            let mut other = fresh(&world);
            if import(&mut other, &file, if round % 3 == 0 { 0.5 } else { 1.0 }).is_err() {
                refused += 1;
                continue;
            }
            taken += 1;
            for n in 0..5 {
                other.at_us += HOUR_US / 2;
                let mut request = request();
                request.context.insert("device".into(), Value::Text(format!("d{n}")));
                request.context.insert("age".into(), Value::Number(33.0));
                let decided = other.decide(request);
                let total: f64 = decided.chosen.iter().map(|arm| arm.propensity).sum();
                assert!(total > 0.0 && total <= 1.0 + 1e-9, "{decided:?}");
                other.reward(&format!("e{n}"), &decided, "click", None);
            }
            other.change(Change::ResetArm(arm_id("a"))).unwrap();
            assert!(snapshot::encode(&other.state).is_ok());
            let _ = report(&other.state.slot("offers").unwrap().view());
        }
    }
    assert!(refused > 150 && taken > 20, "{refused} refused, {taken} taken");
}
