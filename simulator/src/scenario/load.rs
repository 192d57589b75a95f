//! Loading of a scenario by its name or file: `extends`, `small` and `--set` are laid over one another, then read and
//! validated.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use slotwise::slot::suggestion;
use toml::{Table, Value};

use super::{
    Fault, PolicySpec, Scenario, ShopCalls, check,
    error::{Problem, ScenarioError},
    merge::{merge, parse_set},
    shipped,
};

/// Maximum length of a chain of `extends`.
pub(super) const EXTENDS_MAX: usize = 8;

/// Changes of a scenario by the command line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// True if the small version is meant.
    pub small: bool,
    /// Settings `key=value`, laid over everything else, in order.
    pub set: Vec<String>,
    /// Names of the only policies to run. Empty means all.
    pub policies: Vec<String>,
}

/// A scenario that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The shipped name, or the file's name without its ending.
    pub name: String,
    /// The changes that were applied.
    pub changes: Changes,
    /// The validated scenario, without entries that are left out.
    pub scenario: Scenario,
}

impl Loaded {
    /// Returns the scenario with these policies instead of its own, the last as the baseline, and without checks.
    ///
    /// # Errors
    ///
    /// Returns an error if a policy does not fit the scenario.
    pub fn comparing(mut self, policies: Vec<PolicySpec>) -> Result<Self, ScenarioError> {
        let scenario = &mut self.scenario;
        scenario.check.clear();
        scenario.faults.retain(|fault| fault.policies.is_empty());
        scenario.baseline = policies.last().map(|policy| policy.name.clone());
        scenario.policies = policies;
        check::check(scenario).map_err(|problem| ScenarioError::Key { name: self.name.clone(), problem })?;
        Ok(self)
    }
}

/// Origin of a scenario's text.
pub(super) enum Source {
    Shipped(&'static str),
    File(PathBuf),
}

/// Loads a shipped scenario by its name, or one from a file.
///
/// # Errors
///
/// See [`ScenarioError`]. The small version is validated even if it is not asked for.
pub fn load(given: &str, changes: &Changes) -> Result<Loaded, ScenarioError> {
    let (name, source) = find(given, Path::new(""))?;
    let table = read(&name, &source, 0)?;
    if changes.small {
        build(&name, table, changes)
    } else {
        let loaded = build(&name, table.clone(), changes)?;
        let small = Changes { small: true, ..Changes::default() };
        build(&format!("{name} (in its small version)"), table, &small)?;
        Ok(loaded)
    }
}

/// Returns the text of a scenario's own file.
pub fn text(given: &str) -> Result<String, ScenarioError> {
    let (_, source) = find(given, Path::new(""))?;
    text_of(&source)
}

pub(super) fn find(given: &str, folder: &Path) -> Result<(String, Source), ScenarioError> {
    if let Some(text) = shipped::text(given) {
        return Ok((given.to_owned(), Source::Shipped(text)));
    }
    let file = folder.join(given);
    let is_file_name = Path::new(given).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    if is_file_name || file.is_file() {
        let name = file.file_stem().map_or_else(|| given.to_owned(), |stem| stem.to_string_lossy().into_owned());
        return Ok((name, Source::File(file)));
    }
    let suggestion = suggestion(given, shipped::names());
    Err(ScenarioError::Unknown { name: given.to_owned(), suggestion })
}

fn text_of(source: &Source) -> Result<String, ScenarioError> {
    match source {
        Source::Shipped(text) => Ok((*text).to_owned()),
        Source::File(file) => fs::read_to_string(file).map_err(|why| ScenarioError::Read { file: file.clone(), why }),
    }
}

/// Returns the table of a scenario, laid over the one that it extends.
pub(super) fn read(name: &str, source: &Source, depth: usize) -> Result<Table, ScenarioError> {
    if depth >= EXTENDS_MAX {
        return Err(ScenarioError::Circle(name.to_owned()));
    }
    let text = text_of(source)?;
    let mut table: Table = text.parse().map_err(|why: toml::de::Error| {
        let line = why.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        ScenarioError::Syntax { name: name.to_owned(), line, message: why.message().replace('\n', " ") }
    })?;
    let key = |problem| ScenarioError::Key { name: name.to_owned(), problem };
    match table.remove("extends") {
        None => Ok(table),
        Some(Value::String(other)) => {
            let folder = match source {
                Source::Shipped(_) => PathBuf::new(),
                Source::File(file) => file.parent().unwrap_or(Path::new("")).to_owned(),
            };
            let (other, source) = find(&other, &folder)?;
            let mut base = read(&other, &source, depth + 1)?;
            if table.contains_key("small") {
                // A small version belongs to one scenario: it may name parts that the other one does not have.
                base.remove("small");
            }
            merge(&mut base, table).map_err(key)?;
            Ok(base)
        }
        Some(_) => Err(key(Problem::new("extends", "must be a text: the name of a scenario, or a file"))),
    }
}

fn build(name: &str, mut table: Table, changes: &Changes) -> Result<Loaded, ScenarioError> {
    let key = |problem| ScenarioError::Key { name: name.to_owned(), problem };
    match table.remove("small") {
        Some(Value::Table(small)) if changes.small => merge(&mut table, small).map_err(|e| key(e.within("small")))?,
        None | Some(Value::Table(_)) => {}
        Some(_) => return Err(key(Problem::new("small", "must be a table of what the small version changes"))),
    }
    for given in &changes.set {
        let set = |why: String| ScenarioError::Set { given: given.clone(), why };
        merge(&mut table, parse_set(given).map_err(set)?).map_err(|why| set(why.to_string()))?;
    }
    let mut scenario: Scenario = deserialize(table).map_err(key)?;
    let skipped: Vec<String> = scenario.policies.iter().filter(|p| p.skip).map(|p| p.name.clone()).collect();
    scenario.policies.retain(|policy| !policy.skip);
    about(&mut scenario.faults, |name| !skipped.contains(name));
    scenario.check.retain(|check| !check.skip);
    only(&mut scenario, &changes.policies).map_err(key)?;
    if scenario.policies.is_empty() {
        scenario.policies.push(PolicySpec {
            name: "default".to_owned(),
            slot: Table::new(),
            shop: ShopCalls::default(),
            skip: false,
        });
    }
    check::check(&scenario).map_err(key)?;
    Ok(Loaded { name: name.to_owned(), changes: changes.clone(), scenario })
}

/// Keeps the faults of the remaining policies and those of all policies.
fn about(faults: &mut Vec<Fault>, stays: impl Fn(&String) -> bool) {
    faults.retain_mut(|fault| {
        let all = fault.policies.is_empty();
        fault.policies.retain(&stays);
        all || !fault.policies.is_empty()
    });
}

/// Keeps these policies, and the checks and faults that are about them alone.
fn only(scenario: &mut Scenario, names: &[String]) -> Result<(), Problem> {
    if names.is_empty() {
        return Ok(());
    }
    for name in names {
        if !scenario.policies.iter().any(|policy| policy.name == *name) {
            let near = suggestion(name, scenario.policies.iter().map(|policy| policy.name.as_str()));
            return Err(Problem::new("--policy", format!("there is no policy '{name}'{near}")));
        }
    }
    let first = scenario.policies.first().map(|policy| policy.name.clone());
    let stays = |name: &Option<String>| name.as_ref().or(first.as_ref()).is_some_and(|name| names.contains(name));
    scenario.check.retain(|check| stays(&check.policy) && (check.over.is_none() || stays(&check.over)));
    for check in &mut scenario.check {
        check.policy = check.policy.take().or_else(|| first.clone());
    }
    about(&mut scenario.faults, |name| names.contains(name));
    scenario.policies.retain(|policy| names.contains(&policy.name));
    scenario.baseline = scenario.baseline.take().filter(|baseline| names.contains(baseline));
    Ok(())
}

/// Reads a table. A problem names its key and a probable correction.
pub(super) fn deserialize<T: DeserializeOwned>(table: Table) -> Result<T, Problem> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|why| {
        let path = match why.path().to_string() {
            path if path == "." => String::new(),
            path => path.trim_end_matches(".?").to_owned(),
        };
        Problem::new(path, explained(why.inner().message()))
    })
}

/// Returns a message of the TOML library, with a suggestion if it lists names.
fn explained(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let kind = if message.starts_with("unknown field") {
        "key"
    } else if message.starts_with("unknown variant") {
        "value"
    } else {
        return message;
    };
    let Some(given) = quoted.next() else { return message };
    let known: Vec<&str> = quoted.collect();
    let near = suggestion(given, known.iter().copied());
    if near.is_empty() {
        format!("unknown {kind} '{given}'; there are {}", known.join(", "))
    } else {
        format!("unknown {kind} '{given}'{near}")
    }
}
