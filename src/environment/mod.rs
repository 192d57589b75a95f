//! The environment of one replication: visits, the truth about every arm, and the shoppers' outcomes.
//!
//! * [`Traffic`]: the visits, in order of time.
//! * [`Environment`]: the expected reward of every arm in every visit, by formula, and the shopper's outcomes with the
//!   shown arms, by the coins of that visit.
//! * [`coin`]: randomness without an order. [`SplitMix64`]: randomness in an order.
//!
//! Invariants:
//!
//! * Nothing here knows a policy or a slot's state. All policies meet the same shoppers, who do the same with the same
//!   arm.
//! * The expected reward is the mean of the rewards that shoppers give.
//!
//! Deliberately not here: when the slot receives the outcomes, and which of them.

mod arms;
mod bounds;
pub mod coin;
mod course;
mod funnel;
mod shopper;
pub mod spec;
mod splitmix;
mod traffic;

use crate::{slot::Goal, stats::math};

pub use arms::{EnvironmentArm, groups};
pub use bounds::reward_bounds;
pub use coin::{Coins, Purpose};
pub use course::level;
pub use funnel::{FunnelPath, needs, reward, value};
pub use shopper::{Shopper, TraitValue, Visit};
pub use splitmix::SplitMix64;
pub use traffic::Traffic;

use funnel::Funnel;
use spec::{ClickBehaviour, Delay, EnvironmentSpec, Problem, STEPS_MAX, time::Moment};

/// The environment of one replication.
#[derive(Debug)]
pub struct Environment<'a> {
    spec: EnvironmentSpec<'a>,
    seed: u64,
    replication: u64,
    arms: Vec<EnvironmentArm>,
    funnel: Funnel,
    goal: &'a Goal,
}

/// A funnel step that a shopper took with a shown arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShopperOutcome {
    /// The arm's position.
    pub place: usize,
    /// The step's index.
    pub step: usize,
    /// Time from the decision to the step, microseconds.
    pub delay_us: f64,
    /// The value of the step's event, or `None`.
    pub value: Option<f64>,
}

/// The truth about every arm for a visit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Truth {
    /// The value of each factor of the odds.
    factors: Vec<f64>,
    /// Expected reward of each arm if it is looked at.
    pub expected: Vec<f64>,
    /// Chance of each arm to stop the shopper if it is looked at, in a cascade. Otherwise empty.
    pub stops: Vec<f64>,
}

impl<'a> Environment<'a> {
    /// Returns the environment of a replication, whose rewards are those of `goal`.
    pub fn new(
        spec: impl Into<EnvironmentSpec<'a>>,
        goal: &'a Goal,
        seed: u64,
        replication: u64,
    ) -> Result<Self, Problem> {
        let spec = spec.into();
        let arms = arms::arms(spec.catalogue, seed, replication).map_err(|e| Problem::from(e).within("catalogue"))?;
        let funnel = Funnel::new(spec, &arms, goal)?;
        Ok(Self { spec, seed, replication, arms, funnel, goal })
    }

    /// Returns all arms in the slot's order, including those that join later.
    pub fn arms(&self) -> &[EnvironmentArm] {
        &self.arms
    }

    /// Returns the visits.
    pub fn traffic(&self) -> Traffic<'a> {
        Traffic::new(self.spec, self.seed, self.replication)
    }

    /// Returns the number of the current period of random stock-outs.
    pub fn stock_period(&self, now: Moment) -> u64 {
        let Some(outs) = &self.spec.catalogue.stock_outs else { return 0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0, and few")]
        let period = (outs.length.scale(now) / outs.length.value()).floor() as u64;
        period
    }

    /// Returns whether an arm is in stock.
    pub fn in_stock(&self, arm: usize, now: Moment) -> bool {
        let share = self.spec.catalogue.stock_outs.as_ref().map_or(0.0, |outs| outs.share);
        self.arms[arm].in_stock(now, self.stock_period(now), share)
    }

    /// Returns the reward of an arm with which no step is taken.
    pub fn nothing(&self) -> f64 {
        self.funnel.nothing()
    }

    /// Returns the chance that a position, from 0, is looked at. In a cascade that is the chance if nothing above it
    /// stops the shopper.
    pub fn look(&self, position: usize) -> f64 {
        let looks = &self.spec.behaviour.position_bias;
        looks.get(position).or(looks.last()).copied().unwrap_or(1.0)
    }

    /// Writes the truth about every arm for this visit into `truth`, regardless of stock.
    pub fn truth(&self, visit: &Visit, truth: &mut Truth) {
        truth.factors.clear();
        for factor in self.funnel.factors() {
            let level = factor.drift.map_or(1.0, |drift| level(&self.spec.drift[drift].course, visit.now));
            truth.factors.push(level * visit.factor(factor.shopper));
        }
        truth.expected.clear();
        for arm in 0..self.arms.len() {
            let expected = if visit.shopper.bot {
                let clicks = self.bot_clicks(arm);
                clicks * self.funnel.first_step(arm) + (1.0 - clicks) * self.nothing()
            } else {
                self.funnel.expected(arm, &truth.factors)
            };
            truth.expected.push(expected);
        }
        truth.stops.clear();
        if self.cascades() {
            truth.stops.extend((0..self.arms.len()).map(|arm| self.funnel.chance(0, arm, &truth.factors)));
        }
    }

    /// Returns whether a shopper stops at the first click.
    pub fn cascades(&self) -> bool {
        self.spec.behaviour.click_model == ClickBehaviour::Cascade
    }

    /// Returns the chance that a position is looked at if arms are shown in this order.
    ///
    /// In a cascade that is `Π (1 − stop)` over the positions above it (Craswell, Zoeter, Taylor and Ramsey 2008, "An
    /// experimental comparison of click position-bias models", section 3.4).
    pub fn reach(&self, truth: &Truth, shown: &[usize], in_stock: &[bool], place: usize) -> f64 {
        if !self.cascades() {
            return self.look(place);
        }
        let above = shown.iter().take(place).filter(|arm| in_stock[**arm]);
        above.map(|&arm| 1.0 - truth.stops.get(arm).copied().unwrap_or(0.0)).product()
    }

    /// Returns the chance that a bot takes the first step with an arm.
    fn bot_clicks(&self, arm: usize) -> f64 {
        let Some(bots) = &self.spec.traffic.bots else { return 0.0 };
        let likes = bots.arm.as_ref().is_none_or(|liked| liked == self.arms[arm].arm.id.as_str());
        if likes { bots.clicks } else { 0.0 }
    }

    /// Returns the expected reward of arms shown in this order. `in_stock` has an entry for each arm of the
    /// environment.
    pub fn worth(&self, truth: &Truth, shown: &[usize], in_stock: &[bool]) -> f64 {
        let nothing = self.nothing();
        let of = |(position, &arm): (usize, &usize)| {
            let beyond = if in_stock[arm] { truth.expected[arm] - nothing } else { 0.0 };
            nothing + self.reach(truth, shown, in_stock, position) * beyond
        };
        shown.iter().enumerate().map(of).sum()
    }

    /// Writes the outcomes of this visit with arms shown in this order into `outcomes`, by position and step.
    pub fn outcomes(
        &self,
        visit: &Visit,
        truth: &Truth,
        shown: &[usize],
        in_stock: &[bool],
        outcomes: &mut Vec<ShopperOutcome>,
    ) {
        outcomes.clear();
        let steps = &self.spec.behaviour.steps;
        let coins = visit.coins;
        for (place, &arm) in shown.iter().enumerate().filter(|(_, arm)| in_stock[**arm]) {
            let item = |step: usize| (arm * STEPS_MAX + step) as u64;
            if visit.shopper.bot {
                if coins.flip(Purpose::Step, item(0), self.bot_clicks(arm)) {
                    outcomes.push(ShopperOutcome {
                        place,
                        step: 0,
                        delay_us: 0.0,
                        value: value(&steps[0], &self.arms[arm]),
                    });
                }
                continue;
            }
            if !coins.flip(Purpose::Look, place as u64, self.look(place)) {
                continue;
            }
            // The time of each step that was taken.
            let mut taken: [Option<f64>; STEPS_MAX] = Default::default();
            for (i, step) in steps.iter().enumerate() {
                let since = match self.funnel.after(i) {
                    None => Some(0.0),
                    Some(after) => taken[after],
                };
                let Some(since) = since else { continue };
                if !coins.flip(Purpose::Step, item(i), self.funnel.chance(i, arm, &truth.factors)) {
                    continue;
                }
                let delay_us = since + draw_delay(&step.delay, coins, Purpose::Delay, item(i));
                taken[i] = Some(delay_us);
                // The mean of exp(sz − s²/2) is 1.
                let s = step.value_spread;
                let factor =
                    if s > 0.0 { math::exp(s * coins.normal(Purpose::Value, item(i)) - s * s / 2.0) } else { 1.0 };
                let value = value(step, &self.arms[arm]).map(|value| value * factor);
                outcomes.push(ShopperOutcome { place, step: i, delay_us, value });
            }
            if self.cascades() && taken[0].is_some() {
                return;
            }
        }
    }

    /// Returns the reward of the outcomes at one position, whether or not the slot receives them.
    pub fn given_reward(&self, outcomes: &[ShopperOutcome], place: usize) -> f64 {
        let at = |step: usize| outcomes.iter().find(|outcome| outcome.place == place && outcome.step == step);
        let path = outcomes
            .iter()
            .filter(|outcome| outcome.place == place)
            .fold(0, |path: FunnelPath, outcome| path | 1 << outcome.step);
        reward(self.goal, &self.spec.behaviour.steps, path, |i| at(i).and_then(|outcome| outcome.value))
    }
}

/// Draws a delay, microseconds, from the items 2i and 2i + 1 of a purpose.
pub fn draw_delay(delay: &Delay, coins: Coins, purpose: Purpose, item: u64) -> f64 {
    match *delay {
        Delay::None => 0.0,
        Delay::Fixed(span) => span.us,
        Delay::Exponential(mean) => mean.us * coins.exponential(purpose, 2 * item),
        Delay::LogNormal { median, spread } => median.us * math::exp(spread * coins.normal(purpose, item)),
        Delay::Uniform { from, until } => from.us + (until.us - from.us) * coins.fraction(purpose, 2 * item),
    }
}
