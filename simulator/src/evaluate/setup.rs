//! The slot that a log needs, and the candidates that are evaluated.
//!
//! A log's slot has the log's arms, shows one of them, and learns the log's rewards as they were counted there: what a
//! document says of its goal is set aside. Rewards of one size, as clicks are, are learned as a kind without value, so that
//! the slot knows them to be rates; others by their value.

use std::{collections::BTreeSet, sync::Arc};

use slotwise::{
    bandit::{ModelSpec, Policy},
    slot::{
        Arm, Controls, Definition, FieldError, Goal, Learning as When, RewardKind, Schedule, SlotId, SlotKind,
        suggestion,
    },
};

use super::EvaluateError;
use crate::logged::{Log, LoggedArm};

/// The kind of a reward that is not silence's.
pub(super) const REWARD: &str = "reward";
/// The kind of what is known to have earned no more than silence.
pub(super) const NOTHING: &str = "nothing";

/// The least time that a decision's reward is waited for, microseconds.
const WINDOW_US_MIN: i64 = 24 * 3600 * 1_000_000;

/// A policy that is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its name in the report.
    pub name: String,
    /// How it decides.
    pub how: How,
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
        Self { name: "logged".into(), how: How::Logged }
    }

    /// Uniform choice.
    pub fn uniform() -> Self {
        Self { name: "uniform".into(), how: How::Uniform }
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
        Ok(Self { name: format!("always {id}"), how: How::Arm(place) })
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
        let definition = definition(log, document).map_err(|why| failed(name, why))?;
        Ok(Self { name: name.to_owned(), how: How::Slot(Box::new(definition)) })
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
        goal: goal(log, document.goal.learning),
        controls: Controls { holdout: Some(document.controls.holdout.unwrap_or(0.0)), ..document.controls.clone() },
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

/// What the log's rewards are to a slot.
fn goal(log: &Log, learning: When) -> Goal {
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
        window_us: longest_us.saturating_add(1_000_000).max(WINDOW_US_MIN),
        learning,
        ..Goal::default()
    }
}
