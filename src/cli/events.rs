//! `slotwise events`: checks of shopper events before they are sent.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::json;

use super::{CommandResult, ReportFormat, Target, say, terminal::printable};
use crate::{
    client::{EventLine, EventOutcome, EventReward, RewardStatus},
    slot::limits::SHOPPER_EVENTS_MAX,
};

/// Bytes of one line, beyond which a file is taken to be something else.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Flags of `events`.
#[derive(Debug, clap::Args)]
pub(super) struct EventsArguments {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// Say for each event of a file which decisions it would join, and which not and why. Nothing is recorded.
    Check(CheckEvents),
}

#[derive(Debug, clap::Args)]
struct CheckEvents {
    /// File with one event a line, in the JSON form of /v1/RecordEvents; `-` reads standard input.
    file: PathBuf,
    /// Format of the output. JSON has every event, the table only those with a remark.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

/// Line that was read, with its number.
struct NumberedLine {
    number: usize,
    event: Result<EventLine, String>,
}

impl EventsArguments {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            EventsCommand::Check(check) => check.run().await,
        }
    }
}

impl CheckEvents {
    async fn run(self) -> CommandResult {
        let lines = read_lines(&self.file)?;
        if lines.is_empty() {
            return Err(format!("{} holds no events; write one a line, as JSON", self.file.display()).into());
        }
        let mut client = self.target.connect().await?;
        let mut tally = CheckTally::new(self.output);
        for chunk in lines.chunks(SHOPPER_EVENTS_MAX) {
            let events: Vec<EventLine> = chunk.iter().filter_map(|line| line.event.clone().ok()).collect();
            let mut outcomes =
                if events.is_empty() { Vec::new() } else { client.check_event_lines(events).await? }.into_iter();
            for NumberedLine { number, event } in chunk {
                match event {
                    Err(why) => tally.add_malformed(*number, why),
                    Ok(event) => {
                        if let Some(outcome) = outcomes.next() {
                            tally.add(*number, event.kind(), &outcome);
                        }
                    }
                }
            }
        }
        tally.finish(&self.file)
    }
}

/// Reads the lines of a file that are not empty.
fn read_lines(file: &PathBuf) -> Result<Vec<NumberedLine>, Box<dyn std::error::Error + Send + Sync>> {
    let input: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        let opened = File::open(file).map_err(|why| format!("cannot read {}: {why}", file.display()))?;
        Box::new(BufReader::new(opened))
    };
    let mut lines = Vec::new();
    for (at, line) in input.lines().enumerate() {
        let line = line.map_err(|why| format!("cannot read {}: {why}", file.display()))?;
        if line.len() > LINE_BYTES_MAX {
            return Err(format!("line {} has {} bytes; one event is a line", at + 1, line.len()).into());
        }
        if !line.trim().is_empty() {
            lines.push(NumberedLine { number: at + 1, event: EventLine::read(&line) });
        }
    }
    Ok(lines)
}

/// Counts of what events would do.
#[derive(Debug)]
struct CheckTally {
    events: usize,
    joined: usize,
    profile_only: usize,
    refused: usize,
    /// Rewards by slot.
    rewards: BTreeMap<String, (usize, f64)>,
    /// Every event as JSON, or `None` if remarks are printed as they come.
    listed: Option<Vec<serde_json::Value>>,
}

impl CheckTally {
    fn new(format: ReportFormat) -> Self {
        let listed = match format {
            ReportFormat::Table => None,
            ReportFormat::Json => Some(Vec::new()),
        };
        Self { events: 0, joined: 0, profile_only: 0, refused: 0, rewards: BTreeMap::new(), listed }
    }

    fn add_malformed(&mut self, number: usize, why: &str) {
        self.events += 1;
        self.refused += 1;
        match &mut self.listed {
            None => say(format_args!("line {number}: not an event: {}", printable(why))),
            Some(listed) => {
                let event = json!({"line": number, "kind": "", "status": "malformed", "message": why, "rewards": []});
                listed.push(event);
            }
        }
    }

    fn add(&mut self, number: usize, kind: &str, outcome: &EventOutcome) {
        self.events += 1;
        let word = match outcome.status {
            RewardStatus::Accepted => "accepted",
            RewardStatus::Duplicate => "duplicate",
            RewardStatus::Late(_) => "late",
            RewardStatus::Unmatched(_) => "unmatched",
            RewardStatus::Rejected(_) => "rejected",
        };
        if outcome.status != RewardStatus::Accepted {
            self.refused += 1;
        } else if outcome.joined.is_empty() {
            self.profile_only += 1;
        } else {
            self.joined += 1;
        }
        for reward in &outcome.joined {
            let sum = self.rewards.entry(reward.slot_id.clone()).or_default();
            *sum = (sum.0 + 1, sum.1 + reward.reward);
        }
        if let Some(listed) = &mut self.listed {
            let reward = |reward: &EventReward| {
                let EventReward { slot_id, decision_id, arm_id, reward } = reward;
                json!({"slot_id": slot_id, "decision_id": decision_id, "arm_id": arm_id, "reward": reward})
            };
            listed.push(json!({
                "line": number,
                "kind": kind,
                "status": word,
                "message": outcome.message,
                "rewards": outcome.joined.iter().map(reward).collect::<Vec<_>>(),
            }));
        } else if outcome.status != RewardStatus::Accepted || !outcome.message.is_empty() {
            let remark = if outcome.message.is_empty() { "counted before" } else { &outcome.message };
            say(format_args!("line {number}: {} {word}: {}", printable(kind), printable(remark)));
        }
    }

    /// Prints the counts. Returns `Err` if an event of `file` would do nothing.
    fn finish(self, file: &Path) -> CommandResult {
        let Self { events, joined, profile_only, refused, rewards, listed } = self;
        if let Some(listed) = listed {
            let slot = |(slot, (count, sum)): (&String, &(usize, f64))| json!({"slot_id": slot, "rewards": count, "reward": sum});
            let report = json!({
                "events": listed,
                "slots": rewards.iter().map(slot).collect::<Vec<_>>(),
                "joined": joined,
                "profile_only": profile_only,
                "without_effect": refused,
            });
            say(serde_json::to_string_pretty(&report)?);
        } else {
            for (slot, (count, sum)) in rewards {
                say(format_args!("slot {}: {count} rewards, {sum} in all", printable(&slot)));
            }
            say(format_args!(
                "{events} events: {joined} join a decision, {profile_only} only change a profile, {refused} do nothing"
            ));
        }
        if refused > 0 {
            let file = file.display();
            return Err(format!("{refused} of {events} events of {file} would do nothing; the output says why").into());
        }
        Ok(())
    }
}
