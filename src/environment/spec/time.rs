//! Moments and durations as a scenario writes them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const DAY_US: f64 = 86_400e6;

/// A duration: "90s", "36h", "14days", or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span {
    /// Microseconds, at least 0.
    pub us: f64,
}

impl Span {
    /// Returns a duration of this many seconds.
    pub fn seconds(seconds: f64) -> Self {
        Self { us: seconds * 1e6 }
    }

    /// Returns the duration in days.
    pub fn days(self) -> f64 {
        self.us / DAY_US
    }
}

/// A moment of a replication, as a scenario writes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// A part of the horizon, 0 to 1, counted in decisions.
    Part(f64),
    /// A duration after the start.
    After(Span),
}

/// The current moment of a replication.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moment {
    /// Number of decisions before the moment.
    pub index: u64,
    /// Number of decisions in the replication.
    pub horizon: u64,
    /// The shop's time, microseconds since the start.
    pub at_us: f64,
}

impl When {
    /// Returns the current moment on this one's scale: a part of the horizon, or microseconds.
    pub fn scale(self, now: Moment) -> f64 {
        match self {
            Self::Part(_) => now.index as f64 / now.horizon.max(1) as f64,
            Self::After(_) => now.at_us,
        }
    }

    /// Returns this moment on its own scale.
    pub fn value(self) -> f64 {
        match self {
            Self::Part(part) => part,
            Self::After(span) => span.us,
        }
    }

    /// Returns whether the moment has come.
    pub fn reached(self, now: Moment) -> bool {
        self.scale(now) >= self.value()
    }
}

fn span_of(text: &str) -> Result<Span, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|why| format!("'{text}' is no duration: {why}; write it as \"36h\" or \"14days\""))?;
    Ok(Span { us: duration.as_secs_f64() * 1e6 })
}

struct SpanVisitor;

impl de::Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"36h\" or \"14days\", or a number of seconds")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        span_of(text).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<Span, E> {
        if seconds.is_finite() && seconds >= 0.0 {
            Ok(Span::seconds(seconds))
        } else {
            Err(E::custom(format!("{seconds} is no duration: seconds must be at least 0")))
        }
    }

    fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<Span, E> {
        self.visit_f64(seconds as f64)
    }

    fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<Span, E> {
        self.visit_f64(seconds as f64)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(SpanVisitor)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.us / 1e6)
    }
}

struct WhenVisitor;

impl de::Visitor<'_> for WhenVisitor {
    type Value = When;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of the horizon from 0 to 1, or a duration since the start such as \"36h\" or \"14days\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<When, E> {
        span_of(text).map(When::After).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, part: f64) -> Result<When, E> {
        if (0.0..=1.0).contains(&part) {
            Ok(When::Part(part))
        } else {
            Err(E::custom(format!("{part} is no part of the horizon: write 0 to 1, or a duration such as \"36h\"")))
        }
    }

    fn visit_i64<E: de::Error>(self, part: i64) -> Result<When, E> {
        self.visit_f64(part as f64)
    }

    fn visit_u64<E: de::Error>(self, part: u64) -> Result<When, E> {
        self.visit_f64(part as f64)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(WhenVisitor)
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Part(part) => serializer.serialize_f64(*part),
            Self::After(span) => serializer.serialize_str(&format!("{}s", (span.us / 1e6).round())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Holder {
        at: When,
    }

    fn when(text: &str) -> Result<When, String> {
        toml::from_str::<Holder>(&format!("at = {text}")).map(|holder| holder.at).map_err(|why| why.to_string())
    }

    #[test]
    fn moments_are_parts_of_the_horizon_or_times() {
        assert_eq!(when("0.25").unwrap(), When::Part(0.25));
        assert_eq!(when("1").unwrap(), When::Part(1.0));
        assert_eq!(when("\"36h\"").unwrap(), When::After(Span { us: 36.0 * 3_600e6 }));
        for bad in ["1.5", "-1", "\"soon\"", "true"] {
            assert!(when(bad).is_err(), "{bad}");
        }
        assert!(when("2").unwrap_err().contains("no part of the horizon"));
    }

    #[test]
    fn a_moment_is_reached_on_its_own_scale() {
        let now = Moment { index: 50, horizon: 200, at_us: 7_200e6 };
        assert!(When::Part(0.25).reached(now) && !When::Part(0.26).reached(now));
        assert!(when("\"2h\"").unwrap().reached(now) && !when("\"121m\"").unwrap().reached(now));
    }
}
