//! Decisions and what came of them, from a journal's raw records with plain maps: no engine, no queue, no index.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use slotwise::{
    engine::{Body, Decided, Rewarded},
    node::decode_event,
    slot::Goal,
};

/// A decision, and what the records say of it.
pub(crate) struct Plain {
    pub(crate) at_us: i64,
    pub(crate) decided: Arc<Decided>,
    /// Accepted, in order: the event, the place it is about, and whether it was taken back.
    pub(crate) events: Vec<(Rewarded, Option<usize>, bool)>,
}

/// The join, from the records and the definition of each service's contract: no engine, no queue, no index.
#[derive(Default)]
pub(crate) struct PlainJoin {
    pub(crate) goals: BTreeMap<String, Goal>,
    pub(crate) decisions: BTreeMap<String, Vec<Plain>>,
    pub(crate) last_us: i64,
    /// What events came to, for counting that all of it happened.
    pub(crate) outcomes: BTreeMap<&'static str, u32>,
}

impl PlainJoin {
    pub(crate) fn of(data: &Path) -> Self {
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
                    let plain = Plain { at_us: event.at_us, decided, events: Vec::new() };
                    join.decisions.entry(plain.decided.slot.to_string()).or_default().push(plain);
                }
                Body::Rewarded(rewarded) => {
                    let outcome = join.reward(event.at_us, *rewarded);
                    *join.outcomes.entry(outcome).or_default() += 1;
                }
                _ => {}
            }
        }
        join
    }

    fn reward(&mut self, at_us: i64, event: Rewarded) -> &'static str {
        let goal = &self.goals[event.slot.as_str()];
        let decisions = self.decisions.entry(event.slot.to_string()).or_default();
        let open = |plain: &Plain| at_us - plain.at_us <= goal.window_us;
        let is = |known: &Rewarded, id: &str| known.event_id == id;
        if decisions
            .iter()
            .any(|plain| open(plain) && plain.events.iter().any(|(known, ..)| is(known, &event.event_id)))
        {
            return "duplicate";
        }
        if let Some(reversed) = event.reverses.clone() {
            for plain in decisions.iter_mut().filter(|plain| open(plain)) {
                let Some(at) = plain.events.iter().position(|(known, ..)| is(known, &reversed)) else { continue };
                let (known, _, taken_back) = &mut plain.events[at];
                if *taken_back || known.reverses.is_some() {
                    return "rejected";
                }
                *taken_back = true;
                plain.events.push((event, None, false));
                return "reversal";
            }
            return "unmatched";
        }
        let shows =
            |plain: &Plain| event.arm.as_ref().is_some_and(|arm| plain.decided.chosen.iter().any(|c| c.arm == *arm));
        let both = |a: &str, b: &str| !a.is_empty() && a == b;
        let found = match event.decision {
            Some(id) => decisions.iter_mut().find(|plain| plain.decided.id == id),
            None => decisions.iter_mut().rev().find(|plain| {
                let (theirs, whose) = (&plain.decided.subject, &event.subject);
                open(plain)
                    && shows(plain)
                    && (both(&theirs.id, &whose.id) || both(&theirs.session_id, &whose.session_id))
            }),
        };
        let Some(plain) = found else { return "unmatched" };
        if !open(plain) || event.time_us - plain.at_us > goal.window_us {
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
        plain.events.push((event, Some(place), false));
        "accepted"
    }

    /// What a shown arm's events are worth: of each kind weight times value, as much as its cap.
    pub(crate) fn worth(&self, plain: &Plain, place: usize) -> f64 {
        let goal = &self.goals[plain.decided.slot.as_str()];
        let of_kind = |kind: &slotwise::slot::RewardKind| -> f64 {
            let mine =
                plain.events.iter().filter(|(event, at, back)| *at == Some(place) && !back && event.kind == kind.kind);
            let amount = |event: &Rewarded| kind.weight * if kind.use_value { event.value.unwrap() } else { 1.0 };
            let sum: f64 = mine.map(|(event, ..)| amount(event)).sum();
            kind.cap.map_or(sum, |cap| sum.max(-cap).min(cap))
        };
        goal.default_reward + goal.kinds.iter().map(of_kind).sum::<f64>()
    }
}
