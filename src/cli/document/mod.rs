//! A slot as a document: the TOML that `slots apply` reads and `slots get` writes.
//!
//! The keys are the fields of `slotwise.v1.Slot`; they are read and written by the descriptor of that message. Values are
//! written as people write them: `kind = "offer"` (or `SLOT_KIND_OFFER`), `half_life = "14days"`, attributes as plain
//! TOML values (`price = 9.9`, `tags = ["new", "red"]`) or in the API's form (`{ text = "x" }`). A choice is its name
//! (`policy = "greedy"`) or a table with its parameters. An unknown key is an error that names its line.

mod choice;
mod ownership;
mod read;
#[cfg(test)]
mod tests;
mod values;
mod write;

use std::cell::RefCell;

use prost_reflect::DynamicMessage;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeSeed as _};

use crate::{
    config::{one_line, other_language},
    slot::{Definition, FieldError, suggestion},
    wire::schema,
};

/// Fields that a document must name: a 0 or an empty text would mean something else than nothing.
const REQUIRED: [&str; 17] = [
    "slotwise.v1.Slot.slot_id",
    "slotwise.v1.Arm.arm_id",
    "slotwise.v1.RewardKind.kind",
    "slotwise.v1.RewardKind.weight",
    "slotwise.v1.HeadStart.views",
    "slotwise.v1.HeadStart.floor",
    "slotwise.v1.TestMode.share",
    "slotwise.v1.EvidenceEffect.confidence",
    "slotwise.v1.PinEffect.position",
    "slotwise.v1.BoostEffect.factor",
    "slotwise.v1.SubjectCapEffect.count",
    "slotwise.v1.SubjectCapEffect.window",
    "slotwise.v1.DayCapEffect.count",
    "slotwise.v1.QuotaEffect.attribute",
    "slotwise.v1.QuotaEffect.top",
    "slotwise.v1.MaxMovesEffect.positions",
    "slotwise.v1.Rule.name",
];

/// Returns the reason why a text is not a slot's document, in one line, with the place and a suggestion for an unknown
/// key.
pub(super) fn unreadable(error: &toml::de::Error, text: &str) -> String {
    if let Some(language) = other_language(text) {
        return format!(
            "looks like {language}; slots are TOML: begin with `slotwise slots new`, or see `slotwise slots get`"
        );
    }
    let line = one_line(error, text);
    let message = error.message();
    let mut quoted = message.split('`').skip(1).step_by(2);
    match quoted.next() {
        Some(key) if message.starts_with("unknown ") || message.contains(": unknown ") => {
            format!("{line}{}", suggestion(key, quoted))
        }
        _ => line,
    }
}

/// A slot's document. `toml` parses it; [`SlotDocument::definition`] checks it.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotDocument {
    message: DynamicMessage,
    /// First value that has the right type and no meaning.
    problem: Option<FieldError>,
}

impl<'de> Deserialize<'de> for SlotDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let problems = RefCell::default();
        let place = read::ReadPosition { path: String::new(), problems: &problems };
        let message =
            read::MessageSeed { message: schema::slot_descriptor().clone(), place }.deserialize(deserializer)?;
        Ok(Self { message, problem: problems.into_inner().into_iter().next() })
    }
}

impl Serialize for SlotDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write::MessageTable(&self.message).serialize(serializer)
    }
}

impl SlotDocument {
    /// Returns the definition that the document describes; a field that it leaves out has its default.
    pub fn definition(&self) -> Result<Definition, FieldError> {
        let definition = self.unchecked()?;
        definition.check()?;
        Ok(definition)
    }

    /// Returns the definition without checking that its fields hold together.
    fn unchecked(&self) -> Result<Definition, FieldError> {
        match &self.problem {
            Some(problem) => Err(problem.clone()),
            None => schema::definition_of(&self.message),
        }
    }

    /// Returns the document of a definition.
    pub fn from_definition(definition: &Definition) -> Self {
        Self { message: schema::message_of(definition), problem: None }
    }

    /// Returns the revision that the document was made from, or `None` if it names none.
    pub(super) fn revision(&self) -> Option<u64> {
        self.message.get_field_by_name("revision").and_then(|revision| revision.as_u64()).filter(|&number| number > 0)
    }
}
