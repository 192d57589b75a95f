//! Reading: from TOML to a message, by the message's descriptor.
//!
//! The reader knows no field by name. Errors of syntax and of type carry the place of the text; a value of the right
//! type that means nothing (a duration "soon") becomes a [`FieldError`] with the field's path.
#![expect(clippy::wildcard_enum_match_arm, reason = "a field of another kind than the handled ones has no form here")]

use std::{cell::RefCell, fmt};

use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};

use super::{
    REQUIRED,
    choice::ChoiceVisitor,
    values::{Attribute, DurationText, TimeText, normal},
};
use crate::{
    node::payload_to_struct,
    slot::{FieldError, Payload, shorten_key},
    wire::schema,
};

/// A number that may be written as a word, which then sets the field beside it.
const NUMBER_OR_WORD: (&str, &str) = ("slotwise.v1.Controls.exploration", "exploration_preset");

/// Position of the reader: the path of the field that it reads, and the problems found so far.
#[derive(Clone)]
pub(super) struct ReadPosition<'a> {
    pub(super) path: String,
    pub(super) problems: &'a RefCell<Vec<FieldError>>,
}

impl ReadPosition<'_> {
    pub(super) fn field(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, problems: self.problems }
    }

    fn element(&self, key: impl fmt::Display) -> Self {
        Self { path: format!("{}[{key}]", self.path), problems: self.problems }
    }

    fn report(&self, problem: String) {
        self.problems.borrow_mut().push(FieldError::new(&self.path, problem));
    }

    /// Returns the value, or reports why there is none and returns 0.
    fn or_report(&self, value: Result<i64, FieldError>) -> i64 {
        value.unwrap_or_else(|problem| {
            self.problems.borrow_mut().push(problem);
            0
        })
    }
}

/// Reads a message.
pub(super) struct MessageSeed<'a> {
    pub(super) message: MessageDescriptor,
    pub(super) place: ReadPosition<'a>,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = DynamicMessage;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<DynamicMessage, D::Error> {
        let Self { message, place } = self;
        match message.full_name() {
            "google.protobuf.Duration" => {
                let us = place.or_report(DurationText::deserialize(deserializer)?.us(&place.path));
                Ok(seconds_and_nanos(message, us))
            }
            "google.protobuf.Timestamp" => {
                let us = place.or_report(TimeText::deserialize(deserializer)?.us(&place.path));
                Ok(seconds_and_nanos(message, us))
            }
            "google.protobuf.Struct" => {
                let payload = normal(&Payload::deserialize(deserializer)?);
                let mut result = DynamicMessage::new(message);
                result.transcode_from(&payload_to_struct(&payload)).map_err(D::Error::custom)?;
                Ok(result)
            }
            "slotwise.v1.FeatureValue" => Ok(feature(message, Attribute::deserialize(deserializer)?)),
            _ if schema::is_choice(&message) => deserializer.deserialize_any(ChoiceVisitor::new(message, place)),
            _ => deserializer.deserialize_map(FieldsVisitor { message, place }),
        }
    }
}

fn seconds_and_nanos(message: MessageDescriptor, us: i64) -> DynamicMessage {
    let mut result = DynamicMessage::new(message);
    let nanos = i32::try_from(us.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    result.set_field_by_name("seconds", Value::I64(us.div_euclid(1_000_000)));
    result.set_field_by_name("nanos", Value::I32(nanos));
    result
}

#[expect(clippy::needless_pass_by_value, reason = "the attribute's text moves into the message")]
fn feature(message: MessageDescriptor, attribute: Attribute) -> DynamicMessage {
    use crate::bandit::Value as Feature;
    let list = |name: &str, values: Vec<Value>| {
        let kind = message.get_field_by_name(name).map(|field| field.kind());
        let mut list = DynamicMessage::new(kind.as_ref().and_then(Kind::as_message).unwrap_or(&message).clone());
        list.set_field_by_name("values", Value::List(values));
        Value::Message(list)
    };
    let (name, value) = match attribute.value() {
        Feature::Number(number) => ("number", Value::F64(number)),
        Feature::Text(text) => ("text", Value::String(text)),
        Feature::Flag(flag) => ("flag", Value::Bool(flag)),
        Feature::Texts(texts) => ("texts", list("texts", texts.into_iter().map(Value::String).collect())),
        Feature::Vector(numbers) => ("vector", list("vector", numbers.into_iter().map(Value::F32).collect())),
    };
    let mut result = DynamicMessage::new(message.clone());
    result.set_field_by_name(name, value);
    result
}

/// Reads a table whose keys are the fields of a message.
struct FieldsVisitor<'a> {
    message: MessageDescriptor,
    place: ReadPosition<'a>,
}

impl<'de> Visitor<'de> for FieldsVisitor<'_> {
    type Value = DynamicMessage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DynamicMessage, A::Error> {
        let Self { message: descriptor, place } = self;
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut read = Vec::new();
        while let Some(field) = map.next_key_seed(KeySeed(&descriptor))? {
            let at = place.field(field.name());
            let (field, value) = if field.full_name() == NUMBER_OR_WORD.0 {
                map.next_value_seed(NumberOrWord { field, message: &descriptor })?
            } else {
                let value = map.next_value_seed(ValueSeed { field: field.clone(), place: at })?;
                (field, value)
            };
            if read.contains(&field.number()) {
                let number = NUMBER_OR_WORD.0.rsplit('.').next().unwrap_or_default();
                place.field(field.name()).report(format!("says the same as {number}; leave one of them out"));
            }
            report_second_alternative(&message, &field, &place);
            read.push(field.number());
            message.set_field(&field, value);
        }
        let missing =
            descriptor.fields().find(|field| REQUIRED.contains(&field.full_name()) && !read.contains(&field.number()));
        match missing {
            Some(field) => Err(A::Error::custom(format!("missing field `{}`", field.name()))),
            None => Ok(message),
        }
    }
}

/// Reports a field of a oneof of which another is set already.
fn report_second_alternative(message: &DynamicMessage, field: &FieldDescriptor, place: &ReadPosition<'_>) {
    let Some(oneof) = field.containing_oneof() else { return };
    let Some(other) = oneof.fields().find(|other| other != field && message.has_field(other)) else { return };
    let (first, second) =
        if other.number() < field.number() { (other.name(), field.name()) } else { (field.name(), other.name()) };
    if oneof.name() == "effect" {
        let problem = format!("has two, {first} and {second}; make a rule of each");
        place.field("effect").report(problem);
    } else {
        place.report(format!("says both {first} and {second}; leave one of them out"));
    }
}

/// Reads a key as a field of the message.
struct KeySeed<'a>(&'a MessageDescriptor);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = FieldDescriptor;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<FieldDescriptor, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = FieldDescriptor;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<FieldDescriptor, E> {
        self.0.get_field_by_name(key).ok_or_else(|| {
            let known = self.0.fields().map(|field| field.name().to_owned());
            E::custom(format!("unknown field `{key}`, {}", expected(known)))
        })
    }
}

/// Returns the end of an error that names what is known: "expected one of `a`, `b`".
pub(super) fn expected(known: impl Iterator<Item = String>) -> String {
    let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    match &known[..] {
        [] => "there are no fields".to_owned(),
        [only] => format!("expected {only}"),
        [one, other] => format!("expected {one} or {other}"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// Reads the value of a field.
pub(super) struct ValueSeed<'a> {
    pub(super) field: FieldDescriptor,
    pub(super) place: ReadPosition<'a>,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.field.is_map() {
            deserializer.deserialize_map(MapVisitor(self))
        } else if self.field.is_list() {
            deserializer.deserialize_seq(ListVisitor(self))
        } else {
            ElementSeed { kind: self.field.kind(), place: self.place }.deserialize(deserializer)
        }
    }
}

/// Reads one value of a kind.
struct ElementSeed<'a> {
    kind: Kind,
    place: ReadPosition<'a>,
}

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(match self.kind {
            Kind::Double => Value::F64(f64::deserialize(deserializer)?),
            Kind::Uint32 => Value::U32(u32::deserialize(deserializer)?),
            Kind::Uint64 => Value::U64(u64::deserialize(deserializer)?),
            Kind::Bool => Value::Bool(bool::deserialize(deserializer)?),
            Kind::String => Value::String(String::deserialize(deserializer)?),
            Kind::Enum(names) => Value::EnumNumber(deserializer.deserialize_str(EnumVisitor(&names))?),
            Kind::Message(message) => {
                Value::Message(MessageSeed { message, place: self.place }.deserialize(deserializer)?)
            }
            other => return Err(D::Error::custom(format!("a document has no form for {other:?}"))),
        })
    }
}

struct MapVisitor<'a>(ValueSeed<'a>);

impl<'de> Visitor<'de> for MapVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let ValueSeed { field, place } = self.0;
        let entry = field.kind();
        let kind = entry.as_message().map(|entry| entry.map_entry_value_field().kind());
        let mut entries = std::collections::HashMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let seed =
                ElementSeed { kind: kind.clone().unwrap_or(Kind::String), place: place.element(shorten_key(&key)) };
            entries.insert(MapKey::String(key), map.next_value_seed(seed)?);
        }
        Ok(Value::Map(entries))
    }
}

struct ListVisitor<'a>(ValueSeed<'a>);

impl<'de> Visitor<'de> for ListVisitor<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let ValueSeed { field, place } = self.0;
        let mut elements = Vec::new();
        let seed = |i: usize| ElementSeed { kind: field.kind(), place: place.element(i) };
        while let Some(element) = list.next_element_seed(seed(elements.len()))? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }
}

/// Reads an enumeration's value: `offer`, `OFFER` or `SLOT_KIND_OFFER`.
struct EnumVisitor<'a>(&'a EnumDescriptor);

impl Visitor<'_> for EnumVisitor<'_> {
    type Value = i32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a word")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<i32, E> {
        enum_number(self.0, word)
            .ok_or_else(|| E::custom(format!("unknown variant `{word}`, {}", expected(enum_words(self.0)))))
    }
}

fn enum_number(names: &EnumDescriptor, word: &str) -> Option<i32> {
    let is = |value: &prost_reflect::EnumValueDescriptor| {
        let plain = schema::plain_name(names, value.name());
        value.name() == word || (value.number() != 0 && (plain == word || plain.to_uppercase() == word))
    };
    names.values().find(is).map(|value| value.number())
}

fn enum_words(names: &EnumDescriptor) -> impl Iterator<Item = String> {
    names.values().filter(|value| value.number() != 0).map(|value| schema::plain_name(names, value.name()))
}

/// Reads a number, or a word for the enumeration beside it.
struct NumberOrWord<'a> {
    field: FieldDescriptor,
    message: &'a MessageDescriptor,
}

impl NumberOrWord<'_> {
    fn words(&self) -> Option<(FieldDescriptor, EnumDescriptor)> {
        let field = self.message.get_field_by_name(NUMBER_OR_WORD.1)?;
        let names = field.kind().as_enum()?.clone();
        Some((field, names))
    }

    fn form(&self) -> String {
        let words: Vec<String> = self.words().map(|(_, names)| enum_words(&names).collect()).unwrap_or_default();
        format!("a number from 0 to 10, or {}", super::choice::either(&words))
    }
}

impl<'de> DeserializeSeed<'de> for NumberOrWord<'_> {
    type Value = (FieldDescriptor, Value);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for NumberOrWord<'_> {
    type Value = (FieldDescriptor, Value);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.form())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok((self.field, Value::F64(number)))
    }

    #[expect(clippy::cast_precision_loss, reason = "a width is at most 10; a number beyond that is refused either way")]
    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "a width is at most 10; a number beyond that is refused either way")]
    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.visit_f64(number as f64)
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Self::Value, E> {
        let form = self.form();
        let words = self.words();
        let known = words.and_then(|(field, names)| Some((field, Value::EnumNumber(enum_number(&names, word)?))));
        known.ok_or_else(|| {
            let words = self.words().map(|(_, names)| expected(enum_words(&names))).unwrap_or_default();
            E::custom(format!("unknown variant `{word}`, {words}; write {form}"))
        })
    }
}
