//! The slot that fits a log, and the policies that are evaluated.
//!
//! The slot of a log has the log's arms, shows one of them, and learns the log's rewards as they were counted there. Of
//! a document's goal only the window and the time of learning are used. Settings that decide who gets the policy, and
//! for how long, are ignored: mode, holdout, analysis slice and stickiness would mix other decisions, or repeated ones,
//! with the policy's own propensities. Rules stay, caps per subject among them.
//!
//! Rewards of one size, such as clicks, are learned as a kind without a value, so that the slot recognises them as
//! rates. Other rewards are learned by their value.

use std::{collections::BTreeSet, sync::Arc};

use slotwise::{
    bandit::{ModelSpec, Policy},
    slot::{
        Arm, Controls, Definition, FieldError, Goal, Mode, RewardKind, Schedule, SlotId, SlotKind, Stickiness,
        suggestion,
    },
};

use super::EvaluateError;
use crate::evaluate::logged::{Log, LoggedArm};

/// Reward kind of a reward that differs from the log's default reward.
pub(super) const REWARD: &str = "reward";
/// Reward kind of a reward that equals the log's default reward.
pub(super) const NOTHING: &str = "nothing";

/// A policy that is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedPolicy {
    /// Name of the policy in the report.
    pub name: String,
    /// The way in which the policy decides.
    pub how: PolicyKind,
    /// Settings of the policy's document that are ignored.
    pub set_aside: Vec<&'static str>,
}

/// The way in which an evaluated policy decides.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyKind {
    /// The policy that made the log's decisions.
    Logged,
    /// Uniform choice among the arms on offer.
    Uniform,
    /// Always this arm, by its place in the log's list.
    Arm(usize),
    /// A slot's policy, run by the engine.
    Slot(Box<Definition>),
}

impl EvaluatedPolicy {
    /// The log's own policy.
    pub fn logged() -> Self {
        Self { name: "logged".into(), how: PolicyKind::Logged, set_aside: Vec::new() }
    }

    /// The policy that chooses uniformly.
    pub fn uniform() -> Self {
        Self { name: "uniform".into(), how: PolicyKind::Uniform, set_aside: Vec::new() }
    }

    /// The policy that always shows one arm, by its id.
    ///
    /// # Errors
    ///
    /// Returns an error if the log has no such arm.
    pub fn arm(log: &Log, id: &str) -> Result<Self, EvaluateError> {
        let place = log.arms.iter().position(|arm| arm.id.as_str() == id).ok_or_else(|| EvaluateError::Arm {
            arm: id.to_owned(),
            suggestion: suggestion(id, log.arms.iter().map(|arm| arm.id.as_str())),
        })?;
        Ok(Self { name: format!("always {id}"), how: PolicyKind::Arm(place), set_aside: Vec::new() })
    }

    /// The policy of a slot with this model and policy, and defaults for every other setting.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of its range.
    pub fn plain(log: &Log, model: ModelSpec, policy: Policy, exploration: Option<f64>) -> Result<Self, EvaluateError> {
        let controls = Controls { policy: Some(policy), exploration, ..Controls::default() };
        let plain = Definition { model, controls, ..bare().map_err(|why| failed(policy.name(), why))? };
        Self::slot(log, policy.name(), plain)
    }

    /// The policy of a slot that a document describes.
    ///
    /// # Errors
    ///
    /// Returns an error if the document is not a valid slot with the log's arms.
    pub fn slot(log: &Log, name: &str, document: Definition) -> Result<Self, EvaluateError> {
        let set_aside = set_aside(&document.controls);
        let definition = definition(log, document).map_err(|why| failed(name, why))?;
        Ok(Self { name: name.to_owned(), how: PolicyKind::Slot(Box::new(definition)), set_aside })
    }
}

fn failed(name: &str, why: FieldError) -> EvaluateError {
    EvaluateError::Policy { name: name.to_owned(), why }
}

fn bare() -> Result<Definition, FieldError> {
    Ok(Definition { kind: SlotKind::Offer, ..Definition::new(SlotId::parse("slot_id", "replayed")?) })
}

/// Definition of the slot whose learner forecasts rewards for doubly robust estimation. Every setting has its default.
pub(super) fn forecaster(log: &Log) -> Result<Definition, EvaluateError> {
    const NAME: &str = "reward model";
    let controls = Controls { policy: Some(Policy::Uniform), ..Controls::default() };
    let plain = Definition { controls, ..bare().map_err(|why| failed(NAME, why))? };
    definition(log, plain).map_err(|why| failed(NAME, why))
}

/// Names of the settings by which some subjects do not get what the policy draws.
fn set_aside(controls: &Controls) -> Vec<&'static str> {
    [
        ("mode", controls.mode() != Mode::On),
        ("holdout", controls.holdout() > 0.0),
        ("analysis", controls.analysis() > 0.0),
        ("stickiness", controls.stickiness() != Stickiness::Never),
    ]
    .into_iter()
    .filter_map(|(field, said)| said.then_some(field))
    .collect()
}

/// The document's slot, with the log's arms and rewards.
fn definition(log: &Log, document: Definition) -> Result<Definition, FieldError> {
    let known: BTreeSet<_> = document.arms.iter().map(|arm| arm.id.clone()).collect();
    let said = document.arms.iter().map(|arm| {
        let of_log = log.arms.iter().find(|logged| logged.id == arm.id && arm.attributes.is_empty());
        of_log.map_or_else(
            || Arc::clone(arm),
            |logged| Arc::new(Arm { attributes: logged.attributes.clone(), ..Arm::clone(arm) }),
        )
    });
    let rest = log.arms.iter().filter(|logged| !known.contains(&logged.id)).map(arm);
    let definition = Definition {
        arms: said.chain(rest).collect(),
        count: Some(1),
        goal: goal(log, &document.goal),
        controls: Controls {
            mode: Some(Mode::On),
            holdout: Some(0.0),
            // A policy is evaluated as it is set, without a floor that only measures.
            floor: document.controls.floor.or(Some(0.0)),
            analysis: Some(0.0),
            stickiness: Some(Stickiness::Never),
            ..document.controls.clone()
        },
        ..document
    };
    definition.check()?;
    Ok(definition)
}

fn arm(logged: &LoggedArm) -> Arc<Arm> {
    Arc::new(Arm {
        id: logged.id.clone(),
        attributes: logged.attributes.clone(),
        available: true,
        payload: None,
        because: None,
        schedule: Schedule::default(),
    })
}

/// The goal that matches the log's rewards. Its window is the document's, or as long as the log's slowest reward took.
fn goal(log: &Log, document: &Goal) -> Goal {
    let kind = |kind: &str, weight: f64| RewardKind {
        kind: kind.to_owned(),
        weight,
        use_value: false,
        cap: None,
        winsorize: None,
        role: None,
        joins: None,
    };
    let reward = match log.unit() {
        Some(unit) => RewardKind { cap: Some(unit), ..kind(REWARD, unit) },
        None => RewardKind { use_value: true, ..kind(REWARD, 1.0) },
    };
    let longest_us = log.rows.iter().filter_map(|row| Some(row.known_us? - row.at_us)).max().unwrap_or(0);
    Goal {
        kinds: vec![reward, kind(NOTHING, 0.0)],
        default_reward: log.default_reward,
        window_us: longest_us.saturating_add(1_000_000).max(document.window_us),
        learning: document.learning,
        ..Goal::default()
    }
}
