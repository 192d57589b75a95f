//! `slotwise items`: the catalogue that all slots share.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};

use super::{CommandResult, ReportFormat, Target, say, slots::ChangeNote, table::fitted, terminal::printable};
use crate::{
    bandit::{Features, Value},
    client::{CatalogueItem, ClientError, ItemJson},
    slot::ArmId,
};

/// Error of a command that failed.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Flags of `items`.
#[derive(Debug, clap::Args)]
pub(super) struct ItemsArguments {
    #[command(subcommand)]
    command: CatalogueAction,
}

#[derive(Debug, Subcommand)]
enum CatalogueAction {
    /// Add items, or replace those with the same ids.
    Upsert(UpsertItems),
    /// Remove items. What slots learned of them stays.
    Remove(RemoveItems),
    /// Make items available in all slots, or unavailable with --off.
    Available(SetAvailable),
    /// List the items by id.
    List(ListItems),
}

#[derive(Debug, clap::Args)]
struct UpsertItems {
    /// File with one item a line, in the JSON form of /v1/UpsertItems; or a .csv file with the columns `item_id`,
    /// perhaps `available`, and one column for each attribute; `-` reads JSON lines from standard input.
    file: PathBuf,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

/// Items that a command is about.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct NamedItems {
    /// Ids of items.
    #[arg(value_name = "ITEM")]
    items: Vec<String>,
    /// File with one id a line; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RemoveItems {
    #[command(flatten)]
    items: NamedItems,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct SetAvailable {
    #[command(flatten)]
    items: NamedItems,
    /// Make them unavailable.
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    because: ChangeNote,
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct ListItems {
    /// Format of the output: a table, or one JSON object a line as `items upsert` reads it.
    #[arg(short, long, default_value = "table")]
    output: ReportFormat,
    #[command(flatten)]
    target: Target,
}

impl ItemsArguments {
    pub(super) async fn run(self) -> CommandResult {
        match self.command {
            CatalogueAction::Upsert(upsert) => upsert.run().await,
            CatalogueAction::Remove(remove) => remove.run().await,
            CatalogueAction::Available(available) => available.run().await,
            CatalogueAction::List(list) => list.run().await,
        }
    }
}

fn open(file: &Path) -> Result<Box<dyn Read>, Failure> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let opened = File::open(file).map_err(|why| format!("cannot read {}: {why}", file.display()))?;
    Ok(Box::new(opened))
}

/// Reads the lines of a file that are not empty, with their numbers.
fn numbered_lines(file: &Path) -> Result<Vec<(usize, String)>, Failure> {
    let mut lines = Vec::new();
    for (at, line) in BufReader::new(open(file)?).lines().enumerate() {
        let line = line.map_err(|why| format!("cannot read {}: {why}", file.display()))?;
        if !line.trim().is_empty() {
            lines.push((at + 1, line));
        }
    }
    Ok(lines)
}

/// Reads items from lines of JSON.
fn read_json(file: &Path) -> Result<Vec<CatalogueItem>, Failure> {
    let json = ItemJson::new()?;
    let read = |(number, line): (usize, String)| {
        json.read(&line).map_err(|why| format!("line {number} is not an item: {}", printable(&why)).into())
    };
    numbered_lines(file)?.into_iter().map(read).collect()
}

/// Value of an attribute as a cell of a table has it: a number or a flag if it reads as one, or else a text.
fn cell_value(cell: &str) -> Value {
    match (cell, cell.parse::<f64>()) {
        ("true", _) => Value::Flag(true),
        ("false", _) => Value::Flag(false),
        (_, Ok(number)) if number.is_finite() => Value::Number(number),
        _ => Value::Text(cell.to_owned()),
    }
}

/// Reads items from a table with headings.
fn read_csv(file: &Path) -> Result<Vec<CatalogueItem>, Failure> {
    let mut reader = csv::Reader::from_reader(open(file)?);
    let headings = reader.headers()?.clone();
    let id_column = headings
        .iter()
        .position(|heading| heading == "item_id")
        .ok_or_else(|| format!("{} has no column item_id", file.display()))?;
    let mut items = Vec::new();
    for (row, record) in reader.records().enumerate() {
        let record = record.map_err(|why| format!("cannot read {}: {why}", file.display()))?;
        let in_row = |what: &str| format!("row {} of {}: {what}", row + 2, file.display());
        let id = ArmId::parse("item_id", record.get(id_column).unwrap_or_default())
            .map_err(|why| in_row(&why.to_string()))?;
        let (mut attributes, mut available) = (Features::new(), None);
        for (heading, cell) in headings.iter().zip(&record).filter(|(_, cell)| !cell.is_empty()) {
            match (heading, cell) {
                ("item_id", _) => {}
                ("available", "true") => available = Some(true),
                ("available", "false") => available = Some(false),
                ("available", _) => return Err(in_row("available must be true, false or empty").into()),
                (name, cell) => drop(attributes.insert(name.to_owned(), cell_value(cell))),
            }
        }
        items.push(CatalogueItem::new(&id, &attributes, available));
    }
    Ok(items)
}

impl UpsertItems {
    async fn run(self) -> CommandResult {
        let Self { file, because, target } = self;
        let is_table = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        let items = if is_table { read_csv(&file)? } else { read_json(&file)? };
        if items.is_empty() {
            return Err(format!("{} holds no items; write one a line, as JSON", file.display()).into());
        }
        let all = items.len();
        let changed = target.connect().await?.upsert_items(items, &because.why_of("items upsert")).await?;
        say(format_args!("{changed} of {all} items are new or changed"));
        Ok(())
    }
}

impl NamedItems {
    fn read(self) -> Result<Vec<ArmId>, Failure> {
        let of_file = self.file.as_deref().map(numbered_lines).transpose()?.unwrap_or_default();
        let texts = self.items.into_iter().chain(of_file.into_iter().map(|(_, line)| line.trim_end().to_owned()));
        let ids: Vec<ArmId> = texts.map(|text| ArmId::parse("item", &text)).collect::<Result<_, _>>()?;
        if ids.is_empty() {
            return Err("the file names no items; write one id a line".into());
        }
        Ok(ids)
    }
}

impl RemoveItems {
    async fn run(self) -> CommandResult {
        let Self { items, because, target } = self;
        let items = items.read()?;
        let removed = target.connect().await?.remove_items(&items, &because.why_of("items remove")).await?;
        say(format_args!("{removed} items were removed; what slots learned of them stays"));
        Ok(())
    }
}

impl SetAvailable {
    async fn run(self) -> CommandResult {
        let Self { items, off, because, target } = self;
        let items: Vec<(ArmId, bool)> = items.read()?.into_iter().map(|item| (item, !off)).collect();
        let why = because.why_of(if off { "items available --off" } else { "items available" });
        let changed = target.connect().await?.set_item_availability(&items, &why).await?;
        let word = if off { "unavailable" } else { "available" };
        say(format_args!("{changed} items are {word} now, {} were before", items.len() as u64 - changed));
        Ok(())
    }
}

impl ListItems {
    async fn run(self) -> CommandResult {
        let mut client = self.target.connect().await?;
        let json = ItemJson::new()?;
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY).set_header(["item", "available", "attributes"]);
        let mut each = |item: CatalogueItem| {
            match self.output {
                ReportFormat::Json => say(json.write(&item).map_err(ClientError::Answer)?),
                ReportFormat::Table => {
                    let available = if item.is_available() { "yes" } else { "no" };
                    let names = item.attribute_names().join(", ");
                    table.add_row([printable(item.id()), available.into(), printable(&names)]);
                }
            }
            Ok(())
        };
        let count = client.list_items(&mut each).await?;
        match self.output {
            ReportFormat::Json => {}
            ReportFormat::Table if count == 0 => {
                say(format_args!("the catalogue has no items; add some with `slotwise items upsert FILE`"));
            }
            ReportFormat::Table => say(fitted(table, &[2])),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        (folder, file)
    }

    #[test]
    fn a_table_gives_attributes_of_the_kind_that_its_cells_read_as() {
        let (_folder, file) =
            written("items.csv", "item_id,available,price,brand,new\nboots,false,9.5,acme,true\nhat,,,,\n");
        let items = read_csv(&file).unwrap();
        let expected: Features = [
            ("price".to_owned(), Value::Number(9.5)),
            ("brand".to_owned(), Value::Text("acme".into())),
            ("new".to_owned(), Value::Flag(true)),
        ]
        .into();
        let id = |text| ArmId::parse("item", text).unwrap();
        assert_eq!(items[0], CatalogueItem::new(&id("boots"), &expected, Some(false)));
        assert_eq!(items[1], CatalogueItem::new(&id("hat"), &Features::new(), None));
    }

    #[test]
    fn a_wrong_file_is_refused_with_its_place() {
        let (_folder, file) = written("items.csv", "item_id,available\nboots,perhaps\n");
        assert!(read_csv(&file).unwrap_err().to_string().starts_with("row 2 of "));
        let (_folder, file) = written("items.csv", "id,price\nboots,1\n");
        assert!(read_csv(&file).unwrap_err().to_string().contains("no column item_id"));
        let (_folder, file) = written("items.jsonl", "{\"item_id\":\"boots\"}\n\nnonsense\n");
        assert!(read_json(&file).unwrap_err().to_string().starts_with("line 3 is not an item"));
    }
}
