//! `slotwise doctor`: what is wrong with a service that runs, and what to do about it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    CommandResult, ReportFormat, Target, say,
    terminal::{counted, printable},
};
use crate::{
    client::{Client, SystemState},
    engine::Counters,
    node::{Clock as _, SystemClock},
};

/// Number of calls by which the latency is judged.
const CALLS: u32 = 5;
/// Latency of a call from which on somebody should look.
const SLOW: Duration = Duration::from_millis(50);
/// Difference of two clocks from which on somebody should look, microseconds.
const SKEW_US: i64 = 5_000_000;
/// Bytes of the write-ahead log from which on somebody should look.
const LOG_BYTES: u64 = 256 * 1024 * 1024;
/// Events of a slot from which on their fate is judged, and decisions from which on there should be some.
const EVENTS_MIN: u64 = 100;
const DECISIONS_MIN: u64 = 1_000;
/// Part of a slot's events that may be lost.
const LOST_MAX: f64 = 0.05;
/// Number of slots that are looked at.
const SLOTS_MAX: usize = 100;

/// Flags of `doctor`.
#[derive(Debug, clap::Args)]
pub(super) struct Doctor {
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

/// Result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DoctorVerdict {
    Good,
    Look,
    Bad,
}

impl DoctorVerdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Look => "look",
            Self::Bad => "bad",
        }
    }
}

/// Finding of a check, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DoctorFinding {
    check: &'static str,
    verdict: DoctorVerdict,
    text: String,
}

fn finding(check: &'static str, verdict: DoctorVerdict, text: impl Into<String>) -> DoctorFinding {
    DoctorFinding { check, verdict, text: text.into() }
}

/// Error of an examination that found something bad. Standard output lists it.
#[derive(Debug, thiserror::Error)]
#[error("something is wrong; see the lines that begin with 'bad'")]
struct Unwell;

impl Doctor {
    pub(super) async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let mut findings = self.examine_calls(&mut client).await?;
        findings.extend(examine_slots(&mut client).await?);
        match self.output {
            ReportFormat::Table => {
                for DoctorFinding { check, verdict, text } in &findings {
                    say(format!("{:<4} {check}: {text}", verdict.word()));
                }
            }
            ReportFormat::Json => {
                let one =
                    |of: &DoctorFinding| json!({"check": of.check, "verdict": of.verdict.word(), "text": of.text});
                let all: Vec<_> = findings.iter().map(one).collect();
                say(serde_json::to_string_pretty(&json!({"findings": all}))?);
            }
        }
        if findings.iter().any(|of| of.verdict == DoctorVerdict::Bad) { Err(Unwell.into()) } else { Ok(()) }
    }

    /// Examines how calls are made, and the state of the service.
    async fn examine_calls(
        &self,
        client: &mut Client,
    ) -> Result<Vec<DoctorFinding>, Box<dyn std::error::Error + Send + Sync>> {
        let mut times = Vec::new();
        let mut last = None;
        for _ in 0..CALLS {
            let (begun, begun_us) = (now(), SystemClock::default().now_us());
            let state = client.system_state().await?;
            let took = begun.elapsed();
            last = Some((state, begun_us, took));
            times.push(took);
        }
        times.sort();
        let Some((state, begun_us, took)) = last else { return Ok(Vec::new()) };
        let half_us = i64::try_from(took.as_micros() / 2).unwrap_or(0);
        let mut findings = vec![latency(times[times.len() / 2]), version(&state), skew(&state, begun_us + half_us)];
        findings.extend(state_findings(&state));
        findings.push(self.access());
        Ok(findings)
    }

    /// Examines the way to the service.
    fn access(&self) -> DoctorFinding {
        let Target { target, api_key, .. } = &self.target;
        let encrypted = target.trim().starts_with("https://");
        let local = ["127.", "localhost", "[::1]", "::1", ":"].iter().any(|local| {
            target.split_once("://").map_or(target.as_str(), |(_, rest)| rest).trim_start().starts_with(local)
        });
        match (api_key.is_some(), encrypted) {
            (true, true) => finding("access", DoctorVerdict::Good, "a key over TLS"),
            (true, false) if local => finding("access", DoctorVerdict::Good, "a key, on this machine"),
            (true, false) => finding(
                "access",
                DoctorVerdict::Look,
                "the key can be read on its way; serve TLS, and give an https address",
            ),
            (false, _) if local => {
                finding("access", DoctorVerdict::Good, "no key, on this machine; others cannot reach it without one")
            }
            (false, _) => finding(
                "access",
                DoctorVerdict::Bad,
                "the service asks for no key, and this is another machine: everybody can change everything; `slotwise keys create` makes the first key",
            ),
        }
    }
}

/// Returns the moment of a call. It never becomes part of the state.
#[expect(clippy::disallowed_methods, reason = "the time is for a latency that is printed")]
fn now() -> Instant {
    Instant::now()
}

fn latency(median: Duration) -> DoctorFinding {
    let text = format!("a call takes {:.1} ms, the median of {CALLS}", 1e3 * median.as_secs_f64());
    if median < SLOW {
        finding("latency", DoctorVerdict::Good, text)
    } else {
        finding(
            "latency",
            DoctorVerdict::Look,
            format!("{text}; put the callers nearer, or look at the service's load"),
        )
    }
}

fn version(state: &SystemState) -> DoctorFinding {
    let own = env!("CARGO_PKG_VERSION");
    let theirs = printable(&state.version);
    if state.version == own {
        finding("version", DoctorVerdict::Good, format!("{own}, as this program"))
    } else {
        finding("version", DoctorVerdict::Look, format!("{theirs}, and this program is {own}; use the same"))
    }
}

/// Compares the clocks. `own_us` is the time of this machine when the service answered with its own.
fn skew(state: &SystemState, own_us: i64) -> DoctorFinding {
    let ahead_us = state.at_us - own_us;
    let seconds = format!("{:+.1} s", ahead_us as f64 / 1e6);
    if state.clock_doubt_seconds != 0 {
        let text = "the service does not believe its machine's clock; set the clock, or run `slotwise clock accept`";
        finding("clock", DoctorVerdict::Bad, text)
    } else if ahead_us.abs() <= SKEW_US {
        finding("clock", DoctorVerdict::Good, format!("{seconds} against this machine"))
    } else {
        let text = format!(
            "{seconds} against this machine; events whose time is given may count as late, so set the clocks by NTP"
        );
        finding("clock", DoctorVerdict::Look, text)
    }
}

fn state_findings(state: &SystemState) -> Vec<DoctorFinding> {
    let disk = if state.disk_full {
        finding(
            "disk",
            DoctorVerdict::Bad,
            "it is full: rewards and changes are refused; make room, and the service goes on",
        )
    } else {
        finding("disk", DoctorVerdict::Good, "there is room")
    };
    let log = if state.log_bytes > LOG_BYTES {
        let text = format!(
            "the write-ahead log has {} MiB: another program holds a transaction open; end that program",
            state.log_bytes >> 20
        );
        finding("journal", DoctorVerdict::Look, text)
    } else {
        let bytes = format!("{} MiB, and {} MiB of log", state.journal_bytes >> 20, state.log_bytes >> 20);
        finding("journal", DoctorVerdict::Good, bytes)
    };
    vec![disk, log]
}

/// Examines what became of each slot's events.
async fn examine_slots(client: &mut Client) -> Result<Vec<DoctorFinding>, Box<dyn std::error::Error + Send + Sync>> {
    let slots = client.list_slots().await?;
    let mut findings = Vec::new();
    if slots.is_empty() {
        findings.push(finding(
            "slots",
            DoctorVerdict::Look,
            "there is none; `slotwise slots new` writes a file to begin with",
        ));
    }
    for slot in slots.iter().take(SLOTS_MAX) {
        let id = slot.definition.id.as_str();
        let report = client.report(id).await?;
        findings.push(events(id, &report.counters));
    }
    let alerts = client.alerts(None).await?;
    findings.extend(alerts.iter().map(|(slot, alert)| {
        finding(
            "alert",
            DoctorVerdict::Look,
            format!("{}: {}; {}", printable(slot), printable(&alert.sentence), alert.advice),
        )
    }));
    if slots.len() > SLOTS_MAX {
        findings.push(finding("slots", DoctorVerdict::Look, format!("only the first {SLOTS_MAX} were looked at")));
    }
    Ok(findings)
}

/// Judges the events of a slot by how many of them found their decision.
fn events(slot: &str, counters: &Counters) -> DoctorFinding {
    let Counters { decisions, rewards, late, unmatched, rejected, other_kinds, .. } = *counters;
    let lost = late + unmatched + rejected + other_kinds;
    let all = rewards + late + unmatched + rejected;
    if rewards == 0 && decisions >= DECISIONS_MIN {
        let text = format!(
            "'{slot}' has {} and no event; does the caller report events with the decision's id?",
            counted(decisions, "decision")
        );
        return finding("events", DoctorVerdict::Bad, text);
    }
    if all >= EVENTS_MIN && lost as f64 > LOST_MAX * all as f64 {
        let text = format!(
            "'{slot}' lost {lost} of {all} events: {late} late, {unmatched} without a decision, {rejected} not valid, {other_kinds} of other kinds; each answer says why"
        );
        return finding("events", DoctorVerdict::Look, text);
    }
    finding("events", DoctorVerdict::Good, format!("'{slot}' counted {} of {all}", all.saturating_sub(lost)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> SystemState {
        SystemState {
            version: env!("CARGO_PKG_VERSION").into(),
            at_us: 1_793_000_000_000_000,
            disk_full: false,
            clock_doubt_seconds: 0,
            journal_bytes: 5 << 20,
            log_bytes: 1 << 20,
            snapshot_bytes: 0,
            slots: 1,
            pending_decisions: 0,
        }
    }

    #[test]
    fn a_full_disk_and_a_doubted_clock_are_bad_and_a_skew_is_looked_at() {
        let now_us = state().at_us;
        assert_eq!(skew(&state(), now_us + 1_000_000).verdict, DoctorVerdict::Good);
        assert_eq!(skew(&state(), now_us - 60_000_000).verdict, DoctorVerdict::Look);
        assert_eq!(skew(&SystemState { clock_doubt_seconds: 90_000, ..state() }, now_us).verdict, DoctorVerdict::Bad);
        let verdicts = |state: &SystemState| state_findings(state).iter().map(|of| of.verdict).collect::<Vec<_>>();
        assert_eq!(verdicts(&state()), [DoctorVerdict::Good; 2]);
        assert_eq!(
            verdicts(&SystemState { disk_full: true, log_bytes: 1 << 30, ..state() }),
            [DoctorVerdict::Bad, DoctorVerdict::Look]
        );
        assert_eq!(version(&SystemState { version: "9.9.9".into(), ..state() }).verdict, DoctorVerdict::Look);
        assert_eq!(latency(Duration::from_millis(3)).verdict, DoctorVerdict::Good);
        assert_eq!(latency(Duration::from_millis(80)).verdict, DoctorVerdict::Look);
    }

    #[test]
    fn events_are_judged_by_how_many_found_their_decision() {
        let counters =
            |decisions, rewards, unmatched| Counters { decisions, rewards, unmatched, ..Counters::default() };
        assert_eq!(events("a", &counters(10, 0, 0)).verdict, DoctorVerdict::Good, "too few to judge");
        assert_eq!(events("a", &counters(5_000, 0, 0)).verdict, DoctorVerdict::Bad);
        assert_eq!(events("a", &counters(5_000, 500, 10)).verdict, DoctorVerdict::Good);
        let lost = events("a", &counters(5_000, 500, 100));
        assert!(lost.verdict == DoctorVerdict::Look && lost.text.contains("100 without a decision"), "{lost:?}");
    }
}
