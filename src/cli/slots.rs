//! `slotwise slots`: slots as documents.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use clap::{Subcommand, ValueEnum};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use super::{CommandResult, Target, document::SlotDocument, say};
use crate::{
    config::one_line,
    slot::{Definition, SlotId, SlotKind},
    wire::Client,
};

/// Flags of `slots`.
#[derive(Debug, clap::Args)]
pub(super) struct Slots {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the slots that a file, or every .toml file of a folder, describes; change those that differ.
    Apply {
        /// The file or folder.
        #[arg(short, long, value_name = "FILE|DIR")]
        file: PathBuf,
        /// Why; stands in the slot's history.
        #[arg(long, default_value = "slots apply")]
        reason: String,
        #[command(flatten)]
        target: Target,
    },
    /// List the slots.
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Print a slot.
    Get {
        /// The slot.
        slot: String,
        /// As what.
        #[arg(short, long, default_value = "toml")]
        output: Output,
        #[command(flatten)]
        target: Target,
    },
}

/// How a document is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Output {
    /// TOML, as `slots apply` reads it.
    Toml,
    /// JSON with the same keys.
    Json,
}

impl Slots {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            Command::Apply { file, reason, target } => apply(&file, &reason, &target).await,
            Command::List { target } => list(&target).await,
            Command::Get { slot, output, target } => get(&slot, output, &target).await,
        }
    }
}

/// The documents of a file or folder; all are read before any is applied.
fn read(path: &Path) -> Result<Vec<(PathBuf, SlotDocument)>, Box<dyn std::error::Error + Send + Sync>> {
    let unreadable = |path: &Path, why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(|why| unreadable(path, why))?;
        files.retain(|file: &PathBuf| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        if files.is_empty() {
            return Err(
                format!("the folder {} has no .toml file; give a file or a folder of them", path.display()).into()
            );
        }
    }
    let mut documents = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|why| unreadable(&file, why))?;
        let document: SlotDocument =
            toml::from_str(&text).map_err(|why| format!("{}: {}", file.display(), one_line(&why, &text)))?;
        document.definition().map_err(|why| format!("{}: {why}", file.display()))?;
        documents.push((file, document));
    }
    let mut seen: HashMap<SlotId, &PathBuf> = HashMap::new();
    for (file, document) in &documents {
        let id = document.definition()?.id;
        if let Some(other) = seen.get(&id) {
            return Err(format!("{} and {} both describe the slot '{id}'", other.display(), file.display()).into());
        }
        seen.insert(id, file);
    }
    Ok(documents)
}

async fn apply(path: &Path, reason: &str, target: &Target) -> CommandResult {
    let documents = read(path)?;
    let mut client = Client::connect(&target.target).await?;
    for (file, document) in documents {
        let line = apply_one(&mut client, &document, reason).await;
        say(line.map_err(|why| format!("{}: {why}", file.display()))?);
    }
    Ok(())
}

async fn apply_one(
    client: &mut Client,
    document: &SlotDocument,
    reason: &str,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let wanted = document.definition()?;
    let (current, revision) = match client.get_slot(wanted.id.as_str()).await {
        Ok(found) => found,
        Err(why) if why.not_found() => {
            let revision = client.create_slot(&wanted, reason).await?;
            return Ok(format!("created   {} (revision {revision})", wanted.id));
        }
        Err(why) => return Err(why.into()),
    };
    if wanted == current {
        return Ok(format!("unchanged {} (revision {revision})", wanted.id));
    }
    // From the revision that the difference was seen against, unless the document names one.
    let revision = client.update_slot(&wanted, document.revision.unwrap_or(revision), reason).await?;
    Ok(format!("updated   {} (revision {revision})", wanted.id))
}

async fn list(target: &Target) -> CommandResult {
    let slots = Client::connect(&target.target).await?.list_slots().await?;
    if slots.is_empty() {
        say("no slots yet; make one with `slotwise slots apply -f FILE`");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["slot", "kind", "arms", "available", "model", "revision", "name"]);
    for (definition, revision) in slots {
        let Definition { id, display_name, kind, arms, model, .. } = definition;
        let kind = match kind {
            SlotKind::Offer => "offer",
            SlotKind::Ranking => "ranking",
            SlotKind::Block => "block",
        };
        let available = arms.iter().filter(|arm| arm.available).count();
        table.add_row([
            id.to_string(),
            kind.to_owned(),
            arms.len().to_string(),
            available.to_string(),
            model.name().to_owned(),
            revision.to_string(),
            display_name,
        ]);
    }
    say(table);
    Ok(())
}

async fn get(slot: &str, output: Output, target: &Target) -> CommandResult {
    let (definition, _) = Client::connect(&target.target).await?.get_slot(slot).await?;
    let document = SlotDocument::of(&definition);
    match output {
        Output::Toml => say(toml::to_string_pretty(&document)?.trim_end()),
        Output::Json => say(serde_json::to_string_pretty(&document)?),
    }
    Ok(())
}
