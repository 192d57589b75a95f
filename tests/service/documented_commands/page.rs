//! The code blocks of a page, with the remarks that stand above them.
//!
//! A remark is an HTML comment on a line of its own, which GitHub does not show:
//!
//! * `<!-- setup: service, offers, traffic -->` once per page: what must be there before its first command.
//! * `<!-- not run: REASON -->` above a block that a test cannot run.
//! * `<!-- output not compared: REASON -->` above a transcript whose output differs from run to run.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Words of the remark `setup`.
pub(crate) const SETUPS: [&str; 3] = ["service", "offers", "traffic"];

/// A page of the documentation, as far as it concerns commands.
pub(crate) struct Page {
    pub(crate) path: PathBuf,
    pub(crate) setup: Vec<String>,
    pub(crate) blocks: Vec<CodeBlock>,
}

/// A fenced block of code.
#[derive(Default)]
pub(crate) struct CodeBlock {
    /// Number of its first line in the page, from 1.
    pub(crate) line: usize,
    /// Word after the fence: `sh`, `console`, `toml`…
    pub(crate) language: String,
    pub(crate) text: String,
    /// File as which the page asks to save it: "Save this as `offers.toml`".
    pub(crate) file: Option<String>,
    pub(crate) not_run: Option<String>,
    pub(crate) not_compared: Option<String>,
}

/// A command of a block, and the output that the page shows for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) command: String,
    /// Lines of output, or `None` if the page shows none.
    pub(crate) output: Option<Vec<String>>,
}

impl Page {
    /// Reads a page, or returns a sentence about the first remark that is not as it must be.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(path).map_err(|why| format!("{}: {why}", path.display()))?;
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let mut page = Self { path: path.to_owned(), setup: Vec::new(), blocks: Vec::new() };
        let mut remarks = CodeBlock::default();
        let mut paragraph = String::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let at = |what: &str| format!("{}:{}: {what}", path.display(), number + 1);
            if let Some(language) = line.strip_prefix("```") {
                let mut block = CodeBlock { line: number + 2, language: language.to_owned(), ..remarks };
                for (_, line) in lines.by_ref().take_while(|(_, line)| *line != "```") {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                block.file = saved_as(&paragraph);
                page.blocks.push(block);
                (remarks, paragraph) = (CodeBlock::default(), String::new());
            } else if let Some(remark) = line.strip_prefix("<!--").and_then(|rest| rest.strip_suffix("-->")) {
                let Some((name, value)) = remark.trim().split_once(':') else {
                    return Err(at("a remark has a name, a colon and a value"));
                };
                let value = value.trim();
                if value.is_empty() {
                    return Err(at("the remark gives no reason"));
                }
                match name {
                    "setup" => page.setup = value.split(", ").map(str::to_owned).collect(),
                    "not run" => remarks.not_run = Some(value.to_owned()),
                    "output not compared" => remarks.not_compared = Some(value.to_owned()),
                    _ => return Err(at("the remark is not known")),
                }
            } else if !line.trim().is_empty() {
                if remarks.not_run.is_some() || remarks.not_compared.is_some() {
                    return Err(at("a remark must stand above its block"));
                }
                // A paragraph ends with a blank line, but the sentence that names a file may end the one before.
                paragraph.push_str(line);
                paragraph.push('\n');
            }
        }
        if let Some(word) = page.setup.iter().find(|word| !SETUPS.contains(&word.as_str())) {
            return Err(format!("{}: the setup '{word}' is not known", path.display()));
        }
        Ok(page)
    }
}

/// Returns the file that the last sentence before a block names, as in "Save this as `offers.toml`:".
fn saved_as(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, rest) = text.rsplit_once("ave this as `")?;
    let (name, after) = rest.split_once('`')?;
    (after.trim() == ":").then(|| name.to_owned())
}

impl CodeBlock {
    /// Returns `true` for commands that are typed into a shell.
    pub(crate) fn is_commands(&self) -> bool {
        ["sh", "console"].contains(&self.language.as_str())
    }

    /// Returns the block's commands, in order.
    pub(crate) fn statements(&self) -> Vec<Statement> {
        let mut statements: Vec<Statement> = Vec::new();
        let mut open = String::new();
        for line in self.text.lines() {
            let typed = if self.language == "console" && open.is_empty() {
                let Some(typed) = line.strip_prefix("$ ") else {
                    if let Some(statement) = statements.last_mut() {
                        statement.output.get_or_insert_default().push(line.to_owned());
                    }
                    continue;
                };
                typed
            } else {
                line
            };
            open.push_str(typed);
            if is_unfinished(&open) {
                open.push('\n');
            } else if !open.trim().is_empty() {
                statements.push(Statement { command: std::mem::take(&mut open), output: None });
            }
        }
        statements
    }

    /// Returns `true` if all commands of the block are the simulator's, which the simulator's own tests run.
    pub(crate) fn is_simulators(&self) -> bool {
        self.is_commands() && self.statements().iter().all(|statement| simulator_command(&statement.command).is_some())
    }
}

/// Returns `true` if a command goes on in the next line: a quote is open, or the line ends with a backslash.
fn is_unfinished(command: &str) -> bool {
    let mut quote = None;
    for c in command.chars() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '\'' || c == '"' => quote = Some(c),
            _ => {}
        }
    }
    quote.is_some() || command.ends_with('\\')
}

/// Returns the arguments of the service's program, if the command begins with it.
pub(crate) fn service_command(command: &str) -> Option<&str> {
    command.strip_prefix("cargo run --release -- ").or_else(|| command.strip_prefix("slotwise "))
}

/// Returns the arguments of the simulator, if the command begins with it.
pub(crate) fn simulator_command(command: &str) -> Option<&str> {
    let starts = ["cargo run --release --package slotwise-simulator -- ", "cargo sim ", "slotwise-simulator "];
    starts.iter().find_map(|start| command.strip_prefix(start))
}

/// Returns the Markdown files of the repository, except the generated reference.
pub(crate) fn pages(root: &Path) -> Vec<PathBuf> {
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("reference") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}
