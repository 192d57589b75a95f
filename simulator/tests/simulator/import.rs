//! The command `import`: logs of three formats become the warm start of a slot of a running service.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, Output},
};

use crate::support::{logs::write, server::with_server};
use slotwise::{
    bandit::{Features, Value},
    client::Client,
    engine::Request,
    node::{Clock as _, SystemClock, time_text},
    slot::{Arm, ArmId, ChangeReason, Definition, SlotId},
};

/// Number of rows of a log.
const ROWS: usize = 600;

fn import(slot: &str, file: &Path, target: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
    command.arg("import").arg(slot).arg(file).args(["--target", target]).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    text
}

/// Time of a row: two hours ago and a second for each row before it.
fn time(i: usize) -> String {
    let begun_us = SystemClock::default().now_us() / 60_000_000 * 60_000_000 - 7_200_000_000;
    time_text(begun_us + i64::try_from(i).unwrap() * 1_000_000)
}

/// Device, shown arm and reward of a row: phones want `a`, others `b`.
fn row(i: usize) -> (&'static str, &'static str, u8) {
    let (device, arm) = (["phone", "desktop"][i % 2], ["a", "b"][i / 2 % 2]);
    (device, arm, u8::from((device == "phone") == (arm == "a")))
}

fn as_csv() -> String {
    let mut text = "time,arm,propensity,reward,device\n".to_owned();
    for i in 0..ROWS {
        let (device, arm, reward) = row(i);
        writeln!(text, "{},{arm},0.5,{reward},{device}", time(i)).unwrap();
    }
    text
}

fn as_dsjson() -> String {
    let mut text = String::new();
    for i in 0..ROWS {
        let (device, arm, reward) = row(i);
        let (chosen, cost) = (if arm == "a" { 1 } else { 2 }, -i32::from(reward));
        writeln!(
            text,
            r#"{{"_label_cost":{cost},"_label_probability":0.5,"_label_Action":{chosen},"_labelIndex":{},"Timestamp":"{}","EventId":"e{i}","a":[{chosen}],"c":{{"device":"{device}","_multi":[{{"id":"a"}},{{"id":"b"}}]}},"p":[0.5,0.5]}}"#,
            chosen - 1,
            time(i)
        )
        .unwrap();
    }
    text
}

fn as_export(slot: &str) -> String {
    let mut text = String::new();
    for i in 0..ROWS {
        let (device, arm, reward) = row(i);
        let event = if reward == 0 {
            String::new()
        } else {
            format!(
                r#"{{"event_id":"e","kind":"click","value":null,"time":"{}","arm":null,"reversed":false,"reverses":null}}"#,
                time(ROWS)
            )
        };
        writeln!(
            text,
            r#"{{"decision_id":"d{i}","slot":"{slot}","time":"{}","subject_id":"s{i}","session_id":null,"fallback":null,"sticky":null,"holdout":false,"context":{{"device":"{device}"}},"candidates":[],"already_shown":[],"arms":["{arm}"],"propensities":[0.5],"reasons":["exploring"],"rewards":[{reward}],"events":[{event}],"complete":true}}"#,
            time(i)
        )
        .unwrap();
    }
    text
}

async fn create(client: &mut Client, id: &str) {
    let mut definition = Definition::new(SlotId::parse("slot", id).unwrap());
    definition.arms = ["a", "b"].map(|arm| Arm::new(ArmId::parse("arm", arm).unwrap()).into()).to_vec();
    definition.controls.holdout = Some(0.0);
    client.create_slot(&definition, &ChangeReason::new("test", ""), false).await.unwrap();
}

/// Share of decisions for a device that show `a`.
async fn share_of_a(client: &mut Client, id: &str, device: &str) -> f64 {
    let context = Features::from([("device".to_owned(), Value::Text(device.to_owned()))]);
    let request = Request { context, ..Request::new(SlotId::parse("slot", id).unwrap()) };
    let mut shown = 0;
    for _ in 0..100 {
        shown += u32::from(client.decide(&request).await.unwrap().arms[0].0 == "a");
    }
    f64::from(shown) / 100.0
}

#[test]
fn logs_of_three_formats_are_the_warm_start_of_a_slot() {
    with_server(false, async |server, mut client| {
        let folder = tempfile::tempdir().unwrap();
        let logs = [
            ("csv", write(folder.path(), "log.csv", &as_csv())),
            ("dsjson", write(folder.path(), "log.dsjson.gz", &as_dsjson())),
            ("export", write(folder.path(), "log.jsonl", &as_export("elsewhere"))),
        ];
        for (id, file) in logs {
            create(&mut client, id).await;
            let target = server.grpc.clone();
            let run = move |words: &'static [&'static str]| {
                let (target, file) = (target.clone(), file.clone());
                tokio::task::spawn_blocking(move || import(id, &file, &target, words))
            };
            let checked = said(&run(&["--check"]).await.unwrap());
            assert!(checked.contains(&format!("{id} would learn {ROWS} decisions of 2 arms")), "{checked}");
            let before = share_of_a(&mut client, id, "phone").await;
            assert!((0.2..0.8).contains(&before), "{id}: {before}");
            let first = said(&run(&[]).await.unwrap());
            assert!(first.contains(&format!("{id} learned {ROWS} decisions of 2 arms")), "{first}");
            let (phone, desktop) =
                (share_of_a(&mut client, id, "phone").await, share_of_a(&mut client, id, "desktop").await);
            assert!(phone > 0.85 && desktop < 0.15, "{id}: {phone} and {desktop}");
            let again = said(&run(&[]).await.unwrap());
            assert!(again.contains(&format!("{ROWS} of them were known from before")), "{again}");
        }
        let file = write(folder.path(), "unknown.csv", &as_csv().replace(",b,", ",z,"));
        let target = server.grpc.clone();
        let refused = tokio::task::spawn_blocking(move || import("csv", &file, &target, &[])).await.unwrap();
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains("has no arm 'z'"), "{error}");
    });
}
