//! Approval: changes of a slot for which a second person is needed.

use serde::{Deserialize, Serialize};

use super::{
    arm::Arm,
    controls::Controls,
    definition::Definition,
    id::{FieldError, shorten, suggestion},
    limits::{DRAFT_LIFETIME_US_MAX, DRAFT_LIFETIME_US_MIN},
};

/// Name of a change that only says which arms may be shown when.
pub const AVAILABILITY_CHANGE: &str = "availability";

/// Name of the change that forgets what was learned.
pub const RESET_CHANGE: &str = "reset";

/// Name of the change that gives a slot another id.
pub const RENAME_CHANGE: &str = "rename";

/// Name of the change that teaches a slot what it did not see itself: a log, or what another slot learned.
pub const IMPORT_CHANGE: &str = "import";

/// Name of the change that deletes a slot.
pub const DELETE_CHANGE: &str = "delete";

/// Name of the change of the demand for approval itself.
pub const APPROVAL_CHANGE: &str = "controls.approval";

/// Changes that never need approval, because operations make them when something is wrong.
pub const EMERGENCY_CHANGES: [&str; 3] = [AVAILABILITY_CHANGE, "controls.safe_choice", "controls.freeze_learning"];

/// Demand of a slot that a second person approves changes. *Persisted.*
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approval {
    /// Changes that need approval: paths of fields, `reset`, `rename`, `import` and `delete`. Empty stands for every change.
    pub changes: Vec<String>,
    /// Time after which a draft expires, microseconds.
    pub draft_lifetime_us: Option<i64>,
}

impl Approval {
    /// Default of a draft's lifetime: a week, in which a colleague is back from a short leave.
    pub const DRAFT_LIFETIME_US_DEFAULT: i64 = 7 * 24 * 3600 * 1_000_000;

    /// Time after which a draft expires, microseconds.
    pub fn draft_lifetime_us(&self) -> i64 {
        self.draft_lifetime_us.unwrap_or(Self::DRAFT_LIFETIME_US_DEFAULT)
    }

    /// Returns those of the named changes that need approval. A change of the demand itself always does.
    pub fn demanded<'a>(&self, changes: &[&'a str]) -> Vec<&'a str> {
        let covers = |named: &str, change: &str| {
            change.strip_prefix(named).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let demands = |change: &&&str| {
            !EMERGENCY_CHANGES.contains(change)
                && (self.changes.is_empty()
                    || **change == APPROVAL_CHANGE
                    || self.changes.iter().any(|named| covers(named, change)))
        };
        changes.iter().filter(demands).copied().collect()
    }

    /// Checks the demand. Paths in errors begin with `controls`.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let known = known_changes();
        for (i, named) in self.changes.iter().enumerate() {
            let field = || format!("{APPROVAL_CHANGE}.changes[{i}]");
            if EMERGENCY_CHANGES.contains(&named.as_str()) {
                let message = format!("'{named}' never needs approval, so that operations can act at once");
                return Err(FieldError::new(field(), message));
            }
            if !known.contains(&named.as_str()) {
                let near = suggestion(named, known.iter().copied());
                let message = format!(
                    "'{}' is no change; give fields of the slot such as goal, rules or controls.floor, or reset, rename, import or delete{near}",
                    shorten(named)
                );
                return Err(FieldError::new(field(), message));
            }
            if self.changes[..i].contains(named) {
                return Err(FieldError::new(field(), format!("'{named}' stands in the list twice")));
            }
        }
        if !(DRAFT_LIFETIME_US_MIN..=DRAFT_LIFETIME_US_MAX).contains(&self.draft_lifetime_us()) {
            let message = "must be from 1 minute to 90 days";
            return Err(FieldError::new(format!("{APPROVAL_CHANGE}.draft_lifetime"), message));
        }
        Ok(())
    }
}

/// Returns the names of all changes, `controls` for all controls among them.
fn known_changes() -> Vec<&'static str> {
    let mut known: Vec<&str> = Vec::new();
    // A comparison of two definitions lists each field once, equal or not.
    compare(&Definition::empty(), &Definition::empty(), |name, _| known.push(name));
    known.extend(["controls", RESET_CHANGE, RENAME_CHANGE, IMPORT_CHANGE, DELETE_CHANGE]);
    known
}

/// Returns the names of the changes between two definitions: paths of fields, and [`AVAILABILITY_CHANGE`] instead of
/// `arms` if nothing else of the arms differs.
pub fn changes_between(before: &Definition, after: &Definition) -> Vec<&'static str> {
    let mut changes = Vec::new();
    compare(before, after, |name, differs| {
        if differs {
            changes.push(name);
        }
    });
    changes
}

fn compare(before: &Definition, after: &Definition, mut found: impl FnMut(&'static str, bool)) {
    let Definition {
        id: _,
        display_name,
        kind,
        arms,
        open_catalogue,
        from_catalogue,
        default_arm,
        count,
        goal,
        model,
        controls,
        default_consent,
        rules,
        default_floor: _,
    } = before;
    found("display_name", *display_name != after.display_name);
    found("kind", *kind != after.kind);
    found("open_catalogue", *open_catalogue != after.open_catalogue);
    found("from_catalogue", *from_catalogue != after.from_catalogue);
    found("default_arm_id", *default_arm != after.default_arm);
    found("count", *count != after.count);
    found("goal", *goal != after.goal);
    found("model", *model != after.model);
    found("default_consent", *default_consent != after.default_consent);
    found("rules", *rules != after.rules);
    let arms_change = arms_change(arms, &after.arms);
    found("arms", arms_change == Some("arms"));
    found(AVAILABILITY_CHANGE, arms_change == Some(AVAILABILITY_CHANGE));
    compare_controls(controls, &after.controls, found);
}

fn compare_controls(before: &Controls, after: &Controls, mut found: impl FnMut(&'static str, bool)) {
    let Controls {
        exploration,
        floor,
        ceiling,
        half_life_us,
        holdout,
        freeze_learning,
        safe_choice,
        policy,
        preset,
        arm_bounds,
        warm_up,
        head_start,
        mode,
        baseline,
        salt,
        analysis,
        stickiness,
        simulated,
        subject_limit,
        experiment,
        profile_features,
        approval,
    } = before;
    found("controls.exploration", *exploration != after.exploration);
    found("controls.floor", *floor != after.floor);
    found("controls.ceiling", *ceiling != after.ceiling);
    found("controls.half_life", *half_life_us != after.half_life_us);
    found("controls.holdout", *holdout != after.holdout);
    found("controls.freeze_learning", *freeze_learning != after.freeze_learning);
    found("controls.safe_choice", *safe_choice != after.safe_choice);
    found("controls.policy", *policy != after.policy);
    found("controls.exploration_preset", *preset != after.preset);
    found("controls.arm_bounds", *arm_bounds != after.arm_bounds);
    found("controls.warm_up", *warm_up != after.warm_up);
    found("controls.head_start", *head_start != after.head_start);
    found("controls.mode", *mode != after.mode);
    found("controls.baseline", *baseline != after.baseline);
    found("controls.salt", *salt != after.salt);
    found("controls.analysis", *analysis != after.analysis);
    found("controls.stickiness", *stickiness != after.stickiness);
    found("controls.simulated", *simulated != after.simulated);
    found("controls.subject_limit", *subject_limit != after.subject_limit);
    found("controls.experiment", *experiment != after.experiment);
    found("controls.profile_features", *profile_features != after.profile_features);
    found(APPROVAL_CHANGE, *approval != after.approval);
}

/// Returns the name of the change between two lists of arms, or `None` if they are equal.
fn arms_change(before: &[std::sync::Arc<Arm>], after: &[std::sync::Arc<Arm>]) -> Option<&'static str> {
    if before.len() != after.len() {
        return Some("arms");
    }
    let mut change = None;
    for (before, after) in before.iter().zip(after) {
        if std::sync::Arc::ptr_eq(before, after) || before == after {
            continue;
        }
        let Arm { id, attributes, payload, available: _, because: _, schedule: _ } = &**before;
        if (id, attributes, payload) != (&after.id, &after.attributes, &after.payload) {
            return Some("arms");
        }
        change = Some(AVAILABILITY_CHANGE);
    }
    change
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::slot::{ArmId, SlotId, examples};

    fn approval(changes: &[&str]) -> Approval {
        Approval { changes: changes.iter().map(|&name| name.to_owned()).collect(), draft_lifetime_us: None }
    }

    #[test]
    fn a_demand_covers_its_fields_and_those_within_and_never_an_emergency() {
        let all = known_changes();
        let every = approval(&[]).demanded(&all);
        assert_eq!(every.len(), all.len() - EMERGENCY_CHANGES.len());
        assert_eq!(
            approval(&["controls"]).demanded(&["controls.floor", "goal", "controls.safe_choice"]),
            ["controls.floor"]
        );
        assert_eq!(approval(&["goal"]).demanded(&["goal", "controls.floor"]), ["goal"]);
        assert_eq!(approval(&["goal"]).demanded(&[APPROVAL_CHANGE, AVAILABILITY_CHANGE]), [APPROVAL_CHANGE]);
        // A name that only begins alike is another one.
        assert!(approval(&["controls.floor"]).demanded(&["controls.floors"]).is_empty());
    }

    #[test]
    fn a_demand_names_known_changes_once() {
        assert!(
            approval(&["goal", "rules", "controls.floor", "reset", "rename", "import", "delete", "arms"])
                .check()
                .is_ok()
        );
        for (wrong, words) in [
            (approval(&["goals"]), "did you mean 'goal'"),
            (approval(&["goal", "goal"]), "twice"),
            (approval(&["controls.safe_choice"]), "never needs approval"),
            (Approval { draft_lifetime_us: Some(5), ..Approval::default() }, "1 minute"),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(words) && error.starts_with("controls.approval."), "{error}");
        }
    }

    #[test]
    fn changes_are_named_by_the_fields_that_differ() {
        let mut before = Definition::new(SlotId::parse("slot_id", "offers").unwrap());
        before.arms.push(Arc::new(Arm::new(ArmId::parse("arm_id", "a").unwrap())));
        let mut after = before.clone();
        assert!(changes_between(&before, &after).is_empty());
        after.controls.floor = Some(0.1);
        Arc::make_mut(&mut after.arms[0]).available = false;
        assert_eq!(changes_between(&before, &after), [AVAILABILITY_CHANGE, "controls.floor"]);
        after.arms.push(Arc::new(Arm::new(ArmId::parse("arm_id", "b").unwrap())));
        assert_eq!(changes_between(&before, &after), ["arms", "controls.floor"]);
        // Every example differs from the first in a change that has a name.
        let examples = examples();
        for example in &examples[1..] {
            assert_eq!(changes_between(&examples[0], example).is_empty(), examples[0] == *example);
        }
    }
}
