//! State that the writer's thread and the callers of a node share.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64},
    },
    time::Instant,
};

use dashmap::DashMap;
use tokio::sync::watch;

use super::{Clock, Observer, clock_doubt::ClockDoubt, queue::Queue};
use crate::{
    engine::{ItemTable, ProfileKey, ShopperProfile, SlotView},
    slot::SlotId,
};

/// State that the writer and the callers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(super) views: DashMap<SlotId, Arc<SlotView>>,
    /// Profiles as decisions read them. The writer keeps them equal to those of the state.
    pub(super) profiles: DashMap<ProfileKey, Arc<ShopperProfile>>,
    /// Item catalogue as decisions read it.
    pub(super) items: RwLock<Arc<ItemTable>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) failure: watch::Sender<Option<String>>,
    /// `true` while the disk is full.
    pub(super) full: watch::Sender<bool>,
    pub(super) stopped: AtomicBool,
    /// Decisions that were answered and are not in the journal, once the node has stopped.
    pub(super) unsaved: AtomicU64,
    pub(super) queue: Queue,
    pub(super) doubt: ClockDoubt,
    /// Number of subject ids that their table left out since the observer was last notified.
    pub(super) names_dropped: Arc<AtomicU64>,
}

/// Measures how long something takes; never becomes part of the state.
#[derive(Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    pub(super) fn seconds(&self) -> f64 {
        self.0.elapsed().as_secs_f64()
    }
}

impl Shared {
    #[expect(clippy::disallowed_methods, reason = "a duration for metrics, not a fact")]
    #[expect(clippy::unused_self, reason = "the clock is the node's business")]
    pub(super) fn stopwatch(&self) -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(super) fn fail(&self, why: &str) {
        if !self.failed() {
            tracing::error!(why, "the service writes nothing until it is restarted; restart it");
            self.failure.send_replace(Some(why.to_owned()));
        }
    }

    /// Item catalogue as published.
    pub(super) fn items(&self) -> Arc<ItemTable> {
        Arc::clone(&self.items.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes the item catalogue.
    pub(super) fn publish_items(&self, items: &ItemTable) {
        *self.items.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(items.clone());
        self.observer.items(items.len(), items.bytes());
    }

    pub(super) fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    /// Records that the disk is full, for the reason `why`, or with `None` that it has free space again. Logs each change.
    pub(super) fn report_full(&self, why: Option<&str>) {
        if why.is_some() == self.is_full() {
            return;
        }
        if let Some(why) = why {
            tracing::error!(why, "rewards and changes are refused until the disk has free space; free some");
        } else {
            tracing::info!("the disk has free space again; rewards and changes are accepted");
        }
        self.full.send_replace(why.is_some());
    }

    pub(super) fn failed(&self) -> bool {
        self.failure.borrow().is_some()
    }
}
