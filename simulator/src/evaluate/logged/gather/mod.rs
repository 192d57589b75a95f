//! Collects the rows of a file into a [`Log`]: arms become places in a list, and each decision counts once.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
};

use slotwise::{
    bandit::Features,
    engine::Subject,
    slot::{ArmId, limits::ARMS_MAX, suggestion},
};

use super::{
    CELLS_MAX, FileFormat, LeftOutCounts, Log, LogError, LogSelection, LoggedArm, LoggedRow, OfferedArms, ROWS_MAX,
    file_name, has_room, keep_earliest,
};

/// A field that cannot be used, and the reason.
pub(super) struct FieldProblem {
    pub(super) field: &'static str,
    pub(super) why: String,
}

pub(super) fn field_problem(field: &'static str, why: impl Into<String>) -> FieldProblem {
    FieldProblem { field, why: why.into() }
}

/// A row whose arms are still names.
pub(super) struct GatheredRow {
    /// Id of the decision, or `None` if the log has none.
    pub(super) decision: Option<String>,
    pub(super) at_us: i64,
    pub(super) subject: Subject,
    pub(super) context: Features,
    /// Candidates with their features. An empty list stands for all arms except those in `taken`.
    pub(super) candidates: Vec<(String, Features)>,
    pub(super) taken: Vec<String>,
    pub(super) arm: String,
    /// Logged propensity in [0, 1]. A row with 0 is left out.
    pub(super) propensity: f64,
    pub(super) reward: f64,
    pub(super) known_us: Option<i64>,
}

/// Rows collected so far.
pub(super) struct LogGatherer<'a> {
    pub(super) wanted: &'a LogSelection,
    pub(super) slots: BTreeSet<String>,
    pub(super) arms: BTreeSet<String>,
    pub(super) rows: Vec<GatheredRow>,
    decisions: HashSet<String>,
    pub(super) left_out: LeftOutCounts,
    pub(super) incomplete: u64,
    pub(super) slates: u64,
}

impl<'a> LogGatherer<'a> {
    pub(super) fn new(wanted: &'a LogSelection) -> Self {
        Self {
            wanted,
            slots: BTreeSet::new(),
            arms: BTreeSet::new(),
            rows: Vec::new(),
            decisions: HashSet::new(),
            left_out: LeftOutCounts::default(),
            incomplete: 0,
            slates: 0,
        }
    }

    /// Returns `true` if a decision id is new. A repeated id is counted as left out: it comes from overlapping exports
    /// that were joined, and its decision was made once.
    pub(super) fn is_first(&mut self, decision: &str) -> bool {
        let first = self.decisions.insert(decision.to_owned());
        self.left_out.repeated += u64::from(!first);
        first
    }

    /// Adds a row that a model drew.
    pub(super) fn add(&mut self, given: GatheredRow) -> Result<(), FieldProblem> {
        if given.decision.as_ref().is_some_and(|decision| !self.is_first(decision)) {
            return Ok(());
        }
        if given.propensity <= 0.0 {
            self.left_out.zero_propensity += 1;
            return Ok(());
        }
        if !has_room(&mut self.rows, self.wanted.rows, ROWS_MAX, |row| row.at_us) {
            return Err(field_problem(
                "time",
                format!("this is row {} of the log; at most {ROWS_MAX} are allowed", ROWS_MAX + 1),
            ));
        }
        let GatheredRow { candidates, taken, arm, .. } = &given;
        if !candidates.is_empty() && !candidates.iter().any(|(id, _)| id == arm) {
            return Err(field_problem("arms", format!("'{arm}' is none of the row's candidates")));
        }
        for id in candidates.iter().map(|(id, _)| id).chain(taken).chain([arm]) {
            if !self.arms.contains(id) {
                ArmId::parse("arms", id).map_err(|why| field_problem("arms", why.message))?;
                self.arms.insert(id.clone());
            }
        }
        if self.arms.len() > ARMS_MAX {
            return Err(field_problem("arms", format!("there are more than {ARMS_MAX} different ones by here")));
        }
        self.rows.push(given);
        Ok(())
    }

    /// Makes a log of the collected rows.
    pub(super) fn log(mut self, path: &Path, form: FileFormat) -> Result<Log, LogError> {
        let file = || path.to_owned();
        match &self.wanted.slot {
            Some(slot) if !self.slots.contains(slot) => {
                let suggestion = suggestion(slot, self.slots.iter().map(String::as_str));
                return Err(LogError::NoSlot { file: file(), slot: slot.clone(), suggestion });
            }
            None if self.slots.len() > 1 => {
                return Err(LogError::Slots { file: file(), slots: self.slots.into_iter().collect() });
            }
            Some(_) | None => {}
        }
        if let Some(wanted) = self.wanted.rows {
            keep_earliest(&mut self.rows, wanted, |row| row.at_us);
        }
        // The check comes before the lists of candidates, which may be as long as the list of arms.
        let (rows, arms) = (self.rows.len(), self.arms.len());
        if rows.saturating_mul(arms) > CELLS_MAX {
            return Err(LogError::Size { file: file(), rows, arms });
        }
        let place: BTreeMap<&str, usize> = self.arms.iter().enumerate().map(|(i, id)| (id.as_str(), i)).collect();
        // Every name is in the map, because `add` collected it.
        let of = |id: &str| place.get(id).copied().unwrap_or_default();
        let mut arms = Vec::with_capacity(self.arms.len());
        for id in &self.arms {
            let Ok(id) = ArmId::parse("arms", id) else { continue };
            arms.push(LoggedArm { id, attributes: Features::new() });
        }
        let default_reward = default_reward(&self.rows);
        let row = |row: GatheredRow| {
            let offered = match (row.candidates.is_empty(), row.taken.is_empty()) {
                (true, true) => OfferedArms::All,
                (true, false) => {
                    let left = self.arms.iter().filter(|id| !row.taken.contains(id));
                    OfferedArms::Listed(left.map(|id| (of(id), Features::new())).collect())
                }
                (false, _) => {
                    let left = row.candidates.into_iter().filter(|(id, _)| !row.taken.contains(id));
                    OfferedArms::Listed(left.map(|(id, own)| (of(&id), own)).collect())
                }
            };
            LoggedRow {
                at_us: row.at_us,
                subject: row.subject,
                context: Arc::new(row.context),
                offered,
                arm: of(&row.arm),
                propensity: row.propensity,
                reward: row.reward,
                // A reward that equals the default reward needs no event.
                known_us: row
                    .known_us
                    .or_else(|| (row.reward.to_bits() != default_reward.to_bits()).then_some(row.at_us)),
                position: 1,
            }
        };
        Ok(Log {
            name: file_name(path),
            form,
            rows: self.rows.into_iter().map(row).collect(),
            arms,
            left_out: self.left_out,
            incomplete: self.incomplete,
            slates: self.slates,
            default_reward,
        })
    }
}

/// The reward of all rows without an event if they agree, else 0.
fn default_reward(rows: &[GatheredRow]) -> f64 {
    let mut default_reward = rows.iter().filter(|row| row.known_us.is_none()).map(|row| row.reward);
    let Some(first) = default_reward.next() else { return 0.0 };
    if default_reward.all(|other| other.to_bits() == first.to_bits()) { first } else { 0.0 }
}
