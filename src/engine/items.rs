//! Item catalogue: the items that all slots share.
//!
//! An item is held in the form of an arm: id, attributes, payload and availability. Slots join it to their arms of the
//! same id, see [`ItemTable::join`], or take it for an arm, see [`ItemFilter`].
//!
//! Items stand in the order of their ids, in chunks that copies of the table share. A copy is cheap, and a change copies
//! the chunks that it touches.
//!
//! Invariant: equal sequences of changes give equal tables. The division into chunks is no part of that.

use std::{collections::BTreeSet, sync::Arc};

use crate::slot::{Arm, ArmId, ChangeReason, ItemFilter, limits::FEATURES_MAX};

/// Items of a chunk. With more a change would copy more, and with fewer a copy of the table would.
const CHUNK_MAX: usize = 512;

/// Operation on one item.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemOperation {
    /// Add the item, or replace the one with its id.
    Upsert(Arc<Arm>),
    /// Remove the item.
    Remove(ArmId),
    /// Set whether slots may show the item.
    SetAvailable(ArmId, bool),
}

impl ItemOperation {
    /// Id of the item.
    pub fn item(&self) -> &ArmId {
        match self {
            Self::Upsert(item) => &item.id,
            Self::Remove(item) | Self::SetAvailable(item, _) => item,
        }
    }
}

/// Change of the item catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct ItemChanges {
    /// Operations in their order.
    pub operations: Vec<ItemOperation>,
    /// Author and reason.
    pub why: ChangeReason,
}

/// Item that a change names.
#[derive(Debug, Clone)]
pub(super) struct ChangedItem {
    /// Id of the item.
    pub(super) id: ArmId,
    /// The item after the change, or `None` if it was removed.
    pub(super) item: Option<Arc<Arm>>,
    /// `true` if the item was there before with the same attributes, so that every filter says of it what it said before.
    pub(super) is_described_as_before: bool,
}

/// Chunk of items in the order of their ids.
type Chunk = Arc<Vec<Arc<Arm>>>;

/// Items by id. *Persisted* in sections of their own.
#[derive(Debug, Clone, Default)]
pub struct ItemTable {
    /// Chunks in the order of the ids. None is empty.
    chunks: Vec<Chunk>,
    len: usize,
    bytes: u64,
}

impl PartialEq for ItemTable {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl ItemTable {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if there is no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Size of all items, bytes, as [`Arm::bytes`] counts it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Items by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Arm>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Items whose ids come after this one, by id.
    pub fn after(&self, id: &str) -> impl Iterator<Item = &Arc<Arm>> {
        let chunks = self.chunks.get(self.chunk_of(id)..).unwrap_or_default();
        chunks.iter().flat_map(|chunk| chunk.iter()).skip_while(move |item| item.id.as_str() <= id)
    }

    /// Returns the item of this id, or `None` if there is none.
    pub fn get(&self, id: &str) -> Option<&Arc<Arm>> {
        let chunk = self.chunks.get(self.chunk_of(id))?;
        chunk.get(place_in(chunk, id).ok()?)
    }

    /// Index of the chunk that an item of this id stands in, or would stand in.
    fn chunk_of(&self, id: &str) -> usize {
        let begins_before = |chunk: &Chunk| chunk.first().is_some_and(|first| first.id.as_str() <= id);
        self.chunks.partition_point(begins_before).saturating_sub(1)
    }

    /// Items that a filter takes, by id.
    pub(super) fn taken_by<'a>(&'a self, filter: &'a ItemFilter) -> impl Iterator<Item = Arc<Arm>> + 'a {
        self.iter().filter(|item| filter.matches(item)).map(Arc::clone)
    }

    /// Applies operations in their order. Returns the items that they name, by id.
    pub(super) fn change(&mut self, operations: &[ItemOperation]) -> Vec<ChangedItem> {
        let ids: BTreeSet<&ArmId> = operations.iter().map(ItemOperation::item).collect();
        let before: Vec<Option<Arc<Arm>>> = ids.iter().map(|id| self.get(id.as_str()).cloned()).collect();
        for operation in operations {
            self.apply(operation);
        }
        let changed = |(id, before): (&ArmId, Option<Arc<Arm>>)| {
            let item = self.get(id.as_str()).cloned();
            let same = |(before, item): (&Arc<Arm>, &Arc<Arm>)| before.attributes == item.attributes;
            let is_described_as_before = before.as_ref().zip(item.as_ref()).is_some_and(same);
            ChangedItem { id: id.clone(), item, is_described_as_before }
        };
        ids.into_iter().zip(before).map(changed).collect()
    }

    /// Applies an operation. One about an item that is not there changes nothing.
    fn apply(&mut self, operation: &ItemOperation) {
        match operation {
            ItemOperation::Upsert(item) => self.put(Arc::clone(item)),
            ItemOperation::Remove(item) => self.remove(item.as_str()),
            ItemOperation::SetAvailable(item, available) => {
                if let Some(now) = self.get(item.as_str()).filter(|now| now.available != *available) {
                    self.put(Arc::new(Arm { available: *available, ..(**now).clone() }));
                }
            }
        }
    }

    /// Adds an item, or replaces the one with its id.
    pub(super) fn put(&mut self, item: Arc<Arm>) {
        if self.chunks.is_empty() {
            self.chunks.push(Chunk::default());
        }
        let at = self.chunk_of(item.id.as_str());
        let Some(chunk) = self.chunks.get_mut(at).map(Arc::make_mut) else { return };
        self.bytes += item.bytes() as u64;
        match place_in(chunk, item.id.as_str()) {
            Ok(place) => {
                self.bytes -= chunk[place].bytes() as u64;
                chunk[place] = item;
            }
            Err(place) => {
                chunk.insert(place, item);
                self.len += 1;
            }
        }
        if chunk.len() > CHUNK_MAX {
            let upper = chunk.split_off(CHUNK_MAX / 2);
            self.chunks.insert(at + 1, Arc::new(upper));
        }
    }

    fn remove(&mut self, id: &str) {
        let at = self.chunk_of(id);
        let Some(chunk) = self.chunks.get_mut(at) else { return };
        let Ok(place) = place_in(chunk, id) else { return };
        let chunk = Arc::make_mut(chunk);
        self.bytes -= chunk.remove(place).bytes() as u64;
        self.len -= 1;
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
    }

    /// Returns the arm with what its item says where the arm says nothing, or `None` if the catalogue changes nothing of
    /// it. An item that is not available makes its arm unavailable.
    pub fn join(&self, arm: &Arm) -> Option<Arm> {
        let item = self.get(arm.id.as_str())?;
        let mut joined = arm.clone();
        for (name, value) in &item.attributes {
            if joined.attributes.len() < FEATURES_MAX && !joined.attributes.contains_key(name) {
                joined.attributes.insert(name.clone(), value.clone());
            }
        }
        if joined.payload.is_none() {
            joined.payload.clone_from(&item.payload);
        }
        joined.available &= item.available;
        (joined != *arm).then_some(joined)
    }

    /// Returns the arms, each joined with its item, or `None` if the catalogue changes none of them.
    pub(super) fn join_all(&self, arms: &[Arc<Arm>]) -> Option<Arc<[Arc<Arm>]>> {
        if self.is_empty() {
            return None;
        }
        let mut is_changed = false;
        let joined = arms.iter().map(|arm| match self.join(arm) {
            Some(joined) => {
                is_changed = true;
                Arc::new(joined)
            }
            None => Arc::clone(arm),
        });
        let joined: Arc<[Arc<Arm>]> = joined.collect();
        is_changed.then_some(joined)
    }
}

/// Returns the place of an item in a chunk, or as the error the place where it would stand.
fn place_in(chunk: &[Arc<Arm>], id: &str) -> Result<usize, usize> {
    chunk.binary_search_by(|item| item.id.as_str().cmp(id))
}
