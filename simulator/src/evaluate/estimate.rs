//! From weights to values.
//!
//! With wₜ = πₜ(aₜ|xₜ)/pₜ(aₜ|xₜ) the weight, rₜ the reward, q̂ₜ(x, a) what was foreseen before decision t, and n decisions,
//!
//! ```text
//! IPS               1/n Σ wₜ rₜ
//! self-normalised   Σ wₜ rₜ / Σ wₜ
//! doubly robust     1/n Σ [ Σ_a πₜ(a|xₜ) q̂ₜ(xₜ, a) + wₜ (rₜ − q̂ₜ(xₜ, aₜ)) ]
//! direct            1/n Σ Σ_a πₜ(a|xₜ) q̂ₜ(xₜ, a)
//! replay            the mean of rₜ over the decisions that were accepted
//! ```
//!
//! Given the past and xₜ, the terms of IPS and of doubly robust estimation have the expectation `Σ_a πₜ(a|xₜ)·E[r|xₜ, a]`
//! as long as πₜ and q̂ₜ are known before decision t, and pₜ(a|xₜ) > 0 wherever πₜ(a|xₜ) > 0. So both are unbiased for a
//! frozen policy and for one that learns on the way. Self-normalised estimates are consistent: their bias is of the order of
//! 1/(effective n). Accepted rewards have the expectation of what πₜ earns, so their mean is the value over the decisions that
//! were accepted. The direct estimate is as biased as the model, and is only there to be compared.
//!
//! Standard errors are those of independent terms: of the terms of IPS and of doubly robust estimation themselves, of
//! `wₜ (rₜ − value) / w̄` for the self-normalised one, of the accepted rewards for replay. The terms of a sequence that learns are
//! uncorrelated given the past, and what its value moves on the way makes the error larger, not smaller.
//!
//! # Source
//!
//! Horvitz and Thompson (1952); Hájek (1971); Dudík, Langford and Li, "Doubly robust policy evaluation and learning" (2011),
//! eq. 4; Li, Chu, Langford and Wang, "Unbiased offline evaluation of contextual-bandit-based news article recommendation
//! algorithms" (2011), algorithm 2 and theorem 1; Dudík, Erhan, Langford and Li, "Sample-efficient nonstationary policy evaluation
//! for contextual bandits" (2012), whose estimator DR-ns is the doubly robust one along an accepted history.

use super::interval::Moments;
use crate::{report::Estimate, run::check::tails::binomial_interval};

/// Weights that are off 1 by less than this are rounding: the rewards are as they would have been.
const ROUNDING: f64 = 1e-9;

/// What a decision of the log says of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Term {
    /// The policy's probability of what was shown, over the log's.
    pub weight: f64,
    /// What it earned.
    pub reward: f64,
    /// What was foreseen of what the policy would show.
    pub direct: f64,
    /// What was foreseen of what was shown.
    pub foreseen: f64,
    /// The policy's own draw matched, and the coin fell.
    pub accepted: bool,
}

/// What a log's terms say of a policy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimates {
    /// Inverse propensity scores.
    pub ips: Estimate,
    /// The same over the sum of the weights.
    pub self_normalised: Estimate,
    /// Doubly robust.
    pub doubly_robust: Estimate,
    /// What is foreseen alone, biased as that is.
    pub direct: f64,
    /// The doubly robust estimate less the log's own mean, paired by decision.
    pub over_log: Estimate,
    /// The mean of the accepted rewards; none: none was accepted.
    pub replay: Option<Estimate>,
    /// Decisions accepted.
    pub accepted: u64,
    /// The weights.
    pub weights: Weights,
}

/// How the weights lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Their mean, 1 where the log could have shown all that the policy would.
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// `(Σ w)² / Σ w²`: so many decisions of the policy's own would tell as much.
    pub effective: f64,
    /// The largest.
    pub largest: f64,
}

/// The mean and its standard error of these; the error is 0 of fewer than two.
fn mean(of: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (sum, count) = of.clone().fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    let mean: f64 = if count > 0.0 { sum / count } else { 0.0 };
    let squares: f64 = of.map(|x| (x - mean) * (x - mean)).sum();
    (mean, if count > 1.0 { (squares / (count - 1.0) / count).sqrt() } else { 0.0 })
}

/// The mean of rewards without weights, of which the largest there could have been is this.
///
/// Where each is that or 0 they are counted, with the interval of Clopper and Pearson (1934), which holds at least its
/// confidence; else it is that of [`Moments`].
pub fn of_rewards(rewards: impl Iterator<Item = f64> + Clone, largest: f64, confidence: f64) -> Estimate {
    let (value, standard_error) = mean(rewards.clone());
    let count = rewards.clone().count() as u64;
    let events = rewards.clone().all(|r| r >= 0.0).then_some(value);
    let one = largest / f64::max(count as f64, 1.0);
    let estimate = Moments { value, standard_error, events, largest: one, ceiling: Some(largest) }.estimate(confidence);
    if !rewards.clone().all(|r| r == 0.0 || r.to_bits() == largest.to_bits()) {
        return estimate;
    }
    let hits = rewards.filter(|r| *r != 0.0).count() as u64;
    let (low, high) = binomial_interval(hits, count, 0.5 * (1.0 - confidence));
    Estimate { low: Some(low * largest), high: Some(high * largest), ..estimate }
}

impl Weights {
    /// Of these weights.
    pub fn of(weights: impl Iterator<Item = f64> + Clone) -> Self {
        let (average, standard_error) = mean(weights.clone());
        let (sum, sum_sq, largest) =
            weights.fold((0.0, 0.0, 0.0), |(sum, sum_sq, most), w| (sum + w, sum_sq + w * w, f64::max(most, w)));
        let effective = if sum_sq > 0.0 { sum * sum / sum_sq } else { 0.0 };
        Self { mean: average, standard_error, effective, largest }
    }
}

impl Estimates {
    /// Of at least one term; no reward is larger than `largest_reward`, which is above 0 also where nothing was earned.
    pub fn of<'a>(terms: impl Iterator<Item = &'a Term> + Clone, largest_reward: f64, confidence: f64) -> Self {
        let n = terms.clone().count() as f64;
        let weights = Weights::of(terms.clone().map(|t| t.weight));
        let nonnegative = terms.clone().all(|t| t.reward >= 0.0);
        let largest = weights.largest * largest_reward / n;
        let (ips, ips_error) = mean(terms.clone().map(|t| t.weight * t.reward));
        let robust = |t: &Term| t.direct + t.weight * (t.reward - t.foreseen);
        let (doubly, doubly_error) = mean(terms.clone().map(robust));
        let (over, over_error) = mean(terms.clone().map(|t| robust(t) - t.reward));
        let total = if weights.mean > 0.0 { weights.mean } else { 1.0 };
        let normalised = ips / total;
        let (_, normalised_error) = mean(terms.clone().map(|t| t.weight * (t.reward - normalised) / total));
        let unweighted = terms.clone().all(|t| (t.weight - 1.0).abs() < ROUNDING);
        let ceiling = unweighted.then_some(largest_reward);
        let moments = |value, standard_error, events: f64, largest| {
            let events = nonnegative.then_some(events);
            Moments { value, standard_error, events, largest, ceiling }.estimate(confidence)
        };
        let rewards = terms.clone().map(|t| t.reward);
        let plain = unweighted.then(|| of_rewards(rewards, largest_reward, confidence));
        let accepted = terms.clone().filter(|t| t.accepted).map(|t| t.reward);
        let count = accepted.clone().count() as u64;
        Self {
            ips: plain.unwrap_or_else(|| moments(ips, ips_error, ips, largest)),
            self_normalised: plain
                .unwrap_or_else(|| moments(normalised, normalised_error, normalised, largest / total)),
            doubly_robust: moments(doubly, doubly_error, ips, largest),
            direct: mean(terms.map(|t| t.direct)).0,
            over_log: moments(over, over_error, ips, largest),
            replay: (count > 0).then(|| of_rewards(accepted, largest_reward, confidence)),
            accepted: count,
            weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::SplitMix64;

    #[track_caller]
    fn near(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }

    fn terms() -> [Term; 4] {
        let term = |weight, reward, direct, foreseen, accepted| Term { weight, reward, direct, foreseen, accepted };
        [
            term(2.0, 1.0, 0.5, 0.25, true),
            term(0.0, 1.0, 0.4, 0.6, false),
            term(1.0, 0.0, 0.3, 0.1, true),
            term(3.0, 2.0, 0.2, 0.5, false),
        ]
    }

    /// By hand. IPS (2 + 0 + 0 + 6)/4 = 2; weights add up to 6, so 8/6; the effective number is 36/14. Doubly robust:
    /// .5 + 2·.75 = 2, .4, .3 − .1 = .2, .2 + 3·1.5 = 4.7, together 7.3/4. Accepted are 1 and 0.
    #[test]
    fn estimates_are_those_made_by_hand() {
        let of = Estimates::of(terms().iter(), 2.0, 0.95);
        near(of.ips.mean, 2.0);
        near(of.self_normalised.mean, 8.0 / 6.0);
        near(of.doubly_robust.mean, 7.3 / 4.0);
        near(of.direct, 1.4 / 4.0);
        near(of.over_log.mean, 7.3 / 4.0 - 1.0);
        near(of.replay.unwrap().mean, 0.5);
        assert_eq!(of.accepted, 2);
        near(of.weights.mean, 1.5);
        near(of.weights.effective, 36.0 / 14.0);
        near(of.weights.largest, 3.0);
        // Terms of IPS are 2, 0, 0, 6: squares about their mean 0 + 4 + 4 + 16 = 24, over 3 and 4.
        near(of.ips.standard_error.unwrap(), 2.0_f64.sqrt());
        // Those of the self-normalised are w (r − 4/3)/1.5: −4/9, 0, −8/9, 4/3, whose mean is 0.
        let squares = (16.0 + 64.0 + 144.0) / 81.0;
        near(of.self_normalised.standard_error.unwrap(), f64::sqrt(squares / 12.0));
        // Differences 1, −.6, .2, 2.7 with the mean .825.
        let squares: f64 = [1.0, -0.6, 0.2, 2.7].iter().map(|d: &f64| (d - 0.825).powi(2)).sum();
        near(of.over_log.standard_error.unwrap(), (squares / 12.0).sqrt());
    }

    #[test]
    fn a_log_weighed_by_itself_has_its_mean() {
        let own = terms().map(|term| Term { weight: 1.0, direct: 0.0, foreseen: 0.0, ..term });
        let of = Estimates::of(own.iter(), 2.0, 0.9);
        let mean = of_rewards(own.iter().map(|term| term.reward), 2.0, 0.9);
        assert_eq!((of.ips, of.self_normalised, of.doubly_robust), (mean, mean, mean));
        near(of.weights.effective, 4.0);
    }

    /// Nothing was earned by what was accepted, one decision: it would have earned the largest size, 2, with a rate that leaves
    /// 0.025 for nothing, .975. And by weights, the largest of which is 3, nothing of four decisions: by the exponential
    /// of one more reward of the largest size the interval ends at 2 · 3 · 3.689/4.
    #[test]
    fn without_a_reward_an_interval_does_not_end_at_0() {
        let mut terms = terms();
        terms[0].accepted = false;
        let replay = Estimates::of(terms.iter(), 2.0, 0.95).replay.unwrap();
        assert!((replay.high.unwrap() - 2.0 * 0.975).abs() < 1e-8, "{replay:?}");
        assert!(replay.mean.abs() < 1e-15 && replay.low.unwrap().abs() < 1e-15);
        let nothing = terms.map(|term| Term { reward: 0.0, ..term });
        let ips = Estimates::of(nothing.iter(), 2.0, 0.95).ips;
        assert!((ips.high.unwrap() + 2.0 * 3.0 * 0.025_f64.ln() / 4.0).abs() < 1e-8, "{ips:?}");
    }

    /// Forty decisions that nearly always earn the most there is, or always one size or another: of 2,000 intervals at most 5 %
    /// may miss, and by four of their binomial standard deviations √(.05·.95/2000) = .0049 more, which a fresh seed is off by
    /// once in 30,000; seeds are fixed. Those made for rare rewards alone miss up to 29 %: where nothing fell
    /// short, they have no width below.
    #[test]
    fn rewards_that_are_nearly_always_the_largest_are_covered() {
        for (most, half) in [(0.95, 0.0), (0.97, 0.0), (0.95, 0.02), (0.6, 0.37)] {
            let truth = 3.0 * (most + 0.5 * half);
            let (mut missed, mut missed_as_weighted) = (0, 0);
            for seed in 0..2_000 {
                let mut random = SplitMix64::new(seed);
                let rewards: Vec<f64> = (0..40)
                    .map(|_| random.fraction())
                    .map(|at| {
                        if at < most {
                            3.0
                        } else if at < most + half {
                            1.5
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let misses = |e: Estimate| !(e.low.unwrap()..=e.high.unwrap()).contains(&truth);
                missed += i32::from(misses(of_rewards(rewards.iter().copied(), 3.0, 0.95)));
                let (value, standard_error) = mean(rewards.iter().copied());
                let largest = 3.0 / 40.0;
                let moments = Moments { value, standard_error, events: Some(value), largest, ceiling: None };
                missed_as_weighted += i32::from(misses(moments.estimate(0.95)));
            }
            assert!(f64::from(missed) < 2_000.0 * (0.05 + 4.0 * 0.0049), "{most}, {half}: {missed}");
            assert!(missed <= missed_as_weighted, "{most}, {half}: {missed} against {missed_as_weighted}");
        }
    }

    #[test]
    fn rewards_below_0_get_the_normal_interval() {
        let with = |reward| {
            let mut terms = terms();
            terms[2].reward = reward;
            Estimates::of(terms.iter(), 2.0, 0.95).ips
        };
        let middle = |of: Estimate| 0.5 * (of.low.unwrap() + of.high.unwrap()) - of.mean;
        near(middle(with(-1.0)), 0.0);
        assert!(middle(with(1.0)) > 0.1, "a skewed one lies higher");
    }
}
