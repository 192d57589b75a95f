//! Traffic as it comes: decisions by client, and decisions whose floors had to be scaled down.
//!
//! The alerts name clients whose decisions get no events, and floors that leave nothing to learn with. No belief
//! follows from them.
//!
//! Invariant: the table holds [`WATCHED_CLIENTS_MAX`] clients at most. If it is full, a new client takes the place of
//! the one that asked for no decision for the longest time.

use serde::{Deserialize, Serialize};

use crate::engine::decision_record::DecisionRecord;

/// Greatest number of clients of a slot that are watched, as a shop has a handful of services that ask for decisions.
pub const WATCHED_CLIENTS_MAX: usize = 16;

/// Number of a client's decisions over which its rate of events is averaged, roughly.
const RATE_DECISIONS: f64 = 10_000.0;

/// Client that asked for decisions. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchedClient {
    /// Number of the client in its slot, from 1. A client that left the table gets another one when it comes back.
    number: u32,
    /// Name that the client authenticated as, or an empty text.
    pub name: String,
    /// Number of its decisions, with exponential decay.
    decisions: f64,
    /// Number of events that count for these decisions, with the same decay.
    events: f64,
    /// Number of its decisions since the last event that counts for one of them.
    pub decisions_since_event: u64,
    /// Time of that event, or of its first decision if there is none, microseconds since 1970.
    pub last_event_us: i64,
    /// Time of its last decision, microseconds since 1970.
    pub last_decision_us: i64,
}

/// Counts of decisions by their floors. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScaledFloors {
    /// Number of decisions that the policy drew.
    pub decisions: u64,
    /// Number of these whose floors came to more than 1.
    pub scaled: u64,
}

/// Traffic of a slot as it comes. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrafficWatch {
    /// Decisions of the present revision whose floors had to be scaled down.
    pub floors: ScaledFloors,
    clients: Vec<WatchedClient>,
    /// Number of clients that were ever added.
    clients_added: u32,
}

impl TrafficWatch {
    /// Clients in the order in which they were added.
    pub fn clients(&self) -> &[WatchedClient] {
        &self.clients
    }

    /// Returns the events per decision of all clients but one, or `None` if these have not made `least` decisions
    /// lately.
    pub fn rate_of_others(&self, client: &WatchedClient, least: f64) -> Option<f64> {
        let others = || self.clients.iter().filter(|other| other.number != client.number);
        let decisions: f64 = others().map(|other| other.decisions).sum();
        let events: f64 = others().map(|other| other.events).sum();
        (decisions >= least).then(|| events / decisions)
    }

    /// Counts a decision that showed something. Returns the number of its client.
    pub(in crate::engine) fn add(&mut self, at_us: i64, decided: &DecisionRecord) -> u32 {
        if !decided.holdout && decided.fallback.is_none() && decided.sticky.is_none() {
            self.floors.decisions += 1;
            self.floors.scaled += u64::from(decided.scaled_floors);
        }
        let client = self.client(at_us, &decided.client);
        let kept = 1.0 - 1.0 / RATE_DECISIONS;
        (client.decisions, client.events) = (kept * client.decisions + 1.0, kept * client.events);
        client.decisions_since_event += 1;
        client.last_decision_us = at_us;
        client.number
    }

    /// Counts an event that counts for a decision of the client with this number.
    pub(in crate::engine) fn note_event(&mut self, at_us: i64, client: u32) {
        // A client that made room for another one is not found.
        if let Some(client) = self.clients.iter_mut().find(|known| known.number == client) {
            client.events += 1.0;
            (client.decisions_since_event, client.last_event_us) = (0, at_us);
        }
    }

    /// Forgets the clients, because other events count from now on.
    pub(in crate::engine) fn restart_clients(&mut self) {
        self.clients.clear();
    }

    /// Returns the client of this name, adding it if necessary.
    fn client(&mut self, at_us: i64, name: &str) -> &mut WatchedClient {
        if let Some(known) = self.clients.iter().position(|client| client.name == name) {
            return &mut self.clients[known];
        }
        if self.clients.len() >= WATCHED_CLIENTS_MAX
            && let Some(oldest) = (0..self.clients.len()).min_by_key(|&at| self.clients[at].last_decision_us)
        {
            self.clients.remove(oldest);
        }
        self.clients_added = self.clients_added.wrapping_add(1).max(1);
        self.clients.push(WatchedClient {
            number: self.clients_added,
            name: name.to_owned(),
            decisions: 0.0,
            events: 0.0,
            decisions_since_event: 0,
            last_event_us: at_us,
            last_decision_us: at_us,
        });
        let last = self.clients.len() - 1;
        &mut self.clients[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::ids::DecisionId, slot::SlotId};

    fn decided(client: &str) -> DecisionRecord {
        let slot = SlotId::parse("slot_id", "offers").unwrap();
        DecisionRecord { client: client.into(), ..DecisionRecord::empty(slot, DecisionId::new(1, 0, 0)) }
    }

    #[test]
    fn the_client_that_was_silent_longest_makes_room() {
        let mut watch = TrafficWatch::default();
        for i in 0..40_u32 {
            watch.add(i64::from(i), &decided(&format!("c{i}")));
            watch.add(i64::from(i), &decided("shop"));
        }
        assert_eq!(watch.clients().len(), WATCHED_CLIENTS_MAX);
        assert!(watch.clients().iter().any(|client| client.name == "shop" && client.decisions_since_event == 40));
        assert!(watch.clients().iter().all(|client| client.name == "shop" || client.last_decision_us >= 25));
        let before = watch.clone();
        watch.note_event(50, 1);
        assert_eq!(watch, before, "the first client has left");
    }
}
