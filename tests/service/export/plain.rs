//! Decisions and their events, joined from a journal's raw records by plain maps: no engine, no queue, no index.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use slotwise::{
    engine::{Body, DecisionRecord, RewardEvent},
    node::decode_event,
    slot::Goal,
};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const DAY_US: i64 = 24 * 60 * MINUTE_US;

/// An event that was accepted.
pub(crate) struct PlainEvent {
    pub(crate) event: RewardEvent,
    /// Position of the event's arm in the slate, or `None` for a reversal.
    pub(crate) place: Option<usize>,
    came_us: i64,
    /// Time at which another event took it back, or `None`.
    pub(crate) reversed_us: Option<i64>,
}

/// A decision and its events according to the raw records.
pub(crate) struct PlainDecision {
    pub(crate) at_us: i64,
    pub(crate) decided: Arc<DecisionRecord>,
    /// Accepted events in order of arrival.
    pub(crate) events: Vec<PlainEvent>,
}

/// The times of a goal in microseconds, with the defaults that `learning.proto` states.
#[derive(Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "the common ending is their unit")]
struct GoalTimes {
    window_us: i64,
    grace_us: i64,
    reversal_us: i64,
}

impl GoalTimes {
    fn new(goal: &Goal) -> Self {
        let tenth_us = goal.window_us / 10;
        Self {
            window_us: goal.window_us,
            grace_us: goal.grace_period_us.unwrap_or(tenth_us.clamp(10 * MINUTE_US, DAY_US)),
            reversal_us: goal.reversal_window_us.unwrap_or(60 * DAY_US),
        }
    }

    /// Returns the time that a decision waits for rewards.
    fn wait_us(self) -> i64 {
        self.window_us + self.grace_us
    }

    /// Returns the tolerated error of a caller's clock.
    fn skew_us(self) -> i64 {
        self.grace_us.max(5 * MINUTE_US)
    }

    /// Returns the time for which the id of an event without a decision id is remembered.
    fn id_memory_us(self) -> i64 {
        DAY_US.max(self.wait_us() + 5 * MINUTE_US)
    }
}

impl PlainDecision {
    fn is_pending(&self, at_us: i64, times: GoalTimes) -> bool {
        at_us - self.at_us <= times.wait_us()
    }

    /// Returns `true` if the decision is still known at `at_us`: it is pending, or it was rewarded when it finished and
    /// its reversal window is not over.
    fn is_known(&self, at_us: i64, goal: &Goal) -> bool {
        let times = GoalTimes::new(goal);
        let end_us = self.at_us + times.wait_us();
        let rewards_then = |had: &&PlainEvent| {
            had.place.is_some()
                && had.came_us <= end_us
                && had.reversed_us.is_none_or(|reversed_us| reversed_us > end_us)
        };
        let counts = |had: &PlainEvent| goal.kinds.iter().any(|kind| kind.kind == had.event.kind);
        self.is_pending(at_us, times)
            || (at_us - self.at_us <= times.reversal_us && self.events.iter().filter(rewards_then).any(counts))
    }

    fn has_event(&self, id: &str) -> bool {
        self.events.iter().any(|had| had.event.event_id == id)
    }
}

/// The join, built from the records and the documented contract of the API.
#[derive(Default)]
pub(crate) struct PlainJoin {
    pub(crate) goals: BTreeMap<String, Goal>,
    pub(crate) decisions: BTreeMap<String, Vec<PlainDecision>>,
    /// Arrival of each accepted event that named no decision, by slot and event id.
    nameless: BTreeMap<(String, String), i64>,
    pub(crate) last_us: i64,
    /// Number of events by outcome. The test asserts that every outcome occurs.
    pub(crate) outcomes: BTreeMap<&'static str, u32>,
}

impl PlainJoin {
    pub(crate) fn read(data: &Path) -> Self {
        let mut join = Self::default();
        let connection = rusqlite::Connection::open(data.join("journal.sqlite3")).unwrap();
        let mut select = connection.prepare("SELECT body FROM events ORDER BY position").unwrap();
        for body in select.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap() {
            let event = decode_event(&body.unwrap()).unwrap();
            join.last_us = event.at_us;
            match event.body {
                Body::SlotCreated { definition, .. } => {
                    join.goals.insert(definition.id.to_string(), definition.goal.clone());
                }
                Body::Decided(decided) => {
                    let plain = PlainDecision { at_us: event.at_us, decided, events: Vec::new() };
                    join.decisions.entry(plain.decided.slot.to_string()).or_default().push(plain);
                }
                Body::Rewarded(rewarded) => {
                    let outcome = join.add_event(event.at_us, *rewarded);
                    *join.outcomes.entry(outcome).or_default() += 1;
                }
                _ => {}
            }
        }
        join
    }

    fn add_event(&mut self, at_us: i64, event: RewardEvent) -> &'static str {
        let slot = event.slot.to_string();
        let goal = self.goals[&slot].clone();
        let times = GoalTimes::new(&goal);
        let decisions = self.decisions.entry(slot.clone()).or_default();
        let came_us = |id: &str| self.nameless.get(&(slot.clone(), id.to_owned())).copied();
        let is_remembered = |id: &str| came_us(id).is_some_and(|came_us| at_us - came_us <= times.id_memory_us());
        let has = |plain: &PlainDecision, id: &str| plain.is_known(at_us, &goal) && plain.has_event(id);
        if is_remembered(&event.event_id) || decisions.iter().any(|plain| has(plain, &event.event_id)) {
            return "duplicate";
        }
        let forgotten =
            |plain: &PlainDecision| event.decision == Some(plain.decided.id) && !plain.is_known(at_us, &goal);
        if let Some(reversed) = &event.reverses {
            let Some(plain) = decisions.iter_mut().find(|plain| has(plain, reversed)) else {
                let late = is_remembered(reversed) || decisions.iter().any(forgotten);
                return if late { "late" } else { "unmatched" };
            };
            let had = plain.events.iter_mut().find(|had| had.event.event_id == *reversed).unwrap();
            if had.event.reverses.is_some() || had.reversed_us.is_some() {
                return "rejected";
            }
            had.reversed_us = Some(at_us);
            plain.events.push(PlainEvent { event, place: None, came_us: at_us, reversed_us: None });
            return "reversal";
        }
        let takes_back = goal.kinds.iter().any(|kind| kind.kind == event.kind && kind.weight < 0.0);
        let found = if let Some(id) = event.decision {
            decisions.iter().position(|plain| plain.decided.id == id)
        } else {
            let age_us = at_us - event.time_us;
            let in_time = age_us <= times.window_us + times.skew_us();
            if !(in_time || takes_back && age_us <= times.reversal_us) {
                return "late";
            }
            let joins = |plain: &PlainDecision| {
                if takes_back { plain.is_known(at_us, &goal) } else { plain.is_pending(at_us, times) }
            };
            latest_decision_of(decisions, &event, times.skew_us(), joins)
        };
        let Some(plain) = found.map(|at| &mut decisions[at]) else { return "unmatched" };
        if !plain.is_known(at_us, &goal) {
            return "late";
        }
        // An event that arrived within the window happened within it, even if its clock is ahead.
        let happened_in_window = event.time_us.min(at_us) - plain.at_us <= times.window_us;
        let counts_still = plain.is_pending(at_us, times) && happened_in_window;
        if !(counts_still || takes_back && at_us - plain.at_us <= times.reversal_us) {
            return "late";
        }
        let place = match &event.arm {
            None if plain.decided.chosen.len() == 1 => 0,
            None => return "rejected",
            Some(arm) => match plain.decided.chosen.iter().position(|chosen| chosen.arm == *arm) {
                Some(place) => place,
                None => return "unmatched",
            },
        };
        if event.value.is_none() && goal.kinds.iter().any(|kind| kind.kind == event.kind && kind.use_value) {
            return "rejected";
        }
        if event.decision.is_none() {
            self.nameless.insert((slot, event.event_id.clone()), at_us);
        }
        plain.events.push(PlainEvent { event, place: Some(place), came_us: at_us, reversed_us: None });
        "accepted"
    }

    /// Returns `true` if the decision could get no more reward when the journal ended.
    pub(crate) fn is_complete(&self, plain: &PlainDecision) -> bool {
        !plain.is_pending(self.last_us, GoalTimes::new(&self.goals[plain.decided.slot.as_str()]))
    }

    /// Returns the reward of one shown arm: the sum over kinds of weight times value, each within its cap.
    pub(crate) fn reward(&self, plain: &PlainDecision, place: usize) -> f64 {
        let goal = &self.goals[plain.decided.slot.as_str()];
        let of_kind = |kind: &slotwise::slot::RewardKind| -> f64 {
            let stands = |had: &&PlainEvent| had.place == Some(place) && had.reversed_us.is_none();
            let mine = plain.events.iter().filter(stands).filter(|had| had.event.kind == kind.kind);
            let amount = |event: &RewardEvent| kind.weight * if kind.use_value { event.value.unwrap() } else { 1.0 };
            let sum: f64 = mine.map(|had| amount(&had.event)).sum();
            kind.cap.map_or(sum, |cap| sum.max(-cap).min(cap))
        };
        goal.default_reward + goal.kinds.iter().map(of_kind).sum::<f64>()
    }
}

/// Returns the subject's latest decision among those that `joins` allows, as `feedback.proto` says. A decision made
/// before the event's time comes before one that only a slow clock explains. A decision of the subject's id comes
/// before one of its session; the session counts only if the event or the decision has no id.
fn latest_decision_of(
    decisions: &[PlainDecision],
    event: &RewardEvent,
    skew_us: i64,
    joins: impl Fn(&PlainDecision) -> bool,
) -> Option<usize> {
    let whose = &event.subject;
    let rank = |plain: &PlainDecision| {
        let theirs = &plain.decided.subject;
        let shows = plain.decided.chosen.iter().any(|chosen| Some(&chosen.arm) == event.arm.as_ref());
        let same_id = !whose.id.is_empty() && theirs.id == whose.id;
        let same_session = !whose.session_id.is_empty() && theirs.session_id == whose.session_id;
        let one_has_no_id = whose.id.is_empty() || theirs.id.is_empty();
        let by_whom = u8::from(same_id);
        let by_time = u8::from(plain.at_us <= event.time_us);
        let allowed = shows && (same_id || same_session && one_has_no_id) && plain.at_us <= event.time_us + skew_us;
        (allowed && joins(plain)).then_some((by_time, by_whom))
    };
    // The maximum takes the last of equals.
    let ranked = decisions.iter().enumerate().filter_map(|(at, plain)| Some((rank(plain)?, at)));
    ranked.max().map(|(_, at)| at)
}
