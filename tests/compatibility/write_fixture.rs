//! Writes a fixture of the present formats: `cargo run --example write_fixture -- journal-3-snapshot-14`.
//!
//! The argument is the name of the new folder under `tests/fixtures`. A folder that exists is left as it is.
#![allow(clippy::unwrap_used, reason = "a developer's tool stops at the first thing that is wrong")]

mod fixture;

use std::path::Path;

fn main() {
    let name = std::env::args().nth(1).expect("the name of the new fixture");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    assert!(!folder.exists(), "{} exists, and a fixture is never changed", folder.display());
    fixture::write_fixture(&folder);
    // Every fixture has the figures that later versions must reach.
    assert!(folder.join("expected.json").exists());
}
