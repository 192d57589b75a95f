//! Files against slots: what differs, and making it so.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use console::style;

use super::{
    super::{
        CommandResult, Differs, Target,
        document::{SlotDocument, unreadable},
        say, say_styled,
        terminal::printable,
    },
    Because,
};
use crate::{
    slot::{Definition, SlotId, Why},
    wire::{Client, Difference, differences},
};

pub(super) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where the documents are.
#[derive(Debug, clap::Args)]
pub(super) struct Files {
    /// The file or folder.
    #[arg(short, long, value_name = "FILE|DIR", required_unless_present = "path", conflicts_with = "path")]
    file: Option<PathBuf>,
    /// The same, without the flag.
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
}

impl Files {
    pub(super) fn read(self) -> Outcome<Vec<(PathBuf, SlotDocument)>> {
        read(&self.file.or(self.path).unwrap_or_default())
    }
}

/// Flags of `slots apply`.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    #[command(flatten)]
    files: Files,
    /// Change nothing; exit with 2 if anything would change, with 0 if nothing would.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    because: Because,
    #[command(flatten)]
    target: Target,
}

/// Flags of `slots diff`.
#[derive(Debug, clap::Args)]
pub(super) struct Diff {
    #[command(flatten)]
    files: Files,
    /// Exit with 2 if anything differs.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    target: Target,
}

impl Apply {
    pub(super) async fn run(self) -> CommandResult {
        let documents = self.files.read()?;
        let mut client = Client::connect(&self.target.target).await?;
        if self.check {
            return tell(&mut client, &documents, true).await;
        }
        let why = self.because.why("apply");
        for (file, document) in documents {
            let line = apply(&mut client, &document, &why).await;
            say(line.map_err(|why| format!("{}: {why}", file.display()))?);
        }
        Ok(())
    }
}

impl Diff {
    pub(super) async fn run(self) -> CommandResult {
        let documents = self.files.read()?;
        let mut client = Client::connect(&self.target.target).await?;
        tell(&mut client, &documents, self.check).await
    }
}

/// The documents of a file or folder; all are read before any is applied.
fn read(path: &Path) -> Outcome<Vec<(PathBuf, SlotDocument)>> {
    let failed = |path: &Path, why: std::io::Error| format!("cannot read {}: {why}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(|why| failed(path, why))?;
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

/// What a document wants, and what there is: none, or a slot and the revision to change it from.
pub(super) async fn wanted(
    client: &mut Client,
    document: &SlotDocument,
) -> Outcome<(Definition, Option<(Definition, u64)>)> {
    let mut wanted = document.definition()?;
    let (current, revision) = match client.get_slot(wanted.id.as_str()).await {
        Ok(found) => found,
        Err(why) if why.not_found() => return Ok((wanted, None)),
        Err(why) => return Err(why.into()),
    };
    // Its default is another for a new slot than for an old one: a file that does not speak of it leaves it alone.
    wanted.controls.holdout = wanted.controls.holdout.or(current.controls.holdout);
    // From the revision that the difference was seen against, unless the document names one.
    Ok((wanted, Some((current, document.revision.unwrap_or(revision)))))
}

async fn apply(client: &mut Client, document: &SlotDocument, why: &Why) -> Outcome<String> {
    let (wanted, found) = wanted(client, document).await?;
    let Some((current, revision)) = found else {
        let (_, revision) = client.create_slot(&wanted, why, false).await?;
        return Ok(format!("created   {} (revision {revision})", wanted.id));
    };
    let (would_be, _) = client.update_slot(&wanted, revision, why, true).await?;
    if would_be == current {
        return Ok(format!("unchanged {} (revision {revision})", wanted.id));
    }
    let (_, revision) = client.update_slot(&wanted, revision, why, false).await?;
    Ok(format!("updated   {} (revision {revision})", wanted.id))
}

/// Says what differs; nothing is changed. With `check`, a difference is an error.
async fn tell(client: &mut Client, documents: &[(PathBuf, SlotDocument)], check: bool) -> CommandResult {
    let mut differ = 0;
    for (file, document) in documents {
        let told = tell_one(client, document).await.map_err(|why| format!("{}: {why}", file.display()))?;
        differ += usize::from(told);
    }
    if check && differ > 0 { Err(Differs.into()) } else { Ok(()) }
}

/// Says what differs of one slot, and whether anything does.
async fn tell_one(client: &mut Client, document: &SlotDocument) -> Outcome<bool> {
    let (wanted, found) = wanted(client, document).await?;
    let why = Why::default();
    let Some((current, revision)) = found else {
        let (made, _) = client.create_slot(&wanted, &why, true).await?;
        let arms = if made.arms.len() == 1 { "1 arm".to_owned() } else { format!("{} arms", made.arms.len()) };
        say_styled(style(format!("+ {}: a new slot with {arms}", made.id)).green());
        return Ok(true);
    };
    let (would_be, _) = client.update_slot(&wanted, revision, &why, true).await?;
    let differences = differences(&current, &would_be);
    if differences.is_empty() {
        say(format_args!("  {}: no difference", current.id));
        return Ok(false);
    }
    say_styled(style(format!("~ {} (revision {revision})", current.id)).bold());
    for difference in &differences {
        say_styled(format_args!("    {}", line(difference)));
    }
    Ok(true)
}

/// A difference in a line.
pub(super) fn line(Difference { path, before, after }: &Difference) -> String {
    let (path, before, after) = (printable(path), printable(before), printable(after));
    match (&*before, &*after) {
        ("", after) => style(format!("+ {path}: {after}")).green().to_string(),
        (before, "") => style(format!("- {path}: {before}")).red().to_string(),
        (before, after) => {
            format!("{} {path}: {} → {}", style("~").yellow(), style(before).red(), style(after).green())
        }
    }
}
