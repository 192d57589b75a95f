//! Why a scenario cannot be used; always exit code 2.

use std::path::PathBuf;

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is none of this name, and no such file.
    #[error("there is no scenario '{name}'{suggestion}; `slotwise-simulator list` lists them, or give a .toml file")]
    Unknown {
        /// As given.
        name: String,
        /// "; did you mean …?", or nothing.
        suggestion: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {why}", file = file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// It is no TOML.
    #[error("{name}: line {line}: {message}")]
    Syntax {
        /// The scenario.
        name: String,
        /// Where, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// `extends` goes round in a circle, or too deep.
    #[error("{0}: extends goes deeper than {max} scenarios; does it come back to itself?", max = super::load::EXTENDS_MAX)]
    Circle(String),
    /// A `--set` is no `key=value`.
    #[error("--set {given}: {why}; write --set key.of.table=value, as in --set traffic.per_day=500")]
    Set {
        /// As given.
        given: String,
        /// What is wrong.
        why: String,
    },
    /// A key is unknown, missing, or has a value that it must not have.
    #[error("{name}: {problem}")]
    Key {
        /// The scenario.
        name: String,
        /// Where and what.
        problem: Problem,
    },
}

/// What is wrong at a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{colon}{message}", colon = if path.is_empty() { "" } else { ": " })]
pub struct Problem {
    /// The key's path: `shoppers.segments[1].share`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same with `prefix` before its path.
    #[must_use]
    pub fn within(self, prefix: &str) -> Self {
        let path = match (prefix, self.path.as_str()) {
            (prefix, "") => prefix.to_owned(),
            ("", path) => path.to_owned(),
            (prefix, path) => format!("{prefix}.{path}"),
        };
        Self { path, ..self }
    }
}

impl From<slotwise::slot::FieldError> for Problem {
    fn from(error: slotwise::slot::FieldError) -> Self {
        Self::new(error.field, error.message)
    }
}
