//! Regret by the number of clicks since a shopper's intent began: how soon slots follow a shopper.
//!
//! Invariant: each session counts once for each number of clicks, with its first decision after them. Further decisions
//! would count the sessions that click less more often.

use std::collections::BTreeMap;

use crate::{
    environment::{ShopperOutcome, Visit},
    scenario::IntentStart,
};

/// Number of clicks from which on decisions are no longer counted.
pub const CLICKS_MAX: usize = 6;
/// Time after its last visit for which a session is remembered, microseconds.
const REMEMBERED_US: f64 = 6.0 * 3_600e6;
/// Sessions that are remembered before old ones are dropped.
const SESSIONS_MIN: usize = 1_024;

/// A measurement of regret by clicks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClickProbe {
    /// Moment from which on clicks count.
    pub since: IntentStart,
    /// The first decision that counts.
    pub from: u64,
    /// Part of uniform choice's regret below which decisions count as adapted.
    pub within: f64,
}

/// Regret of one decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DecisionRegret {
    /// Regret of what was shown.
    pub regret: f64,
    /// Regret of uniform choice.
    pub uniform: f64,
}

/// Sums of regret by the number of clicks before a decision.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClickCurve {
    regret: [f64; CLICKS_MAX],
    uniform: [f64; CLICKS_MAX],
    decisions: [u64; CLICKS_MAX],
}

impl ClickCurve {
    fn add(&mut self, clicks: usize, of: DecisionRegret) {
        self.regret[clicks] += of.regret;
        self.uniform[clicks] += of.uniform;
        self.decisions[clicks] += 1;
    }

    /// Returns the number of decisions after this many clicks.
    pub fn decisions(&self, clicks: usize) -> u64 {
        self.decisions[clicks]
    }

    /// Returns the regret after this many clicks as a part of uniform choice's, or `None` if there is nothing to regret.
    pub fn part(&self, clicks: usize) -> Option<f64> {
        (self.uniform[clicks] > 0.0).then(|| self.regret[clicks] / self.uniform[clicks])
    }

    /// Returns the number of clicks after which the regret is at most the part `within` of uniform choice's, or `None`
    /// without any decision after a click. Between two whole numbers a straight line is assumed. A regret that never falls so far
    /// gives [`CLICKS_MAX`].
    pub fn clicks_to_adapt(&self, within: f64) -> Option<f64> {
        if self.decisions[1..].iter().all(|&decisions| decisions == 0) {
            return None;
        }
        let parts = (0..CLICKS_MAX).filter_map(|clicks| Some((clicks as f64, self.part(clicks)?)));
        let mut before: Option<(f64, f64)> = None;
        for (clicks, part) in parts {
            if part <= within {
                let Some((fewer, more)) = before else { return Some(clicks) };
                return Some(fewer + (clicks - fewer) * (more - within) / (more - part));
            }
            before = Some((clicks, part));
        }
        before.map(|_| CLICKS_MAX as f64)
    }
}

/// A session as far as it has come.
#[derive(Debug)]
struct SessionCourse {
    intent: usize,
    /// True if the intent has changed within the session.
    shifted: bool,
    /// Times of the clicks since the intent began, microseconds since the start.
    clicks_us: Vec<f64>,
    /// Number of clicks for which a decision was counted last.
    counted: Option<usize>,
    last_us: f64,
}

/// Clicks of the sessions under way.
#[derive(Debug, Default)]
pub(super) struct SessionClickBook {
    sessions: BTreeMap<u64, SessionCourse>,
    /// Number of sessions beyond which old ones are dropped.
    room: usize,
}

impl SessionClickBook {
    /// Counts a decision in the curves of the probes that it belongs to.
    pub(super) fn count(
        &mut self,
        visit: &Visit,
        regret: DecisionRegret,
        probes: &[ClickProbe],
        curves: &mut [ClickCurve],
    ) {
        let course = self.course(visit);
        let clicks = course.clicks_us.iter().filter(|at_us| **at_us <= visit.now.at_us).count();
        if clicks >= CLICKS_MAX || course.counted == Some(clicks) {
            return;
        }
        course.counted = Some(clicks);
        let since = if course.shifted { IntentStart::Shift } else { IntentStart::Session };
        for (probe, curve) in probes.iter().zip(curves) {
            if probe.since == since && visit.now.index >= probe.from {
                curve.add(clicks, regret);
            }
        }
    }

    /// Adds the clicks of a decision that was shown at `shown_us`.
    pub(super) fn add_clicks(&mut self, visit: &Visit, shown_us: f64, outcomes: &[ShopperOutcome]) {
        let clicks = outcomes.iter().filter(|outcome| outcome.step == 0).map(|outcome| shown_us + outcome.delay_us);
        self.course(visit).clicks_us.extend(clicks);
    }

    fn course(&mut self, visit: &Visit) -> &mut SessionCourse {
        let now_us = visit.now.at_us;
        if self.sessions.len() > self.room.max(SESSIONS_MIN) {
            self.sessions.retain(|_, course| course.last_us > now_us - REMEMBERED_US);
            self.room = 2 * self.sessions.len();
        }
        let course = self.sessions.entry(visit.session).or_insert_with(|| SessionCourse {
            intent: visit.intent,
            shifted: false,
            clicks_us: Vec::new(),
            counted: None,
            last_us: now_us,
        });
        course.last_us = now_us;
        if course.intent != visit.intent {
            *course = SessionCourse {
                intent: visit.intent,
                shifted: true,
                clicks_us: Vec::new(),
                counted: None,
                last_us: now_us,
            };
        }
        course
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(parts: &[f64]) -> ClickCurve {
        let mut curve = ClickCurve::default();
        for (clicks, part) in parts.iter().enumerate() {
            curve.add(clicks, DecisionRegret { regret: 2.0 * part, uniform: 2.0 });
        }
        curve
    }

    #[test]
    fn clicks_to_adapt_lie_where_the_regret_falls_below_its_part() {
        for (parts, want) in [
            (&[0.9, 0.3, 0.2][..], Some(2.0 / 3.0)),
            (&[0.4, 0.9], Some(0.0)),
            (&[0.9, 0.8, 0.5], Some(2.0)),
            (&[0.9, 0.9, 0.9, 0.9, 0.9, 0.9], Some(6.0)),
            (&[0.1], None),
            (&[], None),
        ] {
            let got = curve(parts).clicks_to_adapt(0.5);
            assert!(
                got.zip(want).is_none_or(|(got, want): (f64, f64)| (got - want).abs() < 1e-12),
                "{got:?} {parts:?}"
            );
            assert_eq!(got.is_some(), want.is_some(), "{parts:?}");
        }
    }
}
