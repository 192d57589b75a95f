//! Compiled rules of a slot. Each condition is compiled once, and its parts that read the arm alone are evaluated once per
//! arm.
//!
//! Invariants, which are tested:
//!
//! * The verdicts of a book equal those of evaluating each rule's whole condition for each target.
//! * A renewed book equals a new one.
//!
//! Deliberately not here: the consequences of a verdict.

use std::{collections::HashMap, sync::Arc};

use super::{
    Rule,
    compile::{Program, compile},
    eval::{EvaluationScope, Hoisted, evaluate_once, holds},
    lower::Vocabulary,
    node::Expression,
};
use crate::{
    bandit::Features,
    slot::{Arm, ArmId},
};

/// Value of a condition for an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Verdict {
    /// The condition does not hold.
    #[default]
    No,
    /// The condition holds.
    Yes,
    /// The condition has no value, for example because a feature is missing; [`Rule::on_error`] says what that means.
    Failed,
}

impl Verdict {
    /// Returns the verdict of two conditions that must both hold. One that does not hold decides, even if the other fails.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    fn of_all<'a>(parts: &'a [Expression], scope: &EvaluationScope<'a>, hoisted: &Hoisted<'a>) -> Self {
        let mut all = Self::Yes;
        for part in parts {
            match holds(part, scope, hoisted) {
                Ok(true) => {}
                Ok(false) => return Self::No,
                Err(_) => all = Self::Failed,
            }
        }
        all
    }
}

/// Request data that conditions may read.
#[derive(Debug, Clone, Copy)]
pub struct RequestFacts<'a> {
    /// Context of the request.
    pub context: &'a Features,
    /// Id of the subject. An empty id makes `subject.id` missing.
    pub subject_id: &'a str,
    /// Id of the session. An empty id makes `subject.session_id` missing.
    pub session_id: &'a str,
}

/// Arm that the rules are evaluated for.
#[derive(Debug, Clone, Copy)]
pub struct RuleTarget<'a> {
    /// Id of the arm.
    pub arm: &'a ArmId,
    /// Index among the definition's arms, or `None` if it is not one of them.
    pub position: Option<usize>,
    /// Features of the arm in the request, which take precedence over the definition's.
    pub own: Option<&'a Features>,
}

/// Compiled rule.
#[derive(Debug, Clone)]
struct CompiledRule {
    /// Program, or `None` if the condition does not compile, which a checked rule does.
    program: Option<Arc<Program>>,
    /// Verdicts of the parts that read the arm alone for each of the definition's arms, or `None` without such parts.
    table: Option<Arc<[Verdict]>>,
}

/// Compiled rules of a slot.
#[derive(Debug, Clone, Default)]
pub struct RuleBook {
    rules: Arc<[Rule]>,
    arms: Arc<[Arc<Arm>]>,
    entries: Arc<[CompiledRule]>,
}

/// Compares the rules and arms, from which all compiled data follow.
impl PartialEq for RuleBook {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules && self.arms == other.arms
    }
}

/// Verdicts of all rules for the arms of a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdicts {
    rules: Vec<VerdictRow>,
    /// Verdicts of all rows with one verdict per target.
    cells: Vec<Verdict>,
    targets: usize,
}

/// Verdicts of one rule.
#[derive(Debug, Clone, Copy, PartialEq)]
enum VerdictRow {
    /// One verdict for all targets.
    Same(Verdict),
    /// Verdicts in the cells from this index on.
    From(usize),
}

impl Verdicts {
    /// Returns whether the rule's condition holds, or fails, for any target.
    pub fn concerns(&self, rule: usize) -> bool {
        match self.rules.get(rule) {
            Some(VerdictRow::Same(verdict)) => *verdict != Verdict::No && self.targets > 0,
            Some(VerdictRow::From(_)) => true,
            None => false,
        }
    }

    /// Verdict of the rule for the target, or [`Verdict::No`] for a target that was not evaluated.
    pub fn verdict(&self, rule: usize, target: usize) -> Verdict {
        match self.rules.get(rule) {
            Some(VerdictRow::Same(verdict)) if target < self.targets => *verdict,
            Some(VerdictRow::From(start)) if target < self.targets => {
                self.cells.get(start + target).copied().unwrap_or_default()
            }
            Some(_) | None => Verdict::No,
        }
    }

    /// Targets for which the rule's condition holds.
    pub fn matched(&self, rule: usize) -> impl Iterator<Item = usize> + '_ {
        let targets = if self.concerns(rule) { self.targets } else { 0 };
        (0..targets).filter(move |&target| self.verdict(rule, target) == Verdict::Yes)
    }

    /// Number of targets for which the rule's condition fails.
    pub fn failures(&self, rule: usize) -> usize {
        let targets = if self.concerns(rule) { self.targets } else { 0 };
        (0..targets).filter(|&target| self.verdict(rule, target) == Verdict::Failed).count()
    }
}

impl RuleBook {
    /// Compiles rules that have passed their checks. A rule that does not compile fails for every arm.
    ///
    /// Costs a parse per rule and an evaluation per arm and rule that reads the arm alone.
    pub fn new(rules: &[Rule], arms: &[Arc<Arm>]) -> Self {
        Self::default().renewed(rules, arms)
    }

    /// Returns the book of these rules and arms, and reuses the compiled data that they share with this book.
    ///
    /// A condition that stays is not compiled again, and an arm that is the same allocation is not evaluated again.
    #[must_use]
    pub fn renewed(&self, rules: &[Rule], arms: &[Arc<Arm>]) -> Self {
        if rules.is_empty() {
            return Self::default();
        }
        let kept = self.kept(arms);
        let mut entries = Vec::with_capacity(rules.len());
        for (i, rule) in rules.iter().enumerate() {
            let same = |old: &&(&Rule, &CompiledRule)| old.0.when == rule.when;
            let here = self.rules.iter().zip(self.entries.iter()).skip(i).take(1);
            let old = here.chain(self.rules.iter().zip(self.entries.iter())).collect::<Vec<_>>();
            let old = old.iter().find(same).map(|(_, entry)| *entry);
            let program = match old {
                Some(entry) => entry.program.clone(),
                None => compile(Vocabulary::Rule, &rule.when).ok().map(Arc::new),
            };
            let table = program.as_ref().filter(|program| !program.arm.is_empty()).map(|program| {
                match (old.and_then(|entry| entry.table.as_ref()), &kept) {
                    (Some(table), ArmMapping::All) => Arc::clone(table),
                    (Some(table), ArmMapping::Some(places)) => {
                        let verdict = |(arm, place): (&Arc<Arm>, &Option<usize>)| {
                            let known = place.and_then(|place| table.get(place)).copied();
                            known.unwrap_or_else(|| of_arm(program, arm))
                        };
                        arms.iter().zip(places).map(verdict).collect()
                    }
                    (None, _) => arms.iter().map(|arm| of_arm(program, arm)).collect(),
                }
            });
            entries.push(CompiledRule { program, table });
        }
        let arms = if matches!(kept, ArmMapping::All) { Arc::clone(&self.arms) } else { arms.into() };
        Self { rules: rules.into(), arms, entries: entries.into() }
    }

    /// Returns whether both books share their programs in memory.
    #[cfg(test)]
    pub(super) fn shares_programs_with(&self, other: &Self) -> bool {
        let same = |(a, b): (&CompiledRule, &CompiledRule)| match (&a.program, &b.program) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        self.entries.len() == other.entries.len() && self.entries.iter().zip(other.entries.iter()).all(same)
    }

    /// Returns whether both books share their programs, tables and arms in memory.
    #[cfg(test)]
    pub(super) fn shares_all_with(&self, other: &Self) -> bool {
        let same = |(a, b): (&CompiledRule, &CompiledRule)| match (&a.table, &b.table) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        self.shares_programs_with(other)
            && Arc::ptr_eq(&self.arms, &other.arms)
            && self.entries.iter().zip(other.entries.iter()).all(same)
    }

    /// Returns the index of each arm in this book.
    fn kept(&self, arms: &[Arc<Arm>]) -> ArmMapping {
        let same = |(old, new): (&Arc<Arm>, &Arc<Arm>)| Arc::ptr_eq(old, new);
        if self.arms.len() == arms.len() && self.arms.iter().zip(arms).all(same) {
            return ArmMapping::All;
        }
        // The book keeps its arms alive, so none of their addresses can belong to another arm.
        let places: HashMap<_, _> =
            self.arms.iter().enumerate().map(|(place, arm)| (Arc::as_ptr(arm), place)).collect();
        ArmMapping::Some(arms.iter().map(|arm| places.get(&Arc::as_ptr(arm)).copied()).collect())
    }

    /// Returns whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Rules, in the slot's order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Arms of the definition, in their order.
    pub fn arms(&self) -> &[Arc<Arm>] {
        &self.arms
    }

    /// Evaluates each rule for each target. A paused rule gives [`Verdict::No`].
    pub fn judge(&self, facts: &RequestFacts<'_>, targets: &[RuleTarget<'_>]) -> Verdicts {
        let request = EvaluationScope {
            context: facts.context,
            subject_id: facts.subject_id,
            session_id: facts.session_id,
            arm_id: "",
            attributes: None,
            own: None,
        };
        let mut verdicts =
            Verdicts { rules: Vec::with_capacity(self.rules.len()), cells: Vec::new(), targets: targets.len() };
        for (rule, entry) in self.rules.iter().zip(self.entries.iter()) {
            let row = match &entry.program {
                _ if rule.paused => VerdictRow::Same(Verdict::No),
                None => VerdictRow::Same(Verdict::Failed),
                Some(program) => {
                    let always = Verdict::of_all(&program.request, &request, &Hoisted::new());
                    if always == Verdict::No || (program.arm.is_empty() && program.both.is_empty()) {
                        VerdictRow::Same(always)
                    } else {
                        self.judge_each(program, entry, always, &request, targets, &mut verdicts.cells)
                    }
                }
            };
            verdicts.rules.push(row);
        }
        verdicts
    }

    fn judge_each(
        &self,
        program: &Program,
        entry: &CompiledRule,
        always: Verdict,
        request: &EvaluationScope<'_>,
        targets: &[RuleTarget<'_>],
        cells: &mut Vec<Verdict>,
    ) -> VerdictRow {
        let start = cells.len();
        let hoisted = evaluate_once(&program.hoisted, request);
        for target in targets {
            let definition = target.position.and_then(|position| self.arms.get(position));
            let own = target.own.filter(|own| !own.is_empty());
            let scope = EvaluationScope {
                arm_id: target.arm.as_str(),
                attributes: definition.map(|arm| &arm.attributes),
                own,
                ..*request
            };
            let tabled = match (&entry.table, own) {
                (None, _) => Some(Verdict::Yes),
                (Some(table), None) => target.position.and_then(|position| table.get(position).copied()),
                (Some(table), Some(own)) if !touches(program, own) => {
                    target.position.and_then(|position| table.get(position).copied())
                }
                (Some(_), Some(_)) => None,
            };
            let of_arm = tabled.unwrap_or_else(|| Verdict::of_all(&program.arm, &scope, &Hoisted::new()));
            let so_far = always.and(of_arm);
            cells.push(match so_far {
                Verdict::No => Verdict::No,
                Verdict::Yes | Verdict::Failed => so_far.and(Verdict::of_all(&program.both, &scope, &hoisted)),
            });
        }
        let row = cells.get(start..).unwrap_or_default();
        match row.first() {
            Some(&first) if row.iter().any(|&verdict| verdict != first) => VerdictRow::From(start),
            first => {
                let same = first.copied().unwrap_or_default();
                cells.truncate(start);
                VerdictRow::Same(same)
            }
        }
    }

    /// Verdict of the rule for a definition's arm in all requests whose candidates do not contradict the definition, or
    /// `None` if it depends on the request.
    pub(super) fn certain(&self, rule: usize, arm: usize) -> Option<Verdict> {
        self.certain_where(rule, arm, &[])
    }

    /// Verdict of the rule for a definition's arm in all requests in which `condition` holds and whose candidates do not
    /// contradict the definition, or `None` if it depends on more than that.
    pub(super) fn certain_where(&self, rule: usize, arm: usize, condition: &[Expression]) -> Option<Verdict> {
        let entry = self.entries.get(rule)?;
        let program = entry.program.as_ref()?;
        if self.rules.get(rule)?.paused {
            return Some(Verdict::No);
        }
        if !program.both.is_empty() || !program.request.iter().all(|part| condition.contains(part)) {
            return None;
        }
        let Some(table) = &entry.table else {
            return Some(Verdict::Yes);
        };
        // Features that the definition leaves open are expected from the request's candidates.
        let arm_itself = self.arms.get(arm)?;
        let settled = |name: &String| name == "id" || arm_itself.attributes.contains_key(name);
        let reads = &program.arm_reads;
        if reads.any_name || !reads.names.iter().all(settled) { None } else { table.get(arm).copied() }
    }

    /// Returns whether the rule's condition reads the arm alone, so that it matches the same arms in every request.
    pub fn reads_arms_alone(&self, rule: usize) -> bool {
        let program = self.entries.get(rule).and_then(|entry| entry.program.as_ref());
        program.is_none_or(|program| program.request.is_empty() && program.both.is_empty())
    }

    /// Parts of the rule's condition that read context and subject alone.
    pub(super) fn request_condition(&self, rule: usize) -> &[Expression] {
        let program = self.entries.get(rule).and_then(|entry| entry.program.as_ref());
        program.map_or(&[], |program| &program.request)
    }
}

/// Indices of the arms of a new book in the old one.
enum ArmMapping {
    /// The two books have the same arms.
    All,
    /// Index of each arm, or `None` for a new one.
    Some(Vec<Option<usize>>),
}

/// Returns whether the request's features of an arm may change the verdict of the parts that read the arm alone.
fn touches(program: &Program, own: &Features) -> bool {
    let reads = &program.arm_reads;
    reads.any_name || reads.names.iter().any(|name| own.contains_key(name))
}

/// Verdict of the parts that read the arm alone, for an arm of the definition.
pub(super) fn of_arm(program: &Program, arm: &Arm) -> Verdict {
    let nothing = Features::new();
    let scope = EvaluationScope {
        context: &nothing,
        subject_id: "",
        session_id: "",
        arm_id: arm.id.as_str(),
        attributes: Some(&arm.attributes),
        own: None,
    };
    Verdict::of_all(&program.arm, &scope, &Hoisted::new())
}
