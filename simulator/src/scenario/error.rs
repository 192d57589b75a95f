//! Errors of scenarios. The exit code is always 2.

use std::path::PathBuf;

pub use slotwise::environment::spec::Problem;

/// Reason why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// No shipped scenario has this name, and no such file exists.
    #[error("there is no scenario '{name}'{suggestion}; `slotwise-simulator list` lists them, or give a .toml file")]
    Unknown {
        /// The name as given.
        name: String,
        /// "; did you mean …?", or empty.
        suggestion: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {why}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        why: std::io::Error,
    },
    /// The text is not valid TOML.
    #[error("{name}: line {line}: {message}")]
    Syntax {
        /// The scenario's name.
        name: String,
        /// The line, from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// `extends` forms a circle or is too deep.
    #[error("{0}: extends goes deeper than {max} scenarios; does it come back to itself?", max = super::load::EXTENDS_MAX)]
    Circle(String),
    /// A `--set` is not of the form `key=value`.
    #[error("--set {given}: {why}; write --set key.of.table=value, as in --set traffic.per_day=500")]
    Set {
        /// The text as given.
        given: String,
        /// The cause.
        why: String,
    },
    /// A key is unknown or missing, or has an invalid value.
    #[error("{name}: {problem}")]
    Key {
        /// The scenario's name.
        name: String,
        /// The key and what is wrong with it.
        problem: Problem,
    },
}
