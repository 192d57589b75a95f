//! Items: the catalogue that all slots share.

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};

use super::{connection::Client, error::ClientError};
use crate::{
    bandit::Features,
    slot::{ArmId, ChangeReason, limits::ITEM_OPERATIONS_MAX},
    wire::{
        encode::encode_features,
        proto::{self, Item, ListItemsRequest, RemoveItemsRequest, SetItemAvailabilityRequest, UpsertItemsRequest},
    },
};

/// Bytes of the items of one request, well below what the service takes.
const PART_BYTES: usize = 2 * 1024 * 1024;

/// Item of the catalogue, as the API has it.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogueItem(Item);

impl CatalogueItem {
    /// Creates an item without payload. One that `available` does not name keeps its availability.
    pub fn new(id: &ArmId, attributes: &Features, available: Option<bool>) -> Self {
        Self(Item { item_id: id.to_string(), attributes: encode_features(attributes), available, payload: None })
    }

    /// Id of the item.
    pub fn id(&self) -> &str {
        &self.0.item_id
    }

    /// Returns `true` if slots may show the item.
    pub fn is_available(&self) -> bool {
        self.0.available.unwrap_or(true)
    }

    /// Names of its attributes, sorted.
    pub fn attribute_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.attributes.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// Converter of items to the JSON of the API and back.
#[derive(Debug, Clone)]
pub struct ItemJson {
    descriptor: MessageDescriptor,
}

impl ItemJson {
    /// Creates a converter.
    ///
    /// # Errors
    ///
    /// The reason why the descriptors of the API cannot be read. This would be a bug.
    pub fn new() -> Result<Self, String> {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).map_err(|why| why.to_string())?;
        let descriptor = pool.get_message_by_name("slotwise.v1.Item").ok_or("the API has no items")?;
        Ok(Self { descriptor })
    }

    /// Reads an item.
    ///
    /// # Errors
    ///
    /// The reason why the text is not an item, in one line.
    pub fn read(&self, json: &str) -> Result<CatalogueItem, String> {
        let mut text = serde_json::Deserializer::from_str(json);
        let item = DynamicMessage::deserialize(self.descriptor.clone(), &mut text).map_err(|why| why.to_string())?;
        text.end().map_err(|why| format!("one item is a line: {why}"))?;
        Item::decode(item.encode_to_vec().as_slice()).map(CatalogueItem).map_err(|why| why.to_string())
    }

    /// Returns an item as JSON of one line, with the API's field names.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be written. This would be a bug.
    pub fn write(&self, item: &CatalogueItem) -> Result<String, String> {
        let mut message = DynamicMessage::new(self.descriptor.clone());
        message.transcode_from(&item.0).map_err(|why| why.to_string())?;
        let mut line = Vec::new();
        let mut json = serde_json::Serializer::new(&mut line);
        let options = SerializeOptions::new().use_proto_field_name(true);
        message.serialize_with_options(&mut json, &options).map_err(|why| why.to_string())?;
        String::from_utf8(line).map_err(|why| why.to_string())
    }
}

/// Splits items into parts that each fit into a request.
fn split_items(items: Vec<CatalogueItem>) -> Vec<Vec<Item>> {
    let mut parts: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for CatalogueItem(item) in items {
        let own = item.encoded_len();
        match parts.last_mut() {
            Some(part) if bytes + own <= PART_BYTES && part.len() < ITEM_OPERATIONS_MAX => {
                part.push(item);
                bytes += own;
            }
            _ => {
                parts.push(vec![item]);
                bytes = own;
            }
        }
    }
    parts
}

impl Client {
    /// Adds items to the catalogue, or replaces those with the same ids; several requests if they are many. Returns the
    /// number of items that changed.
    pub async fn upsert_items(&mut self, items: Vec<CatalogueItem>, why: &ChangeReason) -> Result<u64, ClientError> {
        let mut changed = 0;
        for items in split_items(items) {
            let ChangeReason { author, reason, actor: _ } = why.clone();
            let request = UpsertItemsRequest { items, reason, author, validate_only: false };
            changed += u64::from(self.items.upsert_items(request).await?.into_inner().changed);
        }
        Ok(changed)
    }

    /// Removes items from the catalogue. Returns the number of those that were there.
    pub async fn remove_items(&mut self, items: &[ArmId], why: &ChangeReason) -> Result<u64, ClientError> {
        let mut changed = 0;
        for part in items.chunks(ITEM_OPERATIONS_MAX) {
            let ChangeReason { author, reason, actor: _ } = why.clone();
            let item_ids = part.iter().map(ArmId::to_string).collect();
            let request = RemoveItemsRequest { item_ids, reason, author, validate_only: false };
            changed += u64::from(self.items.remove_items(request).await?.into_inner().changed);
        }
        Ok(changed)
    }

    /// Makes items available or unavailable in all slots. Returns the number of items that changed.
    pub async fn set_item_availability(
        &mut self,
        items: &[(ArmId, bool)],
        why: &ChangeReason,
    ) -> Result<u64, ClientError> {
        let mut changed = 0;
        for part in items.chunks(ITEM_OPERATIONS_MAX) {
            let ChangeReason { author, reason, actor: _ } = why.clone();
            let available = part.iter().map(|(item, available)| (item.to_string(), *available)).collect();
            let request = SetItemAvailabilityRequest { available, reason, author, validate_only: false };
            changed += u64::from(self.items.set_item_availability(request).await?.into_inner().changed);
        }
        Ok(changed)
    }

    /// Passes all items of the catalogue to `each`, by id. Returns their number.
    pub async fn list_items(
        &mut self,
        each: &mut (dyn FnMut(CatalogueItem) -> Result<(), ClientError> + Send),
    ) -> Result<u64, ClientError> {
        let (mut count, mut page_token) = (0, String::new());
        loop {
            let request = ListItemsRequest { page_size: 1_000, page_token };
            let page = self.items.list_items(request).await?.into_inner();
            count += page.items.len() as u64;
            page.items.into_iter().try_for_each(|item| each(CatalogueItem(item)))?;
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_survives_its_json_and_a_wrong_line_is_refused() {
        let json = ItemJson::new().unwrap();
        let line = r#"{"item_id":"boots","attributes":{"price":{"number":9.5}},"available":false}"#;
        let item = json.read(line).unwrap();
        assert_eq!((item.id(), item.is_available(), item.attribute_names()), ("boots", false, vec!["price"]));
        assert_eq!(json.read(&json.write(&item).unwrap()), Ok(item));
        for wrong in ["", "[]", r#"{"id":"boots"}"#, r#"{"item_id":"a"} {"item_id":"b"}"#] {
            assert!(json.read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn parts_have_at_most_as_many_items_as_a_request_takes() {
        let item = |n: usize| CatalogueItem(Item { item_id: format!("item-{n}"), ..Item::default() });
        let parts = split_items((0..25_000).map(item).collect());
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [10_000, 10_000, 5_000]);
        assert!(split_items(Vec::new()).is_empty());
    }
}
