//! Worlds that look like a shop: scarce clicks, rare money, ids and words that come and go, moving tastes.

use std::f64::consts::TAU;

use slotwise::bandit::{Features, Value};

use super::{
    draws::{Draws, logistic},
    stream::{Round, Stream, features},
};

const DAY_US: f64 = 86_400e6;

/// Returns the time of decision `t` of `rounds`, spread evenly over some days.
#[expect(clippy::cast_possible_truncation, reason = "sixty days of microseconds are far below 2^53")]
fn at(t: usize, rounds: usize, days: f64) -> i64 {
    (t as f64 / rounds as f64 * days * DAY_US) as i64
}

fn word(name: &str, value: usize) -> Value {
    Value::Text(format!("{name}{value}"))
}

/// Effects of one word feature: one list of log odds per arm.
struct Effects(Vec<Vec<f64>>);

impl Effects {
    fn new(draws: &mut Draws, arms: usize, values: usize, deviation: f64) -> Self {
        Self((0..arms).map(|_| draws.normals(values, 0.0, deviation)).collect())
    }
}

/// Words of a request with their effects.
struct Words {
    effects: Vec<Effects>,
    values: usize,
}

impl Words {
    fn new(draws: &mut Draws, (words, values): (usize, usize), arms: usize, deviation: f64) -> Self {
        Self { effects: (0..words).map(|_| Effects::new(draws, arms, values, deviation)).collect(), values }
    }

    /// Draws a request's words. Returns them as features and by their numbers.
    fn draw(&self, draws: &mut Draws) -> (Features, Vec<usize>) {
        let numbers: Vec<usize> = self.effects.iter().map(|_| draws.below(self.values)).collect();
        let named = |(i, &value): (usize, &usize)| (format!("w{i}"), word("v", value));
        (numbers.iter().enumerate().map(named).collect(), numbers)
    }

    fn log_odds(&self, arm: usize, numbers: &[usize]) -> f64 {
        self.effects.iter().zip(numbers).map(|(effects, &value)| effects.0[arm][value]).sum()
    }
}

/// Stream of R6: 200 arms with rates Beta(2, 98), one word of three that shifts log odds by N(0, .2), 60 days.
pub(super) fn scarce(draws: &mut Draws, rounds: usize) -> Stream {
    let levels: Vec<f64> = (0..200).map(|_| draws.beta(2.0, 98.0)).map(|rate| (rate / (1.0 - rate)).ln()).collect();
    let words = Words::new(draws, (1, 3), levels.len(), 0.2);
    clicks(draws, &levels, &words, rounds, 60.0)
}

/// Stream of R7: 20 arms without a context, log odds N(−4.2, .25), 10 days.
pub(super) fn no_context(draws: &mut Draws, rounds: usize) -> Stream {
    let levels = draws.normals(20, -4.2, 0.25);
    let words = Words::new(draws, (0, 1), levels.len(), 0.0);
    clicks(draws, &levels, &words, rounds, 10.0)
}

fn clicks(draws: &mut Draws, levels: &[f64], words: &Words, rounds: usize, days: f64) -> Stream {
    let rounds = (0..rounds).map(|t| {
        let (context, numbers) = words.draw(draws);
        let odds = |(arm, level): (usize, &f64)| logistic(level + words.log_odds(arm, &numbers));
        let expected: Vec<f64> = levels.iter().enumerate().map(odds).collect();
        let rewards = expected.iter().map(|&p| draws.coin(p)).collect();
        Round { at_us: at(t, rounds, days), subject: None, only: None, context, expected, rewards }
    });
    Stream::of_clicks(rounds.collect())
}

/// Stream of R8: ten arms, four words of four, rare purchases of log-normal values with this log standard deviation,
/// 8 days.
pub(super) fn rare_money(draws: &mut Draws, rounds: usize, log_deviation: f64) -> Stream {
    let levels = draws.normals(10, -3.5, 0.25);
    let log_means = draws.normals(10, 3.5, 0.35);
    let words = Words::new(draws, (4, 4), levels.len(), 0.25);
    let rounds = (0..rounds).map(|t| {
        let (context, numbers) = words.draw(draws);
        let (mut expected, mut rewards) = (Vec::new(), Vec::new());
        for (arm, level) in levels.iter().enumerate() {
            let rate = logistic(level + words.log_odds(arm, &numbers));
            expected.push(rate * (log_means[arm] + 0.5 * log_deviation * log_deviation).exp());
            rewards.push(draws.coin(rate) * draws.normal(log_means[arm], log_deviation).exp());
        }
        Round { at_us: at(t, rounds, 8.0), subject: None, only: None, context, expected, rewards }
    });
    Stream::of_money(rounds.collect())
}

/// Stream of R9: 20 arms, eight words of four that matter, about 12 % clicks; with a word of 20,000 values if `id`.
pub(super) fn user_id(draws: &mut Draws, rounds: usize, id: bool) -> Stream {
    let levels = draws.normals(20, -2.3, 0.3);
    let words = Words::new(draws, (8, 4), levels.len(), 0.25);
    let stream = clicks(draws, &levels, &words, rounds, 10.0);
    let ids: Vec<usize> = (0..stream.rounds.len()).map(|_| draws.below(20_000)).collect();
    stream.with_contexts(|t, context| {
        let mut context = context.clone();
        if id {
            context.insert("user".to_owned(), word("u", ids[t]));
        }
        context
    })
}

/// Number of decisions after which two new campaigns begin in R10.
const CAMPAIGN_ROUNDS: usize = 5_000;

/// Stream of R10: two new campaigns every 5,000 decisions decide which of five arms is best, .35 against .10; beside
/// them stands a word of 20,000 values.
pub(super) fn campaigns(draws: &mut Draws, rounds: usize) -> Stream {
    let best: Vec<usize> = (0..2 * rounds.div_ceil(CAMPAIGN_ROUNDS)).map(|_| draws.below(5)).collect();
    let rounds = (0..rounds).map(|t| {
        let campaign = 2 * (t / CAMPAIGN_ROUNDS) + draws.below(2);
        let expected: Vec<f64> = (0..5).map(|arm| if arm == best[campaign] { 0.35 } else { 0.10 }).collect();
        let rewards = expected.iter().map(|&p| draws.coin(p)).collect();
        let context = features([("campaign", word("c", campaign)), ("user", word("u", draws.below(20_000)))]);
        Round { at_us: at(t, rounds, 10.0), subject: None, only: None, context, expected, rewards }
    });
    Stream::of_clicks(rounds.collect())
}

/// Number of words of each feature of R13, 28 indicators together.
const PRODUCT_WORDS: [usize; 8] = [3, 4, 3, 4, 3, 4, 3, 4];

/// Stream of R13: the right one of five arms is a fixed function of three of eight words, and one arm is right in about
/// 2 % of contexts.
pub(super) fn products(draws: &mut Draws, rounds: usize) -> Stream {
    let mut right: Vec<usize> = (0..4 * 3 * 4).map(|_| draws.below(4)).collect();
    let rare = draws.below(right.len());
    right[rare] = 4;
    let rounds = (0..rounds).map(|t| {
        let numbers: Vec<usize> = PRODUCT_WORDS.iter().map(|&values| draws.below(values)).collect();
        let context = numbers.iter().enumerate().map(|(i, &value)| (format!("w{i}"), word("v", value))).collect();
        let cell = (numbers[1] * 3 + numbers[4]) * 4 + numbers[7];
        let expected: Vec<f64> = (0..5).map(|arm| f64::from(u8::from(arm == right[cell]))).collect();
        Round { at_us: at(t, rounds, 10.0), subject: None, only: None, context, rewards: expected.clone(), expected }
    });
    Stream::of_clicks(rounds.collect())
}

/// Stream of R14: two arms, a decision every half hour; the right arm is the sign of `w·x + v·(x₁x₄)` with 10 % noise,
/// and w and v do a random walk that turns them within three days.
pub(super) fn moving(draws: &mut Draws, rounds: usize) -> Stream {
    const PER_DAY: f64 = 48.0;
    // Within 144 steps the walk covers about its own length.
    let step = (1.0 / (3.0 * PER_DAY)).sqrt();
    let keep = (1.0 - step * step).sqrt();
    let mut weights = draws.normals(7, 0.0, 1.0);
    let (mut slow, mut fast) = (0.0, 0.0);
    let rounds = (0..rounds).map(|t| {
        let day = t as f64 / PER_DAY;
        slow = 0.98 * slow + draws.normal(0.0, 0.2);
        fast = 0.98 * fast + draws.normal(0.0, 0.2);
        let x = [(TAU * day).sin(), (TAU * day).cos(), (TAU * day / 7.0).sin(), slow, fast, slow * fast];
        for weight in &mut weights {
            *weight = keep * *weight + draws.normal(0.0, step);
        }
        let score: f64 = x.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() + weights[6] * x[0] * x[3];
        let right = usize::from(score > 0.0);
        let expected: Vec<f64> = (0..2).map(|arm| if arm == right { 0.9 } else { 0.1 }).collect();
        let flipped = draws.uniform() < 0.1;
        let rewards = (0..2).map(|arm| f64::from(u8::from((arm == right) != flipped))).collect();
        let context = x.iter().enumerate().map(|(i, &x)| (format!("x{i}"), Value::Number(x))).collect();
        Round { at_us: at(t, 48, 1.0), subject: None, only: None, context, expected, rewards }
    });
    Stream::of_clicks(rounds.collect())
}

/// Numbers of decisions of R15: of people, of the loud subject, and of people again.
pub(super) const LOUD: (usize, usize, usize) = (5_000, 3_000, 500);

/// Stream of R15: two arms .10 and .06; one subject makes 3,000 decisions and always clicks the worse arm.
pub(super) fn loud_subject(draws: &mut Draws) -> Stream {
    let rounds = LOUD.0 + LOUD.1 + LOUD.2;
    let rounds = (0..rounds).map(|t| {
        let loud = (LOUD.0..LOUD.0 + LOUD.1).contains(&t);
        let expected = if loud { vec![0.0, 1.0] } else { vec![0.10, 0.06] };
        let rewards = expected.iter().map(|&p| draws.coin(p)).collect();
        let subject = Some(if loud { "loud".to_owned() } else { format!("shopper-{t}") });
        Round { at_us: at(t, rounds, 3.0), subject, only: None, context: Features::new(), expected, rewards }
    });
    Stream::of_clicks(rounds.collect())
}
