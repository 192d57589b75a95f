//! `slotwise drafts`: changes that a second person approves.

use std::time::Duration;

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use console::style;
use serde_json::json;

use super::{
    CommandResult, ReportFormat, Target, say, say_styled,
    slots::{
        ChangeNote,
        apply::{DocumentFiles, UnlistedArms, lines, make_plan},
        preview,
    },
    table::fitted,
    terminal::printable,
    time,
};
use crate::{
    client::{SlotDraftDetails, SlotDraftSummary},
    config::user_name,
    engine::{DraftState, SignedStep},
    node::{Clock as _, SystemClock},
    wire::FieldDifference,
};

/// Flags of `drafts`.
#[derive(Debug, clap::Args)]
pub(super) struct DraftsArguments {
    #[command(subcommand)]
    command: DraftsCommand,
}

#[derive(Debug, Subcommand)]
enum DraftsCommand {
    /// Draft what `slots apply` would change of slots that exist.
    Create {
        #[command(flatten)]
        files: DocumentFiles,
        #[command(flatten)]
        unlisted: UnlistedArms,
        #[command(flatten)]
        terms: DraftTerms,
    },
    /// Draft the return of a slot to an earlier revision.
    Rollback {
        /// Id of the slot.
        slot: String,
        /// Revision to return to, one of those kept; see `slots history`.
        revision: u64,
        #[command(flatten)]
        terms: DraftTerms,
    },
    /// Draft the reset of a slot, which forgets what was learned.
    Reset {
        /// Id of the slot.
        slot: String,
        /// Forget what was learned of this arm, and nothing else.
        #[arg(long)]
        arm: Option<String>,
        #[command(flatten)]
        terms: DraftTerms,
    },
    /// Draft another id for a slot.
    Rename {
        /// Id of the slot.
        slot: String,
        /// Id that it gets.
        to: String,
        #[command(flatten)]
        terms: DraftTerms,
    },
    /// List drafts, by slot and number.
    List {
        /// Id of a slot; all slots without it.
        slot: Option<String>,
        /// List drafts that ended, too.
        #[arg(long)]
        all: bool,
        /// Format of the output.
        #[arg(short, long, default_value = "table")]
        output: ReportFormat,
        #[command(flatten)]
        target: Target,
    },
    /// Print a draft with what it would change now.
    Show {
        #[command(flatten)]
        draft: DraftName,
        /// Format of the output.
        #[arg(short, long, default_value = "table")]
        output: ReportFormat,
        #[command(flatten)]
        target: Target,
    },
    /// Estimate from past decisions what a draft would do, as `slots preview` does.
    Preview {
        #[command(flatten)]
        draft: DraftName,
        /// Number of the slot's last decisions to use, at most 10000; 0 means 10000.
        #[arg(long, default_value_t = 0, value_name = "N")]
        decisions: u32,
        /// Format of the output.
        #[arg(short, long, default_value = "table")]
        output: ReportFormat,
        #[command(flatten)]
        target: Target,
    },
    /// Approve a draft that somebody else created.
    Approve {
        #[command(flatten)]
        draft: DraftName,
        #[command(flatten)]
        note: ChangeNote,
        #[command(flatten)]
        target: Target,
    },
    /// Apply an approved draft, at once or at a time.
    Apply {
        #[command(flatten)]
        draft: DraftName,
        /// Time at which it is to be applied: 2026-11-21T08:30:00Z, or a date for the midnight that begins it, UTC.
        #[arg(long, value_name = "TIME", value_parser = time::parse)]
        at: Option<i64>,
        /// Name of who applies it. Without it, the user's name.
        #[arg(long, value_name = "NAME")]
        author: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Discard a draft.
    Discard {
        #[command(flatten)]
        draft: DraftName,
        #[command(flatten)]
        note: ChangeNote,
        #[command(flatten)]
        target: Target,
    },
}

/// Draft that a command is about.
#[derive(Debug, clap::Args)]
struct DraftName {
    /// Id of the slot.
    slot: String,
    /// Number of the draft; see `drafts list`.
    number: u32,
}

/// Author, reason and lifetime of a new draft, and the service that it goes to.
#[derive(Debug, clap::Args)]
struct DraftTerms {
    /// Time after which the draft expires, such as 2days; default the lifetime of the slot's drafts.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
    #[command(flatten)]
    note: ChangeNote,
    #[command(flatten)]
    target: Target,
}

impl DraftTerms {
    fn expires_us(&self) -> Option<i64> {
        let after_us = self.expires_in.map(|after| i64::try_from(after.as_micros()).unwrap_or(i64::MAX))?;
        Some(SystemClock::default().now_us().saturating_add(after_us))
    }
}

impl DraftsArguments {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            DraftsCommand::Create { files, unlisted, terms } => create(files, unlisted, terms).await,
            DraftsCommand::Rollback { slot, revision, terms } => {
                let (expires_us, mut client) = (terms.expires_us(), terms.target.connect().await?);
                let why = terms.note.why_of("drafts rollback");
                say_created(&client.draft_rollback(&slot, revision, &why, expires_us).await?);
                Ok(())
            }
            DraftsCommand::Reset { slot, arm, terms } => {
                let (expires_us, mut client) = (terms.expires_us(), terms.target.connect().await?);
                let why = terms.note.why_of("drafts reset");
                say_created(&match arm {
                    Some(arm) => client.draft_reset_arm((&slot, &arm), &why, expires_us).await?,
                    None => client.draft_reset(&slot, &why, expires_us).await?,
                });
                Ok(())
            }
            DraftsCommand::Rename { slot, to, terms } => {
                let (expires_us, mut client) = (terms.expires_us(), terms.target.connect().await?);
                let why = terms.note.why_of("drafts rename");
                say_created(&client.draft_rename((&slot, &to), &why, expires_us).await?);
                Ok(())
            }
            DraftsCommand::List { slot, all, output, target } => {
                let drafts = target.connect().await?.list_drafts(slot.as_deref(), !all).await?;
                match output {
                    ReportFormat::Table => say_list(&drafts),
                    ReportFormat::Json => {
                        let drafts: Vec<_> = drafts.iter().map(json).collect();
                        say(serde_json::to_string_pretty(&json!({ "drafts": drafts }))?);
                    }
                }
                Ok(())
            }
            DraftsCommand::Show { draft, output, target } => {
                let found = target.connect().await?.get_draft(&draft.slot, draft.number).await?;
                match output {
                    ReportFormat::Table => say_details(&found),
                    ReportFormat::Json => say(serde_json::to_string_pretty(&details_json(&found))?),
                }
                Ok(())
            }
            DraftsCommand::Preview { draft: DraftName { slot, number }, decisions, output, target } => {
                let found = target.connect().await?.preview_draft(&slot, number, decisions).await?;
                match output {
                    ReportFormat::Table => say_styled(preview::text(&slot, &found)),
                    ReportFormat::Json => say(serde_json::to_string_pretty(&preview::json(&slot, &found))?),
                }
                Ok(())
            }
            DraftsCommand::Approve { draft: DraftName { slot, number }, note, target } => {
                let why = note.why_of("drafts approve");
                target.connect().await?.approve_draft(&slot, number, &why).await?;
                say(format_args!(
                    "{slot}: draft {number} is approved; slotwise drafts apply {slot} {number} applies it"
                ));
                Ok(())
            }
            DraftsCommand::Apply { draft: DraftName { slot, number }, at, author, target } => {
                let author = author.unwrap_or_else(user_name);
                let revision = target.connect().await?.apply_draft(&slot, number, at, &author).await?;
                match at {
                    None => say(format_args!("{slot}: draft {number} is applied (revision {revision})")),
                    Some(at_us) => say(format_args!("{slot}: draft {number} will be applied at {}", time::text(at_us))),
                }
                Ok(())
            }
            DraftsCommand::Discard { draft: DraftName { slot, number }, note, target } => {
                let why = note.why_of("drafts discard");
                target.connect().await?.discard_draft(&slot, number, &why).await?;
                say(format_args!("{slot}: draft {number} is discarded"));
                Ok(())
            }
        }
    }
}

async fn create(files: DocumentFiles, unlisted: UnlistedArms, terms: DraftTerms) -> CommandResult {
    let (documents, expires_us) = (files.read()?, terms.expires_us());
    let mut client = terms.target.connect().await?;
    let why = terms.note.why_of("drafts create");
    let mut plans = Vec::new();
    for (file, document) in documents {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
        let plan = make_plan(&mut client, &document, unlisted).await.map_err(|why| failed(&why))?;
        if let Some(refusal) = plan.refusal(unlisted) {
            return Err(failed(&refusal).into());
        }
        plans.push((file, plan));
    }
    for (file, plan) in plans {
        let slot = &plan.wanted.id;
        match &plan.found {
            None => say(format_args!("{slot}: a new slot needs no draft; create it with slotwise slots apply")),
            Some((current, _)) if *current == plan.wanted => say(format_args!("{slot}: no difference")),
            Some((current, revision)) => {
                let created = client.draft_change(current, &plan.wanted, *revision, &why, expires_us).await;
                say_created(&created.map_err(|why| format!("{}: {why}", file.display()))?);
            }
        }
    }
    Ok(())
}

fn say_created(draft: &SlotDraftSummary) {
    let SlotDraftSummary { slot, number, changes, expires_us, .. } = draft;
    say(format_args!(
        "{slot}: draft {number} ({}) waits for approval until {}",
        changes.join(", "),
        time::text(*expires_us)
    ));
}

/// State of a draft in words.
fn state(draft: &SlotDraftSummary) -> String {
    match draft.state {
        DraftState::Open => "waits for approval".to_owned(),
        DraftState::Approved => "approved".to_owned(),
        DraftState::Scheduled => format!("applied at {}", time::text(draft.apply_us.unwrap_or_default())),
        DraftState::Stale => format!("stale since revision {}", draft.stale_since),
        DraftState::Expired => "expired".to_owned(),
        DraftState::Applied => format!("became revision {}", draft.applied),
        DraftState::Discarded => "discarded".to_owned(),
    }
}

fn who(step: &SignedStep) -> String {
    printable(&step.why.actor.principal).into_owned()
}

fn say_list(drafts: &[SlotDraftSummary]) {
    if drafts.is_empty() {
        say("no drafts; make one with `slotwise drafts create FILE`");
        return;
    }
    let mut table = Table::new();
    let header = ["slot", "draft", "state", "changes", "by", "approved by", "expires", "reason"];
    table.load_style(UTF8_BORDERS_ONLY).set_header(header);
    for draft in drafts {
        table.add_row([
            draft.slot.clone(),
            draft.number.to_string(),
            state(draft),
            draft.changes.join(", "),
            who(&draft.created),
            draft.approved.as_ref().map(who).unwrap_or_default(),
            time::text(draft.expires_us),
            printable(&draft.created.why.reason).into_owned(),
        ]);
    }
    say(fitted(table, &[7, 3, 2, 4, 5]));
}

fn say_details(found: &SlotDraftDetails) {
    let SlotDraftDetails { draft, differences, differences_left_out, problem } = found;
    say_styled(style(format!("{} draft {}: {}", draft.slot, draft.number, state(draft))).bold());
    let step = |what: &str, step: &SignedStep| {
        let reason =
            if step.why.reason.is_empty() { String::new() } else { format!(": {}", printable(&step.why.reason)) };
        say(format_args!("  {what} by {} at {}{reason}", who(step), time::text(step.at_us)));
    };
    step("created", &draft.created);
    if let Some(approved) = &draft.approved {
        step("approved", approved);
    }
    say(format_args!("  from revision {}, expires at {}", draft.revision, time::text(draft.expires_us)));
    say(format_args!("  changes {}", draft.changes.join(", ")));
    for line in lines(differences, *differences_left_out) {
        say_styled(line);
    }
    if !problem.is_empty() {
        say_styled(style(format!("! it cannot be applied now: {}", printable(problem))).yellow());
    }
}

fn json(draft: &SlotDraftSummary) -> serde_json::Value {
    let step = |step: &SignedStep| {
        let SignedStep { at_us, why } = step;
        json!({
            "time": time::text(*at_us),
            "author": why.author,
            "reason": why.reason,
            "principal": why.actor.principal,
        })
    };
    json!({
        "slot_id": draft.slot,
        "draft_id": draft.number,
        "state": draft.state.name(),
        "changes": draft.changes,
        "revision": draft.revision,
        "created": step(&draft.created),
        "approved": draft.approved.as_ref().map(step),
        "apply_time": draft.apply_us.map(time::text),
        "expire_time": time::text(draft.expires_us),
        "stale_since_revision": draft.stale_since,
        "applied_revision": draft.applied,
    })
}

fn details_json(found: &SlotDraftDetails) -> serde_json::Value {
    let SlotDraftDetails { draft, differences, differences_left_out, problem } = found;
    let field = |FieldDifference { path, before, after }: &FieldDifference| json!({"path": path, "before": before, "after": after});
    let mut whole = json(draft);
    whole["diff"] = differences.iter().map(field).collect();
    whole["diff_left_out"] = json!(differences_left_out);
    whole["problem"] = json!(problem);
    whole
}
