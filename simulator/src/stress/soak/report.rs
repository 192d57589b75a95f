//! Report of a soak as a table and as JSON. The keys are those of [`SoakReport`] and are described in the command's long
//! help.

use std::fmt::{self, Write as _};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;
use slotwise::cli::table::fitted;

use super::trend::Trend;
use crate::load::tally::{CallSummary, Failures};

/// Bytes of a megabyte.
const MB: f64 = 1e6;
const SECONDS_PER_HOUR: f64 = 3600.0;

/// Sample of some seconds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakSample {
    /// End of the sample, in seconds since the run began.
    pub at_s: f64,
    /// Length of the sample in seconds.
    pub seconds: f64,
    /// Decisions.
    pub decide: CallSummary,
    /// Clicks.
    pub record_rewards: CallSummary,
    /// Resident memory of the server, or `None` if the server does not report it.
    pub resident_bytes: Option<f64>,
    /// Pending decisions of the slot, or `None` if the server does not report them.
    pub pending: Option<f64>,
}

impl SoakSample {
    fn failed(&self) -> u64 {
        self.decide.failed() + self.record_rewards.failed()
    }
}

impl fmt::Display for SoakSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |calls: &CallSummary| calls.answered as f64 / self.seconds;
        let times = |calls: &CallSummary| {
            let times = calls.latencies;
            format!("{}/{}/{}", times.p50_us, times.p99_us, times.p999_us)
        };
        let (decide, record) = (&self.decide, &self.record_rewards);
        write!(f, "{:.0} s: {:.1} decisions/s, p50/p99/p99.9 µs {}", self.at_s, rate(decide), times(decide))?;
        write!(f, "; {:.1} rewards/s, {}; {} errors", rate(record), times(record), self.failed())?;
        if let Some(bytes) = self.resident_bytes {
            write!(f, "; {:.1} MB", bytes / MB)?;
        }
        if let Some(pending) = self.pending {
            write!(f, "; {pending} pending")?;
        }
        Ok(())
    }
}

/// Growth of the server's memory after it had time to settle.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryGrowth {
    /// Megabytes per hour.
    pub mb_per_hour: f64,
    /// Standard error of the growth.
    pub standard_error: f64,
    /// Number of samples.
    pub samples: usize,
}

impl MemoryGrowth {
    /// Growth over the samples from `from_s` on, or `None` if fewer than three of them contain the memory.
    pub fn fit(samples: &[SoakSample], from_s: f64) -> Option<Self> {
        let settled = samples.iter().filter(|sample| sample.at_s >= from_s);
        let points: Vec<(f64, f64)> =
            settled.filter_map(|sample| Some((sample.at_s / SECONDS_PER_HOUR, sample.resident_bytes? / MB))).collect();
        let Trend { slope, standard_error, points } = Trend::fit(&points)?;
        Some(Self { mb_per_hour: slope, standard_error, samples: points })
    }
}

/// Result of the closed loop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClosedLoopResult {
    /// Length in seconds.
    pub seconds: f64,
    /// Decisions per second, with their clicks between them.
    pub decisions_per_s: f64,
    /// Decisions.
    pub decide: CallSummary,
    /// Clicks.
    pub record_rewards: CallSummary,
}

/// Report of a soak.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakReport {
    /// Address of the server.
    pub target: String,
    /// Id of the slot.
    pub slot: String,
    /// Model of the slot.
    pub model: &'static str,
    /// Attribution window of the slot, in seconds.
    pub window_s: f64,
    /// The closed loop before the run, or `None` if the rate was given.
    pub peak: Option<ClosedLoopResult>,
    /// Planned decisions per second.
    pub rate: f64,
    /// Planned number of decisions.
    pub scheduled: u64,
    /// Greatest number of unanswered requests. Further ones are shed.
    pub backlog_max: usize,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Decisions.
    pub decide: CallSummary,
    /// Decisions that were fallbacks, including those of the closed loop.
    pub fallbacks: u64,
    /// Clicks.
    pub record_rewards: CallSummary,
    /// Time from which on memory counts, in seconds since the run began.
    pub memory_from_s: f64,
    /// Growth of the memory, or `None` if there are too few samples.
    pub memory: Option<MemoryGrowth>,
    /// Samples at regular intervals and at the end.
    pub samples: Vec<SoakSample>,
    /// Number of failures, including those of the closed loop.
    pub errors: u64,
    /// Further notes.
    pub notes: Vec<String>,
}

impl SoakReport {
    /// The report as one line of JSON.
    ///
    /// # Errors
    ///
    /// No error is known, since the report consists of plain numbers and strings.
    pub fn json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The report as text: a table, and a line for each further fact.
    pub fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_header([
            "µs since due",
            "answered",
            "failed",
            "p50",
            "p99",
            "p99.9",
            "max",
        ]);
        let mut row = |name: &str, calls: &CallSummary| {
            let times = calls.latencies;
            let numbers = [calls.answered, calls.failed(), times.p50_us, times.p99_us, times.p999_us, times.max_us];
            table.add_row(std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())));
        };
        if let Some(peak) = &self.peak {
            row("peak: Decide", &peak.decide);
            row("peak: RecordRewards", &peak.record_rewards);
        }
        row("Decide", &self.decide);
        row("RecordRewards", &self.record_rewards);
        table.column_iter_mut().skip(1).for_each(|column| {
            column.set_cell_alignment(CellAlignment::Right);
        });
        let table = fitted(table, &[5, 6, 2, 3]);
        let peak = self.peak.as_ref().map(|peak| format!(", peak {:.1}", peak.decisions_per_s)).unwrap_or_default();
        let mut text = format!(
            "{}, slot {}, model {}: {} decisions at {:.1}/s{peak}, in {:.0} s\n{table}",
            self.target, self.slot, self.model, self.scheduled, self.rate, self.seconds
        );
        let (window, from) = (self.window_s, self.memory_from_s);
        // Writing into a string cannot fail.
        let _ = match self.memory {
            Some(MemoryGrowth { mb_per_hour, standard_error, samples }) => write!(
                text,
                "\nmemory: {mb_per_hour:+.3} ± {standard_error:.3} MB per hour, over {samples} samples from {from:.0} s on"
            ),
            None => write!(
                text,
                "\nmemory: too few samples from {from:.0} s on for a slope (the slot's window is {window:.0} s)"
            ),
        };
        for (name, failures) in self.failures() {
            for (why, count) in failures {
                let _ = write!(text, "\n{name}: {why} {count}");
            }
        }
        if self.fallbacks > 0 {
            let _ = write!(text, "\n{} decisions were fallbacks, which the slot's model did not make", self.fallbacks);
        }
        for note in &self.notes {
            let _ = write!(text, "\nnote: {note}");
        }
        let _ = write!(text, "\n{} errors", self.errors);
        text
    }

    fn failures(&self) -> impl Iterator<Item = (&'static str, &Failures)> {
        let peak = self.peak.iter().flat_map(|peak| {
            [("peak: Decide", &peak.decide.failures), ("peak: RecordRewards", &peak.record_rewards.failures)]
        });
        peak.chain([("Decide", &self.decide.failures), ("RecordRewards", &self.record_rewards.failures)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::CallTally;

    /// 100 MB and 3 MB more every 36 s, a hundredth of an hour, are 300 MB per hour. The first 50 s follow another
    /// course.
    #[test]
    fn memory_counts_from_when_it_had_time_to_settle() {
        let none = CallTally::new().unwrap().all();
        let sample = |i: u32| SoakSample {
            at_s: f64::from(i) * 36.0,
            seconds: 36.0,
            decide: none.clone(),
            record_rewards: none.clone(),
            resident_bytes: (i != 4).then(|| if i < 2 { 7e6 } else { 1e8 + 3e6 * f64::from(i) }),
            pending: None,
        };
        let samples: Vec<SoakSample> = (0..9).map(sample).collect();
        let memory = MemoryGrowth::fit(&samples, 50.0).unwrap();
        assert!((memory.mb_per_hour - 300.0).abs() < 1e-6 && memory.standard_error < 1e-6, "{memory:?}");
        assert_eq!(memory.samples, 6, "from 72 s on, without the one that does not know it");
        assert_eq!(MemoryGrowth::fit(&samples, 240.0), None, "two are no trend");
    }
}
