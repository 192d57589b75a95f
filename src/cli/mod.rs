//! The command line.
//!
//! Every command is a file of its own and returns a `Result`; this one parses, starts
//! the runtime, and prints an error as one line with a hint, exit code 1. Usage errors
//! are clap's, exit code 2; so is a difference that was asked for with `--check`.

mod backup;
mod clock;
mod compare;
mod completions;
mod demo;
mod doctor;
pub mod document;
mod drafts;
mod environment;
mod events;
mod explain;
mod figures;
pub mod help;
mod items;
mod journal;
mod keys;
mod output;
mod privacy;
mod progress;
mod report;
mod restore;
mod serve;
mod slots;
pub mod table;
pub mod terminal;
mod time;

use std::{error::Error, io::Write as _, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

pub use journal::export;
pub(crate) use terminal::{say, say_document, say_styled};

use terminal::printable;

use crate::client::{CallOptions, Client, ClientError};

/// Decide what to show each shopper, and learn from the rewards that follow.
#[derive(Debug, Parser)]
#[command(version, about, propagate_version = true)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service: gRPC on one port, HTTP (JSON, metrics, probes) on another.
    Serve(serve::Serve),
    /// Watch a service learn from simulated shoppers, all in this process.
    Demo(demo::Demo),
    /// Create, change and read slots.
    Slots(slots::SlotsArguments),
    /// Create, approve and apply changes that need a second person.
    Drafts(drafts::DraftsArguments),
    /// Print the report of a slot: its arms, their rewards and their chances.
    Report(report::Report),
    /// Print counts, values and rewards of a slot over time.
    Series(figures::Series),
    /// Print what shoppers with each value of a feature get, and what it earns.
    Segments(figures::Segments),
    /// Compare what drafts of the controls and baselines would have earned on past decisions.
    Compare(compare::ComparePolicies),
    /// Print what somebody should look at, and what to do.
    Alerts(figures::Alerts),
    /// Examine a service that runs: calls, clocks, disk, events; say what to do.
    Doctor(doctor::Doctor),
    /// Print why a decision showed its arms.
    Explain(explain::Explain),
    /// Add, remove and list the items that all slots share.
    Items(items::ItemsArguments),
    /// Check shopper events before they are sent.
    Events(events::EventsArguments),
    /// Export or forget what is held of one subject.
    Privacy(privacy::PrivacyArguments),
    /// Copy a data folder, in use or not, to a new folder.
    Backup(backup::Backup),
    /// Create a data folder from a backup.
    Restore(restore::Restore),
    /// Settle a disagreement between this machine's clock and the journal's time.
    Clock(clock::ClockCommand),
    /// Create, list and revoke the keys that callers present, on the machine of the data folder.
    Keys(keys::KeysArguments),
    /// Verify, count and export the journal of a data folder, in use or not.
    Journal(journal::JournalArguments),
    /// Print the completions of a shell.
    Completions(completions::Completions),
    /// Write the manual pages of all commands into a folder.
    Man(completions::ManualPages),
}

/// Error of a comparison that found differences, which gives exit code 2. Standard output lists the differences.
#[derive(Debug, thiserror::Error)]
#[error("there are differences")]
struct DifferencesFound;

/// Result of a command. An error is one line for a person.
pub(crate) type CommandResult = Result<(), Box<dyn Error + Send + Sync>>;

/// Format of a printed report.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ReportFormat {
    /// A table for people.
    Table,
    /// JSON with the API's field names.
    Json,
}

/// Address of the service that a command calls.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the flag is --target")]
struct Target {
    /// Address of the service's gRPC port, with or without a scheme and a port.
    #[arg(long, default_value = "127.0.0.1:50051", value_name = "ADDRESS")]
    target: String,
    /// Key that the calls present; see `slotwise keys`. `SLOTWISE_API_KEY` keeps it out of the list of processes.
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
    /// File (PEM) with the authority of the service's certificate, for https; default those of the system.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Target {
    /// Connects to the service.
    async fn connect(&self) -> Result<Client, ClientError> {
        let Self { target, api_key, ca_file } = self;
        let options = CallOptions { key: api_key.clone(), ca_file: ca_file.clone(), ..CallOptions::default() };
        Client::connect_with(target, &options).await
    }
}

/// Data folder that a command reads.
#[derive(Debug, clap::Args)]
struct Data {
    /// Data folder of the service.
    #[arg(long, default_value = "data", value_name = "DIR")]
    data: PathBuf,
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    table::limit_to_terminal();
    let matches = match help::matches(environment::with_variables(Args::command())) {
        Ok(matches) => matches,
        Err(code) => return code,
    };
    let args = match Args::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(why) => why.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return report_error(&why),
    };
    let done = runtime.block_on(run(args.command));
    // A blocking thread that will not end must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) if why.is::<DifferencesFound>() => ExitCode::from(2),
        Err(why) => report_error(&*why),
    }
}

async fn run(command: Command) -> CommandResult {
    match command {
        Command::Serve(serve) => serve.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Slots(slots) => slots.run().await,
        Command::Drafts(drafts) => Box::pin(drafts.run()).await,
        Command::Report(report) => report.run().await,
        Command::Series(series) => series.run().await,
        Command::Segments(segments) => segments.run().await,
        Command::Compare(compare) => compare.run().await,
        Command::Alerts(alerts) => alerts.run().await,
        Command::Doctor(doctor) => doctor.run().await,
        Command::Explain(explain) => explain.run().await,
        Command::Items(items) => items.run().await,
        Command::Events(events) => events.run().await,
        Command::Privacy(privacy) => privacy.run().await,
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Clock(clock) => clock.run(),
        Command::Keys(keys) => keys.run(),
        Command::Journal(journal) => journal.run(),
        Command::Completions(completions) => completions.run(Args::command()),
        Command::Man(pages) => pages.run(environment::with_variables(Args::command())),
    }
}

fn report_error(why: &(dyn Error + 'static)) -> ExitCode {
    let mut line = why.to_string();
    // The cause is added unless the message names it already.
    if let Some(source) = why.source().map(ToString::to_string)
        && !line.contains(&source)
    {
        line = format!("{line} ({source})");
    }
    let _ = writeln!(std::io::stderr(), "error: {}", printable(&line.replace('\n', " ")));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands that read nothing that a program would want as JSON, or write JSON anyway, each with the reason. Every
    /// other command takes `-o json`.
    const WITHOUT_JSON: &[(&str, &str)] = &[
        ("serve", "serves; its log is JSON with --log-format json"),
        ("demo", "shows a screen"),
        ("slots apply", "changes slots; --check says by its exit code whether it would"),
        ("slots new", "writes a file to begin with"),
        ("slots rollback", "changes a slot"),
        ("slots safe", "changes slots"),
        ("slots pause", "changes a slot"),
        ("slots resume", "changes a slot"),
        ("slots rename", "changes a slot"),
        ("slots clone", "creates a slot"),
        ("slots export-learning", "writes a file"),
        ("slots import-learning", "changes a slot"),
        ("slots reset-arm", "changes a slot"),
        ("drafts create", "creates drafts"),
        ("drafts rollback", "creates a draft"),
        ("drafts reset", "creates a draft"),
        ("drafts rename", "creates a draft"),
        ("drafts approve", "changes a draft"),
        ("drafts apply", "changes a slot"),
        ("drafts discard", "changes a draft"),
        ("privacy export", "writes JSON, one object a line"),
        ("privacy forget", "changes what is held"),
        ("privacy refold", "writes a folder"),
        ("items upsert", "changes items"),
        ("items remove", "changes items"),
        ("items available", "changes items"),
        ("backup", "writes a folder"),
        ("restore", "writes a folder"),
        ("clock accept", "changes the journal's time"),
        ("keys create", "creates a key"),
        ("keys revoke", "changes a key"),
        ("journal salvage", "writes a folder"),
        ("journal export", "writes JSON, one object a line, or what --format says"),
        ("completions", "writes a program of a shell"),
        ("man", "writes pages"),
    ];

    /// Names of the commands without subcommands, each with whether it takes `-o json`.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, bool)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let name = format!("{path} {}", sub.get_name()).trim_start().to_owned();
            if sub.has_subcommands() {
                leaves(sub, &name, found);
                continue;
            }
            let output = sub.get_arguments().find(|argument| argument.get_short() == Some('o'));
            let takes_json = output.is_some_and(|output| {
                output.get_long() == Some("output")
                    && output.get_possible_values().iter().any(|value| value.get_name() == "json")
            });
            found.push((name, takes_json));
        }
    }

    #[test]
    fn every_command_that_reads_takes_o_json() {
        let mut found = Vec::new();
        leaves(&Args::command(), "", &mut found);
        for (name, takes_json) in &found {
            let reason = WITHOUT_JSON.iter().find(|(listed, _)| listed == name).map(|(_, reason)| *reason);
            assert_ne!(
                *takes_json,
                reason.is_some(),
                "`{name}` must take -o json or be listed with a reason: {reason:?}"
            );
        }
        for (listed, _) in WITHOUT_JSON {
            assert!(found.iter().any(|(name, _)| name == listed), "there is no command `{listed}`");
        }
        assert!(found.iter().filter(|(_, takes_json)| *takes_json).count() > 15, "{found:?}");
    }
}
