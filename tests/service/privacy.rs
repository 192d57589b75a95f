//! Export and end of everything that is held of one subject, against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use slotwise::wire::proto::{
    DecideRequest, ExportSubjectRequest, ForgetSubjectRequest, Subject, export_subject_response::Record,
    privacy_service_client::PrivacyServiceClient,
};
use tonic::Code;

use crate::support::{decide, program, slot, started};

fn subject(id: &str) -> Subject {
    Subject { id: id.into(), session_id: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_reads_what_is_held_of_it_and_is_forgotten() {
    let (folder, server, mut clients) = started().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    for _ in 0..3 {
        clients.decide(DecideRequest { subject: Some(subject("ann")), ..decide("offers") }).await.unwrap();
    }
    clients.decide(DecideRequest { subject: Some(subject("bob")), ..decide("offers") }).await.unwrap();
    let mut privacy = PrivacyServiceClient::connect(server.address.clone()).await.unwrap();
    let mut answers =
        privacy.export_subject(ExportSubjectRequest { subject: Some(subject("ann")) }).await.unwrap().into_inner();
    let mut decisions = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.record.unwrap() {
            Record::Decision(decision) => {
                assert_eq!((decision.slot_id.as_str(), decision.subject.unwrap().id.as_str()), ("offers", "ann"));
                decisions += 1;
            }
            other @ (Record::Profile(_) | Record::Reward(_) | Record::Event(_)) => panic!("{other:?}"),
        }
    }
    assert_eq!(decisions, 3);
    let nobody = privacy.forget_subject(ForgetSubjectRequest::default()).await.unwrap_err();
    assert!(nobody.code() == Code::InvalidArgument && nobody.message().starts_with("subject: "), "{nobody:?}");
    let long = ForgetSubjectRequest { subject: Some(subject("ann")), reason: "x".repeat(2_000), ..Default::default() };
    assert_eq!(privacy.forget_subject(long).await.unwrap_err().code(), Code::InvalidArgument);

    let run = |args: &[&str]| {
        let output = program().args(args).args(["--target", &server.address]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let run = |args: &[&str]| tokio::task::block_in_place(|| run(args));
    let (done, lines, _) = run(&["privacy", "export", "--subject", "ann"]);
    assert!(done && lines.lines().count() == 3, "{lines}");
    let line: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(line["decision"]["subject"]["id"], "ann", "{line}");
    let (done, said, _) = run(&["privacy", "forget", "--subject", "ann", "--reason", "ticket 7"]);
    assert!(done && said.starts_with("forgotten: 3 decisions and events"), "{said}");
    let (done, _, why) = run(&["privacy", "export", "--subject", "ann"]);
    assert!(!done && why.contains("nothing is held of this subject"), "{why}");
    let (done, listed, _) = run(&["privacy", "list"]);
    assert!(done && listed.contains("subject ~") && !listed.contains("ann"), "{listed}");
    let (done, listed, _) = run(&["privacy", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let pseudonym = listed["forgotten"][0]["subject"]["id"].as_str().unwrap();
    assert!(done && pseudonym.starts_with('~') && listed["forgotten"].as_array().unwrap().len() == 1, "{listed}");
    let (done, lines, _) = run(&["privacy", "export", "--subject", "bob"]);
    assert!(done && lines.lines().count() == 1, "{lines}");
    assert!(!run(&["privacy", "forget"]).0, "a subject is needed");

    // The journal is folded without the forgotten subject, once the service has ended.
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("refolded");
    let refold = || {
        let output = program().args(["privacy", "refold"]).arg(folder.path()).arg(&target).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (done, _, why) = tokio::task::block_in_place(refold);
    assert!(!done && why.contains("in use") && !target.exists(), "{why}");
    server.stop().await;
    let (done, said, why) = tokio::task::block_in_place(refold);
    assert!(done && said.contains("forgotten subjects and sessions: 1; left out: 3 decided"), "{said}{why}");
    assert!(said.contains("slotwise serve --data"), "{said}");
    let (done, _, why) = tokio::task::block_in_place(refold);
    assert!(!done && why.contains("not empty"), "{why}");
}
