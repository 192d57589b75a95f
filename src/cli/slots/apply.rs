//! Comparison of documents with slots, and their application.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use console::style;
use serde_json::json;

use super::{
    super::{
        CommandResult, DifferencesFound, ReportFormat, Target,
        document::{SlotDocument, unreadable},
        say, say_styled,
        terminal::printable,
    },
    ChangeNote,
};
use crate::{
    client::Client,
    slot::{ArmId, ChangeReason, Definition, SlotId},
    wire::{FieldDifference, differences},
};

/// Number of arms that a refusal to remove arms names.
const NAMED: usize = 3;
/// Number of differences that are listed one by one.
const LINES_MAX: usize = 200;

pub(in crate::cli) type CommandOutcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Files with the documents.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DocumentFiles {
    /// File or folder with the documents.
    #[arg(short, long, value_name = "FILE|DIR", required_unless_present = "path", conflicts_with = "path")]
    file: Option<PathBuf>,
    /// File or folder, given without the flag.
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
}

impl DocumentFiles {
    pub(in crate::cli) fn read(self) -> CommandOutcome<Vec<(PathBuf, SlotDocument)>> {
        read(&self.file.or(self.path).unwrap_or_default())
    }
}

/// Treatment of a slot's arms that the file does not list.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct UnlistedArms {
    /// Remove the slot's arms that the file does not list. Without this flag, a file that would remove arms is refused.
    #[arg(long, conflicts_with = "keep_arms")]
    remove_arms: bool,
    /// Leave the slot's arms that the file does not list as they are.
    #[arg(long)]
    keep_arms: bool,
}

/// Flags of `slots apply`.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    #[command(flatten)]
    files: DocumentFiles,
    /// Change nothing; exit with 2 if anything would change, with 0 if nothing would.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    unlisted: UnlistedArms,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

/// Flags of `slots diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    #[command(flatten)]
    files: DocumentFiles,
    /// Exit with 2 if anything differs.
    #[arg(long)]
    check: bool,
    /// Format of the output.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    unlisted: UnlistedArms,
    #[command(flatten)]
    target: Target,
}

impl Apply {
    pub(super) async fn run(self) -> CommandResult {
        let documents = self.files.read()?;
        let mut client = self.target.connect().await?;
        if self.check {
            return say_all_differences(&mut client, &documents, self.unlisted, true, ReportFormat::Table).await;
        }
        let why = self.because.why("apply");
        // All files are checked before any is applied, so a refused file prevents the others too.
        let mut plans = Vec::new();
        for (file, document) in documents {
            let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
            let plan = make_plan(&mut client, &document, self.unlisted).await.map_err(|why| failed(&why))?;
            if let Some(refusal) = plan.refusal(self.unlisted) {
                return Err(failed(&refusal).into());
            }
            plans.push((file, plan));
        }
        for (file, plan) in plans {
            let done = apply(&mut client, &plan, &why).await;
            say_styled(done.map_err(|why| format!("{}: {why}", file.display()))?);
        }
        Ok(())
    }
}

impl Diff {
    pub(super) async fn run(self) -> CommandResult {
        let documents = self.files.read()?;
        let mut client = self.target.connect().await?;
        say_all_differences(&mut client, &documents, self.unlisted, self.check, self.output).await
    }
}

/// The documents of a file or folder; all are read before any is applied.
fn read(path: &Path) -> CommandOutcome<Vec<(PathBuf, SlotDocument)>> {
    let failed = |path: &Path, why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(|why| failed(path, why))?;
        files.retain(|file: &PathBuf| file.extension().is_some_and(|extension| extension == "toml"));
        files.sort();
        if files.is_empty() {
            let hint = "give a file or a folder of them; slots are TOML, and `slotwise slots new` begins one";
            return Err(format!("the folder {} has no .toml file; {hint}", path.display()).into());
        }
    }
    let mut documents = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|why| failed(&file, why))?;
        let document: SlotDocument =
            toml::from_str(&text).map_err(|why| format!("{}: {}", file.display(), unreadable(&why, &text)))?;
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

/// Change that a document makes to a slot.
pub(in crate::cli) struct Plan {
    /// The slot as it would be.
    pub(in crate::cli) wanted: Definition,
    /// The slot as it is, if there is one, and the revision that it is changed from.
    pub(in crate::cli) found: Option<(Definition, u64)>,
}

impl Plan {
    /// The ids of the arms that would be removed.
    fn removed(&self) -> Vec<&ArmId> {
        let Some((current, _)) = &self.found else { return Vec::new() };
        let stay: HashSet<&ArmId> = self.wanted.arms.iter().map(|arm| &arm.id).collect();
        current.arms.iter().map(|arm| &arm.id).filter(|id| !stay.contains(id)).collect()
    }

    /// Returns an error if arms would be removed without `--remove-arms`.
    pub(in crate::cli) fn refusal(&self, unlisted: UnlistedArms) -> Option<String> {
        let (removed, (current, _)) = (self.removed(), self.found.as_ref()?);
        if removed.is_empty() || unlisted.remove_arms {
            return None;
        }
        let named: Vec<String> = removed.iter().take(NAMED).map(|id| format!("'{}'", printable(id.as_str()))).collect();
        let more = if removed.len() > NAMED { format!(" and {} more", removed.len() - NAMED) } else { String::new() };
        Some(format!(
            "would remove {} of the {} arms of '{}', which the file does not list: {}{more}; give --remove-arms to remove them, or --keep-arms to leave them as they are",
            removed.len(),
            current.arms.len(),
            current.id,
            named.join(", "),
        ))
    }
}

/// Plans the change that a document makes to an existing slot.
pub(in crate::cli) async fn make_plan(
    client: &mut Client,
    document: &SlotDocument,
    unlisted: UnlistedArms,
) -> CommandOutcome<Plan> {
    let wanted = document.definition()?;
    let (current, revision) = match client.get_slot(wanted.id.as_str()).await {
        Ok(found) => found,
        Err(why) if why.not_found() => return Ok(Plan { wanted, found: None }),
        Err(why) => return Err(why.into()),
    };
    let wanted = document.onto(&current, unlisted.keep_arms)?;
    // The update starts from the revision that the difference was computed for, unless the document names one.
    Ok(Plan { wanted, found: Some((current, document.revision().unwrap_or(revision))) })
}

/// Carries out a plan, and prints what was changed.
async fn apply(client: &mut Client, Plan { wanted, found }: &Plan, why: &ChangeReason) -> CommandOutcome<String> {
    let Some((current, revision)) = found else {
        let revision = client.create_slot(wanted, why, false).await?;
        return Ok(format!("created   {} (revision {revision})", wanted.id));
    };
    let differences = differences(current, wanted);
    if differences.is_empty() {
        return Ok(format!("unchanged {} (revision {revision})", wanted.id));
    }
    let revision = client.change_slot(current, wanted, *revision, why, false).await?;
    let mut text = vec![format!("updated   {} (revision {revision})", wanted.id)];
    text.extend(lines(&differences, 0));
    Ok(text.join("\n"))
}

/// Prints the differences and changes nothing. With `check`, a difference is an error.
async fn say_all_differences(
    client: &mut Client,
    documents: &[(PathBuf, SlotDocument)],
    unlisted: UnlistedArms,
    check: bool,
    output: ReportFormat,
) -> CommandResult {
    let (mut differ, mut slots) = (0, Vec::new());
    for (file, document) in documents {
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", file.display());
        let differences = find_differences(client, document, unlisted).await.map_err(|why| failed(&why))?;
        differ += usize::from(differences.is_any());
        match output {
            ReportFormat::Table => differences.say(),
            ReportFormat::Json => slots.push(differences.json()),
        }
    }
    if let ReportFormat::Json = output {
        say(serde_json::to_string_pretty(&json!({ "slots": slots }))?);
    }
    if check && differ > 0 { Err(DifferencesFound.into()) } else { Ok(()) }
}

/// Differences between a document and its slot.
struct SlotDifferences {
    slot: SlotId,
    /// Number of the document's arms.
    arms: usize,
    /// Revision of the slot, or `None` if there is no such slot.
    revision: Option<u64>,
    fields: Vec<FieldDifference>,
    /// Reason why `apply` would refuse the document.
    refusal: Option<String>,
}

/// Finds the differences of one slot. The service checks the change.
async fn find_differences(
    client: &mut Client,
    document: &SlotDocument,
    unlisted: UnlistedArms,
) -> CommandOutcome<SlotDifferences> {
    let plan = make_plan(client, document, unlisted).await?;
    let (wanted, why) = (&plan.wanted, ChangeReason::default());
    let (slot, arms) = (wanted.id.clone(), wanted.arms.len());
    let Some((current, revision)) = &plan.found else {
        client.create_slot(wanted, &why, true).await?;
        return Ok(SlotDifferences { slot, arms, revision: None, fields: Vec::new(), refusal: None });
    };
    let fields = differences(current, wanted);
    if !fields.is_empty() {
        client.change_slot(current, wanted, *revision, &why, true).await?;
    }
    Ok(SlotDifferences { slot, arms, revision: Some(*revision), fields, refusal: plan.refusal(unlisted) })
}

impl SlotDifferences {
    fn is_any(&self) -> bool {
        self.revision.is_none() || !self.fields.is_empty()
    }

    fn say(&self) {
        let Self { slot, arms, revision, fields, refusal } = self;
        let Some(revision) = revision else {
            let arms = if *arms == 1 { "1 arm".to_owned() } else { format!("{arms} arms") };
            say_styled(style(format!("+ {slot}: a new slot with {arms}")).green());
            return;
        };
        if fields.is_empty() {
            say(format_args!("  {slot}: no difference"));
            return;
        }
        say_styled(style(format!("~ {slot} (revision {revision})")).bold());
        for line in lines(fields, 0) {
            say_styled(line);
        }
        if let Some(refusal) = refusal {
            say_styled(style(format!("! apply {refusal}")).yellow());
        }
    }

    fn json(&self) -> serde_json::Value {
        let field = |FieldDifference { path, before, after }: &FieldDifference| json!({"path": path, "before": before, "after": after});
        json!({
            "slot_id": self.slot.as_str(),
            "is_new": self.revision.is_none(),
            "revision": self.revision,
            "arm_count": self.arms,
            "diff": self.fields.iter().map(field).collect::<Vec<_>>(),
            "refusal": self.refusal,
        })
    }
}

/// Differences a line each, at most [`LINES_MAX`] of them; `left_out` were left out before.
pub(in crate::cli) fn lines(differences: &[FieldDifference], left_out: u32) -> Vec<String> {
    let mut lines: Vec<String> =
        differences.iter().take(LINES_MAX).map(|difference| format!("    {}", line(difference))).collect();
    let more = differences.len().saturating_sub(LINES_MAX) + left_out as usize;
    if more > 0 {
        lines.push(format!("    and {more} fields more"));
    }
    lines
}

/// A difference in a line.
pub(super) fn line(FieldDifference { path, before, after }: &FieldDifference) -> String {
    let (path, before, after) = (printable(path), printable(before), printable(after));
    match (&*before, &*after) {
        ("", after) => style(format!("+ {path}: {after}")).green().to_string(),
        (before, "") => style(format!("- {path}: {before}")).red().to_string(),
        (before, after) => {
            format!("{} {path}: {} → {}", style("~").yellow(), style(before).red(), style(after).green())
        }
    }
}
