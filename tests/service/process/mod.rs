//! The program as an operator sees it: starting it, stopping it, and what prevents a start.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod limits;
use std::{
    fs,
    io::Read as _,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use crate::support::{self, Clients, PATIENCE, Process, assert_all_known, click, decide, program, serve_command, slot};
use nix::sys::signal::Signal;
use slotwise::wire::proto::{RecordRewardsRequest, RewardStatus};

/// Asserts that the program failed by itself, with one line on standard error that begins with "error: ".
#[track_caller]
fn assert_fails_with_one_line(output: &Output, words: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{error}");
    let lines: Vec<_> = error.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(lines.len(), 1, "{error}");
    for word in words {
        assert!(lines[0].contains(word), "{word} in {}", lines[0]);
    }
    assert!(output.stdout.is_empty(), "the program does not say that it serves");
}

fn wait_for_exit(child: &mut Child) -> std::process::ExitStatus {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    panic!("it did not end by itself");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Process::start(folder.path());
    let second = serve_command(folder.path()).output().unwrap();
    assert_fails_with_one_line(&second, &["in use by another process", "--data"]);
}

#[test]
fn a_port_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--grpc-address", "--http-address"] {
        let other = if flag == "--grpc-address" { "--http-address" } else { "--grpc-address" };
        let mut command = program();
        command.args(["serve", flag, &address, other, "127.0.0.1:0", "--data"]).arg(folder.path());
        assert_fails_with_one_line(&command.output().unwrap(), &[&address, flag]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // Not even root can make a folder inside a file or inside /proc.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.join("data"), Path::new("/proc/slotwise-data").to_owned()] {
        let output = serve_command(&path).output().unwrap();
        assert_fails_with_one_line(&output, &["cannot make the data folder", path.to_str().unwrap()]);
    }
    // Permissions bind everybody but root.
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        assert_fails_with_one_line(&serve_command(&locked).output().unwrap(), &["cannot write", "locked"]);
    }
}

/// The files of the folder can be written, but no snapshot could ever be made beside them.
#[test]
fn a_folder_in_which_no_file_can_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::start(&data);
    run_async(async {
        Clients::connect(&process.address).await.create(slot("offers", &["a"])).await.unwrap();
    });
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode));
    let serve = serve_command(&data);
    // Another user may not reach the folder in which the program was built. A process of its own copies it, so that no
    // child of another test holds the copy open for writing.
    let copied = folder.path().join("slotwise");
    assert!(Command::new("cp").arg(serve.get_program()).arg(&copied).status().unwrap().success());
    let mut command = Command::new(&copied);
    command.args(serve.get_args()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if rustix::process::geteuid().is_root() {
        // Permissions bind everybody but root.
        const NOBODY: u32 = 65_534;
        for file in fs::read_dir(&data).unwrap() {
            std::os::unix::fs::chown(file.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        mode(folder.path(), 0o755).unwrap();
        std::os::unix::process::CommandExt::uid(&mut command, NOBODY);
    }
    mode(&data, 0o555).unwrap();
    let mut child = command.spawn().unwrap();
    wait_for_exit(&mut child);
    mode(&data, 0o755).unwrap();
    assert_fails_with_one_line(&child.wait_with_output().unwrap(), &["cannot write", "journal.probe"]);
}

#[test]
fn a_wrong_configuration_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("slotwise.toml");
    fs::write(&config, "log = \"info\"\ngrpc_adress = \"127.0.0.1:0\"\n").unwrap();
    let output = program().arg("serve").arg("--config").arg(&config).output().unwrap();
    assert_fails_with_one_line(&output, &["slotwise.toml", "line 2", "grpc_adress"]);
    let output = program().args(["serve", "--config", "/no/such/file.toml"]).output().unwrap();
    assert_fails_with_one_line(&output, &["/no/such/file.toml"]);
}

#[test]
fn a_damaged_journal_is_refused_with_its_position() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    run_async(async {
        let mut clients = Clients::connect(&process.address).await;
        clients.create(slot("offers", &["a"])).await.unwrap();
        let decision = clients.decide(decide("offers")).await.unwrap();
        clients.reward(click("e1", &decision)).await.unwrap();
    });
    process.signal(Signal::SIGKILL);
    process.child.wait().unwrap();
    let journal = rusqlite::Connection::open(folder.path().join("journal.sqlite3")).unwrap();
    journal.execute("UPDATE events SET body = x'00' WHERE position = 2", []).unwrap();
    drop(journal);
    assert_fails_with_one_line(
        &serve_command(folder.path()).output().unwrap(),
        &["journal.sqlite3", "position 2", "checksum"],
    );
}

fn run_async<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

/// SIGTERM under load, with an open stream and an idle connection: the program exits soon and with success, and
/// everything that it acknowledged is there.
#[test]
fn sigterm_finishes_accepted_calls_and_exits_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(folder.path());
    let acknowledged = run_async(async {
        let mut clients = Clients::connect(&process.address).await;
        clients.create(slot("offers", &["a", "b"])).await.unwrap();
        let _idle = Clients::connect(&process.address).await;
        let (send, receive) = tokio::sync::mpsc::channel(1);
        let mut stream_clients = clients.clone();
        let open = stream_clients.feedback.stream_rewards(tokio_stream::wrappers::ReceiverStream::new(receive));
        let (_stream, ()) = tokio::join!(open, async {
            let decision = clients.clone().decide(decide("offers")).await.unwrap();
            send.send(RecordRewardsRequest { events: vec![click("stream", &decision)] }).await.unwrap();
        });
        let mut shoppers = tokio::task::JoinSet::new();
        for shopper in 0..4 {
            let mut clients = clients.clone();
            shoppers.spawn(async move {
                let mut done = Vec::new();
                for i in 0.. {
                    let Ok(decision) = clients.decide(decide("offers")).await else { break };
                    let event = click(&format!("s{shopper}-{i}"), &decision);
                    match clients.reward(event.clone()).await {
                        Ok(result) if result.status() == RewardStatus::Accepted => done.push(event),
                        _ => break,
                    }
                }
                done
            });
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        process.signal(Signal::SIGTERM);
        let mut acknowledged = Vec::new();
        while let Some(done) = shoppers.join_next().await {
            acknowledged.extend(done.unwrap());
        }
        acknowledged
    });
    let status = wait_for_exit(&mut process.child);
    let mut error = String::new();
    process.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(status.success(), "{error}");
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    let snapshots = fs::read_dir(folder.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("snapshot-"));
    assert!(snapshots.count() >= 1, "a snapshot was taken");

    run_async(assert_all_known(folder.path(), &acknowledged));
}
