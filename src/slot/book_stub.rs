//! Stub while the real one is written.
#![allow(missing_docs, clippy::all)]
use super::*;
use crate::bandit::Features;
use std::sync::Arc;
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    rules: Vec<Rule>,
}
impl PartialEq for RuleBook {
    fn eq(&self, o: &Self) -> bool {
        self.rules == o.rules
    }
}
#[derive(Debug)]
pub struct Facts<'a> {
    pub context: &'a Features,
    pub subject_id: &'a str,
    pub session_id: &'a str,
}
#[derive(Debug)]
pub struct Target<'a> {
    pub arm: &'a ArmId,
    pub position: Option<usize>,
    pub own: Option<&'a Features>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    No,
    Yes,
    Failed,
}
#[derive(Debug, Default)]
pub struct Verdicts;
impl Verdicts {
    pub fn of(&self, _: usize, _: usize) -> Verdict {
        Verdict::No
    }
    pub fn any(&self, _: usize) -> bool {
        false
    }
}
impl RuleBook {
    pub fn new(rules: &[Rule], _: &[Arc<Arm>]) -> Self {
        Self { rules: rules.to_vec() }
    }
    pub fn renewed(&self, rules: &[Rule], arms: &[Arc<Arm>]) -> Self {
        Self::new(rules, arms)
    }
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
    pub fn judge(&self, _: &Facts<'_>, _: &[Target<'_>]) -> Verdicts {
        Verdicts
    }
}
