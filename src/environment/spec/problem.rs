//! Problems with the keys of a scenario.

use crate::slot::FieldError;

/// A problem with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}{colon}{message}", colon = if path.is_empty() { "" } else { ": " })]
pub struct Problem {
    /// The key's path: `shoppers.segments[1].share`.
    pub path: String,
    /// The message: what is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// Returns a problem at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// Returns the problem with `prefix` before its path.
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

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::new(error.field, error.message)
    }
}
