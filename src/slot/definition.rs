//! All that is said about a slot.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    arm::Arm,
    controls::{Baseline, Controls},
    goal::Goal,
    id::{ArmId, FieldError, SlotId, suggestion},
    limits::{ARMS_MAX, CATALOGUE_MIN, COUNT_MAX, DISPLAY_NAME_BYTES_MAX, SLOT_BYTES_MAX},
    model_limits::check_model,
    rule::{Rule, check_rules},
};
use crate::bandit::{ModelSpec, SlotTraits};

/// What kind of place a slot is. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SlotKind {
    /// One thing out of several.
    #[default]
    Offer,
    /// An ordered list.
    Ranking,
    /// A block of several things.
    Block,
}

/// How much of the subject may be used. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Consent {
    /// Subject id and session id.
    #[default]
    Full,
    /// The session id only.
    SessionOnly,
    /// Neither.
    None,
}

/// All that is said about a slot. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Its id.
    pub id: SlotId,
    /// For people.
    pub display_name: String,
    /// What kind of place it is.
    pub kind: SlotKind,
    /// What can be shown, in the slot's order.
    pub arms: Vec<Arc<Arm>>,
    /// Requests may name candidates that the slot does not know.
    pub open_catalogue: bool,
    /// Shown when nothing is eligible.
    pub default_arm: Option<ArmId>,
    /// Arms per decision; none: the kind's default.
    pub count: Option<u32>,
    /// How reward events become one number.
    pub goal: Goal,
    /// How it learns.
    pub model: ModelSpec,
    /// How it explores.
    pub controls: Controls,
    /// What an unspecified consent means.
    pub default_consent: Consent,
    /// What may be shown where, whatever was learned.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

impl Definition {
    /// A definition of nothing, for a place that is filled later.
    pub(crate) fn empty() -> Self {
        Self::new(SlotId::empty())
    }

    /// A slot of this id with every setting at its default and no arms.
    pub fn new(id: SlotId) -> Self {
        Self {
            id,
            display_name: String::new(),
            kind: SlotKind::default(),
            arms: Vec::new(),
            open_catalogue: false,
            default_arm: None,
            count: None,
            goal: Goal::default(),
            model: ModelSpec::default(),
            controls: Controls::default(),
            default_consent: Consent::default(),
            rules: Vec::new(),
        }
    }

    /// Arms per decision.
    pub fn count(&self) -> u32 {
        self.count.unwrap_or(match self.kind {
            SlotKind::Offer => 1,
            SlotKind::Ranking => 10,
            SlotKind::Block => 3,
        })
    }

    /// What its models have to know of it.
    pub fn traits(&self) -> SlotTraits {
        let many = self.arms.len() >= CATALOGUE_MIN;
        SlotTraits {
            unit_rewards: self.goal.within_unit(),
            large_catalogue: many || (self.kind == SlotKind::Ranking && self.open_catalogue),
        }
    }

    /// That an arm is one of the slot's, or that the slot allows others.
    fn check_arm(&self, field: &str, arm: &ArmId) -> Result<(), FieldError> {
        if self.open_catalogue || self.arms.iter().any(|have| have.id == *arm) {
            return Ok(());
        }
        let near = suggestion(arm.as_str(), self.arms.iter().map(|have| have.id.as_str()));
        Err(FieldError::new(field, format!("'{arm}' is not one of the slot's arms{near}")))
    }

    /// Whether it holds together; the error names the field by its path from the slot.
    pub fn check(&self) -> Result<(), FieldError> {
        self.check_changed(|_| false, self.arms_bytes())
    }

    /// The same, where the arms of which `known` says so have passed their check before, and all arms take
    /// `arms_bytes`.
    pub fn check_changed(&self, known: impl Fn(&Arc<Arm>) -> bool, arms_bytes: usize) -> Result<(), FieldError> {
        let fail = |field: &str, message: String| Err(FieldError::new(field, message));
        if self.display_name.len() > DISPLAY_NAME_BYTES_MAX {
            return fail("display_name", format!("has more than {DISPLAY_NAME_BYTES_MAX} bytes"));
        }
        if self.arms.len() > ARMS_MAX {
            return fail("arms", format!("has {} arms; at most {ARMS_MAX} are allowed", self.arms.len()));
        }
        let mut seen = HashSet::with_capacity(self.arms.len());
        for (i, arm) in self.arms.iter().enumerate() {
            if !seen.insert(&arm.id) {
                return fail(&format!("arms[{i}].arm_id"), format!("'{}' stands in the slot twice", arm.id));
            }
            if !known(arm) {
                arm.check().map_err(|e| e.within(&format!("arms[{i}]")))?;
            }
        }
        let bytes = arms_bytes.saturating_add(self.settings_bytes());
        if bytes > SLOT_BYTES_MAX {
            let mebibytes = |bytes: usize| bytes as f64 / (1024.0 * 1024.0);
            let message = format!(
                "the slot has {:.1} MiB with its {} arms; at most {} MiB are allowed: shorten attributes and payloads, or give the slot fewer arms",
                mebibytes(bytes),
                self.arms.len(),
                mebibytes(SLOT_BYTES_MAX)
            );
            return fail("arms", message);
        }
        if let Some(default) = &self.default_arm
            && !self.arms.is_empty()
            && !seen.contains(default)
            && !self.open_catalogue
        {
            return fail(
                "default_arm_id",
                format!("'{default}' is not one of the slot's arms; add it or choose another"),
            );
        }
        if self.count.is_some_and(|count| count > COUNT_MAX) {
            return fail("count", format!("is {}; at most {COUNT_MAX} are allowed", self.count()));
        }
        for arm in self.controls.arm_bounds.keys() {
            self.check_arm(&format!("controls.arm_shares[{:?}]", arm.as_str()), arm)?;
        }
        if let Baseline::Arm(arm) = self.controls.baseline() {
            self.check_arm("controls.baseline.arm_id", arm)?;
        }
        self.goal.check()?;
        check_model(&self.model)?;
        self.controls.check()?;
        self.check_floors()?;
        check_rules(&self.rules, &self.arms, self.open_catalogue, &self.controls)
    }
}
