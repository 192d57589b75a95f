//! Definition of a slot.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    arm::Arm,
    controls::{Baseline, Controls},
    goal::Goal,
    id::{ArmId, FieldError, SlotId, shorten, suggestion},
    limits::{ARMS_MAX, CATALOGUE_MIN, COUNT_MAX, DISPLAY_NAME_BYTES_MAX, SLOT_BYTES_MAX},
    model_limits::check_model,
    rule::{ItemFilter, Rule, check_rules},
};
use crate::bandit::{ModelSpec, SlotTraits};

/// Kind of place that a slot is. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum SlotKind {
    /// Place for one of several arms.
    #[default]
    Offer,
    /// Ordered list of arms.
    Ranking,
    /// Block of several arms.
    Block,
}

/// Identifiers of the subject that may be used. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Consent {
    /// Subject id and session id may be used.
    #[default]
    Full,
    /// The session id may be used.
    SessionOnly,
    /// Neither id may be used.
    None,
}

/// Definition of a slot: everything that people set for it. *Persisted.*
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use slotwise::slot::{Arm, ArmId, Definition, SlotId};
///
/// let mut definition = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
/// definition.arms.push(Arc::new(Arm::new(ArmId::parse("arm_id", "spring-sale").unwrap())));
/// assert!(definition.check().is_ok());
///
/// definition.controls.floor = Some(1.5);
/// assert_eq!(definition.check().unwrap_err().field, "controls.floor");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// Id of the slot.
    pub id: SlotId,
    /// Name for people.
    pub display_name: String,
    /// Kind of place.
    pub kind: SlotKind,
    /// Arms, in the slot's order.
    pub arms: Vec<Arc<Arm>>,
    /// Allows requests to name candidates that the slot does not know.
    pub open_catalogue: bool,
    /// Filter by which the slot takes its arms from the item catalogue, see [`ItemFilter`], or an empty text for a slot
    /// with arms of its own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from_catalogue: String,
    /// Arm that is shown if no arm is eligible.
    pub default_arm: Option<ArmId>,
    /// Number of arms per decision, or `None` for the kind's default.
    pub count: Option<u32>,
    /// Goal: the rule by which reward events become one number.
    pub goal: Goal,
    /// Models that the slot learns with.
    pub model: ModelSpec,
    /// Controls of exploration and audience.
    pub controls: Controls,
    /// Consent of a request that does not specify one.
    pub default_consent: Consent,
    /// Rules that apply whatever was learned.
    #[serde(default)]
    pub rules: Vec<Rule>,
    /// An omitted floor is the [default](Self::floor) of new slots. `false` for a slot that was created before there was one:
    /// there it is 0.
    #[serde(default)]
    pub default_floor: bool,
}

impl Definition {
    /// Creates an empty definition, for a place that is filled later.
    pub(crate) fn empty() -> Self {
        Self::new(SlotId::empty())
    }

    /// Creates a definition with this id, no arms and the default of every setting.
    pub fn new(id: SlotId) -> Self {
        Self {
            id,
            display_name: String::new(),
            kind: SlotKind::default(),
            arms: Vec::new(),
            open_catalogue: false,
            from_catalogue: String::new(),
            default_arm: None,
            count: None,
            goal: Goal::default(),
            model: ModelSpec::default(),
            controls: Controls::default(),
            default_consent: Consent::default(),
            rules: Vec::new(),
            default_floor: false,
        }
    }

    /// Number of arms per decision.
    pub fn count(&self) -> u32 {
        self.count.unwrap_or(match self.kind {
            SlotKind::Offer => 1,
            SlotKind::Ranking => 10,
            SlotKind::Block => 3,
        })
    }

    /// Returns `true` if the slot takes its arms from the item catalogue. Then it has none of its own.
    pub fn takes_items(&self) -> bool {
        !self.from_catalogue.is_empty()
    }

    /// Returns `true` if fields may name arms that are not among the slot's own.
    fn allows_other_arms(&self) -> bool {
        self.open_catalogue || self.takes_items()
    }

    /// Traits that the models of a slot with this number of arms depend on.
    pub fn traits(&self, arms: usize) -> SlotTraits {
        let many = arms >= CATALOGUE_MIN;
        SlotTraits {
            unit_rewards: self.goal.within_unit(),
            large_catalogue: many || (self.kind == SlotKind::Ranking && self.open_catalogue),
        }
    }

    /// Checks that an arm is one of the slot's, unless the slot allows others.
    fn check_arm(&self, field: &str, arm: &ArmId) -> Result<(), FieldError> {
        if self.allows_other_arms() || self.arms.iter().any(|have| have.id == *arm) {
            return Ok(());
        }
        let near = suggestion(arm.as_str(), self.arms.iter().map(|have| have.id.as_str()));
        Err(FieldError::new(field, format!("'{}' is not one of the slot's arms{near}", shorten(arm.as_str()))))
    }

    /// Checks the definition. The error names the field by its path from the slot.
    pub fn check(&self) -> Result<(), FieldError> {
        self.check_changed(|_| false, self.arms_bytes())
    }

    /// Checks the definition, given that the arms for which `known` returns `true` have passed their check before and that
    /// all arms take `arms_bytes`.
    pub fn check_changed(&self, known: impl Fn(&Arc<Arm>) -> bool, arms_bytes: usize) -> Result<(), FieldError> {
        let fail = |field: &str, message: String| Err(FieldError::new(field, message));
        if self.display_name.len() > DISPLAY_NAME_BYTES_MAX {
            return fail("display_name", format!("has more than {DISPLAY_NAME_BYTES_MAX} bytes"));
        }
        if self.arms.len() > ARMS_MAX {
            return fail("arms", format!("has {} arms; at most {ARMS_MAX} are allowed", self.arms.len()));
        }
        if self.takes_items() {
            ItemFilter::parse("from_catalogue", &self.from_catalogue)?;
            if !self.arms.is_empty() {
                let message = "must be empty in a slot that takes its arms from the item catalogue; remove the arms, or clear from_catalogue";
                return fail("arms", message.into());
            }
        }
        let mut seen = HashSet::with_capacity(self.arms.len());
        for (i, arm) in self.arms.iter().enumerate() {
            if !seen.insert(&arm.id) {
                return fail(
                    &format!("arms[{i}].arm_id"),
                    format!("'{}' stands in the slot twice", shorten(arm.id.as_str())),
                );
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
            self.check_arm(&format!("controls.arm_bounds[{:?}]", arm.as_str()), arm)?;
        }
        if let Baseline::Arm(arm) = self.controls.baseline() {
            self.check_arm("controls.baseline.arm_id", arm)?;
        }
        self.goal.check()?;
        check_model(&self.model)?;
        self.controls.check()?;
        self.check_floors(&self.arms)?;
        check_rules(&self.rules, &self.arms, self.allows_other_arms(), &self.controls)
    }
}
