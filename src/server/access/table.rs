//! Keys in memory, as they were last read.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::access::{AccessKey, AccessKeyStatus, Caller, KeyFileError, KeyFileMark, KeyStore, Presented};

/// Key with what the process knows of it.
#[derive(Debug)]
pub(super) struct ActiveKey {
    pub(super) key: AccessKey,
    pub(super) caller: Arc<Caller>,
    /// Time of the last call, microseconds since 1970, or 0 without one since the key was read.
    last_use_us: AtomicI64,
    /// Calls per second, and the limiter that counts them.
    quota: Option<(u32, DefaultDirectRateLimiter)>,
}

/// Keys of the data folder.
#[derive(Debug, Default)]
pub(super) struct KeyTable {
    keys: HashMap<String, Arc<ActiveKey>>,
    mark: Option<KeyFileMark>,
    /// Keys are asked for, because there is or was one.
    required: bool,
}

impl ActiveKey {
    fn new(key: AccessKey) -> Self {
        let limiter = |calls: u32| NonZeroU32::new(calls).map(|n| (calls, RateLimiter::direct(Quota::per_second(n))));
        let quota = key.calls_per_second.and_then(limiter);
        Self { caller: Arc::new(key.caller()), last_use_us: AtomicI64::new(0), quota, key }
    }

    /// Notes a call at this time.
    pub(super) fn note_use(&self, now_us: i64) {
        self.last_use_us.store(now_us, Ordering::Relaxed);
    }

    /// Takes a call from the key's quota, or returns its calls per second and the time after which there is room.
    pub(super) fn take_call(&self) -> Result<(), (u32, Duration)> {
        let Some((calls, limiter)) = &self.quota else { return Ok(()) };
        limiter.check().map_err(|full| (*calls, full.wait_time_from(limiter.clock().now())))
    }
}

impl KeyTable {
    /// Reads the keys. A key that is as it was in the table `before` keeps its quota and its open streams.
    pub(super) fn read(store: &KeyStore, before: Option<&Self>, now_us: i64) -> Result<Self, KeyFileError> {
        // The mark is read first: a change that comes between the two is found at the next look.
        let mark = store.mark()?;
        let stored = store.read()?;
        let was_required = before.is_some_and(|before| before.required);
        let required = was_required || stored.is_some() || store.had_keys();
        let mut keys = HashMap::new();
        for key in stored.unwrap_or_default() {
            let known = before.and_then(|before| before.keys.get(&key.id)).filter(|known| known.key == key);
            let active = known.map_or_else(|| Arc::new(ActiveKey::new(key.clone())), Arc::clone);
            keys.insert(key.id, active);
        }
        for (id, old) in before.iter().flat_map(|before| &before.keys) {
            if keys.get(id).is_none_or(|now| !Arc::ptr_eq(now, old)) {
                old.caller.revoke();
            }
        }
        let table = Self { keys, mark, required };
        table.end_expired(now_us);
        Ok(table)
    }

    pub(super) fn mark(&self) -> Option<KeyFileMark> {
        self.mark
    }

    pub(super) fn is_required(&self) -> bool {
        self.required
    }

    /// Number of keys that are taken.
    pub(super) fn active(&self, now_us: i64) -> usize {
        self.keys.values().filter(|active| active.key.status(now_us) == AccessKeyStatus::Active).count()
    }

    /// Times of the last calls of the keys that were used, by the key's id.
    pub(super) fn last_uses(&self) -> HashMap<String, i64> {
        let uses = self.keys.iter().map(|(id, active)| (id.clone(), active.last_use_us.load(Ordering::Relaxed)));
        uses.filter(|(_, at_us)| *at_us > 0).collect()
    }

    pub(super) fn knows_origin(&self, origin: &str) -> bool {
        self.keys.values().any(|active| active.key.origins.iter().any(|known| known == origin))
    }

    pub(super) fn find(&self, presented: Presented<'_>) -> Option<&ActiveKey> {
        self.keys.get(presented.id).map(AsRef::as_ref).filter(|active| active.key.is(presented))
    }

    /// Ends the streams of keys that are no longer taken.
    pub(super) fn end_expired(&self, now_us: i64) {
        for active in self.keys.values().filter(|active| active.key.status(now_us) != AccessKeyStatus::Active) {
            active.caller.revoke();
        }
    }
}
