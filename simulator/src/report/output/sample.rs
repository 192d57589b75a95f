//! Made-up reports for tests, with the shape and size of a real run. They are the same every time.

use std::collections::BTreeMap;

use crate::report::{
    ArmShare, Bucket, CalibrationBin, CheckOutcome, CheckReport, EventCounts, FORM, IntervalEstimate, Latency,
    LiveReport, Point, PolicyReport, PropensityBin, RunReport, RunTarget, RunVerdict, ScenarioReport, SegmentReport,
    TimelineMark,
};

/// Arms of the made-up shop.
const ARMS: [(&str, f64); 6] = [
    ("none", 0.24),
    ("free-shipping", 0.31),
    ("ten-percent", 0.27),
    ("gift", 0.2),
    ("twenty-percent", 0.17),
    ("other", 0.1),
];

/// A number between −1 and 1 that looks random.
fn noise(seed: u32) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9).wrapping_add(0x7f4a_7c15);
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    f64::from(x ^ (x >> 16)) / f64::from(u32::MAX) * 2.0 - 1.0
}

fn estimate(mean: f64, standard_error: f64) -> IntervalEstimate {
    let half = 2.093 * standard_error;
    let (low, high) = (Some(mean - half), Some(mean + half));
    IntervalEstimate { mean, standard_error: Some(standard_error), low, high, confidence: 0.95 }
}

fn point(mean: f64, standard_error: f64) -> Point {
    Point { mean: Some(mean), standard_error: Some(standard_error) }
}

/// A check that holds.
pub(super) fn check() -> CheckReport {
    CheckReport {
        name: "lift, default over uniform".to_owned(),
        metric: "lift".to_owned(),
        policy: "default".to_owned(),
        over: Some("uniform".to_owned()),
        min: Some(0.03),
        max: None,
        confidence: 0.95,
        outcome: CheckOutcome::Pass,
        estimate: Some(0.118),
        low: Some(0.104),
        high: Some(0.132),
        p_value: Some(0.000_000_3),
        p_adjusted: Some(0.000_001),
        replications_needed: None,
        sentence: "lift, default over uniform is 11.8 % [10.4 %, 13.2 %]: at least 3 % holds".to_owned(),
    }
}

fn checks() -> Vec<CheckReport> {
    let plain = CheckReport { over: None, min: None, ..check() };
    vec![
        check(),
        CheckReport {
            name: "no discount for loyal customers".to_owned(),
            metric: "share".to_owned(),
            max: Some(0.05),
            outcome: CheckOutcome::Fail,
            estimate: Some(0.083),
            low: Some(0.071),
            high: Some(0.095),
            p_value: Some(0.999_9),
            p_adjusted: Some(1.0),
            sentence: "no discount for loyal customers is 8.3 % [7.1 %, 9.5 %]: at most 5 % fails".to_owned(),
            ..plain.clone()
        },
        CheckReport {
            name: "regret in the last tenth, default".to_owned(),
            metric: "regret_last_tenth".to_owned(),
            max: Some(0.03),
            outcome: CheckOutcome::Inconclusive,
            estimate: Some(0.027_8),
            low: Some(0.024_1),
            high: Some(0.031_5),
            p_value: Some(0.12),
            p_adjusted: Some(0.24),
            replications_needed: Some(64),
            sentence: "regret in the last tenth, default is 0.02780 [0.02410, 0.03150]: at most 0.03000 is undecided; \
                       about 64 replications would decide it"
                .to_owned(),
            ..plain.clone()
        },
        CheckReport {
            name: "99th percentile of latency, default".to_owned(),
            metric: "p99_latency".to_owned(),
            max: Some(10.0),
            outcome: CheckOutcome::Skipped,
            estimate: None,
            low: None,
            high: None,
            p_value: None,
            p_adjusted: None,
            sentence: "99th percentile of latency, default: only a live server has one; run with --target".to_owned(),
            ..plain
        },
    ]
}

/// Learning curve of a made-up policy. Its regret falls from that of uniform choice to `last`.
struct LearningCurve {
    name: &'static str,
    overrides: &'static str,
    speed: f64,
    last: f64,
}

const LEARNING_CURVES: [LearningCurve; 3] = [
    LearningCurve { name: "default", overrides: "", speed: 9.0, last: 0.022 },
    LearningCurve { name: "greedy", overrides: "controls.policy = \"greedy\"", speed: 14.0, last: 0.061 },
    LearningCurve { name: "uniform", overrides: "controls.policy = \"uniform\"", speed: 0.0, last: 0.152 },
];

const UNIFORM_REGRET: f64 = 0.152;
const BEST: f64 = 0.71;

/// Part that a policy still has to learn, from 1 (nothing learned) to 0, at a part of the horizon. A drift at 0.6 sets
/// it back.
fn unlearned(course: &LearningCurve, part: f64) -> f64 {
    let since = if part < 0.6 { part } else { (part - 0.6) * 1.2 };
    let thrown_back = if part < 0.6 { 1.0 } else { 0.55 };
    thrown_back / (1.0 + course.speed * since)
}

fn policy(number: u32, buckets: u32, horizon: u64, live: bool) -> PolicyReport {
    let course = &LEARNING_CURVES[number as usize];
    let per_bucket = horizon as f64 / f64::from(buckets);
    let at = |bucket: u32| (f64::from(bucket) + 0.5) / f64::from(buckets);
    let regret = |bucket: u32| {
        let learned = course.last + (UNIFORM_REGRET - course.last) * unlearned(course, at(bucket));
        learned + 0.004 * noise(number * 1000 + bucket)
    };
    let regret_by_bucket: Vec<_> =
        (0..buckets).map(|b| point(regret(b), 0.003 + 0.002 * unlearned(course, at(b)))).collect();
    let day = |bucket: u32| 0.02 * (at(bucket) * 25.0).sin();
    let reward_by_bucket = (0..buckets).map(|b| point(BEST + day(b) - regret(b) + 0.003 * noise(b), 0.0055)).collect();
    let mut so_far = 0.0;
    let mut regret_so_far = Vec::new();
    for bucket in 0..buckets {
        so_far += regret(bucket) * per_bucket;
        regret_so_far.push(point(so_far, 0.6 + 0.02 * so_far * at(bucket)));
    }
    let mean = so_far / horizon as f64;
    PolicyReport {
        name: course.name.to_owned(),
        overrides: course.overrides.to_owned(),
        reward_per_decision: estimate(BEST - mean, 0.0021),
        given_per_decision: estimate(BEST - mean + 0.0007, 0.0048),
        regret_per_decision: estimate(mean, 0.0013),
        regret_total: estimate(so_far, 0.0013 * horizon as f64),
        lift: (number < 2).then(|| estimate((UNIFORM_REGRET - mean) / (BEST - UNIFORM_REGRET), 0.0067)),
        reward_by_bucket,
        regret_by_bucket,
        regret_so_far,
        shares: shares(number, course, buckets),
        uniform_regret_per_decision: UNIFORM_REGRET,
        calibration: calibration(number),
        propensity: propensity(number),
        segments: segments(number, mean),
        touchpoints: Vec::new(),
        adaptation: Vec::new(),
        deferred: None,
        events: EventCounts {
            happened: 14_213,
            lost: 0,
            arrived: 14_213,
            accepted: 14_213 - 12 * u64::from(number),
            late: 12 * u64::from(number),
            ..EventCounts::default()
        },
        exploring: [0.113, 0.004, 0.8][number as usize],
        fallbacks: 0.0,
        holdout: 0.0,
        latency: live.then(|| latency(number)),
        event_latency: live.then(|| latency(number + 3)),
        failures: if live && number == 1 { [("UNAVAILABLE".to_owned(), 3)].into() } else { BTreeMap::new() },
    }
}

fn shares(number: u32, course: &LearningCurve, buckets: u32) -> Vec<ArmShare> {
    let weights = |bucket: u32, arm: usize| {
        let part = (f64::from(bucket) + 0.5) / f64::from(buckets);
        let unlearned = if number == 2 { 1.0 } else { unlearned(course, part) };
        let drawn = if part < 0.6 { ARMS[arm].1 } else { ARMS[(arm + 2) % ARMS.len()].1 };
        (drawn * 12.0 * (1.0 - unlearned)).exp()
            * (1.0 + 0.08 * noise(bucket * 7 + number * 97 + u32::try_from(arm).unwrap()))
    };
    let share =
        |bucket: u32, arm: usize| weights(bucket, arm) / (0..ARMS.len()).map(|arm| weights(bucket, arm)).sum::<f64>();
    let mut shares: Vec<ArmShare> = (0..ARMS.len())
        .map(|arm| {
            let by_bucket: Vec<_> = (0..buckets).map(|bucket| Some(share(bucket, arm))).collect();
            let mean = by_bucket.iter().flatten().sum::<f64>() / f64::from(buckets);
            ArmShare { arm: ARMS[arm].0.to_owned(), share: mean, by_bucket }
        })
        .collect();
    shares.sort_by(|a, b| (a.arm == "other").cmp(&(b.arm == "other")).then(b.share.total_cmp(&a.share)));
    shares
}

fn calibration(number: u32) -> Vec<CalibrationBin> {
    let bin = |i: u32| {
        let predicted = 0.35 + 0.06 * f64::from(i) + 0.002 * noise(i + 31 * number);
        CalibrationBin { count: 20_000, predicted, truth: predicted * 0.97 + 0.016 + 0.012 * noise(i * 3 + number) }
    };
    (0..10).map(bin).collect()
}

fn propensity(number: u32) -> Vec<PropensityBin> {
    let bin = |i: u32| {
        let from = f64::from(i) / 10.0;
        let count: u32 = [61_213, 9_220, 4_107, 2_209, 1_911, 1_502, 1_333, 1_909, 4_120, 31_207][i as usize];
        let promised: f64 = from + 0.05 + 0.02 * noise(i + number * 11);
        let standard_error = (promised * (1.0 - promised) / f64::from(count)).sqrt();
        let happened = promised + standard_error * noise(i * 5 + number);
        PropensityBin { from, until: from + 0.1, count: u64::from(count), promised, happened, standard_error }
    };
    // Uniform choice among six arms always has the propensity 1/6.
    if number == 2 { vec![bin(1)] } else { (0..10).map(bin).collect() }
}

fn segments(number: u32, mean: f64) -> Vec<SegmentReport> {
    let segment = |(i, (name, share, base)): (u32, (&str, f64, f64))| {
        let regret = mean * (0.7 + 0.25 * f64::from(i));
        let lift = (UNIFORM_REGRET - regret) / (BEST - UNIFORM_REGRET) + 0.01 * noise(i + number);
        SegmentReport {
            segment: name.to_owned(),
            share,
            reward_per_decision: estimate(base - regret, 0.004),
            regret_per_decision: estimate(regret, 0.0016 + 0.001 * f64::from(i)),
            lift: (number < 2).then(|| estimate(lift, 0.006 + 0.004 * f64::from(i))),
        }
    };
    (0..).zip([("loyal", 0.35, 0.96), ("occasional", 0.4, 0.61), ("new", 0.25, 0.52)]).map(segment).collect()
}

fn latency(number: u32) -> Latency {
    let slower = 1.0 + 0.2 * f64::from(number);
    let [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] = [0.41, 0.72, 1.93, 6.4, 18.7].map(|ms| ms * slower);
    Latency { count: 120_000, p50_ms, p90_ms, p99_ms, p999_ms, max_ms }
}

fn run(policies: &[u32], buckets: u32, live: bool) -> RunReport {
    let horizon = u64::from(buckets) * 200;
    let bucket = |i: u32| {
        let (from, until) = (u64::from(i) * 200, u64::from(i + 1) * 200);
        Bucket { from, until, ends_day: until as f64 / 5_000.0 }
    };
    let checks = checks();
    RunReport {
        form: FORM,
        scenario: ScenarioReport {
            name: "offer".to_owned(),
            title: "An offer, to shoppers some of whom would buy anyway".to_owned(),
            shows:
                "Five offers at the top of the basket. Loyal shoppers buy whatever is offered, so that a discount only \
                    costs margin:\nnothing must win for them. Price-sensitive newcomers buy because of the discount."
                    .to_owned(),
            small: false,
            set: vec!["traffic.per_day=5000".to_owned()],
            arms: 6,
            days: horizon as f64 / 5_000.0,
        },
        target: if live { RunTarget::Live } else { RunTarget::InProcess },
        live: live.then(|| LiveReport {
            target: "http://127.0.0.1:50051".to_owned(),
            speed: 1_440.0,
            rate: 200.0,
            at_once: 2,
            seconds: 612.4,
            lag: None,
            notes: vec!["rule 'twice a day' counts days of the server's clock, not of the shop's".to_owned()],
        }),
        seed: 20_261_121,
        horizon,
        replications: 20,
        buckets: (0..buckets).map(bucket).collect(),
        marks: vec![
            TimelineMark { at: horizon as f64 * 0.3, what: "restart".to_owned() },
            TimelineMark { at: horizon as f64 * 0.6, what: "drift: tastes change".to_owned() },
        ],
        baseline: Some("uniform".to_owned()),
        policies: policies.iter().map(|number| policy(*number, buckets, horizon, live)).collect(),
        verdict: RunVerdict::from_outcomes(checks.iter().map(|check| check.outcome)),
        checks,
    }
}

/// A report with two policies and ten buckets.
pub(super) fn short() -> RunReport {
    run(&[0, 2], 10, false)
}

/// A report with three policies and a hundred buckets. `live` adds latencies.
pub(super) fn long(live: bool) -> RunReport {
    run(&[0, 1, 2], 100, live)
}
