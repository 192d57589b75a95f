//! Learning of slots as files, between real services.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use serde_json::json;
use slotwise::{
    access::Role,
    node::{fold, recover_state},
    wire::proto::{
        ExportLearningRequest, ImportLearningRequest, ImportLearningResponse, RecordRewardsRequest, TryDecideRequest,
    },
};
use tonic::{Code, Status};

use crate::{
    access::{call, create},
    support::{Clients, InProcessServer, Process, click, decide, program, slot, started},
};

async fn expected(clients: &mut Clients, slot_id: &str, arm: &str) -> f64 {
    let request = TryDecideRequest { request: Some(decide(slot_id)) };
    let tried = clients.insight.try_decide(request).await.unwrap().into_inner().decision.unwrap();
    tried.explanation.unwrap().candidates.iter().find(|candidate| candidate.arm_id == arm).unwrap().mean
}

/// Teaches a slot that `b` is clicked and `a` is not.
async fn teach(clients: &mut Clients) {
    clients.create(slot("page", &["a", "b"])).await.unwrap();
    for n in 0..120 {
        let decided = clients.decide(decide("page")).await.unwrap();
        if decided.arms[0].arm_id == "b" {
            let events = vec![click(&format!("e{n}"), &decided)];
            clients.feedback.record_rewards(RecordRewardsRequest { events }).await.unwrap();
        }
    }
}

async fn export(clients: &mut Clients, slot_id: &str) -> Result<Vec<u8>, Status> {
    let request = ExportLearningRequest { slot_id: slot_id.into() };
    let mut parts = clients.slots.export_learning(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = parts.message().await? {
        assert_eq!(part.source.is_some(), bytes.is_empty(), "the first part alone has the source");
        bytes.extend(part.content);
    }
    Ok(bytes)
}

async fn import(
    clients: &mut Clients,
    slot_id: &str,
    content: &[u8],
    edit: impl FnOnce(&mut ImportLearningRequest),
) -> Result<ImportLearningResponse, Status> {
    let mut first = ImportLearningRequest { slot_id: slot_id.into(), ..ImportLearningRequest::default() };
    edit(&mut first);
    let parts =
        content.chunks(700_000).map(|part| ImportLearningRequest { content: part.into(), ..Default::default() });
    let parts: Vec<_> = std::iter::once(first).chain(parts).collect();
    Ok(clients.slots.import_learning(tokio_stream::iter(parts)).await?.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_another_service_starts_from_the_file_and_a_kill_changes_nothing() {
    let (_folder, server, mut clients) = started().await;
    teach(&mut clients).await;
    let learned = expected(&mut clients, "page", "b").await;
    assert!(learned > 0.6, "{learned}");
    let file = export(&mut clients, "page").await.unwrap();
    server.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    clients.create(slot("email", &["b", "new"])).await.unwrap();
    let nothing = expected(&mut clients, "email", "b").await;
    let tried = import(&mut clients, "email", &file, |first| first.validate_only = true).await.unwrap();
    assert_eq!((tried.known_arm_count, tried.arm_count), (1, 2));
    assert_eq!(expected(&mut clients, "email", "b").await.to_bits(), nothing.to_bits(), "only tried");
    let imported = import(&mut clients, "email", &file, |first| first.weight = Some(0.5)).await.unwrap();
    let source = imported.source.unwrap();
    assert_eq!((source.slot_id.as_str(), source.decisions, source.arm_count), ("page", 120, 2));
    let after = expected(&mut clients, "email", "b").await;
    assert!(after > 0.55 && after > nothing, "{nothing}, {after}, {learned}");
    drop(process);
    let process = Process::start(folder.path());
    let mut clients = Clients::connect(&process.address).await;
    assert_eq!(expected(&mut clients, "email", "b").await.to_bits(), after.to_bits(), "the fold learns the same");
    clients.decide(decide("email")).await.unwrap();
    let refused = import(&mut clients, "email", &file, |_| ()).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with("slot_id: "), "{refused:?}");
    drop(process);
    let folded = fold(folder.path(), 1).unwrap();
    assert!(folded == fold(folder.path(), 3).unwrap(), "three workers");
    assert!(folded == recover_state(folder.path(), None, 2).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_file_is_refused_and_changes_nothing() {
    let (folder, server, mut clients) = started().await;
    teach(&mut clients).await;
    let file = export(&mut clients, "page").await.unwrap();
    clients.create(slot("email", &["a", "b"])).await.unwrap();
    let position = slotwise::journal::JournalReader::open(folder.path()).unwrap().last();
    let mut damaged = file.clone();
    damaged[file.len() / 2] ^= 1;
    for (content, says) in [
        (&file[..file.len() - 1], "cut off"),
        (&file[..5], "is no file"),
        (&[][..], "is no file"),
        (&damaged[..], "checksum is wrong"),
        (&[&file[..], b"more"].concat()[..], "something was added"),
        (&vec![b'S'; 48 * 1024 * 1024 + 1][..], "at most 50331648"),
    ] {
        let refused = import(&mut clients, "email", content, |_| ()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
        assert!(refused.message().starts_with("content: ") && refused.message().contains(says), "{says}: {refused:?}");
    }
    let refused = import(&mut clients, "nowhere", &file, |_| ()).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused:?}");
    let refused = import(&mut clients, "email", &file, |first| first.weight = Some(2.0)).await.unwrap_err();
    assert!(refused.message().starts_with("weight: "), "{refused:?}");
    assert_eq!(export(&mut clients, "nowhere").await.unwrap_err().code(), Code::NotFound);
    let none = clients.slots.import_learning(tokio_stream::iter(Vec::new())).await.unwrap_err();
    assert!(none.message().starts_with("slot_id: "), "{none:?}");
    let after = slotwise::journal::JournalReader::open(folder.path()).unwrap().last();
    assert_eq!(after, position, "a refusal writes nothing");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_carry_learning_from_service_to_service() {
    let (_folder, server, mut clients) = started().await;
    teach(&mut clients).await;
    let other_folder = tempfile::tempdir().unwrap();
    let other = InProcessServer::start(other_folder.path()).await;
    other.clients().await.create(slot("email", &["a", "b"])).await.unwrap();
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("page.learning");
    let run = |args: &[&str], address: &str| {
        let output = tokio::task::block_in_place(|| {
            program().args(["slots"]).args(args).arg(&file).args(["--target", address]).output().unwrap()
        });
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (output.status.success(), text)
    };
    let (done, said) = run(&["export-learning", "page"], &server.address);
    assert!(done && said.contains("learned of 2 arms in 120 decisions"), "{said}");
    let (done, said) = run(&["export-learning", "page"], &server.address);
    assert!(!done && said.contains("--force"), "{said}");
    let (done, said) = run(&["import-learning", "--check", "email"], &other.address);
    assert!(done && said.contains("email would start from what page learned until 20"), "{said}");
    let (done, said) = run(&["import-learning", "--weight", "0.5", "email"], &other.address);
    assert!(done && said.contains("(weight 0.5); the file knows 2 of its 2 arms"), "{said}");
    let (done, said) = run(&["import-learning", "page"], &server.address);
    assert!(!done && said.contains("reset this one first"), "{said}");
    std::fs::write(&file, "no file of learning").unwrap();
    let (done, said) = run(&["import-learning", "email"], &other.address);
    assert!(!done && said.contains("content: is no file"), "{said}");
    server.stop().await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_needs_the_role_view_and_taking_the_role_admin() {
    let (folder, server, mut clients) = started().await;
    teach(&mut clients).await;
    let file = export(&mut clients, "page").await.unwrap();
    clients.create(slot("search-home", &["a", "b"])).await.unwrap();
    let view = create(folder.path(), "view", &[Role::View], &[]);
    let tune = create(folder.path(), "tune", &[Role::Tune], &[]);
    let search = create(folder.path(), "search", &[Role::Admin], &["search-*"]);
    let client = async |key: &str| {
        let options = slotwise::client::CallOptions { key: Some(key.to_owned()), ..Default::default() };
        slotwise::client::Client::connect_with(&server.address, &options).await.unwrap()
    };
    // Until keys are asked for, a call without one succeeds.
    while call(&server.http, "ListSlots", None, &json!({})).await.status != 401 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let why = slotwise::slot::ChangeReason::default();
    let read = client(&view).await.export_learning("page").await.unwrap();
    assert_eq!((read.0.len(), read.1.decisions), (file.len(), 120));
    let refused = client(&tune).await.import_learning("search-home", file.clone(), 1.0, &why, false).await;
    assert!(refused.unwrap_err().to_string().contains("admin"));
    let refused = client(&search).await.export_learning("page").await.unwrap_err();
    assert!(refused.to_string().contains("page"), "{refused}");
    let refused = client(&search).await.import_learning("page", file.clone(), 1.0, &why, false).await.unwrap_err();
    assert!(refused.to_string().contains("page"), "{refused}");
    let imported = client(&search).await.import_learning("search-home", file, 1.0, &why, false).await.unwrap();
    assert_eq!((imported.origin.slot.as_str(), imported.known_arms, imported.arms), ("page", 2, 2));
    server.stop().await;
}
