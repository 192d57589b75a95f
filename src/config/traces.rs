//! Settings of the spans that calls become.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// The table `[traces]` of the configuration: spans of calls, sent to a collector of OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceSettings {
    /// URL of the collector, which takes OTLP over gRPC, as in `http://127.0.0.1:4317`, or `None` to send nothing. Only for a
    /// program that was built with `--features otlp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Probability, from 0 to 1, that a call becomes a span whose caller sends no trace. A caller that sends one says
    /// itself whether it is sampled.
    #[serde(deserialize_with = "probability")]
    pub ratio: f64,
}

impl Default for TraceSettings {
    fn default() -> Self {
        Self { endpoint: None, ratio: 1.0 }
    }
}

/// Reads a probability.
pub(super) fn read_ratio(ratio: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&ratio) {
        Ok(ratio)
    } else {
        Err(format!("{ratio} is no ratio; write a number from 0 to 1"))
    }
}

/// Reads a probability from a flag.
pub fn parse_ratio(text: &str) -> Result<f64, String> {
    read_ratio(text.parse().map_err(|_| format!("'{text}' is no number; write one from 0 to 1"))?)
}

fn probability<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    read_ratio(f64::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Address of the collector that the standard variables of OpenTelemetry name, or `None` without one. Only a program that
/// can send spans reads them.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn standard_collector() -> Option<String> {
    if !cfg!(feature = "otlp") {
        return None;
    }
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    let is_off = variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true"))
        || variable("OTEL_TRACES_EXPORTER").is_some_and(|text| text == "none");
    let names = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    if is_off { None } else { names.into_iter().find_map(variable) }
}
