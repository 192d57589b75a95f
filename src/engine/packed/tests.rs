//! The encoding is compared with that of serde for the same fields.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rmp_serde::encode;
use serde::Serialize;

use super::*;
use crate::{
    bandit::{Learner, ModelSpec, Observation, ObservationReceipt, RowFeatures, SlotTraits, Value},
    engine::{
        hash,
        insight::Audience,
        pending::{Accepted, Counted, Told},
    },
};

#[derive(Serialize)]
struct Found<'a> {
    subjects: &'a [Key],
    events: &'a [Known],
    arms: &'a [u32],
}

#[derive(Serialize)]
struct Rest<'a> {
    holdout: bool,
    frozen: bool,
    rows: &'a EncodedRows,
    shown: &'a [ShownArm],
    trial: &'a Trial,
}

fn by_serde(decision: &PendingDecision) -> Vec<u8> {
    let arms: Vec<u32> = decision.shown.iter().map(|shown| shown.arm).collect();
    let trial = decision.judged.trial().unwrap();
    let PendingDecision { holdout, frozen, rows, shown, events, subjects, .. } = decision;
    let arms = if subjects.is_empty() { &[] } else { arms.as_slice() };
    let rest = Rest { holdout: *holdout, frozen: *frozen, rows, shown, trial: &trial };
    let mut bytes = [decision.id.as_bytes().as_slice(), &decision.at_us.to_be_bytes()].concat();
    encode::write(&mut bytes, &Found { subjects, events, arms }).unwrap();
    encode::write(&mut bytes, &rest).unwrap();
    bytes
}

/// Returns a buffer in which something else was written before.
fn used() -> Writer {
    let mut room = Writer::default();
    room.raw(&[1, 2, 3]);
    room
}

fn number(rng: &mut StdRng) -> f64 {
    let wild = [0.0, -0.0, 1.0, -1.0, 127.0, 128.0, -32.0, -33.0, 0.5, 1e300, f64::MIN_POSITIVE];
    if rng.random_bool(0.5) { wild[rng.random_range(0..wild.len())] } else { rng.random_range(-300.0..300.0) }
}

fn whole(rng: &mut StdRng) -> u32 {
    // Every encoded length occurs.
    rng.random::<u32>() >> rng.random_range(0..32)
}

fn some<T>(rng: &mut StdRng, most: usize, mut item: impl FnMut(&mut StdRng) -> T) -> Vec<T> {
    (0..rng.random_range(0..=most)).map(|_| item(rng)).collect()
}

fn rows(rng: &mut StdRng) -> EncodedRows {
    some(rng, 3, |rng| {
        let entries = some(rng, 40, |rng| (whole(rng), number(rng)));
        EncodedRow { vector: SparseVector { entries, unseen: number(rng) }, numbers: whole(rng) }
    })
}

fn receipt(rng: &mut StdRng) -> ObservationReceipt {
    let spec = if rng.random() { ModelSpec::default() } else { ModelSpec::beta_bernoulli(None, None) };
    let observation = Observation {
        arm: 1,
        reward: number(rng).clamp(0.0, 1.0),
        weight: 0.5,
        at_us: 7,
        half_life_us: 1_000,
        decisions_since_shown: 3,
    };
    let mut learner = Learner::new(spec, SlotTraits { unit_rewards: rng.random(), ..SlotTraits::default() });
    let context = [("age".to_owned(), Value::Number(3.0))].into_iter().collect();
    let rows = learner.meet(&[RowFeatures::from_context(&context)]).remove(0);
    learner.observe(observation, &rows)
}

fn shown(rng: &mut StdRng) -> ShownArm {
    let counted = |rng: &mut StdRng| Counted {
        event: hash("event", &[&whole(rng).to_be_bytes()]),
        kind: "purchase".into(),
        value: rng.random::<bool>().then(|| number(rng)),
        learned: rng.random::<bool>().then(|| number(rng)),
        time_us: whole(rng).into(),
    };
    ShownArm {
        arm: whole(rng),
        rows: rng.random_bool(0.2).then(|| rows(rng)),
        overlap: number(rng),
        seen: rng.random(),
        tells: rng.random_bool(0.3).then(|| number(rng)),
        reward: number(rng),
        told: rng.random::<bool>().then(|| Told { reward: number(rng), receipt: receipt(rng) }),
        counted: some(rng, 2, counted),
    }
}

fn decision(rng: &mut StdRng) -> PendingDecision {
    let key = |rng: &mut StdRng| hash("some", &[&whole(rng).to_be_bytes()]);
    let what = [Accepted::Event(whole(rng)), Accepted::Reversed, Accepted::Reversal];
    let audience = [Audience::Policy, Audience::Analysis, Audience::Holdout];
    let trial = |rng: &mut StdRng| Trial {
        compared: rng.random::<bool>().then(|| (whole(rng).into(), audience[rng.random_range(0..3)])),
        centre: number(rng),
        rivals: some(rng, 16, |rng| (whole(rng), rng.random::<f32>())),
    };
    PendingDecision {
        id: DecisionId::new(whole(rng), whole(rng).into(), rng.random()),
        at_us: rng.random(),
        holdout: rng.random(),
        frozen: rng.random(),
        rows: rows(rng),
        shown: some(rng, 20, shown),
        events: some(rng, 4, |rng| Known {
            event: key(rng),
            what: what[rng.random_range(0..3)],
            content: rng.random::<bool>().then(|| ("click".into(), rng.random::<bool>().then(|| number(rng)))),
        }),
        subjects: some(rng, 3, key).into(),
        judged: Judged::Open(trial(rng)),
    }
}

#[test]
fn a_decision_is_the_bytes_that_serde_writes_and_comes_back() {
    let mut rng = StdRng::seed_from_u64(4);
    for i in 0..2_000 {
        let decision = decision(&mut rng);
        let bytes = pack(&decision, &mut Writer::default());
        assert_eq!(*bytes, by_serde(&decision), "{i}: {decision:?}");
        let read = try_unpack(&bytes).unwrap();
        assert_eq!(read, decision, "{i}");
        assert!(matches!(read.judged, Judged::Packed(_)), "nobody asked");
        assert_eq!(pack(&read, &mut used()), bytes, "{i}");
        assert!(check(&bytes));
    }
}

/// The short path changes exactly what the long path changes, for decisions of every kind.
#[test]
fn a_silent_decision_is_told_as_any_other() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut silent_ones = 0;
    for i in 0..3_000 {
        let mut decision = decision(&mut rng);
        let mut bare = |often| rng.random_bool(often);
        let (one, quiet, same, untold) = (bare(0.8), bare(0.8), bare(0.9), bare(0.9));
        decision.shown.truncate(if one { 1 } else { 20 });
        if quiet {
            decision.events.clear();
            decision.shown.iter_mut().for_each(|shown| shown.counted.clear());
        }
        for shown in &mut decision.shown {
            shown.rows = shown.rows.take().filter(|_| !same);
            shown.told = shown.told.take().filter(|_| !untold);
            shown.tells = shown.tells.filter(|_| !untold);
        }
        let bytes = pack(&decision, &mut Writer::default());
        let plain = |shown: &ShownArm| shown.rows.is_none() && shown.tells.is_none();
        let is = decision.events.is_empty() && matches!(decision.shown.as_slice(), [shown] if plain(shown));
        let silent = Silent::of(&bytes);
        assert_eq!(silent.is_some(), is, "{i}: {decision:?}");
        let Some(silent) = silent else { continue };
        silent_ones += 1;
        assert_eq!((silent.arm, silent.frozen), (decision.shown[0].arm, decision.frozen));
        assert_eq!(silent.rows(&bytes), decision.rows);
        let told = decision.shown[0].told.as_ref().map(|told| told.reward.to_bits());
        assert_eq!(silent.reward(&bytes).map(f64::to_bits), told);
        if told.is_some() {
            continue;
        }
        let told = Told { reward: number(&mut rng), receipt: receipt(&mut rng) };
        let short = silent.told(&bytes, &told, &mut used());
        decision.shown[0].told = Some(told);
        assert_eq!(short, pack(&decision, &mut Writer::default()), "{i}");
    }
    assert!(silent_ones > 500, "{silent_ones}");
}

#[test]
fn what_is_cut_short_or_goes_on_is_no_decision() {
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..40 {
        let decision = decision(&mut rng);
        let bytes = pack(&decision, &mut Writer::default());
        for end in 0..bytes.len() {
            assert!(!check(&bytes[..end]), "{end} of {}", bytes.len());
        }
        // An array whose length is larger than memory.
        let mut long = bytes[..HEAD].to_vec();
        long.extend_from_slice(&[0x93, 0xdd, 0xff, 0xff, 0xff, 0xff]);
        assert!(!check(&long));
    }
}
