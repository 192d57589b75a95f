//! Planning of a change of the item catalogue: from a request to an event, or to the reason why it cannot be made.

use std::{collections::HashSet, sync::Arc};

use super::{
    change::{ChangeError, check_slots},
    event::Body,
    items::{ItemChanges, ItemOperation, ItemTable},
    ownership::ArmDraft,
    state::State,
};
use crate::slot::{ArmId, ChangeReason, FieldError, limits::ITEM_OPERATIONS_MAX, shorten, shorten_key, suggestion};

/// Requested change of the item catalogue.
#[derive(Debug, Clone, PartialEq)]
pub enum ItemRequest {
    /// Add items, or replace those with the same ids. An item that does not name its availability keeps it.
    Upsert(Vec<ArmDraft>),
    /// Remove items.
    Remove(Vec<ArmId>),
    /// Set whether slots may show items.
    SetAvailable(Vec<(ArmId, bool)>),
}

/// Limits of the item catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogueLimits {
    /// Number of items.
    pub items: usize,
    /// Size of all items, bytes.
    pub bytes: u64,
}

impl Default for CatalogueLimits {
    /// A large shop's products, with a kilobyte each.
    fn default() -> Self {
        Self { items: 200_000, bytes: 256 * 1024 * 1024 }
    }
}

/// Planned change of the item catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedItems {
    /// The event, or `None` if the change would change nothing.
    pub body: Option<Body>,
    /// Number of items that differ.
    pub changed: usize,
    /// Number of all items after the change.
    pub items: usize,
}

/// Plans a change of the item catalogue. The event omits items that stay as they are.
pub fn plan_items(
    state: &State,
    request: ItemRequest,
    limits: CatalogueLimits,
    why: &ChangeReason,
) -> Result<PlannedItems, ChangeError> {
    why.check()?;
    let now = state.items();
    let operations = match request {
        ItemRequest::Upsert(items) => upserts(now, items)?,
        ItemRequest::Remove(items) => removals(now, items)?,
        ItemRequest::SetAvailable(available) => availability(now, available)?,
    };
    let mut after = now.clone();
    let changed = after.change(&operations);
    check_limits(now, &after, limits)?;
    check_slots(state, &changed)?;
    let (changed, items) = (operations.len(), after.len());
    let body = || Body::ItemsChanged(Arc::new(ItemChanges { operations, why: why.clone() }));
    Ok(PlannedItems { body: (changed > 0).then(body), changed, items })
}

fn check_count(field: &str, entries: usize) -> Result<(), FieldError> {
    if entries == 0 || entries > ITEM_OPERATIONS_MAX {
        let message = format!("has {entries} entries; 1 to {ITEM_OPERATIONS_MAX} are allowed");
        return Err(FieldError::new(field, message));
    }
    Ok(())
}

/// Checks that an item stands in the request once.
fn check_once<'a>(seen: &mut HashSet<&'a ArmId>, item: &'a ArmId, field: String) -> Result<(), FieldError> {
    if seen.insert(item) {
        return Ok(());
    }
    Err(FieldError::new(field, format!("'{}' stands in the request twice", shorten(item.as_str()))))
}

/// Checks that the catalogue has an item.
fn check_known(now: &ItemTable, item: &ArmId, field: String) -> Result<(), FieldError> {
    if now.get(item.as_str()).is_some() {
        return Ok(());
    }
    let near = suggestion(item.as_str(), now.iter().map(|known| known.id.as_str()));
    Err(FieldError::new(field, format!("the catalogue has no item '{}'{near}", shorten(item.as_str()))))
}

fn upserts(now: &ItemTable, items: Vec<ArmDraft>) -> Result<Vec<ItemOperation>, FieldError> {
    check_count("items", items.len())?;
    let mut seen = HashSet::with_capacity(items.len());
    for (i, ArmDraft { arm: item, .. }) in items.iter().enumerate() {
        check_once(&mut seen, &item.id, format!("items[{i}].item_id"))?;
        item.check().map_err(|why| why.within(&format!("items[{i}]")))?;
    }
    drop(seen);
    let operation = |draft: ArmDraft| {
        let have = now.get(draft.arm.id.as_str()).map(AsRef::as_ref);
        let item = draft.onto(have);
        (have != Some(&item)).then(|| ItemOperation::Upsert(Arc::new(item)))
    };
    Ok(items.into_iter().filter_map(operation).collect())
}

fn removals(now: &ItemTable, items: Vec<ArmId>) -> Result<Vec<ItemOperation>, FieldError> {
    check_count("item_ids", items.len())?;
    let mut seen = HashSet::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        check_once(&mut seen, item, format!("item_ids[{i}]"))?;
        check_known(now, item, format!("item_ids[{i}]"))?;
    }
    drop(seen);
    Ok(items.into_iter().map(ItemOperation::Remove).collect())
}

fn availability(now: &ItemTable, available: Vec<(ArmId, bool)>) -> Result<Vec<ItemOperation>, FieldError> {
    check_count("available", available.len())?;
    for (item, _) in &available {
        check_known(now, item, format!("available[{}]", shorten_key(item.as_str())))?;
    }
    let differs = |(item, to): &(ArmId, bool)| now.get(item.as_str()).is_some_and(|known| known.available != *to);
    let changed = available.into_iter().filter(differs);
    Ok(changed.map(|(item, to)| ItemOperation::SetAvailable(item, to)).collect())
}

/// Checks the limits of the whole catalogue. A change that makes it smaller is always possible.
fn check_limits(now: &ItemTable, after: &ItemTable, limits: CatalogueLimits) -> Result<(), ChangeError> {
    let CatalogueLimits { items, bytes } = limits;
    if after.len() > items && after.len() > now.len() {
        let message = format!(
            "items: would make {} items in the catalogue; at most {items} are allowed (setting catalogue.items)",
            after.len()
        );
        return Err(ChangeError::ItemsFull(message));
    }
    if after.bytes() > bytes && after.bytes() > now.bytes() {
        let message = format!(
            "items: would make {} bytes of items in the catalogue; at most {bytes} are allowed (setting catalogue.bytes): shorten attributes and payloads, or remove items",
            after.bytes()
        );
        return Err(ChangeError::ItemsFull(message));
    }
    Ok(())
}
