//! `ItemService`: the catalogue that all slots share.
//!
//! Invariants:
//!
//! * Only callers that reach all slots make these calls, because an item concerns all of them.
//! * Each change is durable before the next one of the same call begins.

use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    access::CallAccess,
    actor::actor,
    decode::{FieldResult, decode_features},
    encode::encode_features,
    error, page,
    proto::{
        Item, ListItemsRequest, ListItemsResponse, RemoveItemsRequest, RemoveItemsResponse, SetItemAvailabilityRequest,
        SetItemAvailabilityResponse, StreamItemsRequest, StreamItemsResponse, UpsertItemsRequest, UpsertItemsResponse,
        item_service_server::ItemService, stream_items_request::Change,
    },
    slots::{page_of, page_size as size_of_page},
    stream::next_message,
};
use crate::{
    engine::{ArmDraft, ItemRequest},
    node::{ItemsOutcome, payload_from_struct, payload_to_struct},
    slot::{Actor, Arm, ArmId, ChangeReason, FieldError, limits::ITEM_OPERATIONS_MAX, shorten_key},
};

/// Name of the list, for its page tokens.
const LIST: &str = "items";

/// Change of items, decoded.
struct DecodedChange {
    request: ItemRequest,
    why: ChangeReason,
    validate_only: bool,
}

fn decode_item(message: Item) -> FieldResult<ArmDraft> {
    let Item { item_id, attributes, available, payload } = message;
    let payload = payload.map(payload_from_struct).transpose();
    let item = Arm {
        attributes: decode_features("attributes", attributes)?,
        available: available.unwrap_or(true),
        payload: payload.map_err(|why| FieldError::new("payload", why.to_string()))?,
        ..Arm::new(ArmId::parse("item_id", &item_id)?)
    };
    Ok(ArmDraft { arm: item, names_availability: available.is_some(), names_schedule: true })
}

fn encode_item(item: &Arm) -> Item {
    Item {
        item_id: item.id.to_string(),
        attributes: encode_features(&item.attributes),
        available: Some(item.available),
        payload: item.payload.as_ref().map(payload_to_struct),
    }
}

/// Checks the length of a list before its entries are decoded.
fn check_count(field: &str, entries: usize) -> FieldResult<()> {
    if entries == 0 || entries > ITEM_OPERATIONS_MAX {
        let message = format!("has {entries} entries; 1 to {ITEM_OPERATIONS_MAX} are allowed");
        return Err(FieldError::new(field, message));
    }
    Ok(())
}

fn upsert(request: UpsertItemsRequest, actor: &Actor) -> FieldResult<DecodedChange> {
    let UpsertItemsRequest { items, reason, author, validate_only } = request;
    check_count("items", items.len())?;
    let one = |(i, item)| decode_item(item).map_err(|why| why.within(&format!("items[{i}]")));
    let items = items.into_iter().enumerate().map(one).collect::<FieldResult<_>>()?;
    let why = ChangeReason { author, reason, actor: actor.clone() };
    Ok(DecodedChange { request: ItemRequest::Upsert(items), why, validate_only })
}

fn remove(request: RemoveItemsRequest, actor: &Actor) -> FieldResult<DecodedChange> {
    let RemoveItemsRequest { item_ids, reason, author, validate_only } = request;
    check_count("item_ids", item_ids.len())?;
    let ids = item_ids.iter().enumerate().map(|(i, id)| ArmId::parse(&format!("item_ids[{i}]"), id));
    let request = ItemRequest::Remove(ids.collect::<FieldResult<_>>()?);
    Ok(DecodedChange { request, why: ChangeReason { author, reason, actor: actor.clone() }, validate_only })
}

fn availability(request: SetItemAvailabilityRequest, actor: &Actor) -> FieldResult<DecodedChange> {
    let SetItemAvailabilityRequest { available, reason, author, validate_only } = request;
    check_count("available", available.len())?;
    // A map has no order, and the event must not depend on that of this process.
    let mut wanted: Vec<(String, bool)> = available.into_iter().collect();
    wanted.sort();
    let one = |(id, available): (String, bool)| {
        Ok((ArmId::parse(&format!("available[{}]", shorten_key(&id)), &id)?, available))
    };
    let request = ItemRequest::SetAvailable(wanted.into_iter().map(one).collect::<FieldResult<_>>()?);
    Ok(DecodedChange { request, why: ChangeReason { author, reason, actor: actor.clone() }, validate_only })
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Api {
    async fn change_items(
        &self,
        access: &CallAccess,
        change: FieldResult<DecodedChange>,
    ) -> Result<ItemsOutcome, Status> {
        let node = self.node()?;
        access.check_change_of_all(node)?;
        let DecodedChange { request, why, validate_only } = change.map_err(|why| error::field(&why))?;
        node.change_items(request, why, validate_only).await.map_err(|why| error::change(why, "item_id"))
    }

    async fn stream_items_of(
        &self,
        access: &CallAccess,
        actor: &Actor,
        mut requests: Streaming<StreamItemsRequest>,
    ) -> Result<StreamItemsResponse, Status> {
        let draining = self.draining();
        let (mut messages, mut changed) = (0_usize, 0_u64);
        loop {
            let done = match next_message(&mut requests, &draining).await {
                Ok(None) => break,
                Ok(Some(StreamItemsRequest { change })) => self.change_items(access, in_stream(change, actor)).await,
                Err(status) => Err(status),
            };
            let done = done.map_err(|status| error::in_message(&status, messages))?;
            (messages, changed) = (messages + 1, changed + done.changed as u64);
        }
        let item_count = self.node()?.items().len() as u64;
        Ok(StreamItemsResponse { messages: narrow(messages), changed, item_count })
    }

    fn items_page(&self, request: &ListItemsRequest) -> Result<ListItemsResponse, Status> {
        let ListItemsRequest { page_size, page_token } = request;
        let size = size_of_page(*page_size, 500, 1_000)?;
        let last = page::last(LIST, page_token)?.unwrap_or_default();
        let items = self.node()?.items();
        let page = page_of(items.after(&last).map(|item| encode_item(item)), size);
        let end = page.last().map(|item| item.item_id.as_str()).filter(|end| items.after(end).next().is_some());
        let next_page_token = end.map(|end| page::token(LIST, end)).unwrap_or_default();
        Ok(ListItemsResponse { next_page_token, item_count: items.len() as u64, items: page })
    }
}

/// Decodes a message of a stream.
fn in_stream(change: Option<Change>, actor: &Actor) -> FieldResult<DecodedChange> {
    let change =
        match change.ok_or_else(|| FieldError::new("change", "is missing; set one of upsert, remove, availability"))? {
            Change::Upsert(request) => upsert(request, actor),
            Change::Remove(request) => remove(request, actor),
            Change::Availability(request) => availability(request, actor),
        }?;
    if change.validate_only {
        return Err(FieldError::new("validate_only", "cannot be in a stream; try the message with a call of its own"));
    }
    Ok(change)
}

#[tonic::async_trait]
impl ItemService for Api {
    async fn upsert_items(&self, call: Request<UpsertItemsRequest>) -> Result<Response<UpsertItemsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&call), actor(&call));
        let ItemsOutcome { changed, items } = self.change_items(&access, upsert(call.into_inner(), &actor)).await?;
        Ok(Response::new(UpsertItemsResponse { changed: narrow(changed), item_count: items as u64 }))
    }

    async fn remove_items(&self, call: Request<RemoveItemsRequest>) -> Result<Response<RemoveItemsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&call), actor(&call));
        let ItemsOutcome { changed, items } = self.change_items(&access, remove(call.into_inner(), &actor)).await?;
        Ok(Response::new(RemoveItemsResponse { changed: narrow(changed), item_count: items as u64 }))
    }

    async fn set_item_availability(
        &self,
        call: Request<SetItemAvailabilityRequest>,
    ) -> Result<Response<SetItemAvailabilityResponse>, Status> {
        let (access, actor) = (CallAccess::of(&call), actor(&call));
        let outcome = self.change_items(&access, availability(call.into_inner(), &actor)).await?;
        let (changed, item_count) = (narrow(outcome.changed), outcome.items as u64);
        Ok(Response::new(SetItemAvailabilityResponse { changed, item_count }))
    }

    async fn stream_items(
        &self,
        call: Request<Streaming<StreamItemsRequest>>,
    ) -> Result<Response<StreamItemsResponse>, Status> {
        let (access, actor) = (CallAccess::of(&call), actor(&call));
        self.stream_items_of(&access, &actor, call.into_inner()).await.map(Response::new)
    }

    async fn list_items(&self, call: Request<ListItemsRequest>) -> Result<Response<ListItemsResponse>, Status> {
        CallAccess::of(&call).check_all_slots()?;
        self.items_page(&call.into_inner()).map(Response::new)
    }
}
