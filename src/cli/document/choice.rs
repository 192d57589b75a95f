//! A choice in a document: by its name alone, or as a table of its parameters.
#![expect(clippy::wildcard_enum_match_arm, reason = "a field of another kind than the handled ones has no form here")]

use std::fmt;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use serde::de::{DeserializeSeed as _, Error, MapAccess, Visitor};

use super::{
    REQUIRED,
    read::{ReadPosition, ValueSeed, expected},
};

/// Reads a choice between alternatives.
pub(super) struct ChoiceVisitor<'a> {
    choice: MessageDescriptor,
    place: ReadPosition<'a>,
}

impl<'a> ChoiceVisitor<'a> {
    pub(super) fn new(choice: MessageDescriptor, place: ReadPosition<'a>) -> Self {
        Self { choice, place }
    }

    /// Returns the names of the alternatives that need no parameter.
    fn names(&self) -> Vec<String> {
        self.choice.fields().filter(needs_no_parameter).map(|field| field.name().to_owned()).collect()
    }

    /// Returns the forms that a choice may have, in words.
    fn form(&self) -> String {
        let names = self.names();
        match self.choice.fields().find(|field| !needs_no_parameter(field)) {
            None => format!("{}: by name, or as a table of its parameters", either(&names)),
            Some(other) => format!("{}, or a table {{ {} = {} }}", names.join(", "), other.name(), example(&other)),
        }
    }

    fn with(self, field: &FieldDescriptor, value: Value) -> DynamicMessage {
        let mut message = DynamicMessage::new(self.choice);
        message.set_field(field, value);
        message
    }
}

/// Returns whether the name of an alternative says all: its parameters, if it has any, have defaults.
fn needs_no_parameter(alternative: &FieldDescriptor) -> bool {
    match alternative.kind() {
        Kind::Message(message) => {
            !message.full_name().starts_with("google.protobuf.")
                && message.fields().all(|field| !REQUIRED.contains(&field.full_name()))
        }
        _ => false,
    }
}

/// Returns an alternative's parameter as one would write it.
fn example(alternative: &FieldDescriptor) -> String {
    match alternative.kind() {
        Kind::String => "\"an-arm\"".to_owned(),
        Kind::Message(message) if message.full_name() == "google.protobuf.Duration" => "\"7days\"".to_owned(),
        Kind::Message(message) => {
            let parameter = message.fields().next().map(|field| field.name().to_owned()).unwrap_or_default();
            format!("{{ {parameter} = 0.2 }}")
        }
        _ => "0.2".to_owned(),
    }
}

/// Returns names as a list of alternatives: "a, b or c".
pub(super) fn either(names: &[String]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

impl<'de> Visitor<'de> for ChoiceVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.form())
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<DynamicMessage, E> {
        let field = self.choice.get_field_by_name(name).filter(needs_no_parameter);
        let parameters = field.as_ref().and_then(|field| field.kind().as_message().cloned());
        if let (Some(field), Some(parameters)) = (field, parameters) {
            return Ok(self.with(&field, Value::Message(DynamicMessage::new(parameters))));
        }
        let known = expected(self.names().into_iter());
        Err(E::custom(format!("unknown variant `{name}`, {known}; write {}", self.form())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicMessage, A::Error> {
        let mut table = serde_json::Map::new();
        while let Some((key, value)) = map.next_entry()? {
            table.insert(key, value);
        }
        let form = self.form();
        let mut entries = table.into_iter();
        let (name, value) = match (entries.next(), entries.next()) {
            (None, _) => return Ok(DynamicMessage::new(self.choice)),
            (Some(only), None) => only,
            (Some((one, _)), Some((other, _))) => {
                return Err(A::Error::custom(format!("`{one}` and `{other}` exclude each other; write {form}")));
            }
        };
        let Some(field) = self.choice.get_field_by_name(&name) else {
            let known = expected(self.choice.fields().map(|field| field.name().to_owned()));
            return Err(A::Error::custom(format!("unknown variant `{name}`, {known}; write {form}")));
        };
        let seed = ValueSeed { field: field.clone(), place: self.place.field(&name) };
        let value = seed.deserialize(value).map_err(|why| A::Error::custom(format!("{why}; write {form}")))?;
        Ok(self.with(&field, value))
    }
}
