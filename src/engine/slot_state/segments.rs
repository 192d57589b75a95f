//! Sums by the values of context features: who gets what, and what it earns.
//!
//! Invariants:
//!
//! * The first eight features that are words or flags are followed, each with its first fifteen values and the others together.
//! * A feature whose decisions hardly ever repeat a value, as those of a user id, is given up and never followed again.
//! * The sums of a value's arms weigh a decision by how likely the arm was shown among the decisions with that value, and fade with the
//!   sums over everybody.
//!
//! Deliberately not here: which decisions count, and conclusions from the sums.

use serde::{Deserialize, Serialize};

use crate::{
    bandit::{Features, Value},
    engine::pending::{SEGMENT_FEATURES_MAX, SegmentKeys},
    stats::{DecisionWeight, DoublyRobustSums, RewardSample, ScoredArm},
};

/// Greatest number of a feature's values that are followed one by one.
pub const SEGMENT_VALUES_MAX: usize = 15;
/// Greatest number of pairs of a value and an arm, over all features of a slot. One takes about two hundred bytes.
pub const SEGMENT_CELLS_MAX: usize = 512;
/// Greatest number of bytes of a value that is followed by itself.
const LABEL_BYTES_MAX: usize = 64;
/// Greatest number of features that are remembered as given up.
const GIVEN_UP_MAX: usize = 64;
/// Number of decisions after which a feature is given up if most of its values were new.
const TRIAL_DECISIONS: u64 = 200;
/// Part of the decisions that may have other values than those followed, after the trial.
const OTHERS_PART_MAX: f64 = 0.8;
/// Place of a value that is none of those followed.
const OTHERS: u8 = 0xff;

/// Arm among the decisions with one value. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentArm {
    /// Arm, by its index in the learner.
    pub arm: u32,
    /// Number of decisions that showed it first.
    pub shown: u64,
    /// Sums of what it would earn if everybody with the value got it.
    pub sums: DoublyRobustSums,
}

/// Sums over the decisions with one value of a feature. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentValue {
    /// The value as text, or `None` for all values that are not followed one by one.
    pub label: Option<String>,
    /// Number of decisions.
    pub decisions: u64,
    /// Rewards of decisions by the policy.
    pub policy: RewardSample,
    /// Rewards of the holdout's decisions.
    pub holdout: RewardSample,
    /// Faded number of decisions that the policy drew.
    pub weight: f64,
    /// Arms that were scored.
    pub arms: Vec<SegmentArm>,
}

impl SegmentValue {
    fn new(label: Option<String>) -> Self {
        Self {
            label,
            decisions: 0,
            policy: RewardSample::default(),
            holdout: RewardSample::default(),
            weight: 0.0,
            arms: Vec::new(),
        }
    }
}

/// Feature that is followed. *Persisted.*
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SegmentFeature {
    number: u8,
    /// Name of the feature.
    pub name: String,
    /// Number of decisions that had it.
    pub decisions: u64,
    /// Values in the order in which they were met.
    pub values: Vec<SegmentValue>,
    /// All other values together.
    pub others: SegmentValue,
}

impl SegmentFeature {
    fn value_mut(&mut self, place: u8) -> Option<&mut SegmentValue> {
        if place == OTHERS { Some(&mut self.others) } else { self.values.get_mut(usize::from(place)) }
    }

    /// Number of the feature, by which the counts over time name it.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// Returns the label of the value at a place, or `None` for the values that are not followed one by one.
    pub fn label_at(&self, place: u8) -> Option<&str> {
        self.values.get(usize::from(place))?.label.as_deref()
    }

    /// Values in the order in which they were met, then all others together if there are any.
    pub fn all_values(&self) -> impl Iterator<Item = &SegmentValue> {
        self.values.iter().chain(Some(&self.others).filter(|others| others.decisions > 0))
    }

    /// Returns whether hardly any value of the feature comes back.
    fn is_id_like(&self) -> bool {
        let others = self.others.decisions as f64;
        self.decisions >= TRIAL_DECISIONS && others > OTHERS_PART_MAX * self.decisions as f64
    }
}

/// Sums by the values of the followed features. *Persisted.*
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SegmentTable {
    features: Vec<SegmentFeature>,
    /// Number of the last feature that was met.
    last_number: u8,
    given_up: Vec<String>,
    cells: usize,
}

/// Group of subjects whose reward a decision belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engine) enum SegmentGroup {
    Policy,
    Holdout,
}

impl SegmentTable {
    /// Features that are followed.
    pub fn features(&self) -> &[SegmentFeature] {
        &self.features
    }

    /// Counts a decision with this context, and returns its keys.
    pub(in crate::engine) fn count(&mut self, context: &Features) -> SegmentKeys {
        let mut keys = SegmentKeys::default();
        let mut next = 0;
        for (name, value) in context {
            let Some(label) = segment_label(value) else { continue };
            let Some(at) = self.place_of(name) else { continue };
            let feature = &mut self.features[at];
            feature.decisions += 1;
            let known = feature.values.iter().position(|known| known.label.as_deref() == Some(label));
            let place = match known {
                Some(known) => known,
                None if feature.values.len() < SEGMENT_VALUES_MAX && label.len() <= LABEL_BYTES_MAX => {
                    feature.values.push(SegmentValue::new(Some(label.to_owned())));
                    feature.values.len() - 1
                }
                None => usize::from(OTHERS),
            };
            let place = u8::try_from(place).unwrap_or(OTHERS);
            if let Some(value) = feature.value_mut(place) {
                value.decisions += 1;
            }
            if feature.is_id_like() {
                let gone = self.features.remove(at);
                self.cells -= gone.all_values().map(|value| value.arms.len()).sum::<usize>();
                self.given_up.push(gone.name);
            } else if next < SEGMENT_FEATURES_MAX {
                keys.set(next, feature.number, place);
                next += 1;
            }
        }
        keys
    }

    /// Returns the index of a feature, which is followed from now on if it was not and there is room.
    fn place_of(&mut self, name: &str) -> Option<usize> {
        if let Some(at) = self.features.iter().position(|feature| feature.name == name) {
            return Some(at);
        }
        let room = self.features.len() < SEGMENT_FEATURES_MAX && self.given_up.len() < GIVEN_UP_MAX;
        if !room || self.given_up.iter().any(|gone| gone == name) {
            return None;
        }
        self.last_number = self.last_number.checked_add(1)?;
        self.features.push(SegmentFeature {
            number: self.last_number,
            name: name.to_owned(),
            decisions: 0,
            values: Vec::new(),
            others: SegmentValue::new(None),
        });
        Some(self.features.len() - 1)
    }

    /// Calls `change` with the sums of each value that a decision has.
    fn each(&mut self, keys: SegmentKeys, mut change: impl FnMut(&mut SegmentValue)) {
        self.each_key(keys, |_, value| change(value));
    }

    /// Calls `change` with the index of each key and the sums of its value.
    fn each_key(&mut self, keys: SegmentKeys, mut change: impl FnMut(usize, &mut SegmentValue)) {
        for (index, (number, place)) in keys.iter().enumerate() {
            let feature = self.features.iter_mut().find(|feature| feature.number == number);
            if let Some(value) = feature.and_then(|feature| feature.value_mut(place)) {
                change(index, value);
            }
        }
    }

    /// Adds the reward of a decision.
    pub(in crate::engine) fn add_reward(&mut self, keys: SegmentKeys, group: SegmentGroup, reward: f64) {
        self.each(keys, |value| value.group_mut(group).add(reward));
    }

    /// Replaces the reward of a decision.
    pub(in crate::engine) fn revise_reward(&mut self, keys: SegmentKeys, group: SegmentGroup, before: f64, after: f64) {
        self.each(keys, |value| value.group_mut(group).revise(before, after));
    }

    /// Counts a decision that the policy drew, which showed `first` and weighs `fading` by its time.
    pub(in crate::engine) fn add_draw(&mut self, keys: SegmentKeys, first: u32, fading: f64) {
        self.each(keys, |value| {
            value.weight += fading;
            if let Some(arm) = value.arms.iter_mut().find(|arm| arm.arm == first) {
                arm.shown += 1;
            }
        });
    }

    /// Adds an arm of a decision among `eligible` arms as it was scored. The keys that are returned hold the levels of its weights.
    pub(in crate::engine) fn add_score(
        &mut self,
        keys: SegmentKeys,
        (arm, eligible): (u32, usize),
        scored: ScoredArm,
        fading: f64,
    ) -> SegmentKeys {
        let (mut cells, mut with_levels) = (self.cells, keys);
        self.each_key(keys, |index, value| {
            let at = match value.arms.iter().position(|known| known.arm == arm) {
                Some(at) => at,
                None if cells < SEGMENT_CELLS_MAX => {
                    cells += 1;
                    value.arms.push(SegmentArm { arm, shown: 0, sums: DoublyRobustSums::without_groups(eligible) });
                    value.arms.len() - 1
                }
                None => return,
            };
            with_levels.set_level(index, value.arms[at].sums.add_at_level(scored, fading));
        });
        self.cells = cells;
        with_levels
    }

    /// Replaces the score of the arm that a decision showed first, which weighs `fading` by its time.
    pub(in crate::engine) fn revise_score(
        &mut self,
        keys: SegmentKeys,
        arm: u32,
        fading: f64,
        (before, after): (f64, f64),
    ) {
        self.each_key(keys, |index, value| {
            if let Some(known) = value.arms.iter_mut().find(|known| known.arm == arm) {
                let weight = DecisionWeight { stabilised: keys.level(index).stabilised(), fading };
                known.sums.revise(weight, 0, before, after);
            }
        });
    }

    /// Starts the sums again, and goes on following the same features.
    pub(in crate::engine) fn restart(&mut self) {
        for feature in &mut self.features {
            for value in feature.values.iter_mut().chain([&mut feature.others]) {
                let label = value.label.take();
                *value = SegmentValue { decisions: value.decisions, ..SegmentValue::new(label) };
            }
        }
        self.cells = 0;
    }

    /// Multiplies the fading weights of all decisions by a factor.
    pub(in crate::engine) fn scale(&mut self, factor: f64) {
        for feature in &mut self.features {
            for value in feature.values.iter_mut().chain([&mut feature.others]) {
                value.weight *= factor;
                value.arms.iter_mut().for_each(|arm| arm.sums.scale(factor));
            }
        }
    }
}

impl SegmentValue {
    fn group_mut(&mut self, group: SegmentGroup) -> &mut RewardSample {
        match group {
            SegmentGroup::Policy => &mut self.policy,
            SegmentGroup::Holdout => &mut self.holdout,
        }
    }
}

/// Returns the text of a value by which decisions can be grouped, or `None` for a number or a list.
pub(in crate::engine) fn segment_label(value: &Value) -> Option<&str> {
    match value {
        Value::Text(word) => Some(word),
        Value::Flag(true) => Some("yes"),
        Value::Flag(false) => Some("no"),
        Value::Number(_) | Value::Texts(_) | Value::Vector(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(entries: &[(&str, &str)]) -> Features {
        entries.iter().map(|(name, word)| ((*name).to_owned(), Value::Text((*word).to_owned()))).collect()
    }

    /// A feature with an id is given up, its place goes to the next feature, and keys from before do not reach that one.
    #[test]
    fn an_id_is_given_up_and_its_keys_change_nothing_any_more() {
        let mut table = SegmentTable::default();
        let early = table.count(&context(&[("segment", "new"), ("user", "u0")]));
        for i in 1..=TRIAL_DECISIONS {
            table.count(&context(&[("segment", if i % 2 == 0 { "new" } else { "loyal" }), ("user", &format!("u{i}"))]));
        }
        let late = table.count(&context(&[("device", "phone"), ("segment", "new"), ("user", "u0")]));
        let names: Vec<&str> = table.features().iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(names, ["segment", "device"]);
        table.add_reward(early, SegmentGroup::Policy, 1.0);
        table.add_reward(late, SegmentGroup::Policy, 2.0);
        let sums = |feature: usize| table.features()[feature].values[0].policy.sum;
        assert_eq!((sums(0), sums(1)), (3.0, 2.0));
        assert_eq!(table.features()[0].values[0].decisions, TRIAL_DECISIONS / 2 + 2);
    }

    /// Values beyond the first fifteen are counted together, and cells are bounded.
    #[test]
    fn values_and_cells_are_bounded() {
        let mut table = SegmentTable::default();
        let scored = ScoredArm { expected: 0.5, spread: 0.1, propensity: 0.5 };
        for i in 0..3_000_u32 {
            let country = format!("c{}", i % 25);
            let keys = table.count(&context(&[("country", &country), ("month", &format!("m{}", i % 12))]));
            for arm in 0..40 {
                table.add_score(keys, (arm, 40), scored, 1.0);
            }
            table.add_draw(keys, i % 40, 1.0);
        }
        let country = &table.features()[0];
        assert_eq!((country.values.len(), country.others.decisions), (SEGMENT_VALUES_MAX, 1_200));
        let cells: usize =
            table.features().iter().flat_map(SegmentFeature::all_values).map(|value| value.arms.len()).sum();
        assert_eq!((cells, table.cells), (SEGMENT_CELLS_MAX, SEGMENT_CELLS_MAX));
        assert!((country.values[0].weight - 120.0).abs() < 1e-9);
    }
}
