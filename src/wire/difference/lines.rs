//! A definition as lines of a path and a value, read off the descriptor of its message.
#![expect(clippy::wildcard_enum_match_arm, reason = "a field of another kind than the handled ones has no form here")]

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage as _, Value};

use super::super::schema;
use crate::{
    node::{duration_text, time_text},
    slot::{Arm, Definition, Named as _},
};

/// Fields without a line: a list of arms has its own differences, and every change has another revision.
const SILENT: [&str; 2] = ["slotwise.v1.Slot.arms", "slotwise.v1.Slot.revision"];

/// Values that stand for an unset field in words of their own. Other unset fields have no line.
const UNSET: [(&str, &str); 3] = [
    ("slotwise.v1.Rule.when", "always"),
    ("slotwise.v1.LinearModel.link", "by the goal"),
    ("slotwise.v1.LinearModel.sharing", "by the number of arms"),
];

/// Numbers that are 0 where they are unset.
const UNSET_AT_ZERO: [&str; 1] = ["slotwise.v1.Slot.count"];

/// Lists that are empty and mean something by it, with the words for it.
const EMPTY: [(&str, &str); 1] = [("slotwise.v1.Approval.changes", "every change")];

/// Lists whose order matters, so that a change of the order has a line.
const ORDERED: [&str; 1] = ["slotwise.v1.Slot.rules"];

/// Lines in the order of the document; each path once.
#[derive(Debug, Default)]
pub(super) struct FieldLines {
    lines: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl FieldLines {
    fn add(&mut self, path: String, value: String) {
        self.places.insert(path.clone(), self.lines.len());
        self.lines.push((path, value));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines.iter().map(|(path, value)| (path.as_str(), value.as_str()))
    }

    /// Returns the place of a path's line.
    pub(super) fn place(&self, path: &str) -> Option<usize> {
        self.places.get(path).copied()
    }

    /// Returns the lines of a definition without its arms.
    pub(super) fn from_definition(definition: &Definition) -> Self {
        let mut lines = Self::default();
        lines.message("", &schema::settings_of(definition));
        lines
    }

    /// Returns the lines of an arm.
    pub(super) fn from_arm(arm: &Arm) -> Self {
        let mut lines = Self::default();
        let message = schema::arm_message(arm);
        lines.fields_but_key(&format!("arms[{:?}]", arm.id.as_str()), &message);
        lines
    }

    fn message(&mut self, path: &str, message: &DynamicMessage) {
        for field in message.descriptor().fields() {
            self.field(path, message, &field);
        }
    }

    /// Adds the lines of a list's element, whose first field names it in the path.
    fn fields_but_key(&mut self, path: &str, message: &DynamicMessage) {
        for field in message.descriptor().fields().filter(|field| field.number() != 1) {
            self.field(path, message, &field);
        }
    }

    fn field(&mut self, parent: &str, message: &DynamicMessage, field: &FieldDescriptor) {
        if SILENT.contains(&field.full_name()) {
            return;
        }
        let path = if parent.is_empty() { field.name().to_owned() } else { format!("{parent}.{}", field.name()) };
        match &*message.get_field(field) {
            Value::List(elements) => self.list(&path, field, elements),
            Value::Map(entries) => self.map(&path, entries),
            Value::Message(inner) if message.has_field(field) => self.inner(path, inner),
            Value::Message(_) => {}
            value => {
                if let Some(text) = scalar(message, field, value) {
                    self.add(path, text);
                }
            }
        }
    }

    fn list(&mut self, path: &str, field: &FieldDescriptor, elements: &[Value]) {
        let words: Vec<String> = elements.iter().filter_map(plain).collect();
        let empty = EMPTY.iter().find(|(name, _)| elements.is_empty() && *name == field.full_name());
        match empty {
            Some((_, text)) => self.add(path.to_owned(), (*text).to_owned()),
            None if !words.is_empty() => self.add(path.to_owned(), words.join(", ")),
            None => {}
        }
        let elements: Vec<&DynamicMessage> = elements.iter().filter_map(Value::as_message).collect();
        let key = |element: &DynamicMessage| {
            element.get_field_by_number(1).and_then(|key| key.as_str().map(str::to_owned)).unwrap_or_default()
        };
        for element in &elements {
            self.fields_but_key(&format!("{path}[{:?}]", key(element)), element);
        }
        if elements.len() > 1 && ORDERED.contains(&field.full_name()) {
            let keys: Vec<String> = elements.iter().map(|element| key(element)).collect();
            self.add(path.to_owned(), keys.join(", "));
        }
    }

    fn map(&mut self, path: &str, entries: &HashMap<MapKey, Value>) {
        let entries: BTreeMap<&MapKey, &Value> = entries.iter().collect();
        for (key, value) in entries {
            if let Some(value) = value.as_message() {
                self.inner(format!("{path}[{:?}]", key.as_str().unwrap_or_default()), value);
            }
        }
    }

    fn inner(&mut self, path: String, message: &DynamicMessage) {
        let descriptor = message.descriptor();
        if let Some(text) = well_known(message) {
            self.add(path, text);
        } else if schema::is_choice(&descriptor) && is_short(&descriptor) {
            if let Some(text) = choice(message) {
                self.add(path, text);
            }
        } else if descriptor.fields().len() == 0 {
            self.add(path, "true".to_owned());
        } else {
            self.message(&path, message);
        }
    }
}

/// Returns whether a choice fits one line: no alternative has more than one parameter.
fn is_short(choice: &prost_reflect::MessageDescriptor) -> bool {
    choice.fields().all(|field| match field.kind() {
        Kind::Message(message) => message.fields().len() <= 1 || is_well_known(&message),
        _ => true,
    })
}

fn is_well_known(message: &prost_reflect::MessageDescriptor) -> bool {
    message.full_name().starts_with("google.protobuf.")
}

/// Returns a number, a text or an enumeration's value as text, or `None` if it is unset.
fn scalar(message: &DynamicMessage, field: &FieldDescriptor, value: &Value) -> Option<String> {
    let unset = UNSET.iter().find(|(name, _)| *name == field.full_name()).map(|(_, text)| (*text).to_owned());
    if field.supports_presence() && !message.has_field(field) {
        return unset;
    }
    match value {
        Value::EnumNumber(number) => schema::enum_text(field, *number).or(unset),
        Value::String(text) if text.is_empty() => unset,
        Value::U32(0) if UNSET_AT_ZERO.contains(&field.full_name()) => unset,
        _ => plain(value),
    }
}

fn plain(value: &Value) -> Option<String> {
    Some(match value {
        Value::Bool(flag) => flag.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Message(message) => well_known(message)?,
        _ => return None,
    })
}

/// Returns a choice in one line: the name of the alternative and its parameter.
fn choice(message: &DynamicMessage) -> Option<String> {
    let (alternative, value) = schema::chosen(message)?;
    let name = alternative.name();
    Some(match value {
        Value::Message(parameters) if well_known(parameters).is_none() => {
            let parameter = parameters.descriptor().fields().next();
            let text = parameter.and_then(|parameter| {
                let text = plain(&parameters.get_field(&parameter))?;
                Some(format!("{name}, {} {text}", parameter.name()))
            });
            text.unwrap_or_else(|| name.to_owned())
        }
        value => format!("{name} {}", plain(value)?),
    })
}

/// Returns the text of a message that people read as one value: a duration, a time, a payload, or a feature's value.
fn well_known(message: &DynamicMessage) -> Option<String> {
    match message.descriptor().full_name() {
        "google.protobuf.Duration" => Some(duration_text(schema::microseconds(message))),
        "google.protobuf.Timestamp" => Some(time_text(schema::microseconds(message))),
        "google.protobuf.Struct" => {
            let payload = crate::node::payload_from_struct(message.transcode_to().ok()?).ok()?;
            serde_json::to_string(&payload).ok()
        }
        "slotwise.v1.FeatureValue" => Some(feature_text(schema::chosen(message)?.1)),
        _ => None,
    }
}

fn feature_text(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Message(list) => {
            let values = list.get_field_by_name("values");
            let values = values.as_deref().and_then(Value::as_list).unwrap_or_default();
            format!("[{}]", values.iter().map(feature_text).collect::<Vec<_>>().join(", "))
        }
        other => plain(other).unwrap_or_default(),
    }
}

/// Returns the text of an arm that came or went: whether it is available, and its number of attributes.
pub(super) fn arm_summary(arm: &Arm) -> String {
    let available = match (arm.available, arm.because) {
        (true, _) => "available",
        (false, None) => "not available",
        (false, Some(because)) => because.name(),
    };
    match arm.attributes.len() {
        0 => available.to_owned(),
        1 => format!("{available}, 1 attribute"),
        many => format!("{available}, {many} attributes"),
    }
}
