//! Draft of a slot's controls as the form of the page "Change" has it, and the change that it makes.

use prost_types::FieldMask;
use serde::{Deserialize, Serialize};

use crate::{
    engine::SlotView,
    slot::{Controls, Definition, Mode},
    wire::proto,
};

const DAY_US: f64 = 24.0 * 3_600.0 * 1e6;
/// Rounding that a sum of many floors may carry.
const FLOORS_ROUNDING: f64 = 1e-9;

/// Controls as the form has them. An empty text means the default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ControlsDraft {
    /// Revision that the draft was made from.
    pub(super) revision: u64,
    /// Width multiplier.
    pub(super) exploration: String,
    /// Floor, percent.
    pub(super) floor: String,
    /// Holdout, percent.
    pub(super) holdout: String,
    /// Half-life, days.
    pub(super) half_life: String,
    /// Mode: `on` or `shadow`.
    pub(super) mode: String,
    /// Learning is stopped: `on`, or empty.
    pub(super) freeze: String,
    /// Reason of the change.
    #[serde(skip_serializing)]
    pub(super) reason: String,
    /// Make a draft for somebody else to approve: `on`, or empty.
    #[serde(skip_serializing)]
    pub(super) as_draft: String,
}

/// Draft in the address of its preview.
#[derive(Debug, Serialize)]
pub(super) struct PreviewedDraft<'a> {
    preview: u8,
    #[serde(flatten)]
    draft: &'a ControlsDraft,
}

/// Change that a draft makes: the slot's message and the paths of the fields that differ.
pub(super) struct DraftChange {
    pub(super) slot: proto::Slot,
    pub(super) mask: FieldMask,
}

pub(super) fn number(value: Option<f64>, factor: f64) -> String {
    value.map_or_else(String::new, |value| {
        let rounded = (value * factor * 1e6).round() / 1e6;
        rounded.to_string()
    })
}

/// Number of a field, divided by `factor`, or `None` for an empty text. The error names the label of the field.
pub(super) fn number_of(label: &str, text: &str, factor: f64) -> Result<Option<f64>, String> {
    match text.trim() {
        "" => Ok(None),
        text => match text.replace(',', ".").parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value / factor)),
            _ => Err(format!("{label}: '{text}' is no number; write it as 5 or 0.5")),
        },
    }
}

impl ControlsDraft {
    /// Draft as the address of its preview has it.
    pub(super) fn previewed(&self) -> PreviewedDraft<'_> {
        PreviewedDraft { preview: 1, draft: self }
    }

    /// Draft that changes nothing.
    pub(super) fn of(controls: &Controls, revision: u64) -> Self {
        let on = |flag: bool| if flag { "on".to_owned() } else { String::new() };
        Self {
            revision,
            exploration: number(controls.exploration, 1.0),
            floor: number(controls.floor, 100.0),
            holdout: number(controls.holdout, 100.0),
            half_life: number(controls.half_life_us.map(|us| us as f64 / DAY_US), 1.0),
            mode: if controls.mode() == Mode::Shadow { "shadow".into() } else { "on".into() },
            freeze: on(controls.freeze_learning()),
            ..Self::default()
        }
    }

    /// Returns the draft as it is from the slot's present controls: the fields that it did not touch are those of now.
    pub(super) fn rebased(&self, from: &Self, now: &Self) -> Self {
        let field = |of: fn(&Self) -> &String| if of(self) == of(from) { of(now).clone() } else { of(self).clone() };
        Self {
            revision: now.revision,
            exploration: field(|draft| &draft.exploration),
            floor: field(|draft| &draft.floor),
            holdout: field(|draft| &draft.holdout),
            half_life: field(|draft| &draft.half_life),
            mode: field(|draft| &draft.mode),
            freeze: field(|draft| &draft.freeze),
            reason: self.reason.clone(),
            as_draft: self.as_draft.clone(),
        }
    }

    /// Checks the numbers of the draft against the slot, in the units of the form.
    ///
    /// # Errors
    ///
    /// A sentence that begins with the label of the field that is wrong.
    pub(super) fn check(&self, definition: &Definition) -> Result<(), String> {
        let percent = |part: f64| {
            let rounded = (part * 1e8).round() / 1e6;
            format!("{rounded} %")
        };
        let part = |label: &str, text: &str| match number_of(label, text, 100.0)? {
            Some(part) if !(0.0..=1.0).contains(&part) => Err(format!("{label}: must be from 0 to 100 %")),
            part => Ok(part),
        };
        let floor = part("Floor", &self.floor)?;
        part("Holdout", &self.holdout)?;
        let Some(floor) = floor else { return Ok(()) };
        let ceiling = definition.controls.ceiling();
        if floor > ceiling {
            return Err(format!(
                "Floor: {} is above the ceiling of {}; lower the one or raise the other",
                percent(floor),
                percent(ceiling)
            ));
        }
        let mut wanted = definition.clone();
        wanted.controls.floor = Some(floor);
        let sum = wanted.floors_sum(&wanted.arms);
        if sum > 1.0 + FLOORS_ROUNDING {
            return Err(format!(
                "Floor: with {} the floors of the arms come to {}, and nothing is left to learn with; they must leave room within 100 %",
                percent(floor),
                percent(sum)
            ));
        }
        Ok(())
    }

    /// Change from the slot as it was when the draft was made, or `None` if they are the same.
    ///
    /// # Errors
    ///
    /// The label of a field that is no number.
    pub(super) fn change(&self, slot: &str, from: &Self) -> Result<Option<DraftChange>, String> {
        let mut controls = proto::Controls::default();
        let mut paths = Vec::new();
        if self.exploration != from.exploration {
            controls.exploration = number_of("Exploration", &self.exploration, 1.0)?;
            paths.push("controls.exploration");
        }
        if self.floor != from.floor {
            controls.floor = number_of("Floor", &self.floor, 100.0)?;
            paths.push("controls.floor");
        }
        if self.holdout != from.holdout {
            controls.holdout = number_of("Holdout", &self.holdout, 100.0)?;
            paths.push("controls.holdout");
        }
        if self.half_life != from.half_life {
            let days = number_of("Half-life", &self.half_life, 1.0)?;
            let within = days.is_none_or(|days| (0.0..=4_000.0).contains(&days));
            if !within {
                return Err("Half-life: must be from 1 minute to 10 years".into());
            }
            #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 4,000 days")]
            let seconds = |days: f64| (days * 86_400.0).round() as i64;
            controls.half_life = days.map(|days| prost_types::Duration { seconds: seconds(days), nanos: 0 });
            paths.push("controls.half_life");
        }
        if self.mode != from.mode {
            use proto::mode::Mode as Out;
            let mode = match self.mode.as_str() {
                "shadow" => Out::Shadow(proto::ShadowMode {}),
                _ => Out::On(proto::OnMode {}),
            };
            controls.mode = Some(proto::Mode { mode: Some(mode) });
            paths.push("controls.mode");
        }
        if self.freeze != from.freeze {
            controls.freeze_learning = Some(self.freeze == "on");
            paths.push("controls.freeze_learning");
        }
        if paths.is_empty() {
            return Ok(None);
        }
        let slot = proto::Slot {
            slot_id: slot.to_owned(),
            revision: self.revision,
            controls: Some(controls),
            ..proto::Slot::default()
        };
        let mask = FieldMask { paths: paths.into_iter().map(str::to_owned).collect() };
        Ok(Some(DraftChange { slot, mask }))
    }
}

/// Returns the draft that the slot's present controls make, to compare another one with.
pub(super) fn present(view: &SlotView) -> ControlsDraft {
    ControlsDraft::of(&view.definition.controls, view.revision)
}

/// Returns the draft that the controls of a revision make, or those of now if it is not kept.
pub(super) fn at_revision(view: &SlotView, revision: u64) -> ControlsDraft {
    let kept = view.revisions.iter().find(|kept| kept.number == revision);
    kept.map_or_else(|| present(view), |kept| ControlsDraft::of(&kept.definition.controls, kept.number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ControlsDraft {
        let controls = Controls { floor: Some(0.02), holdout: Some(0.1), ..Controls::default() };
        ControlsDraft::of(&controls, 7)
    }

    #[test]
    fn a_draft_changes_the_fields_that_differ_and_no_others() {
        let now = draft();
        assert_eq!((now.floor.as_str(), now.holdout.as_str(), now.exploration.as_str()), ("2", "10", ""));
        assert!(now.change("offers", &now).unwrap().is_none());
        let wanted = ControlsDraft { floor: "0,5".into(), holdout: String::new(), mode: "shadow".into(), ..draft() };
        let DraftChange { slot, mask } = wanted.change("offers", &now).unwrap().unwrap();
        assert_eq!(mask.paths, ["controls.floor", "controls.holdout", "controls.mode"]);
        let controls = slot.controls.unwrap();
        assert_eq!((controls.floor, controls.holdout, slot.revision), (Some(0.005), None, 7));
        assert!(controls.mode.is_some() && controls.exploration.is_none());
    }

    #[test]
    fn a_draft_of_an_older_revision_keeps_what_others_changed_since() {
        let from = draft();
        let now = ControlsDraft { revision: 8, holdout: "20".into(), ..draft() };
        let wanted = ControlsDraft { floor: "4".into(), ..draft() };
        let rebased = wanted.rebased(&from, &now);
        assert_eq!((rebased.revision, rebased.floor.as_str(), rebased.holdout.as_str()), (8, "4", "20"));
        assert_eq!(rebased.change("offers", &now).unwrap().unwrap().mask.paths, ["controls.floor"]);
    }

    #[test]
    fn a_text_that_is_no_number_is_named() {
        for (wrong, label) in [
            (ControlsDraft { floor: "some".into(), ..draft() }, "Floor"),
            (ControlsDraft { exploration: "inf".into(), ..draft() }, "Exploration"),
            (ControlsDraft { half_life: "-1".into(), ..draft() }, "Half-life"),
        ] {
            let why = wrong.change("offers", &draft()).map(|_| ()).unwrap_err();
            assert!(why.starts_with(label), "{why}");
        }
    }
}
