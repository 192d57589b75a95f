//! Differences between two definitions, field by field, as people read them.
//!
//! A definition is laid out as lines of a path and a value, by the names of the API; an unset field has no line. Two
//! definitions differ in the lines that they do not share. Arms and rules are found by their ids and names, not by their
//! places. Long values are cut, and a change of many arms becomes one line.

mod lines;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::slot::{Arm, Definition};
use lines::{FieldLines, arm_summary};

/// Maximum number of arms that have lines of their own; a change of more arms is given as counts.
const ARMS_MAX: usize = 50;
/// Maximum number of ids in a list of ids.
const IDS_MAX: usize = 10;
/// Maximum number of characters of a value.
const VALUE_MAX: usize = 120;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Path from the slot: `controls.floor`.
    pub path: String,
    /// Value before, or an empty text if the field was unset.
    pub before: String,
    /// Value after, or an empty text if the field is unset.
    pub after: String,
}

/// Returns the fields in which two definitions of a slot differ, in the order of the document.
pub fn differences(before: &Definition, after: &Definition) -> Vec<FieldDifference> {
    let mut found = compared(&FieldLines::from_definition(before), &FieldLines::from_definition(after));
    found.extend(arms(&before.arms, &after.arms));
    found
}

fn difference(path: &str, before: &str, after: &str) -> FieldDifference {
    FieldDifference { path: path.to_owned(), before: cut(before), after: cut(after) }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn compared(before: &FieldLines, after: &FieldLines) -> Vec<FieldDifference> {
    let was: HashMap<&str, &str> = before.iter().collect();
    let is: HashMap<&str, &str> = after.iter().collect();
    let value = |lines: &HashMap<&str, &str>, path: &str| lines.get(path).copied().unwrap_or_default().to_owned();
    // Sorting by place puts a removed line next to the line that replaced it.
    let gone = before.iter().filter(|(path, _)| !is.contains_key(path));
    let mut found: Vec<FieldDifference> = gone.map(|(path, was)| difference(path, was, "")).collect();
    let others = after.iter().filter(|&(path, is)| was.get(path) != Some(&is));
    found.extend(others.map(|(path, is)| difference(path, &value(&was, path), is)));
    found.sort_by_key(|d| after.place(&d.path).or_else(|| before.place(&d.path)));
    found
}

fn arms(before: &[Arc<Arm>], after: &[Arc<Arm>]) -> Vec<FieldDifference> {
    let same = |(a, b): (&Arc<Arm>, &Arc<Arm>)| Arc::ptr_eq(a, b) || a == b;
    if before.len() == after.len() && before.iter().zip(after).all(same) {
        return Vec::new();
    }
    let was: HashMap<&str, &Arc<Arm>> = before.iter().map(|arm| (arm.id.as_str(), arm)).collect();
    let is: HashSet<&str> = after.iter().map(|arm| arm.id.as_str()).collect();
    let removed: Vec<&Arc<Arm>> = before.iter().filter(|arm| !is.contains(arm.id.as_str())).collect();
    let added: Vec<&Arc<Arm>> = after.iter().filter(|arm| !was.contains_key(arm.id.as_str())).collect();
    let changed: Vec<(&Arc<Arm>, &Arc<Arm>)> = after
        .iter()
        .filter_map(|arm| was.get(arm.id.as_str()).map(|&before| (before, arm)))
        .filter(|&pair| !same(pair))
        .collect();
    let mut found = Vec::new();
    if removed.len() + added.len() + changed.len() > ARMS_MAX {
        let counts = format!(
            "{} arms: {} changed, {} added, {} removed",
            after.len(),
            changed.len(),
            added.len(),
            removed.len()
        );
        found.push(difference("arms", &format!("{} arms", before.len()), &counts));
    } else {
        let path = |arm: &Arm| format!("arms[{:?}]", arm.id.as_str());
        found.extend(removed.iter().map(|arm| difference(&path(arm), &arm_summary(arm), "")));
        found.extend(added.iter().map(|arm| difference(&path(arm), "", &arm_summary(arm))));
        for (was, is) in changed {
            found.extend(compared(&FieldLines::from_arm(was), &FieldLines::from_arm(is)));
        }
    }
    let kept = |arms: &[Arc<Arm>]| -> Vec<String> {
        let kept = arms.iter().filter(|arm| is.contains(arm.id.as_str()) && was.contains_key(arm.id.as_str()));
        kept.map(|arm| arm.id.to_string()).collect()
    };
    let (was, is) = (kept(before), kept(after));
    if was != is {
        found.push(difference("arms", &ids(&was), &ids(&is)));
    }
    found
}

/// Returns the text of a list of ids, cut after the first ones.
fn ids(ids: &[String]) -> String {
    let more = if ids.len() > IDS_MAX { format!(" and {} more", ids.len() - IDS_MAX) } else { String::new() };
    // An id may contain the separator.
    let plain = |id: &String| if id.contains([',', '"']) { format!("{id:?}") } else { id.clone() };
    let some: Vec<String> = ids.iter().take(IDS_MAX).map(plain).collect();
    format!("{}{more}", some.join(", "))
}

#[cfg(test)]
mod tests;
