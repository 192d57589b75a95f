//! Pages "Help": the documents for marketers and those about concepts, as the repository has them.
//!
//! They are a part of the program, so that no request leaves the host and a document is of the same version as what it describes.
//!
//! * `markdown`: the documents' notation as markup.

mod markdown;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use maud::{Markup, html};

use self::markdown::{render, title};
use super::{
    SharedConsole,
    layout::ConsolePage,
    visitor::{PageError, PageResult, Visitor},
};
use crate::access::Role;

/// Document of the help.
#[derive(Debug)]
struct HelpDocument {
    /// Part of the path, as the document's file is called.
    name: &'static str,
    text: &'static str,
}

/// Lists documents of a folder.
macro_rules! documents {
    ($folder:literal: $($name:literal),+) => {
        [$(HelpDocument {
            name: $name,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/", $folder, "/", $name, ".md")),
        }),+]
    };
}

/// Documents for marketers, in the order in which one reads them.
const MARKETERS: [HelpDocument; 9] = documents!(
    "marketers": "console",
    "reading-the-report",
    "controls",
    "previews",
    "availability",
    "rules",
    "approvals",
    "history-and-rollback",
    "explaining-a-decision"
);

/// Documents about concepts.
const CONCEPTS: [HelpDocument; 8] = documents!(
    "concepts": "glossary",
    "exploration",
    "holdout-and-lift",
    "learning",
    "profiles",
    "propensities",
    "guarantees",
    "questions"
);

fn document(name: &str) -> Option<&'static HelpDocument> {
    MARKETERS.iter().chain(&CONCEPTS).find(|document| document.name == name)
}

/// Returns the path of the help for a link of a document, or `None` if it leads out of the help.
fn help_path(target: &str) -> Option<String> {
    let (file, section) = target.split_once('#').map_or((target, ""), |(file, section)| (file, section));
    let section = if section.is_empty() { String::new() } else { format!("#{section}") };
    if file.is_empty() {
        return Some(section);
    }
    let name = file.rsplit('/').next()?.strip_suffix(".md")?;
    document(name).map(|found| format!("/help/{}{section}", found.name))
}

fn links(documents: &'static [HelpDocument]) -> Markup {
    html! { ul { @for HelpDocument { name, text } in documents { li { a href=(format!("/help/{name}")) { (title(text)) } } } } }
}

/// Page that lists the documents.
pub(super) async fn list(State(_): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::View)?;
    let content = html! {
        p.sentence { "What the pages, the figures and the words mean." }
        h2 { "Working with slots" }
        (links(&MARKETERS))
        h2 { "How it works" }
        (links(&CONCEPTS))
    };
    Ok(ConsolePage::new("Help").visitor(&visitor).show(&content))
}

/// Page of a document.
pub(super) async fn page(State(_): State<SharedConsole>, visitor: Visitor, Path(name): Path<String>) -> PageResult {
    visitor.check(Role::View)?;
    let unknown = PageError::Request(StatusCode::NOT_FOUND, "the help has no such page; /help lists them");
    let found = document(&name).ok_or(unknown)?;
    let content = html! {
        p { a href="/help" { "All of the help" } }
        article.help { (render(found.text)) }
    };
    Ok(ConsolePage::new(title(found.text)).visitor(&visitor).show(&content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::console::{arms, change, fields::Meaning, now, segments};

    #[test]
    fn every_figure_leads_to_a_section_of_the_help() {
        let all: [&[Meaning]; 4] = [&now::MEANINGS, &arms::MEANINGS, &segments::MEANINGS, &change::MEANINGS];
        for Meaning { name, help, .. } in all.into_iter().flatten() {
            let (page, section) = help.split_once('#').unwrap();
            let text = document(page).unwrap_or_else(|| panic!("{name}: no page {page}")).text;
            let shown = render(text).into_string();
            assert!(shown.contains(&format!("id=\"{section}\"")), "{name}: {page} has no section {section}");
        }
    }

    #[test]
    fn links_between_documents_stay_in_the_help_and_lead_somewhere() {
        for HelpDocument { name, text } in MARKETERS.iter().chain(&CONCEPTS) {
            let shown = render(text).into_string();
            for link in shown.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let (page, section) = link.split_once('#').unwrap_or((link, ""));
                assert!(page.is_empty() || page.starts_with("/help/"), "{name}: {link}");
                let other = page.strip_prefix("/help/").unwrap_or(name);
                let target = render(document(other).unwrap().text).into_string();
                assert!(section.is_empty() || target.contains(&format!("id=\"{section}\"")), "{name}: {link}");
            }
            for leftover in ["```", "](", "<!--", "**", "*Reader"] {
                assert!(!shown.contains(leftover), "{name} shows {leftover}");
            }
        }
        assert_eq!(help_path("../concepts/exploration.md#width").as_deref(), Some("/help/exploration#width"));
        assert_eq!(help_path("#alerts").as_deref(), Some("#alerts"));
        assert_eq!(help_path("../reference/api.md"), None);
    }
}
