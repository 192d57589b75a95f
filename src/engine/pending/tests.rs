//! The encoding is compared with that of serde for the same fields.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rmp_serde::encode;
use serde::Serialize;

use super::{
    CountedEvent, EncodedDecision, EvaluationRecord, EventRecord, EventRole, FirstScore, LazyEvaluation, LearnedReward,
    MessagePackWriter, PendingDecision, SegmentKeys, ShownArm, Treatment, UnrewardedLayout,
    encoding::{HEAD, try_decode},
};
use crate::{
    bandit::{
        EncodedRow, EncodedRows, Learner, ModelSpec, Observation, ObservationReceipt, RowFeatures, SlotTraits, Value,
    },
    engine::ids::{DecisionId, Hash128, hash},
    stats::SparseVector,
};

#[derive(Serialize)]
struct PlainKeys<'a> {
    subjects: &'a [Hash128],
    events: &'a [EventRecord],
    arms: &'a [u32],
}

#[derive(Serialize)]
struct PlainRest<'a> {
    holdout: bool,
    frozen: bool,
    rows: &'a EncodedRows,
    shown: &'a [ShownArm],
    evaluation: &'a EvaluationRecord,
}

fn by_serde(decision: &PendingDecision) -> Vec<u8> {
    let arms: Vec<u32> = decision.shown.iter().map(|shown| shown.arm).collect();
    let evaluation = decision.evaluation.decode().unwrap();
    let PendingDecision { holdout, frozen, rows, shown, events, subjects, .. } = decision;
    let arms = if subjects.is_empty() { &[] } else { arms.as_slice() };
    let rest = PlainRest { holdout: *holdout, frozen: *frozen, rows, shown, evaluation: &evaluation };
    let mut bytes = [decision.id.as_bytes().as_slice(), &decision.at_us.to_be_bytes()].concat();
    match decision.first_score {
        None => bytes.extend([0; 26]),
        Some(FirstScore { settled, arm, group, expected, propensity, stabilised, log_weight }) => {
            bytes.extend([1 + u8::from(settled), group]);
            for number in [expected, propensity, stabilised] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend(arm.to_le_bytes());
            bytes.extend(log_weight.to_le_bytes());
        }
    }
    bytes.extend(decision.segments.to_bytes());
    encode::write(&mut bytes, &PlainKeys { subjects, events, arms }).unwrap();
    encode::write(&mut bytes, &rest).unwrap();
    bytes
}

/// Returns a buffer in which something else was written before.
fn used_buffer() -> MessagePackWriter {
    let mut buffer = MessagePackWriter::default();
    buffer.raw(&[1, 2, 3]);
    buffer
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
        silent: false,
    };
    let mut learner = Learner::new(spec, SlotTraits { unit_rewards: rng.random(), ..SlotTraits::default() });
    let context = [("age".to_owned(), Value::Number(3.0))].into_iter().collect();
    let rows = learner.meet(&[RowFeatures::from_context(&context)]).remove(0);
    learner.observe(observation, &rows)
}

fn shown(rng: &mut StdRng) -> ShownArm {
    let counted = |rng: &mut StdRng| CountedEvent {
        event: hash("event", &[&whole(rng).to_be_bytes()]),
        kind: "purchase".into(),
        value: rng.random::<bool>().then(|| number(rng)),
        learned_value: rng.random::<bool>().then(|| number(rng)),
        time_us: whole(rng).into(),
    };
    ShownArm {
        arm: whole(rng),
        rows: rng.random_bool(0.2).then(|| rows(rng)),
        swap_probability: number(rng),
        seen: rng.random(),
        counted_at_ln_decay: rng.random_bool(0.3).then(|| number(rng)),
        reward: number(rng),
        learned: rng.random::<bool>().then(|| LearnedReward { reward: number(rng), receipt: receipt(rng) }),
        counted: some(rng, 2, counted),
    }
}

fn decision(rng: &mut StdRng) -> PendingDecision {
    let key = |rng: &mut StdRng| hash("some", &[&whole(rng).to_be_bytes()]);
    let roles = [EventRole::Reward(whole(rng)), EventRole::Reversed, EventRole::Reversal];
    let treatments = [Treatment::Policy, Treatment::Analysis, Treatment::Holdout];
    let evaluation = |rng: &mut StdRng| EvaluationRecord {
        comparison: rng.random::<bool>().then(|| (whole(rng).into(), treatments[rng.random_range(0..3)])),
        by_policy: rng.random(),
        centre: number(rng),
        compared_arms: some(rng, 16, |rng| (whole(rng), rng.random::<f32>())),
        client: whole(rng),
    };
    PendingDecision {
        id: DecisionId::new(whole(rng), whole(rng).into(), rng.random()),
        at_us: rng.random(),
        first_score: rng.random::<bool>().then(|| FirstScore {
            settled: rng.random(),
            arm: whole(rng),
            group: rng.random(),
            expected: rng.random(),
            propensity: rng.random(),
            stabilised: rng.random(),
            log_weight: rng.random(),
        }),
        segments: SegmentKeys::from_bytes(rng.random()),
        holdout: rng.random(),
        frozen: rng.random(),
        rows: rows(rng),
        shown: some(rng, 20, shown),
        events: some(rng, 4, |rng| EventRecord {
            event: key(rng),
            role: roles[rng.random_range(0..3)],
            content: rng.random::<bool>().then(|| ("click".into(), rng.random::<bool>().then(|| number(rng)))),
        }),
        subjects: some(rng, 3, key).into(),
        evaluation: LazyEvaluation::Decoded(evaluation(rng)),
    }
}

#[test]
fn a_decision_is_the_bytes_that_serde_writes_and_comes_back() {
    let mut rng = StdRng::seed_from_u64(4);
    for i in 0..2_000 {
        let decision = decision(&mut rng);
        let encoded = EncodedDecision::encode(&decision, &mut MessagePackWriter::default());
        assert_eq!(encoded.as_bytes(), by_serde(&decision), "{i}: {decision:?}");
        let read = try_decode(encoded.as_bytes()).unwrap();
        assert_eq!(read, decision, "{i}");
        assert!(matches!(read.evaluation, LazyEvaluation::Encoded(_)), "nobody asked");
        assert_eq!(EncodedDecision::encode(&read, &mut used_buffer()), encoded, "{i}");
        assert!(EncodedDecision::is_whole(encoded.as_bytes()));
    }
}

/// The short path changes exactly what the long path changes, for decisions of every kind.
#[test]
fn an_unrewarded_decision_is_learned_as_any_other() {
    let mut rng = StdRng::seed_from_u64(7);
    let mut unrewarded = 0;
    for i in 0..3_000 {
        let mut decision = decision(&mut rng);
        let mut bare = |often| rng.random_bool(often);
        let (one, quiet, same, unlearned) = (bare(0.8), bare(0.8), bare(0.9), bare(0.9));
        decision.shown.truncate(if one { 1 } else { 20 });
        if quiet {
            decision.events.clear();
            decision.shown.iter_mut().for_each(|shown| shown.counted.clear());
        }
        for shown in &mut decision.shown {
            shown.rows = shown.rows.take().filter(|_| !same);
            shown.learned = shown.learned.take().filter(|_| !unlearned);
            shown.counted_at_ln_decay = shown.counted_at_ln_decay.filter(|_| !unlearned);
        }
        let encoded = EncodedDecision::encode(&decision, &mut MessagePackWriter::default());
        let plain = |shown: &ShownArm| shown.rows.is_none() && shown.counted_at_ln_decay.is_none();
        let is = decision.events.is_empty() && matches!(decision.shown.as_slice(), [shown] if plain(shown));
        let layout = UnrewardedLayout::read(&encoded);
        assert_eq!(layout.is_some(), is, "{i}: {decision:?}");
        let Some(layout) = layout else { continue };
        unrewarded += 1;
        assert_eq!((layout.arm, layout.frozen), (decision.shown[0].arm, decision.frozen));
        assert_eq!(layout.rows(&encoded), decision.rows);
        let learned = decision.shown[0].learned.as_ref().map(|learned| learned.reward.to_bits());
        assert_eq!(layout.learned_reward(&encoded).map(f64::to_bits), learned);
        if learned.is_some() {
            continue;
        }
        let learned = LearnedReward { reward: number(&mut rng), receipt: receipt(&mut rng) };
        let short = layout.with_learned(&encoded, &learned, &mut used_buffer());
        decision.shown[0].learned = Some(learned);
        assert_eq!(short, EncodedDecision::encode(&decision, &mut MessagePackWriter::default()), "{i}");
    }
    assert!(unrewarded > 500, "{unrewarded}");
}

#[test]
fn unreadable_evaluation_data_equal_only_the_same_bytes() {
    let mut rng = StdRng::seed_from_u64(5);
    let decoded = decision(&mut rng).evaluation;
    let LazyEvaluation::Decoded(record) = &decoded else { panic!("{decoded:?}") };
    let mut writer = MessagePackWriter::default();
    record.write(&mut writer);
    let bytes = writer.as_slice();
    let encoded = |bytes: &[u8]| LazyEvaluation::Encoded(bytes.into());
    assert_eq!(encoded(bytes), decoded);
    assert_eq!(decoded, encoded(bytes));
    let (cut, shorter) = (encoded(&bytes[..bytes.len() - 1]), encoded(&bytes[..bytes.len() - 2]));
    assert!(cut.decode().is_none() && shorter.decode().is_none(), "neither can be read");
    assert_eq!(cut, cut.clone());
    assert_ne!(cut, shorter);
    assert_ne!(cut, decoded);
    assert_ne!(decoded, cut, "the comparison is symmetric");
}

#[test]
fn bytes_that_are_cut_short_are_no_decision() {
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..40 {
        let decision = decision(&mut rng);
        let encoded = EncodedDecision::encode(&decision, &mut MessagePackWriter::default());
        let bytes = encoded.as_bytes();
        for end in 0..bytes.len() {
            assert!(!EncodedDecision::is_whole(&bytes[..end]), "{end} of {}", bytes.len());
        }
        // An array whose length is larger than memory.
        let mut long = bytes[..HEAD].to_vec();
        long.extend_from_slice(&[0x93, 0xdd, 0xff, 0xff, 0xff, 0xff]);
        assert!(!EncodedDecision::is_whole(&long));
    }
}
