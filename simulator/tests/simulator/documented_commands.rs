//! Every command of the simulator that the documentation shows is run, with the real program and a real service.
//!
//! `tests/service/documented_commands` of the service plays all other commands; this test uses its parser and its player. The
//! rule by which that test leaves a block to this one is `CodeBlock::is_simulators()`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    dead_code,
    reason = "a test stops at the first thing that is wrong, and uses a part of the shared modules"
)]

#[path = "../../../tests/service/documented_commands/page.rs"]
mod page;
#[path = "../../../tests/service/documented_commands/player.rs"]
mod player;
use std::{path::Path, process::Command};

use crate::support::server::with_server;
use page::{CodeBlock, Page, pages, simulator_command};
use player::{Addresses, Player, Programs};

const SIMULATOR: &str = env!("CARGO_BIN_EXE_slotwise-simulator");

fn pages_with_commands() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let pages = pages(root).into_iter().map(|path| Page::read(&path).unwrap());
    pages.filter(|page| page.blocks.iter().any(CodeBlock::is_simulators)).collect()
}

/// Plays the simulator's blocks of a page. Returns the number of commands that were run.
fn play_page(page: &Page, addresses: &Addresses) -> Result<usize, String> {
    let mut player = Player::new(&Programs { slotwise: None, simulator: Some(Path::new(SIMULATOR)) });
    player.addresses = Some(addresses.clone());
    let mut count = 0;
    for block in page.blocks.iter().filter(|block| block.is_simulators() && block.not_run.is_none()) {
        count += player.play(page, block)?;
    }
    Ok(count)
}

#[test]
fn every_command_of_the_simulator_in_the_documentation_runs() {
    with_server(false, async |server, _| {
        let address = |url: &str| url.trim_start_matches("http://").to_owned();
        let addresses = Addresses { grpc: address(&server.grpc), http: address(&server.http) };
        let played = tokio::task::spawn_blocking(move || {
            pages_with_commands().iter().map(|page| play_page(page, &addresses)).collect::<Vec<_>>()
        });
        let played = played.await.unwrap();
        let failures: Vec<&String> = played.iter().filter_map(|page| page.as_ref().err()).collect();
        assert!(failures.is_empty(), "{failures:#?}");
        let count: usize = played.iter().flatten().sum();
        assert!(count >= 5, "only {count} commands were run");
    });
}

#[test]
fn commands_of_the_simulator_that_are_not_run_exist_all_the_same() {
    let mut count = 0;
    for page in pages_with_commands() {
        for block in page.blocks.iter().filter(|block| block.is_simulators() && block.not_run.is_some()) {
            for statement in block.statements() {
                let words = simulator_command(&statement.command).unwrap().split_whitespace().chain(["--help"]);
                let output = Command::new(SIMULATOR).args(words).output().unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}: {}: {error}", page.path.display(), statement.command);
                count += 1;
            }
        }
    }
    assert!(count > 5, "{count}");
}
