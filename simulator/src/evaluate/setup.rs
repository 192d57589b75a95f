//! The slot that a log needs, and the candidates that are evaluated.
//!
//! A log's slot has the log's arms, shows one of them, and learns the log's rewards as they were counted there: what a
//! document says of its goal is set aside, but for its window and when it learns. So is who gets the policy, and for how long: mode,
//! holdout, analysis slice and stickiness would mix what others decide, or what was drawn once, with the policy's own
//! propensities, and the policy is what is evaluated. Rules stay, caps per subject among them. Rewards of one size, as clicks are, are learned as a kind without value, so that
//! the slot knows them to be rates; others by their value.

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

/// The kind of a reward that is not silence's.
pub(super) const REWARD: &str = "reward";
/// The kind of what is known to have earned no more than silence.
pub(super) const NOTHING: &str = "nothing";

/// A policy that is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name in the report.
    pub name: String,
    /// How it decides.
    pub how: How,
    /// The settings of its document that are set aside.
    pub set_aside: Vec<&'static str>,
}

/// How a candidate decides.
#[derive(Debug, Clone, PartialEq)]
pub enum How {
    /// As the log did.
    Logged,
    /// Everything that is on offer alike.
    Uniform,
    /// Always this arm, by its place in the log's list.
    Arm(usize),
    /// As a slot does, by the engine.
    Slot(Box<Definition>),
}

impl Candidate {
    /// The log's own policy.
    pub fn logged() -> Self {
        Self { name: "logged".into(), how: How::Logged, set_aside: Vec::new() }
    }

    /// Uniform choice.
    pub fn uniform() -> Self {
        Self { name: "uniform".into(), how: How::Uniform, set_aside: Vec::new() }
    }

    /// Always one arm, by its id.
    ///
    /// # Errors
    ///
    /// The log has no such arm.
    pub fn arm(log: &Log, id: &str) -> Result<Self, EvaluateError> {
        let place = log.arms.iter().position(|arm| arm.id.as_str() == id).ok_or_else(|| EvaluateError::Arm {
            arm: id.to_owned(),
            suggestion: suggestion(id, log.arms.iter().map(|arm| arm.id.as_str())),
        })?;
        Ok(Self { name: format!("always {id}"), how: How::Arm(place), set_aside: Vec::new() })
    }

    /// A slot with this model and policy and every other setting at its default.
    ///
    /// # Errors
    ///
    /// A setting is out of its range.
    pub fn plain(log: &Log, model: ModelSpec, policy: Policy, exploration: Option<f64>) -> Result<Self, EvaluateError> {
        let controls = Controls { policy: Some(policy), exploration, ..Controls::default() };
        let plain = Definition { model, controls, ..bare().map_err(|why| failed(policy.name(), why))? };
        Self::slot(log, policy.name(), plain)
    }

    /// A slot as a document describes it.
    ///
    /// # Errors
    ///
    /// With the log's arms it is none.
    pub fn slot(log: &Log, name: &str, document: Definition) -> Result<Self, EvaluateError> {
        let set_aside = set_aside(&document.controls);
        let definition = definition(log, document).map_err(|why| failed(name, why))?;
        Ok(Self { name: name.to_owned(), how: How::Slot(Box::new(definition)), set_aside })
    }
}

fn failed(name: &str, why: FieldError) -> EvaluateError {
    EvaluateError::Candidate { name: name.to_owned(), why }
}

fn bare() -> Result<Definition, FieldError> {
    Ok(Definition { kind: SlotKind::Offer, ..Definition::new(SlotId::parse("slot_id", "replayed")?) })
}

/// The slot whose learner foresees rewards for doubly robust estimation: every setting at its default.
pub(super) fn foreseer(log: &Log) -> Result<Definition, EvaluateError> {
    const NAME: &str = "reward model";
    let controls = Controls { policy: Some(Policy::Uniform), ..Controls::default() };
    let plain = Definition { controls, ..bare().map_err(|why| failed(NAME, why))? };
    definition(log, plain).map_err(|why| failed(NAME, why))
}

/// The settings by which not everyone gets what the policy draws.
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

/// The slot of a document, with the log's arms and rewards.
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

/// What the log's rewards are to a slot: they count as long as the document says, or as the log's longest took.
fn goal(log: &Log, document: &Goal) -> Goal {
    let kind = |kind: &str, weight: f64| RewardKind {
        kind: kind.to_owned(),
        weight,
        use_value: false,
        cap: None,
        winsorize: None,
    };
    let reward = match log.unit() {
        Some(unit) => RewardKind { cap: Some(unit), ..kind(REWARD, unit) },
        None => RewardKind { use_value: true, ..kind(REWARD, 1.0) },
    };
    let longest_us = log.rows.iter().filter_map(|row| Some(row.told_us? - row.at_us)).max().unwrap_or(0);
    Goal {
        kinds: vec![reward, kind(NOTHING, 0.0)],
        default_reward: log.silent,
        window_us: longest_us.saturating_add(1_000_000).max(document.window_us),
        learning: document.learning,
        ..Goal::default()
    }
}
