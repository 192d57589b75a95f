//! `slotwise completions` and `slotwise man`: the command line for shells and for `man`, made from its own description.

use std::{fs, path::PathBuf};

use clap::Command;
use clap_complete::Shell;

use super::{CommandResult, say, terminal::counted};

/// Name of the program in shells and manuals.
const NAME: &str = "slotwise";

/// Flags of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct Completions {
    /// Shell that reads them.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: Command) -> CommandResult {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, NAME, &mut text);
        super::terminal::say_document(String::from_utf8(text)?.trim_end());
        Ok(())
    }
}

/// Flags of `man`.
#[derive(Debug, clap::Args)]
pub(super) struct ManualPages {
    /// Folder of the pages, such as /usr/local/share/man/man1. It is created if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl ManualPages {
    pub(super) fn run(self, command: Command) -> CommandResult {
        let failed = |why: std::io::Error| format!("cannot write manual pages to {}: {why}", self.folder.display());
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut pages = 0;
        // The help of each command is the same as with --help.
        let command = command.disable_help_subcommand(true);
        for (name, page) in pages_of(command)? {
            fs::write(self.folder.join(name), page).map_err(failed)?;
            pages += 1;
        }
        say(format_args!("wrote {} to {}", counted(pages, "manual page"), self.folder.display()));
        Ok(())
    }
}

/// Returns the page of a command and of all below it, by the names of their files.
fn pages_of(mut command: Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    command.build();
    let mut pages = Vec::new();
    let mut left = vec![command];
    while let Some(command) = left.pop() {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        left.extend(command.get_subcommands().filter(|below| !below.is_hide_set()).cloned());
        let page = clap_mangen::Man::new(command.display_name(&name)).title(&name);
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push((page.get_filename(), text));
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_has_a_page_under_its_full_name() {
        let pages = pages_of(crate::cli::Args::command().disable_help_subcommand(true)).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["slotwise.1", "slotwise-serve.1", "slotwise-slots-apply.1", "slotwise-journal-export.1"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(names.len() > 30, "{names:?}");
        for (name, page) in &pages {
            let text = String::from_utf8(page.clone()).unwrap();
            assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{name}: {text}");
        }
    }

    #[test]
    fn every_shell_gets_completions_of_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut crate::cli::Args::command(), NAME, &mut text);
            let text = String::from_utf8(text).unwrap();
            assert!(text.contains("rollback") && text.contains("durable-decisions"), "{shell}");
        }
    }
}
