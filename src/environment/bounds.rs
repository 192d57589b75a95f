//! Exact expected rewards of the best slate and of a uniformly drawn one.

use super::{Environment, Truth};

/// Returns the expected reward of the best `count` eligible arms in the best order, and of `count` eligible arms drawn
/// uniformly.
///
/// If positions are looked at with chances of their own, the best order puts the best arm where most shoppers look,
/// and so on: no two arms can gain by changing places. In a uniform draw each arm stands at each position with the
/// same chance. The exact formulas for a cascade are those of `best_cascade` and
/// `mean_cascade`.
pub fn reward_bounds(
    environment: &Environment<'_>,
    truth: &Truth,
    is_eligible: impl Fn(usize) -> bool,
    count: usize,
) -> (f64, f64) {
    let nothing = environment.nothing();
    let eligible = || (0..truth.expected.len()).filter(|&i| is_eligible(i));
    if count == 1 {
        let (mut most, mut sum, mut number) = (f64::NEG_INFINITY, 0.0, 0.0);
        for i in eligible() {
            let beyond = truth.expected[i] - nothing;
            (most, sum, number) = (most.max(beyond), sum + beyond, number + 1.0);
        }
        let look = environment.look(0);
        return if number > 0.0 { (nothing + look * most, nothing + look * (sum / number)) } else { (0.0, 0.0) };
    }
    let mut beyond: Vec<f64> = eligible().map(|i| truth.expected[i] - nothing).collect();
    let shown = count.min(beyond.len());
    if shown == 0 {
        return (0.0, 0.0);
    }
    let all_nothing = shown as f64 * nothing;
    if environment.cascades() && shown > 1 {
        let mut arms: Vec<(f64, f64)> = beyond.into_iter().zip(eligible().map(|i| truth.stops[i])).collect();
        let uniform = all_nothing + mean_cascade(&arms, shown);
        return (all_nothing + best_cascade(&mut arms, shown), uniform);
    }
    let mean = beyond.iter().sum::<f64>() / beyond.len() as f64;
    let mut looks: Vec<f64> = (0..shown).map(|position| environment.look(position)).collect();
    let uniform = all_nothing + looks.iter().sum::<f64>() * mean;
    beyond.sort_unstable_by(|a, b| b.total_cmp(a));
    looks.sort_unstable_by(|a, b| b.total_cmp(a));
    let best = all_nothing + looks.iter().zip(&beyond).map(|(look, beyond)| look * beyond).sum::<f64>();
    (best, uniform)
}

/// Returns the largest amount that `shown` of these arms can add in a cascade. Each arm comes with the amount it adds
/// if it is looked at, and with the chance that it stops the shopper.
///
/// Of two neighbours, b₁ + (1 − s₁)(b₂ + (1 − s₂)·rest) is at least as large as the other way round if b₁/s₁ ≥ b₂/s₂,
/// whatever stands below. The best order is therefore by b/s, and the best choice of `shown` arms follows from the
/// bottom up in O(arms · shown).
fn best_cascade(arms: &mut [(f64, f64)], shown: usize) -> f64 {
    // An arm that stops nobody adds nothing and may stand anywhere.
    let ratio = |(beyond, stop): &(f64, f64)| if *stop > 0.0 { beyond / stop } else { f64::NEG_INFINITY };
    arms.sort_by(|a, b| ratio(b).total_cmp(&ratio(a)));
    let mut best = vec![f64::NEG_INFINITY; shown + 1];
    best[0] = 0.0;
    for &(beyond, stop) in arms.iter().rev() {
        for places in (1..=shown).rev() {
            best[places] = best[places].max(beyond + (1.0 - stop) * best[places - 1]);
        }
    }
    best[shown]
}

/// Returns the mean amount that `shown` of these arms add in a cascade, over all orders of all choices.
///
/// An arm stands at position k, from 0, with probability 1/n, below k others drawn uniformly. It is reached with the
/// mean of Π (1 − s) over those draws, which is the elementary symmetric mean of order k of the others. That mean
/// follows from the mean of all arms by `m'ₖ = (n·mₖ − k·(1 − s)·m'ₖ₋₁)/(n − k)`. The cost is O(arms · shown).
fn mean_cascade(arms: &[(f64, f64)], shown: usize) -> f64 {
    let mut means = vec![0.0; shown];
    means[0] = 1.0;
    for (met, &(_, stop)) in (1_usize..).zip(arms) {
        for k in (1..shown.min(met + 1)).rev() {
            let without = (met - k) as f64 * means[k];
            means[k] = (without + k as f64 * (1.0 - stop) * means[k - 1]) / met as f64;
        }
    }
    let n = arms.len() as f64;
    let of = |&(beyond, stop): &(f64, f64)| {
        let (mut others, mut sum) = (1.0, 1.0);
        for (k, mean) in means.iter().enumerate().skip(1) {
            let k = k as f64;
            others = (n * mean - k * (1.0 - stop) * others) / (n - k);
            sum += others;
        }
        beyond * sum / n
    };
    arms.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

    /// Returns the amount that a cascade adds, position by position.
    fn cascade(slate: &[(f64, f64)]) -> f64 {
        slate
            .iter()
            .fold((0.0, 1.0), |(sum, reached), (beyond, stop)| (sum + reached * beyond, reached * (1.0 - stop)))
            .0
    }

    /// All orders of three out of six arms are compared. Their rewards are independent of how often they stop a
    /// shopper, so neither the best three nor the best first are right. Sometimes an arm stops nobody and adds
    /// nothing, or takes away.
    #[test]
    fn cascades_equal_those_of_all_orders() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
        for _ in 0..200 {
            let mut arms: Vec<(f64, f64)> =
                (0..6).map(|_| (random.random::<f64>() - 0.1, random.random::<f64>())).collect();
            if random.random::<f64>() < 0.2 {
                arms[3] = (0.0, 0.0);
            }
            let mut all = Vec::new();
            for i in 0..6 {
                for j in (0..6).filter(|j| *j != i) {
                    all.extend((0..6).filter(|k| *k != i && *k != j).map(|k| cascade(&[arms[i], arms[j], arms[k]])));
                }
            }
            let best = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            assert!((mean_cascade(&arms, 3) - mean).abs() < 1e-12, "{arms:?}");
            assert!((best_cascade(&mut arms, 3) - best).abs() < 1e-12, "{arms:?}");
        }
    }
}
