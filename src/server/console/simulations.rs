//! Page "Simulations": pages that the simulator wrote into a folder, which the setting `simulations` names.
//!
//! Invariants:
//!
//! * Only files of the folder itself are served, by names that hold neither a path nor anything hidden.
//! * A page is sandboxed: its script runs without the console's cookies, and nothing is loaded from elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use axum::{
    extract::{self, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use maud::{Markup, html};

use super::{
    SharedConsole,
    fields::{bytes, time},
    layout::ConsolePage,
    visitor::{PageError, PageResult, Visitor},
};
use crate::{access::Role, node::run_long};

/// Number of pages that are listed.
const LISTED: usize = 200;
/// Longest name of a file, bytes.
const NAME_BYTES_MAX: usize = 128;
/// Largest page that is served, bytes.
const PAGE_BYTES_MAX: u64 = 32 << 20;

/// Policy of a simulator's page. The sandbox gives it an origin of its own.
const POLICY: &str = "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Page of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SimulatorPage {
    name: String,
    bytes: u64,
    /// Time of the last change, microseconds since 1970.
    modified_us: i64,
}

/// Returns `true` for a plain name of a page.
fn is_page_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.len() <= NAME_BYTES_MAX
        && name.strip_suffix(".html").is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && name.bytes().all(plain)
}

/// Returns the facts about a file, or `None` if it is no page. Links are not followed.
fn look(folder: &Path, name: &str) -> Option<SimulatorPage> {
    let found = fs::symlink_metadata(folder.join(name)).ok().filter(fs::Metadata::is_file)?;
    let modified = found.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(SimulatorPage {
        name: name.to_owned(),
        bytes: found.len(),
        modified_us: i64::try_from(modified.as_micros()).unwrap_or(i64::MAX),
    })
}

/// Returns the pages of a folder, newest first.
fn list(folder: &Path) -> io::Result<Vec<SimulatorPage>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let page = name.to_str().filter(|name| is_page_name(name)).and_then(|name| look(folder, name));
        pages.extend(page);
    }
    pages.sort_by(|a, b| b.modified_us.cmp(&a.modified_us).then_with(|| a.name.cmp(&b.name)));
    Ok(pages)
}

/// Reads a page of a folder, or returns `None` if there is none of this name.
fn read(folder: &Path, name: &str) -> Option<Vec<u8>> {
    let page = Some(name).filter(|name| is_page_name(name)).and_then(|name| look(folder, name))?;
    if page.bytes > PAGE_BYTES_MAX {
        return None;
    }
    fs::read(folder.join(name)).ok()
}

fn how_to(folder: Option<&PathBuf>) -> Markup {
    let folder = folder.map_or_else(|| "FOLDER".to_owned(), |folder| folder.display().to_string());
    html! {
        p { "The simulator plays a policy against shoppers whose wishes are known, before a real shopper meets it. It runs on its own, and writes a page:" }
        pre { code { "cargo sim run offer --html " (folder) "/offer.html" } }
    }
}

fn cards(pages: &[SimulatorPage]) -> Markup {
    html! {
        ul.cards { @for page in pages.iter().take(LISTED) {
            li.card {
                h2 { a href={ "/simulations/" (page.name) } { (page.name.trim_end_matches(".html")) } }
                p.hint { (time(page.modified_us)) ", " (bytes(page.bytes)) }
            }
        } }
        @if pages.len() > LISTED { p.hint { "The newest " (LISTED) " of " (pages.len()) " pages." } }
    }
}

/// Page "Simulations".
pub(super) async fn page(State(console): State<SharedConsole>, visitor: Visitor) -> PageResult {
    visitor.check(Role::View)?;
    let folder = console.simulations.as_ref();
    let listed = folder.map(|folder| run_long(usize::MAX, || list(folder)));
    let content = html! {
        @match &listed {
            None => {
                p.sentence { "No folder of simulations is set." }
                p { "Start the service with one, and the pages in it show here:" }
                pre { code { "slotwise serve --simulations FOLDER" } }
                (how_to(None))
            }
            Some(Err(why)) => {
                p.problem role="alert" { "The folder of simulations cannot be read: " (why) ". The setting " code { "simulations" } " of the service names it." }
            }
            Some(Ok(pages)) if pages.is_empty() => {
                p.sentence { "No simulation yet." }
                (how_to(folder))
            }
            Some(Ok(pages)) => {
                p { "What the simulator found out, newest first: shoppers here are simulated, and no slot was changed." }
                (cards(pages))
            }
        }
    };
    Ok(ConsolePage::new("Simulations").visitor(&visitor).same_by("cargo sim run SCENARIO --html FILE").show(&content))
}

/// Page of the simulator, as it was written.
pub(super) async fn file(
    State(console): State<SharedConsole>,
    visitor: Visitor,
    extract::Path(name): extract::Path<String>,
) -> PageResult {
    visitor.check(Role::View)?;
    let folder = console.simulations.as_ref();
    let found = folder.and_then(|folder| run_long(usize::MAX, || read(folder, &name)));
    let Some(content) = found else {
        return Err(PageError::Request(StatusCode::NOT_FOUND, "there is no simulation of this name"));
    };
    Ok(sandboxed(content))
}

fn sandboxed(content: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_pages() {
        for name in ["offer.html", "run-2.small_1.html", "A.html"] {
            assert!(is_page_name(name), "{name}");
        }
        let long = format!("{}.html", "a".repeat(NAME_BYTES_MAX));
        for name in
            ["", ".html", ".hidden.html", "../x.html", "a/b.html", "a\\b.html", "a.htm", "ä.html", "a b.html", &long]
        {
            assert!(!is_page_name(name), "{name}");
        }
    }

    #[test]
    fn files_of_the_folder_are_listed_and_nothing_else_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, secret) = (folder.path().join("pages"), folder.path().join("secret.html"));
        fs::create_dir(&inside).unwrap();
        fs::write(&secret, "secret").unwrap();
        fs::write(inside.join("offer.html"), "<p>offer</p>").unwrap();
        fs::write(inside.join("notes.txt"), "notes").unwrap();
        fs::create_dir(inside.join("folder.html")).unwrap();
        std::os::unix::fs::symlink(&secret, inside.join("link.html")).unwrap();
        let names: Vec<String> = list(&inside).unwrap().into_iter().map(|page| page.name).collect();
        assert_eq!(names, ["offer.html"]);
        assert_eq!(read(&inside, "offer.html").unwrap(), b"<p>offer</p>");
        for name in ["link.html", "folder.html", "notes.txt", "../secret.html", "missing.html"] {
            assert!(read(&inside, name).is_none(), "{name}");
        }
        assert!(list(&folder.path().join("missing")).is_err());
    }
}
