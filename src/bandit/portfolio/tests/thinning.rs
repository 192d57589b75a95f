//! Tests of thinned silence.

use super::*;
use crate::bandit::{encoder::EncodedRow, model::Model, portfolio::thinning::ONE_IN};

/// World in which four words each move the log odds of a click a little, so that products of words are noise.
pub(super) struct QuietShop {
    pub(super) learner: Learner,
    rng: StdRng,
    shown: Vec<Shown>,
}

struct Shown {
    arm: u32,
    rows: Vec<EncodedRow>,
    receipt: ObservationReceipt,
    y: f64,
    /// Indices of the members of negligible weight before.
    negligible: Vec<usize>,
}

impl QuietShop {
    pub(super) fn new() -> Self {
        let learner = Learner::new(ModelSpec::portfolio(None, None, Some(false)), UNIT);
        Self { learner, rng: StdRng::seed_from_u64(91), shown: Vec::new() }
    }

    /// Shows each of two arms a thousand times per round; silence is silent or an event of reward 0.
    pub(super) fn play(&mut self, rounds: usize, silent: bool) {
        for _ in 0..2_000 * rounds {
            let picks: Vec<usize> = (0..4).map(|_| self.rng.random_range(0..3)).collect();
            let arm = self.rng.random_range(0..2_u32);
            let odds: f64 =
                picks.iter().enumerate().map(|(i, &p)| [0.6, 0.0, -0.6][(p + i * arm as usize) % 3]).sum::<f64>() - 2.5;
            let y = success(&mut self.rng, 1.0 / (1.0 + (-odds).exp()));
            let words: Vec<&str> = picks.iter().map(|&p| WORDS[p]).collect();
            let total: f64 = self.learner.portfolio().members.iter().map(|member| exp(member.evidence)).sum();
            let members = self.learner.portfolio().members.iter().enumerate();
            let negligible = members.filter(|(_, m)| exp(m.evidence) < NEGLIGIBLE * total).map(|(i, _)| i).collect();
            let seen = Observation { silent: silent && y == 0.0, ..observation(arm, y) };
            let (rows, receipt) = show(&mut self.learner, &context(&words), seen);
            self.shown.push(Shown { arm, rows, receipt, y, negligible });
        }
    }

    fn model(&self, name: &str) -> (usize, &Model) {
        let members = self.learner.portfolio().members.iter().enumerate();
        members.into_iter().find(|(_, m)| m.spec.name() == name).map(|(i, m)| (i, &m.model)).unwrap()
    }

    /// Returns what the model of this name expects of the last rows that were shown.
    fn expects(&self, name: &str) -> Vec<f64> {
        let (i, model) = self.model(name);
        let encoder = self.learner.portfolio().members[i].feature_encoder;
        let of = |shown: &Shown| {
            let x = model.expand(&self.learner.feature_encoders()[encoder].encoder, &shown.rows[encoder]);
            model.scores(&[Some(shown.arm)], &[x], crate::bandit::Scoring::new(1.0, 1, 0)).mean(0)
        };
        self.shown.iter().rev().take(1_000).map(of).collect()
    }
}

/// Models of negligible weight learn one silence of eight, and every reward. What they expect is the rate of clicks, within three
/// standard errors of it: if one silence of eight counted once, it would be six times the rate.
#[test]
fn negligible_models_learn_an_eighth_of_the_silence_and_expect_the_same() {
    let mut shop = QuietShop::new();
    shop.play(4, true);
    for name in ["interactions", "interactions_identity"] {
        let (i, _) = shop.model(name);
        let later = || shop.shown.iter().skip(2_000);
        let silence = || later().filter(|shown| shown.y == 0.0 && shown.negligible.contains(&i));
        let (n, left_out) = (silence().count(), silence().filter(|shown| shown.receipt.thinned.contains(i)).count());
        let (share, want) = (left_out as f64 / n as f64, 1.0 - 1.0 / f64::from(ONE_IN));
        assert!(n > 2_000, "{name} is negligible: {n}");
        // A model that has won ground lately learns all, so the share is below seven of eight.
        assert!(share > 0.5 && share < want + 4.0 * (want * (1.0 - want) / n as f64).sqrt(), "{name}: {share}");
        assert!(shop.shown.iter().all(|s| s.y == 0.0 || !s.receipt.thinned.contains(i)), "{name} learns all rewards");
        let rate = shop.shown.iter().map(|shown| shown.y).sum::<f64>() / shop.shown.len() as f64;
        let expects = shop.expects(name);
        let mean = expects.iter().sum::<f64>() / expects.len() as f64;
        // 8,000 observations, of which 7,000 silences count as much as an eighth of them.
        let error = 3.0 * (rate * (1.0 - rate) / 1_000.0).sqrt();
        assert!((mean - rate).abs() < error, "{name} expects {mean}, the rate is {rate} ± {error}");
    }
    let (linear, _) = shop.model("linear");
    assert!(shop.shown.iter().all(|s| s.negligible.contains(&linear) || !s.receipt.thinned.contains(linear)));
}

/// Events of reward 0 are no silence, and an arm that is hardly known is not thinned.
#[test]
fn rewards_of_zero_and_little_known_arms_are_not_thinned() {
    let mut shop = QuietShop::new();
    shop.play(2, false);
    assert!(shop.shown.iter().all(|shown| shown.receipt.thinned == MemberSet::default()));
    let mut shop = QuietShop::new();
    shop.play(1, true);
    let thinned = |shown: &Shown| shown.receipt.thinned != MemberSet::default();
    let first = shop.shown.iter().position(thinned).unwrap();
    let arm = shop.shown[first].arm;
    assert!(shop.shown[..first].iter().filter(|shown| shown.arm == arm).count() >= 500);
}

/// A click after a silence that a model did not learn moves it, and the click's refund takes it back.
#[test]
fn late_clicks_and_refunds_of_thinned_silence_cancel() {
    let mut shop = QuietShop::new();
    shop.play(2, true);
    let name = "interactions_identity";
    let (i, _) = shop.model(name);
    let before = shop.expects(name);
    let late: Vec<usize> =
        (0..shop.shown.len()).filter(|&n| shop.shown[n].receipt.thinned.contains(i)).take(40).collect();
    assert_eq!(late.len(), 40);
    for (y, delta) in [(0.0, 1.0), (1.0, -1.0)] {
        for &n in &late {
            let Shown { arm, rows, receipt, .. } = &shop.shown[n];
            shop.learner.revise(*arm, rows, y, delta, receipt);
        }
        let moved = shop.expects(name).iter().zip(&before).map(|(now, before)| now - before).sum::<f64>() / 1_000.0;
        // Forty clicks in 4,000 showings raise the rate by a hundredth; the rows of the clicks raise those like them more.
        if delta > 0.0 {
            assert!((0.005..0.02).contains(&moved), "{moved}");
        } else {
            assert!(moved.abs() < 1e-9, "{moved}");
        }
    }
}
