//! Logins: sessions that were seen without a subject's id, and the subjects that some of them turned out to be.
//!
//! A session without an id is drawn for the holdout by itself. Once it comes with an id, the subject is linked to it
//! and keeps the session's group, in later sessions too.
//!
//! Invariants:
//!
//! * A link is made once and never replaced. So the group of a subject changes at most once: if its id was drawn by
//!   itself before one of its sessions came without the id.
//! * Sessions and links follow from the decisions in their order alone.
//! * A session is remembered for [`SESSION_MEMORY_US`]. Sessions and links are bounded by a number each, and the oldest
//!   go first. A subject whose link was forgotten is drawn by its id again.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::{chunked_queue::ChunkedQueue, ids::Hash128, index::Index, pending::subject_keys, subject::Subject},
    slot::{
        Controls,
        limits::{LOGINS_MAX, LOGINS_TOTAL_MAX, SESSION_MEMORY_US},
    },
};

/// Largest number of sessions that one decision makes the memory forget. The next decision continues.
const AT_ONCE_MAX: usize = 64;

/// Session that was seen without an id. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct SeenSession {
    /// Time at which it was first seen so, microseconds since 1970.
    at_us: i64,
    /// Word of the session's key.
    session: u64,
}

/// Subject that a session without an id turned out to be. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct LoginLink {
    /// Word of the key of the subject's id.
    subject: u64,
    /// The session, by which the subject's groups are drawn.
    session: String,
}

/// Item that is found by a word.
trait KeyedItem: Clone + Default {
    fn word(&self) -> u64;
}

impl KeyedItem for SeenSession {
    fn word(&self) -> u64 {
        self.session
    }
}

impl KeyedItem for LoginLink {
    fn word(&self) -> u64 {
        self.subject
    }
}

/// Queue whose items are found by their words.
#[derive(Debug, Clone)]
struct KeyedQueue<T> {
    queue: ChunkedQueue<T>,
    index: Index,
}

impl<T> Default for KeyedQueue<T> {
    fn default() -> Self {
        Self { queue: ChunkedQueue::default(), index: Index::default() }
    }
}

/// The index is not compared: it follows from the queue.
impl<T: PartialEq> PartialEq for KeyedQueue<T> {
    fn eq(&self, other: &Self) -> bool {
        self.queue == other.queue
    }
}

impl<T: KeyedItem> KeyedQueue<T> {
    fn find(&self, word: u64) -> Option<&T> {
        let is_item = |ordinal| self.queue.get(ordinal).is_some_and(|item: &T| item.word() == word);
        self.queue.get(self.index.find(word, self.queue.first(), is_item)?)
    }

    fn oldest(&self) -> Option<&T> {
        self.queue.get(self.queue.first())
    }

    fn push(&mut self, item: T) {
        self.index.insert(item.word(), self.queue.next());
        self.queue.push(item);
    }

    /// Empties the place of an item. It stays in the queue until its time comes.
    fn take(&mut self, word: u64) {
        let is_item = |ordinal| self.queue.get(ordinal).is_some_and(|item: &T| item.word() == word);
        if let Some(ordinal) = self.index.find(word, self.queue.first(), is_item) {
            self.index.remove(word, ordinal);
            if let Some(item) = self.queue.get_mut(ordinal) {
                *item = T::default();
            }
        }
    }

    fn drop_oldest(&mut self) {
        let ordinal = self.queue.first();
        if let Some(item) = self.queue.pop() {
            self.index.remove(item.word(), ordinal);
        }
    }

    fn without_index(&self) -> Self {
        Self { queue: self.queue.clone(), index: Index::default() }
    }
}

/// Writes the ordinal of the oldest item, and the items.
impl<T: KeyedItem + Serialize> Serialize for KeyedQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.queue.first(), self.queue.iter().collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de, T: KeyedItem + Deserialize<'de>> Deserialize<'de> for KeyedQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, items) = <(u64, Vec<T>)>::deserialize(deserializer)?;
        let mut all = Self { queue: ChunkedQueue::starting_at(first), index: Index::default() };
        for item in items {
            all.push(item);
        }
        Ok(all)
    }
}

/// Numbers of items that made room for newer ones before their time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForgottenLogins {
    /// Sessions.
    pub sessions: u64,
    /// Links.
    pub links: u64,
}

/// Sessions that were seen without an id, and links from subjects to such sessions. *Persisted* without the indices.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LoginTable {
    sessions: KeyedQueue<SeenSession>,
    links: KeyedQueue<LoginLink>,
}

fn id_word(subject: &Subject) -> Option<u64> {
    let id = Subject { id: subject.id.clone(), session_id: String::new() };
    subject_keys(&id).next().map(Hash128::word)
}

fn session_word(subject: &Subject) -> Option<u64> {
    let session = Subject { id: String::new(), session_id: subject.session_id.clone() };
    subject_keys(&session).next().map(Hash128::word)
}

impl LoginTable {
    /// Returns `true` if a slot with these controls draws groups, so that its logins must be remembered.
    pub fn is_needed(controls: &Controls) -> bool {
        controls.control_share() > 0.0 || controls.analysis() > 0.0
    }

    /// Returns the largest number of sessions, and of links, that one of `slots` slots remembers.
    pub fn most(slots: u64) -> usize {
        usize::try_from(LOGINS_TOTAL_MAX / slots.max(1)).unwrap_or(LOGINS_MAX).min(LOGINS_MAX)
    }

    /// Returns `true` if nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.sessions() == 0 && self.links() == 0
    }

    /// Number of remembered sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.queue.len()
    }

    /// Number of links.
    pub fn links(&self) -> usize {
        self.links.queue.len()
    }

    /// Returns the session by which the subject's groups are drawn. Returns `None` for a subject that is drawn by
    /// itself.
    pub fn session_of<'a>(&'a self, subject: &'a Subject) -> Option<&'a str> {
        if let Some(link) = self.links.find(id_word(subject)?) {
            return Some(&link.session);
        }
        self.sessions.find(session_word(subject)?).map(|_| subject.session_id.as_str())
    }

    /// Takes in a decision for the subject at `at_us`: remembers a session without an id, and links a subject to a
    /// session that was seen without one. At most `most` sessions and as many links are kept.
    pub fn add(&mut self, at_us: i64, subject: &Subject, most: usize) -> ForgottenLogins {
        let mut forgotten = ForgottenLogins::default();
        let Some(session) = session_word(subject) else { return forgotten };
        forgotten.sessions = self.forget_old(at_us, most);
        let seen = self.sessions.find(session).is_some();
        match id_word(subject) {
            None if !seen => self.sessions.push(SeenSession { at_us, session }),
            Some(id) if seen && self.links.find(id).is_none() => {
                self.links.push(LoginLink { subject: id, session: subject.session_id.clone() });
            }
            None | Some(_) => {}
        }
        while self.links() > most {
            self.links.drop_oldest();
            forgotten.links += 1;
        }
        forgotten
    }

    /// Takes in what another slot of the same experiment remembers.
    pub fn merge(&mut self, other: &Self) {
        for session in other.sessions.queue.iter() {
            if self.sessions.find(session.session).is_none() {
                self.sessions.push(*session);
            }
        }
        for link in other.links.queue.iter() {
            if self.links.find(link.subject).is_none() {
                self.links.push(link.clone());
            }
        }
    }

    /// Forgets a subject and its session.
    pub(in crate::engine) fn forget_subject(&mut self, subject: &Subject) {
        if let Some(id) = id_word(subject) {
            self.links.take(id);
        }
        if let Some(session) = session_word(subject) {
            self.sessions.take(session);
        }
    }

    /// Forgets sessions that are too old, and makes room for one more. Returns how many were forgotten early.
    fn forget_old(&mut self, at_us: i64, most: usize) -> u64 {
        let mut early = 0;
        for _ in 0..AT_ONCE_MAX {
            let Some(oldest) = self.sessions.oldest() else { break };
            let in_time = oldest.at_us > at_us.saturating_sub(SESSION_MEMORY_US);
            if in_time && self.sessions() < most {
                break;
            }
            early += u64::from(in_time);
            self.sessions.drop_oldest();
        }
        early
    }

    /// Returns a copy without the indices, for a snapshot.
    pub(in crate::engine) fn without_index(&self) -> Self {
        Self { sessions: self.sessions.without_index(), links: self.links.without_index() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

    use super::*;

    fn subject(id: &str, session_id: &str) -> Subject {
        Subject { id: id.into(), session_id: session_id.into() }
    }

    /// The table is compared with a plain list and a plain map over random decisions.
    #[test]
    fn a_subject_keeps_the_first_session_that_came_without_its_id() {
        let mut rng = StdRng::seed_from_u64(5);
        let (mut table, mut at_us) = (LoginTable::default(), 0);
        let (mut seen, mut links) = (VecDeque::<(i64, String)>::new(), BTreeMap::<String, String>::new());
        let mut kept = 0;
        for _ in 0..20_000 {
            at_us += rng.random_range(0..SESSION_MEMORY_US / 50);
            let id = ["", "", "ann", "bob", "eve"][rng.random_range(0..5)];
            let session = if rng.random_bool(0.1) { String::new() } else { format!("s{}", rng.random_range(0..200)) };
            let subject = subject(id, &session);
            let is_seen = seen.iter().any(|(_, other)| *other == session);
            let want =
                (!id.is_empty()).then(|| links.get(id).cloned().or_else(|| is_seen.then(|| session.clone()))).flatten();
            assert_eq!(table.session_of(&subject), want.as_deref());
            kept += u32::from(want.is_some_and(|want| want != session));
            table.add(at_us, &subject, 1_000);
            if session.is_empty() {
                continue;
            }
            seen.retain(|(seen_us, _)| *seen_us > at_us - SESSION_MEMORY_US);
            let is_seen = seen.iter().any(|(_, other)| *other == session);
            if id.is_empty() && !is_seen {
                seen.push_back((at_us, session));
            } else if !id.is_empty() && is_seen {
                links.entry(id.to_owned()).or_insert(session);
            }
        }
        assert!(kept > 5_000 && table.links() == 3, "{kept} {}", table.links());
    }

    #[test]
    fn the_oldest_sessions_and_links_make_room() {
        let mut table = LoginTable::default();
        let mut forgotten = ForgottenLogins::default();
        for i in 0..40_i64 {
            for subject in [subject("", &format!("s{i}")), subject(&format!("a{i}"), &format!("s{i}"))] {
                let more = table.add(i, &subject, 10);
                forgotten.sessions += more.sessions;
                forgotten.links += more.links;
            }
        }
        assert!(table.sessions() <= 10 && table.links() == 10);
        assert!(forgotten.sessions >= 30 && forgotten.links == 30, "{forgotten:?}");
        assert_eq!(table.session_of(&subject("a39", "")), Some("s39"));
        assert_eq!(table.session_of(&subject("a0", "s0")), None, "drawn by its id again");
        assert_eq!((LoginTable::most(0), LoginTable::most(40)), (LOGINS_MAX, 10_000));
    }

    #[test]
    fn tables_of_one_experiment_are_joined() {
        let (mut one, mut other) = (LoginTable::default(), LoginTable::default());
        one.add(1, &subject("", "s1"), 10);
        other.add(2, &subject("", "s2"), 10);
        other.add(3, &subject("ann", "s2"), 10);
        one.merge(&other);
        assert_eq!(one.session_of(&subject("ann", "s9")), Some("s2"));
        assert_eq!(one.session_of(&subject("bob", "s1")), Some("s1"));
        let bytes = rmp_serde::to_vec_named(&one).unwrap();
        let again: LoginTable = rmp_serde::from_slice(&bytes).unwrap();
        assert!(again == one && again.session_of(&subject("ann", "")) == Some("s2"));
    }
}
