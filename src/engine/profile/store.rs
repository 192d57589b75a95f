//! Store of all profiles: which of them exist, and which make way for others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use smallvec::SmallVec;

use super::record::{Seconds, ShopperProfile, seconds};
use crate::{
    engine::{ids::hash, shopper_event::ShopperEvent, subject::Subject},
    slot::limits::PROFILES_MAX,
};

/// Parts of the store. A snapshot shares the parts, and the writer then copies the few that change.
const PARTS: usize = 4_096;
/// Fraction of all profiles, as one of this many, that customers who bought leave to everybody else.
const OTHERS_PART: usize = 4;
/// Largest number of profiles that one event makes the store drop because their time is over. The next event continues.
const OVER_MAX: usize = 64;

/// Key of a profile.
pub type ProfileKey = u64;

/// Profiles by key.
type Part = BTreeMap<ProfileKey, Arc<ShopperProfile>>;

/// Group of profiles that compete for room, the least recent of which goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Sessions,
    Visitors,
    Buyers,
}

impl Group {
    fn of(profile: &ShopperProfile) -> Self {
        match (profile.session, profile.is_buyer()) {
            (true, _) => Self::Sessions,
            (false, false) => Self::Visitors,
            (false, true) => Self::Buyers,
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Sessions => 0,
            Self::Visitors => 1,
            Self::Buyers => 2,
        }
    }
}

/// Numbers of the profiles that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProfileCounts {
    /// Profiles of sessions.
    pub sessions: u64,
    /// Profiles of customers who bought nothing yet.
    pub visitors: u64,
    /// Profiles of customers who bought something.
    pub buyers: u64,
    /// Memory of all profiles, bytes.
    pub bytes: u64,
}

/// Effect of an event on the profiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProfileChange {
    /// `true` if the event is in a profile now.
    pub updated: bool,
    /// `true` if the event dropped a profile, because consent was withdrawn.
    pub dropped: bool,
    /// Keys of the profiles that changed, appeared or went, those of other shoppers included.
    pub keys: SmallVec<[ProfileKey; 2]>,
}

/// Profiles of sessions and customers. *Persisted* in sections of their own.
#[derive(Debug, Clone)]
pub struct ProfileStore {
    parts: Vec<Arc<Part>>,
    /// Time of the latest event and key of each profile, by group.
    order: [BTreeSet<(Seconds, ProfileKey)>; 3],
    bytes: u64,
    most: usize,
}

impl Default for ProfileStore {
    fn default() -> Self {
        Self::with_room_for(PROFILES_MAX)
    }
}

impl PartialEq for ProfileStore {
    /// The order follows from the profiles.
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

fn part_of(key: ProfileKey) -> usize {
    usize::try_from(key % PARTS as u64).unwrap_or(0)
}

/// Memory of a profile with its entries in the store, in the order and among the published profiles, bytes.
fn cost(profile: &ShopperProfile) -> u64 {
    const ENTRIES: usize = 16 + 24 + 24 + 32;
    (profile.bytes() + ENTRIES) as u64
}

impl ProfileStore {
    /// Creates an empty store for at most this many profiles.
    pub fn with_room_for(most: usize) -> Self {
        let empty: Arc<Part> = Arc::default();
        Self { parts: vec![empty; PARTS], order: [const { BTreeSet::new() }; 3], bytes: 0, most }
    }

    /// Key of the subject's session, or `None` if it has none.
    pub fn session_key(subject: &Subject, simulated: bool) -> Option<ProfileKey> {
        let purpose = if simulated { "simulated session profile" } else { "session profile" };
        let id = &subject.session_id;
        (!id.is_empty()).then(|| hash(purpose, &[id.as_bytes()]).word())
    }

    /// Key of the subject as a customer, or `None` without a subject id.
    pub fn customer_key(subject: &Subject, simulated: bool) -> Option<ProfileKey> {
        let purpose = if simulated { "simulated customer profile" } else { "customer profile" };
        (!subject.id.is_empty()).then(|| hash(purpose, &[subject.id.as_bytes()]).word())
    }

    /// Returns the profile with this key.
    pub fn get(&self, key: ProfileKey) -> Option<&Arc<ShopperProfile>> {
        self.parts.get(part_of(key))?.get(&key)
    }

    /// All profiles with their keys, part by part.
    pub fn iter(&self) -> impl Iterator<Item = (ProfileKey, &Arc<ShopperProfile>)> {
        self.parts.iter().flat_map(|part| part.iter().map(|(key, profile)| (*key, profile)))
    }

    /// Numbers of the profiles.
    pub fn counts(&self) -> ProfileCounts {
        let count = |group: Group| self.order[group.index()].len() as u64;
        ProfileCounts {
            sessions: count(Group::Sessions),
            visitors: count(Group::Visitors),
            buyers: count(Group::Buyers),
            bytes: self.bytes,
        }
    }

    /// Number of profiles.
    pub fn len(&self) -> usize {
        self.order.iter().map(BTreeSet::len).sum()
    }

    /// Returns `true` if there is no profile.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts a profile in its place.
    pub(in crate::engine) fn put(&mut self, key: ProfileKey, profile: Arc<ShopperProfile>) {
        self.remove(key);
        self.bytes += cost(&profile);
        self.order[Group::of(&profile).index()].insert((profile.last_s(), key));
        if let Some(part) = self.parts.get_mut(part_of(key)) {
            Arc::make_mut(part).insert(key, profile);
        }
    }

    fn remove(&mut self, key: ProfileKey) -> Option<Arc<ShopperProfile>> {
        self.get(key)?;
        let profile = Arc::make_mut(self.parts.get_mut(part_of(key))?).remove(&key)?;
        self.bytes -= cost(&profile);
        self.order[Group::of(&profile).index()].remove(&(profile.last_s(), key));
        Some(profile)
    }

    /// Keys of all profiles that a subject may have.
    pub fn keys_of(subject: &Subject) -> impl Iterator<Item = ProfileKey> {
        let keys = [false, true]
            .map(|simulated| [Self::session_key(subject, simulated), Self::customer_key(subject, simulated)]);
        keys.into_iter().flatten().flatten()
    }

    /// Drops the profiles of a subject.
    pub(in crate::engine) fn forget_subject(&mut self, subject: &Subject) {
        for key in Self::keys_of(subject) {
            self.remove(key);
        }
    }

    /// Takes in a shopper event that came at `at_us`.
    pub(in crate::engine) fn apply(&mut self, at_us: i64, event: &ShopperEvent) -> ProfileChange {
        let now_s = seconds(at_us);
        let mut change = ProfileChange::default();
        self.drop_those_over(now_s, &mut change);
        let keys = |subject: &Subject| {
            (Self::session_key(subject, event.simulated), Self::customer_key(subject, event.simulated))
        };
        let (session, customer) = keys(&event.withdrawn);
        for key in [session, customer].into_iter().flatten() {
            if self.remove(key).is_some() {
                change.dropped = true;
                change.keys.push(key);
            }
        }
        let (session, customer) = keys(&event.subject);
        let mut before_login = None;
        if let Some(key) = session {
            before_login = self.add_to_session(key, customer, now_s, event);
            change.keys.push(key);
        }
        if let Some(key) = customer {
            self.add_to_customer(key, before_login.as_deref(), now_s, event);
            change.keys.push(key);
        }
        change.updated = session.is_some() || customer.is_some();
        self.make_room(&mut change);
        change
    }

    /// Adds an event to a session. If the session logs in by it, returns the session as it was before.
    fn add_to_session(
        &mut self,
        key: ProfileKey,
        customer: Option<ProfileKey>,
        now_s: Seconds,
        event: &ShopperEvent,
    ) -> Option<Arc<ShopperProfile>> {
        let at_s = seconds(event.time_us).min(now_s);
        let known = self.get(key).filter(|profile| !profile.is_over(at_s)).cloned();
        // Another customer on the same device begins a session of its own.
        let known = known.filter(|profile| profile.customer == 0 || customer.is_none_or(|c| c == profile.customer));
        let login = known.as_ref().filter(|profile| profile.customer == 0 && customer.is_some()).cloned();
        let mut profile = known.unwrap_or_else(|| Arc::new(ShopperProfile::new(true, at_s)));
        let changed = Arc::make_mut(&mut profile);
        changed.add(now_s, event);
        changed.customer = customer.unwrap_or(changed.customer);
        self.put(key, profile);
        login
    }

    fn add_to_customer(
        &mut self,
        key: ProfileKey,
        before_login: Option<&ShopperProfile>,
        now_s: Seconds,
        event: &ShopperEvent,
    ) {
        let at_s = seconds(event.time_us).min(now_s);
        let known = self.get(key).filter(|profile| !profile.is_over(at_s)).cloned();
        let mut profile = known.unwrap_or_else(|| Arc::new(ShopperProfile::new(false, at_s)));
        let changed = Arc::make_mut(&mut profile);
        if let Some(session) = before_login {
            changed.take_in(session);
        }
        changed.add(now_s, event);
        self.put(key, profile);
    }

    /// Drops profiles whose time is over.
    fn drop_those_over(&mut self, now_s: Seconds, change: &mut ProfileChange) {
        for group in [Group::Sessions, Group::Visitors, Group::Buyers] {
            for _ in 0..OVER_MAX {
                let Some(&(_, key)) = self.order[group.index()].first() else { break };
                if !self.get(key).is_some_and(|profile| profile.is_over(now_s)) {
                    break;
                }
                self.remove(key);
                change.keys.push(key);
            }
        }
    }

    /// Drops the least recent profiles beyond the limit. Sessions and visitors never drive out customers who bought, unless
    /// those alone take more than their part.
    fn make_room(&mut self, change: &mut ProfileChange) {
        while self.len() > self.most {
            let oldest = |group: Group| self.order[group.index()].first().copied();
            let others = self.order[0].len() + self.order[1].len();
            let least_recent = [oldest(Group::Sessions), oldest(Group::Visitors)].into_iter().flatten().min();
            let gone = if others > self.most / OTHERS_PART { least_recent } else { oldest(Group::Buyers) };
            let Some((_, key)) = gone.or(least_recent) else { return };
            self.remove(key);
            change.keys.push(key);
        }
    }

    /// Parts of the store, for a snapshot.
    pub(in crate::engine) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().map(AsRef::as_ref).filter(|part| !part.is_empty())
    }

    /// Returns a copy that shares every profile, for a snapshot. Events cannot be applied to it.
    pub(in crate::engine) fn without_order(&self) -> Self {
        Self { parts: self.parts.clone(), order: [const { BTreeSet::new() }; 3], bytes: self.bytes, most: self.most }
    }
}
