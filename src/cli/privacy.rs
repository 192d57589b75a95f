//! `slotwise privacy`: what is held of one subject, and its end.

use std::{io::Write as _, path::PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{CommandResult, ReportFormat, Target, backup::positions, progress::Meter, say, terminal::printable};
use crate::{
    client::{ClientError, ForgottenListing},
    engine::Subject,
    node::{self, Beginning},
    slot::{Actor, ChangeReason},
    wire::time_text,
};

/// Flags of `privacy`.
#[derive(Debug, clap::Args)]
pub(super) struct PrivacyArguments {
    #[command(subcommand)]
    command: PrivacyCommand,
}

#[derive(Debug, Subcommand)]
enum PrivacyCommand {
    /// Print everything that is held of a subject, one JSON object a line.
    Export(ExportSubject),
    /// Forget a subject, and the sessions that came with its id.
    Forget(ForgetSubject),
    /// List the subjects that were forgotten, by their pseudonyms.
    List(ListForgotten),
    /// Build a new data folder whose models never saw the decisions and events of forgotten subjects. The folder it is
    /// built from is not changed.
    Refold(Refold),
}

/// Subject that a command is about.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct NamedSubject {
    /// Id of the customer.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Id of the session.
    #[arg(long, value_name = "ID")]
    session: Option<String>,
}

impl NamedSubject {
    fn subject(&self) -> Subject {
        let text = |id: &Option<String>| id.clone().unwrap_or_default();
        Subject { id: text(&self.subject), session_id: text(&self.session) }
    }
}

#[derive(Debug, clap::Args)]
struct ExportSubject {
    #[command(flatten)]
    subject: NamedSubject,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct ForgetSubject {
    #[command(flatten)]
    subject: NamedSubject,
    /// Reason, such as the number of a ticket. It stays in the journal, so it must not name the person.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct ListForgotten {
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Refold {
    /// Data folder. It is only read; its service must have ended.
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Folder to create; if it exists, it must be empty.
    #[arg(value_name = "TARGET")]
    target: PathBuf,
    /// Also fold a journal whose first decisions and events were dropped by retention. What was learned from them is lost.
    #[arg(long)]
    as_retained: bool,
}

impl PrivacyArguments {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            PrivacyCommand::Export(export) => export.run().await,
            PrivacyCommand::Forget(forget) => forget.run().await,
            PrivacyCommand::List(list) => list.run().await,
            PrivacyCommand::Refold(refold) => refold.run(),
        }
    }
}

impl ExportSubject {
    async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let mut out = std::io::stdout().lock();
        let mut line = |line: String| {
            writeln!(out, "{line}").map_err(|why| ClientError::Answer(format!("cannot print it: {why}")))
        };
        let count = client.export_subject(&self.subject.subject(), &mut line).await?;
        if count == 0 {
            return Err("nothing is held of this subject; check its id, and that it is not a pseudonym".into());
        }
        Ok(())
    }
}

impl ForgetSubject {
    async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let why = ChangeReason { author: String::new(), reason: self.reason, actor: Actor::default() };
        let done = client.forget_subject(&self.subject.subject(), &why).await?;
        say(format_args!(
            "forgotten: {} decisions and events belong to nobody now; {} sessions went with the subject",
            done.records, done.sessions
        ));
        Ok(())
    }
}

impl ListForgotten {
    async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let listed = client.forgotten_subjects().await?;
        if matches!(self.output, ReportFormat::Json) {
            let entry = |entry: &ForgottenListing| {
                let Subject { id, session_id } = &entry.pseudonym;
                json!({"time": time_text(entry.at_us), "subject": {"id": id, "session_id": session_id}})
            };
            let forgotten: Vec<_> = listed.iter().map(entry).collect();
            say(serde_json::to_string_pretty(&json!({ "forgotten": forgotten }))?);
            return Ok(());
        }
        if listed.is_empty() {
            say(format_args!("no subject was forgotten"));
        }
        for entry in listed {
            let Subject { id, session_id } = &entry.pseudonym;
            let known_by = [id, session_id].map(|text| if text.is_empty() { "-" } else { text.as_str() });
            let (id, session) = (printable(known_by[0]), printable(known_by[1]));
            say(format_args!("{} subject {id} session {session}", time_text(entry.at_us)));
        }
        Ok(())
    }
}

impl Refold {
    fn run(self) -> CommandResult {
        let beginning = if self.as_retained { Beginning::AsRetained } else { Beginning::Whole };
        let mut meter = Meter::new();
        let refolded = node::refold(&self.source, &self.target, beginning, &mut |progress| meter.show(progress))?;
        drop(meter);
        for why in &refolded.faults {
            let _ = writeln!(std::io::stderr(), "left out: {why}");
        }
        say(format_args!("refolded: {}, {} records", positions(&refolded.audit), refolded.audit.records));
        let kinds: Vec<String> = refolded.left_out.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { "no record".to_owned() } else { kinds.join(", ") };
        say(format_args!("forgotten subjects and sessions: {}; left out: {kinds}", refolded.subjects));
        if refolded.trimmed > 0 {
            let trimmed = refolded.trimmed;
            say(format_args!("what was learned from dropped decisions up to position {trimmed} of the source is lost"));
        }
        let (source, target) = (self.source.display(), self.target.display());
        say(format_args!(
            "{source} is as it was; {target} is a journal of its own, start it with: slotwise serve --data {target}"
        ));
        Ok(())
    }
}
