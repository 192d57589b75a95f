//! Keys from the command line, and what a start makes of them.

use serde_json::json;
use slotwise::access::Role;

use super::{TAKEN, call, create};
use crate::support::{InProcessServer, program};

/// Other machines reach a service only with keys, or if somebody says knowingly that they may.
#[test]
fn without_keys_a_public_address_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let serve = |more: &[&str]| {
        let mut command = program();
        command.args(["serve", "--grpc-address", "0.0.0.0:0", "--http-address", "127.0.0.1:0"]);
        command.args(["--shutdown-delay", "0s", "--data"]).arg(&data).args(more);
        command
    };
    let refused = serve(&[]).output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("slotwise keys create") && text.contains("--insecure-public"), "{text}");
    assert!(!data.join("journal.sqlite3").exists(), "a refusal changes nothing");
    drop(crate::support::Process::start_command(serve(&["--insecure-public"])));
    create(&data, "admin", &[Role::Admin], &[]);
    drop(crate::support::Process::start_command(serve(&[])));
}

/// The command line makes the first key, a service that runs takes it, and the commands that call the service present it.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |arguments: &[&str]| {
        let output = program().args(arguments).arg("--data").arg(&data).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (done, key, note) = run(&["keys", "create", "--name", "anna", "--role", "view", "--role", "tune"]);
    let key = key.trim().to_owned();
    assert!(done && key.starts_with("sw_") && note.contains("cannot be shown again"), "{key} {note}");
    let server = InProcessServer::start(&data).await;
    let (_, listed, _) = run(&["keys", "list"]);
    assert!(listed.contains("anna") && listed.contains("view tune") && listed.contains("active"), "{listed}");
    assert!(!listed.contains(key.rsplit('_').next().unwrap()), "the secret is not stored");
    let slots = |key: Option<&str>| {
        let mut command = program();
        command.args(["slots", "list", "--target", &server.address]);
        key.map(|key| command.env("SLOTWISE_API_KEY", key));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(slots(Some(&key)), (true, String::new()));
    let (done, why) = slots(None);
    assert!(!done && why.contains("the call has no key") && why.contains("--api-key"), "{why}");
    assert!(why.contains("SLOTWISE_API_KEY") && !why.contains("authorization"), "{why}");
    let (done, why) = slots(Some("sw_nobody_nothing"));
    assert!(!done && why.contains("does not know the key") && why.contains("SLOTWISE_API_KEY"), "{why}");
    let (done, _, why) = run(&["keys", "revoke", "nobody"]);
    assert!(!done && why.contains("no active key 'nobody'"), "{why}");
    let (done, revoked, _) = run(&["keys", "revoke", "anna"]);
    assert!(done && revoked.contains("'anna'"), "{revoked}");
    tokio::time::sleep(TAKEN).await;
    let (done, why) = slots(Some(&key));
    assert!(!done && why.contains("was revoked"), "{why}");
    let (done, _, why) =
        run(&["keys", "create", "--name", "web", "--role", "tune", "--origin", "https://shop.example"]);
    assert!(!done && why.contains("decide and record only"), "{why}");
    server.stop().await;
}

/// The container starts with an administrator's key that it prints once.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_can_make_an_administrators_key() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let mut first = None;
    for _ in 0..2 {
        let mut command = crate::support::serve_command(folder.path());
        command.arg("--create-admin-key");
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.next().unwrap();
        if first.is_none() {
            first = line.strip_prefix("admin key, which is shown once: ").map(str::to_owned);
        } else {
            assert!(line.contains("serves gRPC on"), "{line}");
        }
        let serves = |line: &String| line.contains("serves gRPC on");
        let served = if serves(&line) { line } else { lines.find(serves).unwrap() };
        let http = served.split("HTTP on ").nth(1).unwrap().split(',').next().unwrap();
        let answer = call(http, "ListSlots", first.as_deref(), &json!({})).await;
        let open = call(http, "ListSlots", None, &json!({})).await;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((answer.status, open.status), (200, 401), "{answer:?}");
    }
}
