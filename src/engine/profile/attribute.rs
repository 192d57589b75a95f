//! Values of item attributes, as profiles know them.

use smallvec::SmallVec;

use crate::{
    bandit::{Features, Value},
    engine::{ids::hash, shopper_event::price_of},
};

/// Values of an item that count. An item with more tells less by each of them.
pub(super) const VALUES_MAX: usize = 4;
/// Greatest number of bytes of a value that counts. Longer texts are descriptions, which hardly two items share.
const VALUE_BYTES_MAX: usize = 40;
/// Attributes that come first if an item has too many, because shoppers choose by them.
const FIRST: [&str; 2] = ["category", "brand"];

/// Key of an attribute's value: a hash of name and value.
pub(super) type ValueKey = u32;

/// Keys of an item's values.
pub(super) type ValueKeys = SmallVec<[ValueKey; VALUES_MAX]>;

/// Returns the 32 bits by which a profile knows an item.
#[expect(clippy::cast_possible_truncation, reason = "the low bits tell the few items of a profile apart")]
pub(super) fn item_key(item: &str) -> u32 {
    hash("item", &[item.as_bytes()]).word() as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the low bits tell the few values of a profile apart")]
fn value_key(name: &str, value: &str) -> ValueKey {
    hash("attribute", &[name.as_bytes(), value.as_bytes()]).word() as u32
}

/// Calls `put` with name and value of each attribute that counts, at most [`VALUES_MAX`] of them.
fn each_value<'a>(attributes: &'a Features, put: &mut dyn FnMut(&'a str, &'a str)) {
    let first = FIRST.iter().filter_map(|name| attributes.get_key_value(*name));
    let others = attributes.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));
    let mut left = VALUES_MAX;
    let mut one = |name: &'a str, value: &'a str| {
        if left > 0 && !value.is_empty() && value.len() <= VALUE_BYTES_MAX {
            left -= 1;
            put(name, value);
        }
    };
    for (name, value) in first.chain(others) {
        match value {
            Value::Text(text) => one(name, text),
            Value::Texts(texts) => texts.iter().for_each(|text| one(name, text)),
            Value::Flag(true) => one(name, "yes"),
            Value::Flag(false) | Value::Number(_) | Value::Vector(_) => {}
        }
    }
}

/// Returns the attributes that count: the values that shoppers choose by, and the price.
pub fn counted_attributes(attributes: &Features) -> Features {
    let mut counted = Features::new();
    each_value(
        attributes,
        &mut |name, value| match counted.entry(name.to_owned()).or_insert(Value::Texts(Vec::new())) {
            Value::Texts(texts) => texts.push(value.to_owned()),
            Value::Number(_) | Value::Text(_) | Value::Flag(_) | Value::Vector(_) => {}
        },
    );
    if let Some(price) = price_of(attributes) {
        counted.insert("price".to_owned(), Value::Number(price));
    }
    counted
}

/// Returns the keys of the values that count.
pub(super) fn value_keys(attributes: &Features) -> ValueKeys {
    let mut keys = ValueKeys::new();
    each_value(attributes, &mut |name, value| {
        let key = value_key(name, value);
        if !keys.contains(&key) {
            keys.push(key);
        }
    });
    keys
}

/// Returns the text of the value with this key, such as `category=shoes`, or `None` if the attributes do not have it.
pub(super) fn value_text(attributes: &Features, key: ValueKey) -> Option<String> {
    let mut found = None;
    each_value(attributes, &mut |name, value| {
        if found.is_none() && value_key(name, value) == key {
            found = Some(format!("{name}={value}"));
        }
    });
    // Names of attributes may be long, and a profile is small.
    found.filter(|text| text.len() <= VALUE_BYTES_MAX + 16)
}
