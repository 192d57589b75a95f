//! Commands that steer a slot with a single step each, and the history of its changes.

use clap::ValueEnum;
use serde_json::json;

use super::{
    super::{CommandResult, Target, say, say_styled, terminal::printable, time},
    ChangeNote,
    apply::lines,
};
use crate::{
    client::SlotRevision,
    engine::Availability,
    slot::{Actor, ArmId, FieldError, Unavailable},
    wire::FieldDifference,
};

/// Flags of `slots history`.
#[derive(Debug, clap::Args)]
pub(super) struct History {
    /// Id of the slot.
    slot: String,
    /// Largest number of revisions to list, newest first.
    #[arg(short = 'n', long, default_value_t = 20, value_name = "N")]
    count: usize,
    /// Format of the output.
    #[arg(short, long, default_value = "text")]
    output: HistoryFormat,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum HistoryFormat {
    /// A table for people.
    Text,
    /// JSON with the API's field names.
    Json,
}

impl History {
    pub(super) async fn run(self) -> CommandResult {
        let revisions = self.target.connect().await?.list_revisions(&self.slot, self.count).await?;
        match self.output {
            HistoryFormat::Text => revisions.iter().for_each(say_revision),
            HistoryFormat::Json => say(serde_json::to_string_pretty(&revisions.iter().map(json).collect::<Vec<_>>())?),
        }
        Ok(())
    }
}

fn say_revision(revision: &SlotRevision) {
    let SlotRevision { number, at_us, why, change, differences, differences_left_out, definition: _ } = revision;
    let author = if why.author.is_empty() { String::new() } else { format!(" by {}", printable(&why.author)) };
    let reason = if why.reason.is_empty() { String::new() } else { format!(": {}", printable(&why.reason)) };
    say(format_args!("{number}  {}  {change}{author}{reason}", time::text(*at_us)));
    if let Some(actor) = actor_line(&why.actor) {
        say(format_args!("    {actor}"));
    }
    for line in lines(differences, *differences_left_out) {
        say_styled(line);
    }
}

/// The caller as the service saw it; `None` if nothing was recorded.
fn actor_line(Actor { principal, origin, request_id }: &Actor) -> Option<String> {
    let parts = [("as", principal), ("from", origin), ("request", request_id)];
    let said: Vec<String> =
        parts.iter().filter(|(_, part)| !part.is_empty()).map(|(what, part)| format!("{what} {part}")).collect();
    (!said.is_empty()).then(|| said.join(", "))
}

fn json(revision: &SlotRevision) -> serde_json::Value {
    let SlotRevision { number, at_us, why, change, differences, differences_left_out, definition: _ } = revision;
    let field = |FieldDifference { path, before, after }: &FieldDifference| json!({"path": path, "before": before, "after": after});
    json!({
        "revision": number,
        "time": time::text(*at_us),
        "author": why.author,
        "reason": why.reason,
        "actor": {
            "principal": why.actor.principal,
            "origin": why.actor.origin,
            "request_id": why.actor.request_id,
        },
        "change": change,
        "diff": differences.iter().map(field).collect::<Vec<_>>(),
        "diff_left_out": differences_left_out,
    })
}

/// Flags of `slots rollback`.
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// Id of the slot.
    slot: String,
    /// Revision to return to, one of those kept; see `slots history`.
    revision: u64,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl Rollback {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, revision, because, target } = self;
        let mut client = target.connect().await?;
        let (_, before) = client.get_slot_settings(&slot).await?;
        let made = client.rollback_slot(&slot, revision, &because.why("rollback")).await?;
        if made == before {
            say(format_args!(
                "{slot} is what it was at revision {revision} but for what operations own; nothing was changed (revision {made})"
            ));
            return Ok(());
        }
        say(format_args!("{slot} is what it was at revision {revision} but for what operations own (revision {made})"));
        // The differences of the latest revision are shown if it is still the one that this command made.
        for SlotRevision { number, differences, differences_left_out, .. } in client.list_revisions(&slot, 1).await? {
            for line in lines(&differences, differences_left_out).iter().filter(|_| number == made) {
                say_styled(line);
            }
        }
        Ok(())
    }
}

/// Flags of `slots safe`.
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
pub(super) struct Safe {
    /// Id of the slot; give this or --all.
    slot: Option<String>,
    /// `on` shows everyone the baseline; `off` returns to the slot's former choice.
    state: OnOff,
    /// Change all slots.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OnOff {
    /// Show everyone the baseline.
    On,
    /// Return to the slot's former choice.
    Off,
}

impl Safe {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, state, all, because, target } = self;
        if slot.is_some() == all {
            return Err("give one slot, or --all: slotwise slots safe offers on".into());
        }
        let why = because.why(if state == OnOff::On { "safe on" } else { "safe off" });
        let mut client = target.connect().await?;
        let (named, changed) = client.set_safe_choice(slot.as_deref(), state == OnOff::On, &why).await?;
        let word = if state == OnOff::On { "on" } else { "off" };
        for (slot, revision) in &named {
            say(format_args!("{slot}: safe choice {word} (revision {revision})"));
        }
        let more = changed.saturating_sub(u32::try_from(named.len()).unwrap_or(u32::MAX));
        if more > 0 {
            say(format_args!("and {more} slots more: safe choice {word}"));
        }
        if changed == 0 {
            say(format_args!("the safe choice is {word} already; nothing was changed"));
        }
        Ok(())
    }
}

/// Flags of `slots pause`.
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    /// Id of the slot.
    slot: String,
    /// Arms of the slot.
    #[arg(required = true, value_name = "ARM")]
    arms: Vec<String>,
    /// Record the arms as out of stock instead of paused.
    #[arg(long)]
    out_of_stock: bool,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

/// Flags of `slots resume`.
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    /// Id of the slot.
    slot: String,
    /// Arms of the slot.
    #[arg(required = true, value_name = "ARM")]
    arms: Vec<String>,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl Pause {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, arms, out_of_stock, because, target } = self;
        let why_not = if out_of_stock { Unavailable::OutOfStock } else { Unavailable::Paused };
        let to = Availability { because: Some(why_not), ..Availability::new(false) };
        set(&slot, &arms, to, because, "pause", &target).await
    }
}

impl Resume {
    pub(super) async fn run(self) -> CommandResult {
        let Self { slot, arms, because, target } = self;
        set(&slot, &arms, Availability::new(true), because, "resume", &target).await
    }
}

async fn set(
    slot: &str,
    arms: &[String],
    to: Availability,
    because: ChangeNote,
    command: &str,
    target: &Target,
) -> CommandResult {
    let changes = arms.iter().map(|arm| Ok((ArmId::parse("ARM", arm)?, to)));
    let changes = changes.collect::<Result<Vec<_>, FieldError>>()?;
    let mut client = target.connect().await?;
    let revision = client.set_arm_availability(slot, &changes, &because.why(command)).await?;
    let shown = if to.available == Some(true) { "may be shown" } else { "not shown" };
    say(format_args!("{slot}: {}: {shown} (revision {revision})", arms.join(", ")));
    Ok(())
}
