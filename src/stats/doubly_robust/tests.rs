//! Tests against the batch formulas, and of the coverage of the intervals.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;

/// Decision of a log, as a batch would hold it.
struct LogRow {
    scored: ScoredArm,
    fading: f64,
    group: usize,
    /// Reward if the arm was shown.
    reward: Option<f64>,
}

fn log(rng: &mut StdRng, n: usize) -> Vec<LogRow> {
    (0..n)
        .map(|i| {
            let propensity = rng.random_range(0.02..1.0);
            let scored =
                ScoredArm { expected: rng.random_range(-0.2..0.6), spread: rng.random_range(0.0..0.3), propensity };
            let reward = rng.random_bool(propensity).then(|| rng.random_range(-1.0..2.0));
            LogRow { scored, fading: 1.0 + i as f64 / n as f64, group: rng.random_range(0..GROUPS), reward }
        })
        .collect()
}

fn sums_of(rows: &[LogRow]) -> (DoublyRobustSums, RewardNoise) {
    let (mut sums, mut noise) = (DoublyRobustSums::new(3), RewardNoise::default());
    for LogRow { scored, fading, group, reward } in rows {
        let weight = sums.add(*scored, *fading, *group);
        if let Some(reward) = reward {
            sums.revise(weight, *group, scored.score(None), scored.score(Some(*reward)));
            noise.add(*fading, *group, scored, *reward);
        }
    }
    (sums, noise)
}

fn near(got: f64, want: f64) {
    // Weights have single precision.
    assert!((got - want).abs() < 1e-6 * want.abs(), "{got} against {want}");
}

/// Mean, variance, design effect and effective showings from a list of scores and weights, by their definitions.
#[test]
fn sums_give_the_estimates_of_the_batch() {
    let mut rng = StdRng::seed_from_u64(21);
    let rows = log(&mut rng, 700);
    let (sums, noise) = sums_of(&rows);
    let mut average = 3.0;
    let weights: Vec<f64> = rows
        .iter()
        .map(|row| {
            let weight = row.fading * f64::powf(average, -0.75);
            average += (1.0 / row.scored.propensity - average) / 200.0;
            weight
        })
        .collect();
    let scores: Vec<f64> = rows
        .iter()
        .map(|row| {
            let ScoredArm { expected: q, propensity: p, .. } = row.scored;
            row.reward.map_or(q, |r| q + (r - q) / p)
        })
        .collect();
    let total: f64 = weights.iter().sum();
    let mean = weights.iter().zip(&scores).map(|(w, s)| w * s).sum::<f64>() / total;
    let measured = weights.iter().zip(&scores).map(|(w, s)| (w * (s - mean)).powi(2)).sum::<f64>() / total.powi(2);
    let shown = || rows.iter().filter_map(|row| Some((row, row.reward?)));
    let per_reward = shown().map(|(row, r)| row.fading * (r - row.scored.expected).powi(2)).sum::<f64>()
        / shown().map(|(row, _)| row.fading * row.scored.expected.abs()).sum::<f64>();
    let predicted = rows
        .iter()
        .zip(&weights)
        .map(|(row, w)| {
            let ScoredArm { expected: q, spread: s, propensity: p } = row.scored;
            w * w * (per_reward * (q.abs() + s) / p + s * s / p + (q - mean).powi(2))
        })
        .sum::<f64>()
        / total.powi(2);
    let by_group: f64 = (0..GROUPS)
        .map(|group| {
            let of = rows.iter().zip(weights.iter().zip(&scores)).filter(|(row, _)| row.group == group);
            of.map(|(_, (w, s))| w * (s - mean)).sum::<f64>().powi(2)
        })
        .sum();
    let design = (64.0 / 63.0 * by_group / total.powi(2) / measured).max(1.0);
    near(sums.design_effect().unwrap(), design);
    let figure = sums.figure(&noise, design).unwrap();
    near(figure.mean, mean);
    near(figure.variance, measured.max(predicted) * design);
    let inverse: f64 = rows.iter().zip(&weights).map(|(row, w)| w * w / row.scored.propensity).sum();
    near(figure.effective_showings, total.powi(2) / inverse);
    let fading: f64 = rows.iter().map(|row| row.fading).sum();
    let guess = rows.iter().map(|row| row.fading * row.scored.expected).sum::<f64>() / fading;
    near(sums.guess().unwrap(), guess);
    let each: f64 = rows
        .iter()
        .map(|row| {
            let ScoredArm { expected: q, spread: s, propensity: p } = row.scored;
            row.fading * ((per_reward * (q.abs() + s) + s * s) / p.max(0.05) + (q - guess).powi(2))
        })
        .sum();
    near(sums.half_width_at(2, 5_000.0, &noise).unwrap(), 1.96 * (each / fading / 5_000.0).sqrt());
}

/// A decision of a part weighs by the mean inverse propensity of the decisions before it, to within half a level, and the figure
/// is the weighted mean of the scores.
#[test]
fn a_part_weighs_decisions_by_how_likely_the_arm_was_shown_before() {
    let mut rng = StdRng::seed_from_u64(24);
    let mut sums = DoublyRobustSums::without_groups(2);
    let (mut noise, mut mean_inverse) = (RewardNoise::default(), 2.0_f64);
    let (mut weights, mut scores) = (0.0, 0.0);
    for row in log(&mut rng, 500) {
        let level = sums.add_at_level(row.scored, row.fading);
        let exact: f64 = mean_inverse.powf(-0.75);
        assert!((level.stabilised() / exact).log2().abs() <= 1.0 / 16.0 + 1e-9, "{level:?} against {exact}");
        mean_inverse += (1.0 / row.scored.propensity - mean_inverse) / 30.0;
        let weight = DecisionWeight { stabilised: level.stabilised(), fading: row.fading };
        if let Some(reward) = row.reward {
            sums.revise(weight, 0, row.scored.score(None), row.scored.score(Some(reward)));
            noise.add(row.fading, row.group, &row.scored, reward);
        }
        weights += level.stabilised() * row.fading;
        scores += level.stabilised() * row.fading * row.scored.score(row.reward);
    }
    near(sums.part_figure(&noise, 1.0).unwrap().mean, scores / weights);
}

/// Subjects come ten times. If a part of them always or never click, the model's errors are theirs and their decisions say less; if
/// the model knows who clicks, they say as much as those of other subjects.
#[test]
fn subjects_who_are_alike_to_the_model_have_their_own_design_effect() {
    let mut rng = StdRng::seed_from_u64(25);
    let mut effect = |known: bool, correlation: f64| {
        let mut noise = RewardNoise::default();
        for subject in 0..3_200_usize {
            let segment = (subject / GROUPS).is_multiple_of(2);
            let rate = if segment { 0.6 } else { 0.2 };
            let (fixed, always) = (rng.random_bool(correlation), rng.random_bool(rate));
            let scored = ScoredArm { expected: if known { rate } else { 0.4 }, spread: 0.1, propensity: 0.5 };
            for _ in 0..10 {
                let clicks = if fixed { always } else { rng.random_bool(rate) };
                noise.add(1.0, subject % GROUPS, &scored, f64::from(u8::from(clicks)));
            }
        }
        noise.design_effect()
    };
    // The standard error of a variance over 64 groups is 18 %. With correlation ρ the effect is 1 + 9ρ.
    assert!(effect(true, 0.0) < 1.6);
    assert!((1.0 + 9.0 * 0.3) * 0.5 < effect(true, 0.3));
}

/// A reward that changes and changes back leaves nothing, and other units of the weights give the same figures.
#[test]
fn refunds_and_rescaled_weights_change_no_figure() {
    let mut rng = StdRng::seed_from_u64(22);
    let rows = log(&mut rng, 300);
    let (mut sums, mut noise) = sums_of(&rows);
    let want =
        (sums.figure(&noise, 1.5).unwrap(), sums.guess(), sums.design_effect(), sums.half_width_at(0, 1e4, &noise));
    let noise_design = noise.design_effect();
    let (at, scored) = (rows.iter().position(|row| row.reward.is_some()).unwrap(), |row: &LogRow| row.scored);
    let (row, reward) = (&rows[at], rows[at].reward.unwrap());
    let weight = DecisionWeight { stabilised: 0.5, fading: row.fading };
    for (before, after) in [(reward, reward + 40.0), (reward + 40.0, reward)] {
        sums.revise(weight, row.group, scored(row).score(Some(before)), scored(row).score(Some(after)));
        noise.revise(row.fading, row.group, &row.scored, before, after);
    }
    sums.scale(f64::exp2(-40.0));
    noise.scale(f64::exp2(-40.0));
    let got = sums.figure(&noise, 1.5).unwrap();
    near(got.mean, want.0.mean);
    near(got.variance, want.0.variance);
    near(got.effective_showings, want.0.effective_showings);
    near(sums.guess().unwrap(), want.1.unwrap());
    near(sums.design_effect().unwrap(), want.2.unwrap());
    near(sums.half_width_at(0, 1e4, &noise).unwrap(), want.3.unwrap());
    near(noise.design_effect(), noise_design);
}

/// Two segments want two arms, and the policy shows each the arm that it wants, with propensity 0.97. The model knows the
/// segments' rates to within a third. Over 400 logs, the interval holds the arm's mean over everybody as often as it says, within four
/// standard errors; the mean where the arm was shown lies far outside.
#[test]
fn intervals_hold_the_mean_over_everybody() {
    let (mut rng, logs) = (StdRng::seed_from_u64(23), 400);
    let (rates, truth) = ([0.5, 0.1], 0.3);
    let (mut held, mut held_where_shown) = (0, 0);
    for _ in 0..logs {
        let (mut sums, mut noise) = (DoublyRobustSums::new(2), RewardNoise::default());
        let off: [f64; 2] = std::array::from_fn(|_| rng.random_range(-0.3..0.3));
        let (mut shown, mut clicks) = (0.0, 0.0);
        for i in 0..2_000_usize {
            let segment = usize::from(rng.random_bool(0.5));
            let propensity = [0.97, 0.03][segment];
            let scored = ScoredArm { expected: rates[segment] * (1.0 + off[segment]), spread: 0.02, propensity };
            let weight = sums.add(scored, 1.0, i % GROUPS);
            if rng.random_bool(propensity) {
                let reward = f64::from(u8::from(rng.random_bool(rates[segment])));
                sums.revise(weight, i % GROUPS, scored.score(None), scored.score(Some(reward)));
                noise.add(1.0, i % GROUPS, &scored, reward);
                shown += 1.0;
                clicks += reward;
            }
        }
        let figure = sums.figure(&noise, 1.0).unwrap();
        held += u32::from((figure.mean - truth).abs() <= figure.half_width());
        let rate: f64 = clicks / shown;
        held_where_shown += u32::from((rate - truth).abs() <= 1.96 * (rate * (1.0 - rate) / shown).sqrt());
    }
    let least = 0.95 - 4.0 * (0.95 * 0.05 / f64::from(logs)).sqrt();
    assert!(f64::from(held) / f64::from(logs) >= least, "{held} of {logs}");
    assert!(held_where_shown < logs / 20, "{held_where_shown} of {logs}");
}
