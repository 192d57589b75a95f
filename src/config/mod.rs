//! Settings of a server. Each setting has a default, and a file may set any of them.

mod address;
mod catalogue;
mod incoming;
mod limits;
mod profiles;
mod retention;
mod traces;

use std::{
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use address::Address;
pub use catalogue::CatalogueSettings;
pub use incoming::{EventMapping, IncomingEvents};
pub use limits::Limits;
pub use profiles::ProfileSettings;
pub use retention::SubjectRetention;
pub(crate) use retention::micros;
pub use traces::{TraceSettings, parse_ratio, standard_collector};

use crate::access::SlotPattern;

pub use crate::access::tokens::TokenSettings;

/// Between the snapshots of a default configuration: bounds what a restart has to replay.
const SNAPSHOT_INTERVAL: Duration = Duration::from_mins(5);

/// Time that a default configuration keeps decisions and rewards in the journal: a quarter, which is what reports and
/// evaluations look back on.
const RETENTION: Duration = Duration::from_hours(90 * 24);

/// Time that a default configuration goes on serving after a request to stop.
const SHUTDOWN_DELAY: Duration = Duration::from_secs(5);

/// The settings of `slotwise serve`, as the file given with `--config` holds them (TOML).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the gRPC port; port 0 takes a free one.
    pub grpc_address: Address,
    /// Address of the HTTP port: JSON (`/v1/…`), OpenFeature (`/ofrep/v1/…`), `/openapi.json`, `/metrics`, `/livez`,
    /// `/readyz`.
    pub http_address: Address,
    /// Data folder, which holds the journal, the snapshots and the key of subjects.
    pub data: PathBuf,
    /// Decide waits until its decision is durable.
    pub durable_decisions: bool,
    /// Time between two snapshots, as in "5m"; at least a second.
    #[serde(deserialize_with = "duration", serialize_with = "duration_text")]
    pub snapshot_interval: Duration,
    /// Time that decisions and rewards stay in the journal, as in "90days" (at least a second), or "forever". What is
    /// older goes once two snapshots hold what came of it; changes of slots stay for good.
    #[serde(deserialize_with = "retention::retention", serialize_with = "retention::retention_text")]
    pub retention: Option<Duration>,
    /// Time that ids of subjects and sessions stay after they were last seen, as in "30days", "retention" for that of
    /// decisions, or "forever". Later their decisions show pseudonyms.
    pub subject_retention: SubjectRetention,
    /// Start although the journal's end or the key of its subjects may be lost; only the flag `--accept-loss` sets it,
    /// for one start.
    #[serde(skip)]
    pub accept_loss: bool,
    /// Time that the service goes on serving after a request to stop and says so, as in "5s" or "0s": load balancers
    /// look every few seconds, and must see `NOT_SERVING` before the ports close.
    #[serde(deserialize_with = "any_duration", serialize_with = "duration_text")]
    pub shutdown_delay: Duration,
    /// Filter of the log, in the syntax of `RUST_LOG`: "info", "slotwise=debug".
    pub log: String,
    /// Format of a line of the log.
    pub log_format: LogFormat,
    /// Origins of web pages that may call the HTTP port, as in `https://shop.example`. Those of publishable keys are allowed besides.
    pub cors_origins: Vec<String>,
    /// Slots that OpenFeature's bulk evaluation answers, as in `["home-*"]`; none by default. It answers with best
    /// guesses, from which nothing is learned.
    pub bulk_slots: Vec<SlotPattern>,
    /// Folder of pages that the simulator wrote, which the console shows, or `None` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulations: Option<PathBuf>,
    /// Certificate and key of both ports, or `None` to serve without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Tokens of an identity provider that are taken beside keys, or `None` for keys alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokenSettings>,
    /// Spans of calls, for a collector of OpenTelemetry.
    pub traces: TraceSettings,
    /// Listen on addresses that other machines reach, although no key is asked for; only the flag `--insecure-public` sets it.
    #[serde(skip)]
    pub insecure_public: bool,
    /// Limits on what clients may hold open.
    pub limits: Limits,
    /// Settings of the profiles that shopper events make.
    pub profiles: ProfileSettings,
    /// Limits of the item catalogue.
    pub catalogue: CatalogueSettings,
    /// Ways from the events of other systems to shopper events.
    pub incoming: IncomingEvents,
}

/// The table `[tls]` of the configuration: files in PEM. They are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificate of the server, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// Private key of the certificate.
    pub key: PathBuf,
    /// Authority whose certificates clients must have, or `None` to ask for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<PathBuf>,
}

/// Format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Plain text for people.
    #[default]
    Text,
    /// JSON for programs, one object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grpc_address: (Ipv4Addr::LOCALHOST, 50051).into(),
            http_address: (Ipv4Addr::LOCALHOST, 8080).into(),
            data: "data".into(),
            durable_decisions: false,
            snapshot_interval: SNAPSHOT_INTERVAL,
            retention: Some(RETENTION),
            subject_retention: SubjectRetention::AsJournal,
            accept_loss: false,
            shutdown_delay: SHUTDOWN_DELAY,
            simulations: None,
            tls: None,
            tokens: None,
            traces: TraceSettings::default(),
            cors_origins: Vec::new(),
            bulk_slots: Vec::new(),
            insecure_public: false,
            limits: Limits::default(),
            profiles: ProfileSettings::default(),
            catalogue: CatalogueSettings::default(),
            incoming: IncomingEvents::default(),
            log: "info".into(),
            log_format: LogFormat::default(),
        }
    }
}

fn parse<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    let duration = read_duration(text)?;
    if duration < Duration::from_secs(1) {
        return Err(E::custom("must be at least 1s"));
    }
    Ok(duration)
}

fn read_duration<E: serde::de::Error>(text: &str) -> Result<Duration, E> {
    humantime::parse_duration(text)
        .map_err(|why| E::custom(format!("'{text}' is no duration ({why}); write it as 90days, 5m or 30s")))
}

fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn any_duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read_duration(&String::deserialize(deserializer)?)
}

/// Returns a duration in the greatest unit that divides it, as people write it: "90d", not months of 30.44 days.
fn plain_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() > 0 {
        return humantime::format_duration(duration).to_string();
    }
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "m")];
    let unit = units.into_iter().find(|(length, _)| seconds > 0 && seconds.is_multiple_of(*length));
    let (length, name) = unit.unwrap_or((1, "s"));
    format!("{}{name}", seconds / length)
}

/// Writes a duration as [`duration`] reads it. The signature is serde's.
fn duration_text<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&plain_duration(*duration))
}

/// Reason why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Reason.
        source: io::Error,
    },
    /// The file is not a valid configuration.
    #[error("the configuration {} is not valid: {why}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The mistake, in one line.
        why: String,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(file).map_err(|source| ConfigError::Read { file: file.to_owned(), source })?;
        toml::from_str(&text).map_err(|why| ConfigError::Invalid { file: file.to_owned(), why: one_line(&why, &text) })
    }
}

/// Name of the user who runs this program, or an empty string if the system does not give it.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn user_name() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_default()
}

/// The width that `COLUMNS` asks for.
#[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
pub fn columns() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|columns| *columns > 0)
}

/// A TOML error in one line, with the place it is about.
pub fn one_line(error: &toml::de::Error, text: &str) -> String {
    if let Some(language) = other_language(text) {
        return format!("looks like {language}, and is read as TOML; write `name = value` lines and [tables]");
    }
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message().replace('\n', " ");
    let message = format!("{}{message}", near_key(&message));
    line.map_or(message.clone(), |line| format!("line {line}: {message}"))
}

/// Returns a question about the known key that an unknown one is nearest to, or an empty text.
fn near_key(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(unknown) = quoted.next().filter(|_| message.starts_with("unknown field")) else { return String::new() };
    let near = quoted.map(|known| (strsim::osa_distance(unknown, known), known)).min();
    match near {
        Some((distance, known)) if distance <= 2.max(unknown.len() / 4) => format!("did you mean `{known}`? "),
        _ => String::new(),
    }
}

/// Returns the name of the language that a text is in, if it is one that TOML is mistaken for.
pub fn other_language(text: &str) -> Option<&'static str> {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let mut significant = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let first = significant.next()?;
    if first.starts_with('{') || first == "[" || first.starts_with("[{") {
        return Some("JSON");
    }
    if first.starts_with('<') {
        return Some("XML");
    }
    let is_key = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '"';
    let entry = |line: &str| {
        let (key, value) = line.split_once(':').unwrap_or((line, "="));
        key.trim_start_matches("- ").chars().all(is_key) && (value.is_empty() || value.starts_with(' '))
    };
    (first == "---" || entry(first)).then_some("YAML")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("slotwise.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file)
    }

    #[test]
    fn mistakes_are_named_with_what_was_meant() {
        for (text, words) in [
            ("grpc_adress = \"127.0.0.1:1\"", "did you mean `grpc_address`?"),
            ("[limits]\ncals = 1", "did you mean `calls`?"),
            ("retention = \"forevr\"", "'forevr' is no duration"),
            ("retention = \"forevr\"", "or forever"),
            ("shutdown_delay = \"soon\"", "write it as 90days, 5m or 30s"),
            ("[limits]\ncalls = 0", "must be at least 1"),
            ("[limits]\nconnections = 0", "must be at least 1"),
            ("[limits]\nstreams_per_connection = 0", "must be at least 1"),
            ("[limits]\nbytes_in_flight = 0", "must be at least 1"),
            ("[traces]\nratio = 2", "2 is no ratio; write a number from 0 to 1"),
        ] {
            let why = read(text).unwrap_err().to_string();
            assert!(why.contains(words) && !why.contains('\n'), "{text}: {why}");
        }
    }

    #[test]
    fn an_empty_file_is_the_default_and_a_setting_is_taken() {
        assert_eq!(read("").unwrap(), Config::default());
        let config = read("snapshot_interval = \"90s\"\nhttp_address = \"127.0.0.1:0\"").unwrap();
        assert_eq!(config.snapshot_interval, Duration::from_secs(90));
        assert_eq!(config.http_address.port(), 0);
        assert_eq!(read("retention = \"30days\"").unwrap().retention, Some(Duration::from_hours(30 * 24)));
        assert_eq!(read("retention = \"forever\"").unwrap().retention, None);
        assert_eq!(read("shutdown_delay = \"0s\"").unwrap().shutdown_delay, Duration::ZERO);
        let limits = read("[limits]\ncalls = 7\ncall_timeout = \"9s\"").unwrap().limits;
        assert_eq!(limits, Limits { calls: 7, call_timeout: Duration::from_secs(9), ..Limits::default() });
        assert!(read("[limits]\ncals = 7").is_err() && read("[limits]\nkeepalive = \"1ms\"").is_err());
        assert!(read("retention = \"for ever\"").is_err() && read("retention = \"0s\"").is_err());
    }

    #[test]
    fn what_is_printed_is_read_back_as_it_was() {
        let config = read("grpc_address = \"localhost:0\"\nretention = \"forever\"\nlog_format = \"json\"").unwrap();
        let printed = toml::to_string(&config).unwrap();
        assert_eq!(read(&printed).unwrap(), config, "{printed}");
        let printed = toml::to_string(&Config::default()).unwrap();
        assert!(printed.contains("retention = \"90d\"") && printed.contains("snapshot_interval = \"5m\""), "{printed}");
        assert_eq!(read(&printed).unwrap(), Config::default(), "{printed}");
    }

    #[test]
    fn durations_are_printed_as_people_write_them() {
        for (duration, text) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_mins(90), "90m"),
            (Duration::from_hours(36), "36h"),
            (Duration::from_hours(400 * 24), "400d"),
            (Duration::from_millis(1_500), "1s 500ms"),
        ] {
            assert_eq!(plain_duration(duration), text);
            assert_eq!(humantime::parse_duration(text).unwrap(), duration);
        }
    }

    #[test]
    fn another_language_is_named() {
        for (text, language) in [
            ("grpc_address: 127.0.0.1:1\n", Some("YAML")),
            ("---\ndata: d\n", Some("YAML")),
            ("# settings\n\n- data: d\n", Some("YAML")),
            ("{\"data\": \"d\"}", Some("JSON")),
            ("[{\"data\": 1}]", Some("JSON")),
            ("data = \"d\"", None),
            ("[table]\nx = 1", None),
            ("\"quoted\" = 1", None),
            ("", None),
        ] {
            assert_eq!(other_language(text), language, "{text}");
        }
        let error = read("grpc_address: 127.0.0.1:1\n").unwrap_err().to_string();
        assert!(error.contains("looks like YAML") && error.contains("TOML") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_misspelt_setting_is_named_with_its_line() {
        let error = read("\nsnapshot_intervall = \"90s\"").unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("snapshot_intervall"), "{error}");
        assert!(!error.contains('\n'));
        assert!(read("snapshot_interval = \"1ms\"").is_err());
    }
}
