//! Times for which data stay, by their kind.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{duration_text, parse};

/// Text of a time without end.
const FOREVER: &str = "forever";
/// Text of a time that is the journal's.
const AS_JOURNAL: &str = "retention";

/// Time for which ids of subjects stay after they were last seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SubjectRetention {
    /// The time of decisions and rewards.
    #[default]
    AsJournal,
    /// A time of its own.
    For(Duration),
    /// No end.
    Forever,
}

impl SubjectRetention {
    /// Returns the time, or `None` for one without end. `journal` is the time of decisions and rewards.
    pub fn time(self, journal: Option<Duration>) -> Option<Duration> {
        match self {
            Self::AsJournal => journal,
            Self::For(time) => Some(time),
            Self::Forever => None,
        }
    }
}

impl<'de> Deserialize<'de> for SubjectRetention {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            AS_JOURNAL => Ok(Self::AsJournal),
            FOREVER => Ok(Self::Forever),
            text => {
                let or = |why: D::Error| D::Error::custom(format!("{why}, {AS_JOURNAL}, or {FOREVER}"));
                parse(text).map(Self::For).map_err(or)
            }
        }
    }
}

impl Serialize for SubjectRetention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AsJournal => serializer.serialize_str(AS_JOURNAL),
            Self::For(time) => duration_text(time, serializer),
            Self::Forever => serializer.serialize_str(FOREVER),
        }
    }
}

/// Returns a duration in microseconds, at most the largest number.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Reads the time of decisions and rewards; `None` is one without end.
pub(super) fn retention<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let or_forever = |why: D::Error| D::Error::custom(format!("{why}, or {FOREVER}"));
    if text == FOREVER { Ok(None) } else { parse(&text).map(Some).map_err(or_forever) }
}

/// Writes a retention as [`retention`] reads it. The signature is serde's.
#[expect(clippy::ref_option, reason = "serde hands a reference to the field")]
pub(super) fn retention_text<S: Serializer>(retention: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match retention {
        Some(retention) => duration_text(retention, serializer),
        None => serializer.serialize_str(FOREVER),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Config, *};

    #[test]
    fn ids_stay_as_long_as_decisions_or_for_a_time_of_their_own() {
        let day = Duration::from_hours(24);
        let time = |text: &str| {
            let config: Config = toml::from_str(text).unwrap();
            assert_eq!(toml::from_str::<Config>(&toml::to_string(&config).unwrap()).unwrap(), config);
            config.subject_retention.time(config.retention)
        };
        assert_eq!(time(""), Some(90 * day));
        assert_eq!(time("retention = \"30d\""), Some(30 * day));
        assert_eq!(time("retention = \"forever\""), None);
        assert_eq!(time("retention = \"forever\"\nsubject_retention = \"7d\""), Some(7 * day));
        assert_eq!(time("retention = \"30d\"\nsubject_retention = \"forever\""), None);
        assert_eq!(time("retention = \"30d\"\nsubject_retention = \"retention\""), Some(30 * day));
        let why = toml::from_str::<Config>("subject_retention = \"long\"").unwrap_err().to_string();
        assert!(why.contains("'long' is no duration") && why.contains("retention, or forever"), "{why}");
    }
}
