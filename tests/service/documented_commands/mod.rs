//! Every command that the documentation shows is run, in order, in a fresh folder, with the real program.
//!
//! [`page`] describes the remarks by which a page says what its commands need and which of them no test can run. The
//! commands of the simulator are played by `simulator/tests/simulator/documented_commands.rs`, with the same [`page`] and [`player`].
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test stops at the first thing that is wrong, and its patience is measured by the clock"
)]

mod page;
mod player;

use std::{fs, path::Path, process::Command, sync::Mutex};

use page::{CodeBlock, Page, pages, service_command};
use player::{Player, Programs};
use slotwise::{
    client::{Client, RewardEvent},
    engine::Request,
    slot::SlotId,
};

const SLOTWISE: &str = env!("CARGO_BIN_EXE_slotwise");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Brings about what a page needs before its first command.
fn set_up(player: &mut Player, page: &Page) -> Result<(), String> {
    for word in &page.setup {
        match word.as_str() {
            "service" => player.start_service("slotwise serve")?,
            "offers" => {
                let readme = Page::read(&root().join("README.md"))?;
                let offers = readme.blocks.iter().find(|block| block.file.as_deref() == Some("offers.toml"));
                player.save("offers.toml", &offers.ok_or("the README has no offers.toml")?.text);
                let output = player.run("slotwise slots apply -f offers.toml")?;
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            _ => player.decision_id = Some(send_traffic(&player.addresses.as_ref().unwrap().grpc)),
        }
    }
    Ok(())
}

/// Makes 60 decisions of the slot `offers`, rewards every third, and returns the id of the last one.
fn send_traffic(address: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut client = Client::connect(address).await.unwrap();
        let request = Request::new(SlotId::parse("slot", "offers").unwrap());
        let mut id = String::new();
        for i in 0..60 {
            let decision = client.decide(&request).await.unwrap();
            id.clone_from(&decision.id);
            if i % 3 == 0 {
                let (event_id, arm_id) = (format!("click-{i}"), decision.arms[0].0.clone());
                let click =
                    RewardEvent { event_id, decision_id: decision.id, arm_id, kind: "click".into(), value: None };
                client.record_rewards(vec![click]).await.unwrap();
            }
        }
        id
    })
}

/// A fragment of a slot's file or of the configuration must be accepted by the program.
fn check_fragment(player: &mut Player, page: &Page, block: &CodeBlock) -> Result<(), String> {
    let at = |why: String| format!("{}:{}: {why}", page.path.display(), block.line);
    let keys: toml::Table = toml::from_str(&block.text).map_err(|why| at(why.to_string()))?;
    let command = if keys.contains_key("grpc_address") {
        player.save("fragment.toml", &block.text);
        "slotwise serve --config fragment.toml --print-config"
    } else {
        let id = if keys.contains_key("slot_id") { "" } else { "slot_id = \"fragment\"\n" };
        player.save("fragment.toml", &format!("{id}{}", block.text));
        if player.addresses.is_none() {
            player.start_service("slotwise serve")?;
        }
        "slotwise slots diff -f fragment.toml"
    };
    let output = player.run(command)?;
    if output.status.success() { Ok(()) } else { Err(at(String::from_utf8_lossy(&output.stderr).into_owned())) }
}

/// Plays a page from its beginning to its end. Returns the number of commands that were run.
fn play_page(path: &Path) -> Result<usize, String> {
    let page = Page::read(path)?;
    let mut player = Player::new(&Programs { slotwise: Some(Path::new(SLOTWISE)), simulator: None });
    set_up(&mut player, &page)?;
    let mut count = 0;
    for block in &page.blocks {
        let skipped = block.not_run.is_some() || block.is_simulators();
        if let Some(name) = &block.file {
            player.save(name, &block.text);
        } else if !skipped && block.is_commands() {
            count += player.play(&page, block)?;
        } else if !skipped && block.language == "toml" {
            check_fragment(&mut player, &page, block)?;
        }
    }
    Ok(count)
}

#[test]
fn every_command_of_the_documentation_runs_and_prints_what_the_page_shows() {
    let queue = Mutex::new(pages(root()));
    let next = || queue.lock().unwrap().pop();
    let played: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
        let play_pages = || {
            let (mut count, mut failures) = (0, Vec::new());
            while let Some(path) = next() {
                match play_page(&path) {
                    Ok(commands) => count += commands,
                    Err(why) => failures.push(why),
                }
            }
            (count, failures)
        };
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(play_pages)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let count: usize = played.iter().map(|(count, _)| count).sum();
    let failures: Vec<&String> = played.iter().flat_map(|(_, failures)| failures).collect();
    println!("{count} commands were run");
    assert!(failures.is_empty(), "{}", failures.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n\n"));
    assert!(count > 25, "only {count} commands were run");
}

#[test]
fn commands_that_are_not_run_exist_all_the_same() {
    let mut count = 0;
    for path in pages(root()) {
        let page = Page::read(&path).unwrap();
        for block in page.blocks.iter().filter(|block| block.is_commands() && block.not_run.is_some()) {
            for statement in block.statements() {
                let Some(arguments) = service_command(&statement.command) else { continue };
                let words: Vec<&str> = arguments.split_whitespace().chain(["--help"]).collect();
                let output = Command::new(SLOTWISE).args(&words).output().unwrap();
                let error = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{}: slotwise {arguments}: {error}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 0);
}

/// The rule that leaves the simulator's commands out here is the one by which the simulator's tests find them.
#[test]
fn commands_of_the_simulator_are_left_to_its_own_tests() {
    let test = fs::read_to_string(root().join("simulator/tests/simulator/documented_commands.rs")).unwrap();
    for module in ["documented_commands/page.rs", "documented_commands/player.rs", "is_simulators()"] {
        assert!(test.contains(module), "simulator/tests/simulator/documented_commands.rs does not use {module}");
    }
    let blocks = |path: &Path| Page::read(path).unwrap().blocks.into_iter().filter(CodeBlock::is_simulators).count();
    assert!(pages(root()).iter().map(|path| blocks(path)).sum::<usize>() > 3);
}

fn parse(text: &str) -> Result<Page, String> {
    Page::parse(Path::new("page.md"), text)
}

#[test]
fn remarks_need_a_known_name_a_reason_and_a_block() {
    for (text, part) in [
        ("<!-- not run: -->\n```sh\nls\n```\n", "page.md:1: the remark gives no reason"),
        ("<!-- not run -->\n```sh\nls\n```\n", "page.md:1: a remark has a name"),
        ("<!-- not rum: why -->\n```sh\nls\n```\n", "page.md:1: the remark is not known"),
        ("<!-- not run: why -->\n\nProse.\n", "page.md:3: a remark must stand above its block"),
        ("<!-- setup: bananas -->\n", "the setup 'bananas' is not known"),
    ] {
        let why = parse(text).err().unwrap();
        assert!(why.contains(part), "{part} in {why}");
    }
    let page =
        parse("Save this as `a.toml`:\n\n```toml\nx = 1\n```\n\n<!-- not run: why -->\n\n```sh\nls\n```\n").unwrap();
    assert_eq!((page.blocks[0].file.as_deref(), page.blocks[0].line), (Some("a.toml"), 4));
    assert_eq!((page.blocks[1].not_run.as_deref(), page.blocks[1].file.as_deref()), (Some("why"), None));
}

#[test]
fn a_block_that_cannot_run_needs_a_remark() {
    let play = |text: &str| {
        let page = parse(text).unwrap();
        let mut player = Player::new(&Programs { slotwise: Some(Path::new(SLOTWISE)), simulator: None });
        player.play(&page, &page.blocks[0])
    };
    for (text, part) in [
        ("```sh\nno-such-program --flag\n```\n", "not found"),
        ("```console\n$ echo yes\nno\n```\n", "the page shows the line"),
        ("```console\n$ printf 'a\\nb\\n'\na\n```\n", "the page does not show all of"),
        ("```console\n$ echo yes\nerror: no\n```\n", "exit status: 0"),
        ("```sh\nfalse\n```\n", "exit status: 1"),
    ] {
        let why = play(text).unwrap_err();
        assert!(why.starts_with("page.md:2: ") && why.contains(part), "{part} in {why}");
    }
    assert_eq!(play("```sh\necho 'a\nb' |\\\n  cat\ntrue\n```\n"), Ok(2));
    assert_eq!(play("```console\n$ printf 'a 1\\nb\\nc │ ██ │ x\\n'\na 2\n…\nc │ █ │ x\n```\n"), Ok(1));
}

/// The stand-in for curl gets what curl would get, whether or not this machine has curl.
#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_for_curl_makes_a_call_and_gets_a_page() {
    let (folder, server, _) = crate::support::started().await;
    let script = folder.path().join("curl.sh");
    fs::write(&script, player::CURL).unwrap();
    let curl = async |arguments: &[&str]| {
        let mut bash = Command::new("bash");
        bash.arg(&script).args(arguments);
        let output = tokio::task::spawn_blocking(move || bash.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let address = format!("http://{}", server.http);
    let slot = r#"{"slot": {"slotId": "offers", "displayName": "Crème brûlée", "arms": [{"armId": "a"}], "goal": {"kinds": [{"kind": "click", "weight": 1}]}}}"#;
    let created = curl(&["-s", "--json", slot, &format!("{address}/v1/CreateSlot")]).await;
    assert_eq!(created["slot"]["displayName"], "Crème brûlée", "{created}");
    assert_eq!(curl(&["-s", &format!("{address}/openapi.json")]).await["openapi"], "3.1.0");
    server.stop().await;
}
