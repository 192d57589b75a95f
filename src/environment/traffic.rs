//! Times of visits: sessions as a Poisson stream whose rate changes over time, each with some decisions.
//!
//! Invariants:
//!
//! * Visits depend on (seed, replication) alone, never on a policy.
//! * Times never go back.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    f64::consts::TAU,
    sync::Arc,
};

use super::spec::{EnvironmentSpec, time::Moment};
use super::{
    coin::{Coins, Purpose},
    course::level,
    shopper::{Shopper, Visit, numbered_id},
};
use crate::stats::math;

const DAY: f64 = 86_400e6;
/// Mean time between two decisions of a session, microseconds: the time for which a page is looked at.
const GAP: f64 = 40e6;
/// Maximum of decisions in a session, so that it ends.
const SESSION_MAX: u32 = 1_000;

/// A session under way: the time of its next decision in whole microseconds, its number, and the decision's number.
/// The time comes first, so that sessions are ordered by it.
type OpenSession = Reverse<(u64, u64, u32)>;

/// The visits of a replication, in order of time.
#[derive(Debug)]
pub struct Traffic<'a> {
    spec: EnvironmentSpec<'a>,
    environment: [u64; 2],
    coins: Coins,
    /// Largest and mean number of sessions per microsecond.
    rates: (f64, f64),
    /// Part of the sessions that are bots'.
    bots: f64,
    index: u64,
    tries: u64,
    sessions: u64,
    next_session_us: f64,
    waiting: BinaryHeap<OpenSession>,
    /// Session id of the device of the latest session.
    device: String,
    /// Shopper and intent of the sessions under way, by session.
    shoppers: BTreeMap<u64, (Arc<Shopper>, usize)>,
}

impl<'a> Traffic<'a> {
    /// Returns the visits of a replication.
    pub fn new(spec: impl Into<EnvironmentSpec<'a>>, seed: u64, replication: u64) -> Self {
        let spec = spec.into();
        let segments = &spec.shoppers.segments;
        let whole: f64 = segments.iter().map(|segment| segment.share).sum();
        let length = segments.iter().map(|segment| segment.share * segment.session_length).sum::<f64>() / whole;
        let traffic = &spec.traffic;
        let bots = traffic.bots.as_ref().map_or(0.0, |bots| bots.share);
        let mean = traffic.per_day / length / (1.0 - bots) / DAY;
        let weekly =
            traffic.weekly.map_or(1.0, |days| 7.0 * days.into_iter().fold(0.0, f64::max) / days.iter().sum::<f64>());
        let sales: f64 = traffic.flash_sales.iter().map(|sale| sale.factor.max(1.0)).product();
        let most = mean * (1.0 + traffic.daily_swing) * weekly * sales;
        let mut result = Self {
            spec,
            environment: [seed, replication],
            coins: Coins::new("simulated traffic", &[seed, replication]),
            rates: (most, mean),
            bots,
            index: 0,
            tries: 0,
            sessions: 0,
            next_session_us: 0.0,
            waiting: BinaryHeap::new(),
            device: String::new(),
            shoppers: BTreeMap::new(),
        };
        result.draw_next_session(0.0);
        result
    }

    fn moment(&self, at_us: f64) -> Moment {
        Moment { index: self.index, horizon: self.spec.horizon, at_us }
    }

    /// Returns the sessions per microsecond.
    fn rate(&self, now: Moment) -> f64 {
        let traffic = &self.spec.traffic;
        let days = now.at_us / DAY;
        // The daily rate is highest at 20:00.
        let daily = 1.0 + traffic.daily_swing * math::cos(TAU * (days - 20.0 / 24.0));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
        let weekday = (days.floor() % 7.0) as usize;
        let weekly = traffic.weekly.map_or(1.0, |days| 7.0 * days[weekday.min(6)] / days.iter().sum::<f64>());
        let on = traffic.flash_sales.iter().filter(|sale| sale.from.reached(now) && !sale.until.reached(now));
        self.rates.1 * daily * weekly * on.map(|sale| sale.factor).product::<f64>()
    }

    /// Draws the time of the next session after `from_us`. (Thinning: Lewis & Shedler 1979.)
    fn draw_next_session(&mut self, from_us: f64) {
        let mut at_us = from_us;
        loop {
            let item = self.tries;
            self.tries += 1;
            at_us += self.coins.exponential(Purpose::Arrival, 2 * item) / self.rates.0;
            let now = self.moment(at_us);
            if self.coins.flip(Purpose::Arrival, 2 * item + 1, self.rate(now) / self.rates.0) {
                // Times are whole, so that none goes back.
                self.next_session_us = at_us.floor();
                return;
            }
        }
    }

    /// Begins the next session.
    fn begin_session(&mut self) {
        let session = self.sessions;
        self.sessions += 1;
        let mut shopper = Shopper::of_session(self.spec.shoppers, self.environment, session);
        let coins = self.session_coins(session);
        shopper.bot = coins.flip(Purpose::Session, 0, self.bots);
        if shopper.bot {
            shopper.subject.id = numbered_id('b', session);
        } else {
            let shared = coins.flip(Purpose::Device, 0, self.spec.shoppers.shared_devices);
            if shared && !self.device.is_empty() {
                shopper.subject.session_id.clone_from(&self.device);
            }
            self.device.clone_from(&shopper.subject.session_id);
        }
        let intent = self.intent(coins, 0, self.moment(self.next_session_us));
        self.shoppers.insert(session, (Arc::new(shopper), intent));
        self.waiting.push(Reverse((whole_us(self.next_session_us), session, 1)));
        self.draw_next_session(self.next_session_us);
    }

    fn session_coins(&self, session: u64) -> Coins {
        Coins::new("simulated course", &[self.environment[0], self.environment[1], session])
    }

    /// Draws the intent of a visit.
    fn intent(&self, coins: Coins, item: u64, now: Moment) -> usize {
        let intents = &self.spec.shoppers.intents;
        let whole: f64 = intents.iter().map(|intent| intent.share).sum();
        let mut shares: Vec<f64> = intents.iter().map(|intent| intent.share / whole).collect();
        for drift in self.spec.drift {
            let place = intents.iter().position(|intent| Some(&intent.name) == drift.intent.as_ref());
            let (Some(place), Some(share)) = (place, drift.share) else { continue };
            let before = shares[place];
            let after = (before + share * level(&drift.course, now)).clamp(0.0, 1.0);
            let others = if before < 1.0 { (1.0 - after) / (1.0 - before) } else { 0.0 };
            for (i, share) in shares.iter_mut().enumerate() {
                *share = if i == place { after } else { *share * others };
            }
        }
        coins.pick(Purpose::Intent, item, shares.iter().copied())
    }
}

impl Iterator for Traffic<'_> {
    type Item = Visit;

    fn next(&mut self) -> Option<Visit> {
        if self.index >= self.spec.horizon {
            return None;
        }
        while self.waiting.peek().is_none_or(|Reverse((at, ..))| *at as f64 > self.next_session_us) {
            self.begin_session();
        }
        let Reverse((at, session, step)) = self.waiting.pop()?;
        let (shopper, mut intent) = self.shoppers.remove(&session)?;
        let now = self.moment(at as f64);
        let coins = self.session_coins(session);
        let item = u64::from(step);
        if step > 1 && coins.flip(Purpose::Session, 3 * item, self.spec.shoppers.intent_shift) {
            intent = self.intent(coins, item, now);
        }
        let length = if shopper.bot {
            self.spec.traffic.bots.as_ref().map_or(1.0, |bots| bots.session_length)
        } else {
            self.spec.shoppers.segments[shopper.segment].session_length
        };
        if step < SESSION_MAX && coins.flip(Purpose::Session, 3 * item + 1, 1.0 - 1.0 / length) {
            let gap = GAP * coins.exponential(Purpose::Session, 3 * item + 2);
            self.waiting.push(Reverse((whole_us(at as f64 + gap), session, step + 1)));
            self.shoppers.insert(session, (Arc::clone(&shopper), intent));
        }
        let coins = Coins::new("simulated visit", &[self.environment[0], self.environment[1], self.index]);
        self.index += 1;
        Some(Visit { now, shopper, intent, session, step, coins })
    }
}

fn whole_us(us: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "times are at least 0, and decades fit"
    )]
    let us = us as u64;
    us
}
