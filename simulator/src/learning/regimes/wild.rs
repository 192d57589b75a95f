//! Worlds with wild numbers, sentinels, skew, and levels far from 0.

use slotwise::bandit::{Features, Value};

use super::{
    draws::{Draws, logistic},
    stream::{Round, Stream, features},
};

/// Time between two decisions, microseconds.
const SECOND_US: i64 = 1_000_000;

/// Decision before which the wild value of R1 comes.
pub(super) const WILD_AT: usize = 1_000;

fn at(t: usize) -> i64 {
    i64::try_from(t).unwrap_or(i64::MAX).saturating_mul(SECOND_US)
}

fn round(t: usize, context: Features, expected: Vec<f64>, rewards: Vec<f64>) -> Round {
    Round { at_us: at(t), subject: None, only: None, context, expected, rewards }
}

/// Stream in which `hi` is clicked with probability .8 if x > .5 and otherwise .1, and `lo` the reverse.
pub(super) fn halves(draws: &mut Draws, rounds: usize, from: usize) -> Stream {
    let rounds = (from..from + rounds).map(|t| {
        let x = draws.uniform();
        let expected = if x > 0.5 { vec![0.8, 0.1] } else { vec![0.1, 0.8] };
        let rewards = expected.iter().map(|&p| draws.coin(p)).collect();
        round(t, features([("x", Value::Number(x))]), expected, rewards)
    });
    Stream::of_clicks(rounds.collect())
}

/// Stream of R1: one decision has this x.
pub(super) fn one_wild_number(draws: &mut Draws, wild: Option<f64>) -> Stream {
    halves(draws, 2 * WILD_AT, 0).with_contexts(|t, context| match wild {
        Some(wild) if t == WILD_AT => features([("x", Value::Number(wild))]),
        _ => context.clone(),
    })
}

/// Stream of R2: x is this value, or missing, in 5 % of requests.
pub(super) fn sentinel(draws: &mut Draws, sentinel: Option<f64>) -> Stream {
    let stream = halves(draws, 3_000, 0);
    let mut of_each: Vec<bool> = (0..stream.rounds.len()).map(|_| draws.uniform() < 0.05).collect();
    of_each.reverse();
    stream.with_contexts(|t, context| match (of_each[t], sentinel) {
        (false, _) => context.clone(),
        (true, Some(value)) => features([("x", Value::Number(value))]),
        (true, None) => Features::new(),
    })
}

/// Stream of R3: the first of four numbers is sent as `exp(2z)` if `skewed`, otherwise as z.
pub(super) fn skew(draws: &mut Draws, skewed: bool) -> Stream {
    let arms: Vec<(f64, Vec<f64>)> = (0..5).map(|_| (draws.normal(-1.0, 0.3), draws.normals(4, 0.0, 0.8))).collect();
    let rounds = (0..10_000).map(|t| {
        let z = draws.normals(4, 0.0, 1.0);
        let expected: Vec<f64> = arms
            .iter()
            .map(|(level, weights)| logistic(level + weights.iter().zip(&z).map(|(w, z)| w * z).sum::<f64>()))
            .collect();
        let rewards = expected.iter().map(|&p| draws.coin(p)).collect();
        let first = if skewed { (2.0 * z[0]).exp() } else { z[0] };
        let number = Value::Number;
        let context = features([("a", number(first)), ("b", number(z[1])), ("c", number(z[2])), ("d", number(z[3]))]);
        round(t, context, expected, rewards)
    });
    Stream::of_clicks(rounds.collect())
}

/// Stream of R4: values 50 ± 5 and 45 ± 5 for 500 decisions, then an arm of 60 ± 5 is added.
pub(super) fn new_arm(draws: &mut Draws) -> Stream {
    let rounds = (0..2_000).map(|t| {
        let expected = if t < 500 { vec![50.0, 45.0] } else { vec![50.0, 45.0, 60.0] };
        let rewards = expected.iter().map(|&mean| draws.normal(mean, 5.0)).collect();
        round(t, Features::new(), expected, rewards)
    });
    Stream::of_money(rounds.collect())
}

/// Stream of R5: three arms 4.0, 4.2 and 3.8, all less `less`, with noise .8.
pub(super) fn level(draws: &mut Draws, less: f64) -> Stream {
    let rounds = (0..2_000).map(|t| {
        let expected: Vec<f64> = [4.0, 4.2, 3.8].iter().map(|mean| mean - less).collect();
        let rewards = expected.iter().map(|&mean| draws.normal(mean, 0.8)).collect();
        round(t, Features::new(), expected, rewards)
    });
    Stream::of_money(rounds.collect())
}

/// Stream of R11: R1's without a wild value, with x as text.
pub(super) fn numbers_as_text(draws: &mut Draws, text: bool) -> Stream {
    halves(draws, 2 * WILD_AT, 0).with_contexts(|_, context| match context.get("x") {
        Some(Value::Number(x)) if text => features([("x", Value::Text(format!("{x:.3}")))]),
        _ => context.clone(),
    })
}

/// Stream of R12: three arms of money, the first value of the worst is a million. Values are log-normal with log
/// standard deviation .5.
pub(super) fn wild_value(draws: &mut Draws, wild: bool) -> Stream {
    let rounds = (0..2_000).map(|t| {
        let expected = vec![24.0, 20.0, 16.0];
        let mut rewards: Vec<f64> = expected.iter().map(|mean: &f64| mean * draws.normal(-0.125, 0.5).exp()).collect();
        if wild && t == 0 {
            rewards[2] = 1e6;
        }
        // The worst arm is shown first, so that its first value is the first of all.
        Round { only: (t == 0).then_some(2), ..round(t, Features::new(), expected, rewards) }
    });
    Stream { winsorize: Some(0.99), ..Stream::of_money(rounds.collect()) }
}

/// Stream of R10: requests with a fresh user id each, then those of R1 without a wild value.
pub(super) fn after_user_ids(draws: &mut Draws, ids: usize) -> Stream {
    let mut stream = halves(draws, ids, 0).with_contexts(|t, _| features([("user", Value::Text(format!("u{t}")))]));
    stream.rounds.extend(halves(draws, 2 * WILD_AT, ids).rounds);
    stream
}
