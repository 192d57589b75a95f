//! All that is said about a slot.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    controls::{Baseline, Controls},
    goal::Goal,
    id::{ArmId, FieldError, SlotId, shorten_key, suggestion},
    limits::{
        ARMS_MAX, CATALOGUE_MIN, COUNT_MAX, DISPLAY_NAME_BYTES_MAX, FEATURES_MAX, NAME_BYTES_MAX, NUMBER_MAX,
        PAYLOAD_BYTES_MAX, PAYLOAD_DEPTH_MAX, SLOT_BYTES_MAX, VECTOR_MAX, WORD_BYTES_MAX, WORDS_MAX,
    },
    rule::{Rule, check_rules},
    size::payload_bytes,
};
use crate::bandit::{Features, LinearSpec, ModelSpec, PortfolioSpec, SlotTraits, Value};

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

/// What an arm hands out with a decision: a JSON object.
pub type Payload = serde_json::Map<String, serde_json::Value>;

/// A thing that can be shown. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// Its id.
    pub id: ArmId,
    /// What it is.
    pub attributes: Features,
    /// Whether it may be shown, within its schedule.
    pub available: bool,
    /// Handed out with a decision.
    pub payload: Option<Payload>,
    /// Why it is not available, where that was said.
    #[serde(default)]
    pub because: Option<Unavailable>,
    /// When it may be shown.
    #[serde(default)]
    pub schedule: Schedule,
}

/// Why an arm is not available. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unavailable {
    /// Somebody paused it.
    Paused,
    /// There is none left.
    OutOfStock,
}

/// When something holds, microseconds since 1970. *Persisted.*
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Schedule {
    /// From this moment on; none: always.
    pub from_us: Option<i64>,
    /// Until just before this one; none: for ever.
    pub until_us: Option<i64>,
}

impl Schedule {
    /// Whether it ever holds; the error names the field by its path from the arm.
    pub fn check(&self) -> Result<(), FieldError> {
        match (self.from_us, self.until_us) {
            (Some(from_us), Some(until_us)) if from_us >= until_us => {
                Err(FieldError::new("until", "must be after from; an arm that is never to be shown can be paused"))
            }
            _ => Ok(()),
        }
    }

    /// Whether it holds at this moment.
    pub fn holds(&self, at_us: i64) -> bool {
        self.from_us.is_none_or(|from_us| at_us >= from_us) && self.until_us.is_none_or(|until_us| at_us < until_us)
    }
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

/// Caller of a change as the service saw it, beside what the author says of themselves. *Persisted.*
///
/// A change that was made before actors were recorded, or inside the process, has an empty one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Name that the caller authenticated as; empty while the service knows no keys.
    pub principal: String,
    /// Network address that the call came from; empty if it came from no network.
    pub origin: String,
    /// Id of the call: the caller's own, or one that the service gave it.
    pub request_id: String,
}

impl Actor {
    /// Returns whether nothing is known of the caller.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Who makes a change, and why. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangeReason {
    /// Who, as they call themselves; may be empty.
    pub author: String,
    /// In the author's words; may be empty.
    pub reason: String,
    /// Caller as the service saw it.
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    pub actor: Actor,
}

impl ChangeReason {
    /// Creates the reason of a change whose caller is not known.
    pub fn new(author: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { author: author.into(), reason: reason.into(), actor: Actor::default() }
    }

    /// Returns whether the same person says the same of another change; each call has its own request id and port.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        (&self.author, &self.reason, &self.actor.principal) == (&other.author, &other.reason, &other.actor.principal)
    }
}

/// A definition as it was after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u64,
    /// When it was made, microseconds since 1970.
    pub at_us: i64,
    /// Who made it, and why.
    pub why: ChangeReason,
    /// What kind of change it was.
    pub change: String,
    /// The definition after it.
    pub definition: Arc<Definition>,
    /// Bytes that it takes beside the arms that it shares with the revision before it.
    pub own_bytes: u64,
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

impl Arm {
    /// An available arm with nothing more said about it.
    pub fn new(id: ArmId) -> Self {
        Self {
            id,
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: Schedule::default(),
        }
    }

    /// Whether it holds together; the error names the field by its path from the arm.
    pub fn check(&self) -> Result<(), FieldError> {
        check_features("attributes", &self.attributes)?;
        self.schedule.check().map_err(|e| e.within("schedule"))?;
        if let Some(payload) = &self.payload {
            if payload_bytes(payload) > PAYLOAD_BYTES_MAX {
                return Err(FieldError::new("payload", format!("has more than {PAYLOAD_BYTES_MAX} bytes as JSON")));
            }
            if payload.values().map(depth).max().unwrap_or(0) >= PAYLOAD_DEPTH_MAX {
                return Err(FieldError::new("payload", format!("is nested more than {PAYLOAD_DEPTH_MAX} deep")));
            }
        }
        Ok(())
    }
}

/// How deep lists and objects are nested in it.
fn depth(json: &serde_json::Value) -> usize {
    match json {
        serde_json::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(object) => 1 + object.values().map(depth).max().unwrap_or(0),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => 0,
    }
}

fn check_model(model: &ModelSpec) -> Result<(), FieldError> {
    let within = |field: &str, value: f64, low: f64, high: f64| {
        if (low..=high).contains(&value) {
            Ok(())
        } else {
            Err(FieldError::new(format!("model.{field}"), format!("is {value}; must be from {low} to {high}")))
        }
    };
    match *model {
        ModelSpec::Portfolio(PortfolioSpec { dimension_budget, compute_budget, detect_changes: _ }) => {
            within("portfolio.dimension_budget", f64::from(dimension_budget), 8.0, 1024.0)?;
            within("portfolio.compute_budget", compute_budget as f64, 1e4, 1e9)
        }
        ModelSpec::Linear(LinearSpec { prior_precision, dimension_budget, .. }) => {
            within("linear.prior_precision", prior_precision, 1e-6, 1e6)?;
            within("linear.dimension_budget", f64::from(dimension_budget), 8.0, 1024.0)
        }
        ModelSpec::BetaBernoulli { prior_a, prior_b } => {
            within("beta_bernoulli.prior_a", prior_a, 0.01, 1e6)?;
            within("beta_bernoulli.prior_b", prior_b, 0.01, 1e6)
        }
        ModelSpec::NormalInverseGamma { prior_mean, prior_strength, prior_shape, prior_scale } => {
            within("normal_inverse_gamma.prior_mean", prior_mean, -NUMBER_MAX, NUMBER_MAX)?;
            within("normal_inverse_gamma.prior_strength", prior_strength, 1e-6, 1e6)?;
            within("normal_inverse_gamma.prior_shape", prior_shape, 0.5, 1e6)?;
            within("normal_inverse_gamma.prior_scale", prior_scale, 1e-12, NUMBER_MAX)
        }
    }
}

/// Whether features from outside may come in; the error's path begins with `field`.
pub fn check_features(field: &str, features: &Features) -> Result<(), FieldError> {
    if features.len() > FEATURES_MAX {
        let message = format!("has {} features; at most {FEATURES_MAX} are allowed", features.len());
        return Err(FieldError::new(field, message));
    }
    for (name, value) in features {
        check_name(field, name)?;
        if let Err(message) = check_value(value) {
            return Err(FieldError::new(format!("{field}[{}]", shorten_key(name)), message));
        }
    }
    Ok(())
}

/// Checks the name of a feature of `field`.
pub fn check_name(field: &str, name: &str) -> Result<(), FieldError> {
    if name.is_empty() {
        return Err(FieldError::new(field, format!("a feature's name must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    if name.len() > NAME_BYTES_MAX {
        let message = format!("the name has {} bytes; a feature's name must have 1 to {NAME_BYTES_MAX}", name.len());
        return Err(FieldError::new(format!("{field}[{}]", shorten_key(name)), message));
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), String> {
    let number = |number: f64| {
        if !number.is_finite() {
            Err(format!("is {number}; must be a finite number"))
        } else if number.abs() > NUMBER_MAX {
            Err(format!("is {number}; its absolute value may be at most {NUMBER_MAX}"))
        } else {
            Ok(())
        }
    };
    let word = |word: &str| {
        if word.len() > WORD_BYTES_MAX {
            Err(format!("a word has {} bytes; at most {WORD_BYTES_MAX} are allowed", word.len()))
        } else {
            Ok(())
        }
    };
    match value {
        Value::Number(value) => number(*value),
        Value::Text(text) => word(text),
        Value::Flag(_) => Ok(()),
        Value::Texts(texts) if texts.len() > WORDS_MAX => {
            Err(format!("has {} words; at most {WORDS_MAX} are allowed", texts.len()))
        }
        Value::Texts(texts) => texts.iter().try_for_each(|text| word(text)),
        Value::Vector(values) if values.len() > VECTOR_MAX => {
            Err(format!("has {} numbers; at most {VECTOR_MAX} are allowed", values.len()))
        }
        Value::Vector(values) => values.iter().try_for_each(|&value| number(f64::from(value))),
    }
}
