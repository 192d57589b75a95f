//! Arm as its form has it, and the arm that the form makes.

use std::time::SystemTime;

use prost_types::Timestamp;
use serde::Deserialize;

use super::attributes;
use crate::{
    engine::SlotView,
    node::{payload_from_struct, payload_to_struct},
    slot::Payload,
    wire::{encode_slot, proto, time_text},
};

/// Form of an arm.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArmForm {
    /// Revision that the form was made from.
    pub(super) revision: u64,
    /// Id of the arm that is edited, or empty for a new one.
    pub(super) original: String,
    /// Id of a new arm.
    pub(super) arm: String,
    /// Lines of `name = value`.
    pub(super) attributes: String,
    /// JSON object, or empty for none.
    pub(super) payload: String,
    /// Reason why it may not be shown: `paused`, `out_of_stock`, or empty if it may.
    pub(super) unavailable: String,
    /// Moment, UTC, as browsers write it: 2026-12-01T00:00, or empty.
    pub(super) from: String,
    pub(super) until: String,
    /// Button that was pressed: `check` or `apply`.
    pub(super) action: String,
    /// Reason of the change.
    pub(super) reason: String,
}

/// Returns an arm of a slot as the API gives it.
pub(super) fn arm_of(view: &SlotView, id: &str) -> Option<proto::Arm> {
    view.arm(id).map(encode_slot::arm)
}

/// Moment as a field of a form has it, to the second.
fn moment_text(time: Option<&Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    let text = time_text(time.seconds * 1_000_000);
    let text = text.get(..19).unwrap_or_default();
    text.strip_suffix(":00").unwrap_or(text).to_owned()
}

/// Reads a moment of a form.
pub(super) fn moment(label: &str, text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let whole = if text.len() == 16 { format!("{text}:00Z") } else { format!("{text}Z") };
    let wrong = || format!("{label}: '{text}' is no date with a time; write it as 2026-12-01T18:30");
    let time = humantime::parse_rfc3339_weak(&whole).map_err(|_| wrong())?;
    let since = time.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
    let seconds = i64::try_from(since.as_secs()).map_err(|_| wrong())?;
    Ok(Some(Timestamp { seconds, nanos: 0 }))
}

fn payload_text(arm: &proto::Arm) -> String {
    let payload = arm.payload.clone().and_then(|payload| payload_from_struct(payload).ok());
    payload.and_then(|payload| serde_json::to_string_pretty(&payload).ok()).unwrap_or_default()
}

impl ArmForm {
    /// Form of an arm as it is.
    pub(super) fn of(arm: &proto::Arm, revision: u64) -> Self {
        let out_of_stock = arm.unavailable_because == i32::from(proto::UnavailableBecause::OutOfStock);
        let unavailable = match arm.available {
            Some(false) if out_of_stock => "out_of_stock",
            Some(false) => "paused",
            Some(true) | None => "",
        };
        let schedule = arm.schedule.unwrap_or_default();
        Self {
            revision,
            original: arm.arm_id.clone(),
            attributes: attributes::write(&arm.attributes),
            payload: payload_text(arm),
            unavailable: unavailable.to_owned(),
            from: moment_text(schedule.from.as_ref()),
            until: moment_text(schedule.until.as_ref()),
            ..Self::default()
        }
    }

    /// Id of the arm.
    pub(super) fn id(&self) -> &str {
        if self.original.is_empty() { self.arm.trim() } else { &self.original }
    }

    /// Returns `true` if the form makes a new arm.
    pub(super) fn is_new(&self) -> bool {
        self.original.is_empty()
    }

    /// Payload of the form, or `None` if it is empty.
    pub(super) fn payload(&self) -> Result<Option<Payload>, String> {
        if self.payload.trim().is_empty() {
            return Ok(None);
        }
        match serde_json::from_str(&self.payload) {
            Ok(serde_json::Value::Object(payload)) => Ok(Some(payload)),
            Ok(_) => Err("Payload: must be an object, as in {\"title\": \"Free shipping\"}".to_owned()),
            Err(why) => Err(format!("Payload: is not JSON: {why}")),
        }
    }

    /// Fields of the form without its button and its reason.
    pub(super) fn hidden(&self) -> Vec<(&'static str, String)> {
        vec![
            ("revision", self.revision.to_string()),
            ("original", self.original.clone()),
            ("arm", self.arm.clone()),
            ("attributes", self.attributes.clone()),
            ("payload", self.payload.clone()),
            ("unavailable", self.unavailable.clone()),
            ("from", self.from.clone()),
            ("until", self.until.clone()),
        ]
    }

    /// Arm that the form makes. Fields that are as in `now` stay exactly as they are.
    ///
    /// # Errors
    ///
    /// A sentence that begins with the label of the field that is wrong.
    pub(super) fn arm(&self, now: Option<&proto::Arm>) -> Result<proto::Arm, String> {
        let before = now.map(|now| Self::of(now, self.revision));
        let is_same = |of: fn(&Self) -> &String| before.as_ref().is_some_and(|before| of(before) == of(self));
        let (stored, schedule) = (now.cloned().unwrap_or_default(), now.and_then(|now| now.schedule));
        let schedule = schedule.unwrap_or_default();
        let from = if is_same(|form| &form.from) { schedule.from } else { moment("Shown from", &self.from)? };
        let until = if is_same(|form| &form.until) { schedule.until } else { moment("Shown until", &self.until)? };
        let payload = if is_same(|form| &form.payload) {
            stored.payload
        } else {
            self.payload()?.as_ref().map(payload_to_struct)
        };
        let because = match self.unavailable.as_str() {
            "out_of_stock" => proto::UnavailableBecause::OutOfStock.into(),
            // An arm that was switched off without a reason keeps it so.
            "paused" if is_same(|form| &form.unavailable) => stored.unavailable_because,
            "paused" => proto::UnavailableBecause::Paused.into(),
            _ => 0,
        };
        Ok(proto::Arm {
            arm_id: self.id().to_owned(),
            attributes: attributes::parse(&self.attributes).map_err(|why| format!("Attributes: {why}"))?,
            available: Some(self.unavailable.is_empty()),
            payload,
            unavailable_because: because,
            schedule: Some(proto::Schedule { from, until }),
        })
    }
}

/// Returns an error of the API about an arm, in the words of the form.
pub(super) fn in_words_of_the_form(message: &str) -> String {
    let rest = message.strip_prefix("slot.").unwrap_or(message);
    let of_arm = rest.strip_prefix("arms[").and_then(|rest| rest.split_once("].")).map(|(_, rest)| rest);
    let Some((field, text)) = of_arm.and_then(|rest| rest.split_once(": ")) else { return rest.to_owned() };
    let label = match field {
        "arm_id" => "Id".to_owned(),
        "schedule.from" => "Shown from".to_owned(),
        "schedule.until" => "Shown until".to_owned(),
        "payload" => "Payload".to_owned(),
        other => other.strip_prefix("attributes").map_or_else(|| other.to_owned(), |name| format!("Attributes {name}")),
    };
    format!("{}: {text}", label.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled() -> ArmForm {
        ArmForm {
            revision: 3,
            arm: " gift-wrap ".into(),
            attributes: "brand = acme\nprice = 2.5".into(),
            payload: "{\"title\": \"Gift\", \"size\": 3}".into(),
            unavailable: "out_of_stock".into(),
            from: "2026-12-01T08:00".into(),
            until: "2026-12-24T18:30:15".into(),
            ..ArmForm::default()
        }
    }

    #[test]
    fn a_form_makes_an_arm_and_shows_it_again() {
        let arm = filled().arm(None).unwrap();
        assert_eq!((arm.arm_id.as_str(), arm.available), ("gift-wrap", Some(false)));
        let shown = ArmForm::of(&arm, 3);
        assert_eq!((shown.from.as_str(), shown.until.as_str()), ("2026-12-01T08:00", "2026-12-24T18:30:15"));
        assert_eq!(shown.unavailable, "out_of_stock");
        assert_eq!((shown.id(), shown.is_new()), ("gift-wrap", false));
        assert_eq!(shown.arm(Some(&arm)).unwrap(), arm);
        assert_eq!(shown.arm(None).unwrap(), arm);
    }

    #[test]
    fn a_field_that_was_not_touched_stays_to_the_last_digit() {
        let mut arm = filled().arm(None).unwrap();
        let from = Timestamp { seconds: 1_764_576_000, nanos: 250_000_000 };
        arm.schedule = Some(proto::Schedule { from: Some(from), until: None });
        arm.unavailable_because = 0;
        let form = ArmForm::of(&arm, 3);
        assert_eq!(form.unavailable, "paused", "without a reason it reads as paused");
        let again = form.arm(Some(&arm)).unwrap();
        assert_eq!(again, arm);
        let resumed = ArmForm { unavailable: String::new(), ..form }.arm(Some(&arm)).unwrap();
        assert_eq!((resumed.available, resumed.unavailable_because), (Some(true), 0));
    }

    #[test]
    fn a_field_that_is_wrong_is_named_by_its_label() {
        for (form, words) in [
            (ArmForm { payload: "[1]".into(), ..filled() }, "Payload: must be an object"),
            (ArmForm { payload: "{".into(), ..filled() }, "Payload: is not JSON"),
            (ArmForm { from: "tomorrow".into(), ..filled() }, "Shown from: 'tomorrow'"),
            (ArmForm { attributes: "brand".into(), ..filled() }, "Attributes: 'brand' has no name"),
        ] {
            let why = form.arm(None).unwrap_err();
            assert!(why.starts_with(words), "{why}");
        }
        for (message, words) in [
            ("slot.arms[17].schedule.until: must be after from", "Shown until: must be after from"),
            ("slot.arms[0].attributes[price]: is inf", "Attributes [price]: is inf"),
            (
                "slot.default_arm_id: 'x' is not one of the slot's arms",
                "default_arm_id: 'x' is not one of the slot's arms",
            ),
        ] {
            assert_eq!(in_words_of_the_form(message), words);
        }
    }
}
