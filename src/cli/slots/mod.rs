//! `slotwise slots`: slots as documents, and commands that steer them.
//!
//! * [`apply`]: `diff` and `apply`, which compare documents with slots and apply them.
//! * [`learning`]: other ids and clones of slots, files of what they learned, and the reset of one arm.
//! * [`preview`]: the estimated effect of a change.
//! * [`steer`]: history, rollback, the safe choice, pausing arms.

pub(super) mod apply;
mod learning;
mod new;
pub(super) mod preview;
mod steer;

use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use serde_json::json;

use super::{
    CommandResult, ReportFormat, Target, document::SlotDocument, say, say_document, table::fitted, terminal::printable,
};
use crate::{
    client::SlotSummary,
    config::user_name,
    slot::{ChangeReason, Definition, Named as _},
};

/// Flags of `slots`.
#[derive(Debug, clap::Args)]
pub(super) struct SlotsArguments {
    #[command(subcommand)]
    command: SlotsCommand,
}

#[derive(Debug, Subcommand)]
enum SlotsCommand {
    /// Create or change slots until they match a file, or all .toml files of a folder.
    Apply(apply::Apply),
    /// Write a commented document for a new slot.
    New(new::New),
    /// List field by field what `apply` would change.
    Diff(apply::Diff),
    /// Estimate from past decisions how `apply` would alter the arms' shares, the rewards and the cost of exploring.
    Preview(preview::PreviewCommand),
    /// List the slots.
    List {
        /// Format of the output.
        #[arg(short, long, default_value = "table")]
        output: ReportFormat,
        #[command(flatten)]
        target: Target,
    },
    /// Print a slot's document.
    Get {
        /// Id of the slot.
        slot: String,
        /// Print the slot as it was after this revision; see `slots history`.
        #[arg(long, value_name = "REVISION")]
        revision: Option<u64>,
        /// Format of the output.
        #[arg(short, long, default_value = "toml")]
        output: DocumentFormat,
        /// Include the fields that operations own: the safe choice, the mode, frozen learning, the demand for
        /// approval, and when each arm is available.
        /// Without this flag they are left out, so that a later `apply` of the document does not undo them.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List a slot's revisions, newest first: author, time, reason and changes.
    History(steer::History),
    /// Return a slot to an earlier revision; it keeps what it has learned.
    Rollback(steer::Rollback),
    /// Switch the safe choice on or off: show everyone the baseline of a slot, or of all slots.
    Safe(steer::Safe),
    /// Stop showing arms of a slot.
    Pause(steer::Pause),
    /// Show paused arms of a slot again.
    Resume(steer::Resume),
    /// Give a slot another id; it keeps everything else, and calls by its former id are refused.
    Rename(learning::RenameSlot),
    /// Create a slot like another one, with what that has learned.
    Clone(learning::CloneSlot),
    /// Write what a slot learned into a file, for a slot of this or another service to start from.
    ExportLearning(learning::ExportLearning),
    /// Let a slot that has made no decisions start from such a file.
    ImportLearning(learning::ImportLearning),
    /// Forget what a slot learned of one arm.
    ResetArm(learning::ResetArm),
}

/// Author and reason of a change.
#[derive(Debug, clap::Args)]
pub(super) struct ChangeNote {
    /// Reason of the change, for the slot's history.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Author of the change, for the slot's history. Without it, the user's name.
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl ChangeNote {
    /// Text for the history; names the command if no reason was given.
    fn why(self, command: &str) -> ChangeReason {
        self.why_of(&format!("slots {command}"))
    }

    /// Text for the history; the whole command if no reason was given.
    pub(super) fn why_of(self, command: &str) -> ChangeReason {
        ChangeReason::new(self.author.unwrap_or_else(user_name), self.reason.unwrap_or_else(|| command.to_owned()))
    }
}

/// Format of a printed document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum DocumentFormat {
    /// TOML, as `slots apply` reads it.
    Toml,
    /// JSON with the same keys.
    Json,
}

impl SlotsArguments {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            SlotsCommand::Apply(apply) => apply.run().await,
            SlotsCommand::New(new) => new.run(),
            SlotsCommand::Diff(diff) => diff.run().await,
            SlotsCommand::Preview(preview) => preview.run().await,
            SlotsCommand::List { output, target } => list(output, &target).await,
            SlotsCommand::Get { slot, revision, output, all, target } => {
                get(&slot, revision, output, all, &target).await
            }
            SlotsCommand::History(history) => history.run().await,
            SlotsCommand::Rollback(rollback) => rollback.run().await,
            SlotsCommand::Safe(safe) => safe.run().await,
            SlotsCommand::Pause(pause) => pause.run().await,
            SlotsCommand::Resume(resume) => resume.run().await,
            SlotsCommand::Rename(rename) => rename.run().await,
            SlotsCommand::Clone(clone) => clone.run().await,
            SlotsCommand::ExportLearning(export) => export.run().await,
            SlotsCommand::ImportLearning(import) => import.run().await,
            SlotsCommand::ResetArm(reset) => reset.run().await,
        }
    }
}

async fn list(output: ReportFormat, target: &Target) -> CommandResult {
    let slots = target.connect().await?.list_slots().await?;
    match output {
        ReportFormat::Table => say_slots(slots),
        ReportFormat::Json => say(serde_json::to_string_pretty(&slots_json(&slots))?),
    }
    Ok(())
}

fn slots_json(slots: &[SlotSummary]) -> serde_json::Value {
    let slot = |SlotSummary { definition, revision, arms, available }: &SlotSummary| {
        json!({
            "slot_id": definition.id.as_str(),
            "display_name": definition.display_name,
            "kind": definition.kind.name(),
            "arm_count": arms,
            "available_arm_count": available,
            "model": definition.model.name(),
            "revision": revision,
            "safe_choice": definition.controls.safe_choice(),
        })
    };
    json!({"slots": slots.iter().map(slot).collect::<Vec<_>>()})
}

fn say_slots(slots: Vec<SlotSummary>) {
    if slots.is_empty() {
        say("no slots yet; make one with `slotwise slots apply -f FILE`");
        return;
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["slot", "kind", "arms", "available", "model", "revision", "name"]);
    for SlotSummary { definition, revision, arms, available } in slots {
        let safe = if definition.controls.safe_choice() { " (safe choice)" } else { "" };
        let Definition { id, display_name, kind, model, .. } = definition;
        table.add_row([
            id.to_string(),
            kind.name().to_owned(),
            arms.to_string(),
            available.to_string(),
            model.name().to_owned(),
            revision.to_string(),
            format!("{}{safe}", printable(&display_name)),
        ]);
    }
    say(fitted(table, &[4, 5, 1, 6, 3, 2]));
}

async fn get(slot: &str, revision: Option<u64>, output: DocumentFormat, all: bool, target: &Target) -> CommandResult {
    let mut client = target.connect().await?;
    let definition = match revision {
        None => client.get_slot(slot).await?.0,
        Some(revision) => client.get_revision(slot, revision).await?.definition,
    };
    let mut document = SlotDocument::from_definition(&definition);
    let left_out = if all { Vec::new() } else { document.leave_out_operations(&definition) };
    match output {
        DocumentFormat::Toml => {
            if !left_out.is_empty() {
                say_document(
                    "# Operations own these, and `slots apply` leaves them alone where a file does not name them; --all writes them:",
                );
            }
            for line in &left_out {
                say_document(&format!("#   {}", printable(line)));
            }
            say_document(toml::to_string_pretty(&document)?.trim_end());
        }
        DocumentFormat::Json => say(serde_json::to_string_pretty(&document)?),
    }
    Ok(())
}
