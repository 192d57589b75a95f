//! What differs between two definitions, field by field, as people read it.
//!
//! A definition is laid out as lines of a path and a value, by the names of the contract; what is unset has no line.
//! Two definitions differ in the lines that they do not share. Arms and rules go by their ids and names, not by their
//! places. Long values are cut, and many arms become one line.

mod lines;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::slot::{Arm, Definition};
use lines::{Lines, arm_lines, arm_summary};

/// Arms that are told one by one; more are told by their number.
const ARMS_MAX: usize = 50;
/// Ids that are listed.
const IDS_MAX: usize = 10;
/// Characters of a value that are told.
const VALUE_MAX: usize = 120;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its path from the slot: `controls.floor`.
    pub path: String,
    /// Its value before; empty: there was none.
    pub before: String,
    /// Its value after; empty: there is none.
    pub after: String,
}

/// What differs between two definitions of a slot, in the order of the document.
pub fn differences(before: &Definition, after: &Definition) -> Vec<Difference> {
    let mut found = compared(&Lines::of(before), &Lines::of(after));
    found.extend(arms(&before.arms, &after.arms));
    found
}

fn difference(path: &str, before: &str, after: &str) -> Difference {
    Difference { path: path.to_owned(), before: cut(before), after: cut(after) }
}

fn cut(value: &str) -> String {
    match value.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

fn compared(before: &Lines, after: &Lines) -> Vec<Difference> {
    let was: HashMap<&str, &str> = before.iter().collect();
    let is: HashMap<&str, &str> = after.iter().collect();
    let value = |of: &HashMap<&str, &str>, path: &str| of.get(path).copied().unwrap_or_default().to_owned();
    // Where a line went, the one that came in its stead often stands next to it.
    let gone = before.iter().filter(|(path, _)| !is.contains_key(path));
    let mut found: Vec<Difference> = gone.map(|(path, was)| difference(path, was, "")).collect();
    let others = after.iter().filter(|&(path, is)| was.get(path) != Some(&is));
    found.extend(others.map(|(path, is)| difference(path, &value(&was, path), is)));
    found.sort_by_key(|d| after.place(&d.path).or_else(|| before.place(&d.path)));
    found
}

fn arms(before: &[Arc<Arm>], after: &[Arc<Arm>]) -> Vec<Difference> {
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
        let told = format!(
            "{} arms: {} changed, {} added, {} removed",
            after.len(),
            changed.len(),
            added.len(),
            removed.len()
        );
        found.push(difference("arms", &format!("{} arms", before.len()), &told));
    } else {
        let path = |arm: &Arm| format!("arms[{:?}]", arm.id.as_str());
        found.extend(removed.iter().map(|arm| difference(&path(arm), &arm_summary(arm), "")));
        found.extend(added.iter().map(|arm| difference(&path(arm), "", &arm_summary(arm))));
        for (was, is) in changed {
            found.extend(compared(&arm_lines(was), &arm_lines(is)));
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

/// A list of ids, cut.
fn ids(ids: &[String]) -> String {
    let more = if ids.len() > IDS_MAX { format!(" and {} more", ids.len() - IDS_MAX) } else { String::new() };
    // An id may hold what separates them.
    let plain = |id: &String| if id.contains([',', '"']) { format!("{id:?}") } else { id.clone() };
    let some: Vec<String> = ids.iter().take(IDS_MAX).map(plain).collect();
    format!("{}{more}", some.join(", "))
}

#[cfg(test)]
mod tests;
