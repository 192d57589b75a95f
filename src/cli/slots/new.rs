//! `slotwise slots new`: a commented document to begin with.

use std::{fs, path::PathBuf};

use clap::ValueEnum;

use crate::{
    cli::{CommandResult, say},
    slot::SlotId,
};

/// Flags of `new`.
#[derive(Debug, clap::Args)]
pub(super) struct New {
    /// Id of the new slot.
    slot: String,
    /// Template to begin with.
    #[arg(short, long, default_value = "offer")]
    template: Template,
    /// File to write; without it, standard output. An existing file is never overwritten.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Template of a new slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// Show one thing out of several, with a holdout, a warm-up and an evidence rule.
    Offer,
    /// Put search results in the best order; the given order is the baseline.
    Ranking,
    /// Choose several products for an email; each shopper keeps the same ones for a week.
    Block,
}

impl Template {
    /// Document for a slot with this id.
    fn document(self, slot: &SlotId) -> String {
        let text = match self {
            Self::Offer => include_str!("templates/offer.toml"),
            Self::Ranking => include_str!("templates/ranking.toml"),
            Self::Block => include_str!("templates/block.toml"),
        };
        text.replace("NAME", slot.as_str())
    }
}

impl New {
    pub(super) fn run(&self) -> CommandResult {
        let slot = SlotId::parse("slot", &self.slot).map_err(|error| error.to_string())?;
        let document = self.template.document(&slot);
        let Some(file) = &self.file else {
            say(document.trim_end());
            return Ok(());
        };
        let failed = |why: std::io::Error| format!("{}: {why}", file.display());
        let mut out = fs::OpenOptions::new().write(true).create_new(true).open(file).map_err(failed)?;
        std::io::Write::write_all(&mut out, document.as_bytes()).map_err(failed)?;
        say(format!("{}: fill it in, then run `slotwise slots apply -f {}`", file.display(), file.display()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::document::SlotDocument;

    #[test]
    fn every_template_is_a_slot_that_holds_together() {
        let slot = SlotId::parse("slot", "my-slot").unwrap();
        for template in Template::value_variants() {
            let document: SlotDocument = toml::from_str(&template.document(&slot)).unwrap();
            let definition = document.definition().unwrap();
            assert_eq!((definition.check(), &definition.id), (Ok(()), &slot), "{template:?}");
            assert!(!definition.rules.is_empty() && definition.controls.holdout == Some(0.1), "{template:?}");
        }
    }
}
