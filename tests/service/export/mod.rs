//! The export, compared with a join of the journal's raw records that is written another way: with plain maps.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops at the first thing that is wrong"
)]

mod aftermath;
mod plain;
mod traffic;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Output,
};

use crate::support::{self, InProcessServer, click, decide, program, slot};
use plain::{PlainDecision, PlainEvent, PlainJoin};
use serde_json::{Value as Json, json};
use slotwise::{
    engine::report,
    journal::{Journal as _, LossPolicy, SqliteJournal},
    node::recover_state,
    wire::proto::RewardStatus,
};
use traffic::{AWKWARD, ODD_ID, traffic};

fn export(data: &Path, words: &[&str]) -> Output {
    program().args(["journal", "export", "--data"]).arg(data).args(words).output().unwrap()
}

#[track_caller]
fn expect_success(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn rows(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn by_id(rows: &[Json]) -> BTreeMap<String, &Json> {
    let by_id: BTreeMap<_, _> = rows.iter().map(|row| (row["decision_id"].as_str().unwrap().to_owned(), row)).collect();
    assert_eq!(by_id.len(), rows.len(), "each decision has one row");
    by_id
}
#[track_caller]
fn assert_near(got: &Json, want: f64) {
    // The two sums add a handful of numbers below a thousand in different orders.
    assert!((got.as_f64().unwrap() - want).abs() < 1e-9, "{got} against {want}");
}

fn assert_row(line: &str, plain: &PlainDecision, join: &PlainJoin) {
    let row: Json = serde_json::from_str(line).unwrap();
    let decided = &plain.decided;
    let texts = |of: &dyn Fn(&slotwise::engine::ChosenArm) -> Json| {
        Json::from(decided.chosen.iter().map(of).collect::<Vec<_>>())
    };
    assert_eq!(row["arms"], texts(&|chosen| chosen.arm.as_str().into()));
    // Numbers are compared as text, because parsing may lose the last bit.
    let numbers = |name: &str, of: &dyn Fn(&slotwise::engine::ChosenArm) -> f64| {
        let numbers: Vec<f64> = decided.chosen.iter().map(of).collect();
        format!("\"{name}\":{}", serde_json::to_string(&numbers).unwrap())
    };
    for list in [
        numbers("propensities", &|chosen| chosen.propensity),
        numbers("expected_rewards", &|chosen| chosen.expected_reward),
        numbers("swap_probabilities", &|chosen| chosen.swap_probability),
    ] {
        assert!(line.contains(&list), "{list} in {line}");
    }
    assert_eq!(row["baseline_positions"], texts(&|chosen| chosen.baseline_position.into()));
    assert_eq!(row["seed"], decided.seed.to_string());
    assert_eq!((&row["slot"], &row["revision"]), (&json!(decided.slot.as_str()), &json!(decided.revision)));
    let time = humantime::parse_rfc3339(row["time"].as_str().unwrap()).unwrap();
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_micros(), u128::try_from(plain.at_us).unwrap());
    let events = row["events"].as_array().unwrap();
    assert_eq!(events.len(), plain.events.len(), "{row}");
    for (got, PlainEvent { event, place, reversed_us, .. }) in events.iter().zip(&plain.events) {
        assert_eq!((&got["event_id"], &got["kind"]), (&json!(event.event_id), &json!(event.kind)));
        assert_eq!((&got["value"], &got["reversed"]), (&json!(event.value), &json!(reversed_us.is_some())));
        assert_eq!(got["reverses"], json!(event.reverses));
        if let Some(place) = place {
            assert_eq!(got["arm"], decided.chosen[*place].arm.as_str());
        }
    }
    let rewards = row["rewards"].as_array().unwrap();
    assert_eq!(rewards.len(), decided.chosen.len());
    let mut sum = 0.0;
    for (place, got) in rewards.iter().enumerate() {
        assert_near(got, join.reward(plain, place));
        sum += join.reward(plain, place);
    }
    assert_near(&row["reward"], sum);
    assert_eq!(row["complete"], join.is_complete(plain));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_equals_the_join_of_the_records_and_sums_to_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data).await;
    let join = PlainJoin::read(&data);
    for outcome in ["accepted", "duplicate", "late", "unmatched", "rejected", "reversal"] {
        assert!(join.outcomes.get(outcome).is_some_and(|&count| count >= 5), "{outcome}: {:?}", join.outcomes);
    }
    let whole = expect_success(&export(&data, &[]));
    let (lines, rows): (Vec<&str>, Vec<Json>) = (whole.lines().collect(), rows(&whole));
    let found = by_id(&rows);
    let all: Vec<&PlainDecision> = join.decisions.values().flatten().collect();
    assert_eq!(found.len(), all.len());
    for plain in &all {
        let row = found[&plain.decided.id.to_string()];
        let at = rows.iter().position(|other| std::ptr::eq(other, row)).unwrap();
        assert_row(lines[at], plain, &join);
        if plain.decided.slot.as_str() == "page" {
            assert_eq!(row["context"]["said"], AWKWARD);
            let candidates = row["candidates"].as_array().unwrap();
            assert_eq!(candidates.is_empty(), row["request_id"].is_null());
            assert!(candidates.iter().all(|candidate| candidate["features"]["rank"].is_number()));
        }
    }
    let joined = all.iter().flat_map(|plain| &plain.events).filter(|had| had.event.decision.is_none()).count();
    assert!(joined > 10, "{joined} were joined by their subject");
    let complete = |slot: &str| rows.iter().filter(|row| row["complete"] == true && row["slot"] == slot).count();
    assert_eq!(
        (complete("page"), complete("gone"), complete("patient")),
        (0, 0, 0),
        "decisions of these slots may get more rewards"
    );
    assert!(complete("quick") >= 5 && complete("goods") >= 5, "{} {}", complete("quick"), complete("goods"));
    // The first decisions of `quick` come first, because nothing of theirs can be taken back.
    let order: Vec<&str> = rows.iter().map(|row| row["slot"].as_str().unwrap()).collect();
    assert_eq!(order[0], "gone", "the slot was deleted while all others waited for rewards");
    assert_eq!((&rows[0]["complete"], &rows[0]["rewards"]), (&json!(false), &json!([1.0])));
    assert!(order[1..6].iter().all(|slot| *slot == "quick"));

    let state = recover_state(&data, None, 1).unwrap();
    for name in ["page", "quick", "goods", "patient"] {
        let own = || rows.iter().filter(|row| row["slot"] == name);
        let report = report(&state.slot(name).unwrap().view());
        assert_near(
            &Json::from(own().map(|row| row["reward"].as_f64().unwrap()).sum::<f64>()),
            report.counters.reward_sum,
        );
        assert_eq!(own().count() as u64, report.counters.decisions);
        let events: usize = own().map(|row| row["events"].as_array().unwrap().len()).sum();
        assert_eq!(events as u64, report.counters.rewards);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_formats_hold_the_same_rows_and_selections_keep_the_rows_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data).await;
    let whole = expect_success(&export(&data, &[]));
    let all = rows(&whole);

    let csv = expect_success(&export(&data, &["--format", "csv"]));
    assert!(csv.starts_with("decision_id,slot,time,") && csv.contains(",complete\r\n"), "{}", &csv[..200]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let names: BTreeSet<&String> = header.iter().collect();
    assert_eq!(names, all[0].as_object().unwrap().keys().collect());
    let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records.len(), all.len());
    for (record, row) in records.iter().zip(&all) {
        for (name, cell) in header.iter().zip(record) {
            match &row[name] {
                Json::Null => assert_eq!(cell, ""),
                Json::String(text) => assert_eq!(cell, text),
                other => assert_eq!(serde_json::from_str::<Json>(cell).unwrap(), *other, "{name}"),
            }
        }
    }

    // The flag `--spreadsheet-safe` quotes what a spreadsheet would run as a formula, and nothing else.
    let safe = expect_success(&export(&data, &["--format", "csv", "--spreadsheet-safe"]));
    let safe: Vec<csv::StringRecord> =
        csv::Reader::from_reader(safe.as_bytes()).records().map(Result::unwrap).collect();
    let mut quoted = 0;
    for (cell, plain) in safe.iter().flatten().zip(records.iter().flatten()) {
        if plain.starts_with(ODD_ID) {
            quoted += 1;
            assert_eq!(cell, format!("'{plain}"));
        } else {
            assert_eq!(cell, plain);
        }
    }
    assert!(quoted > 50 && safe.len() == records.len(), "{quoted} of {}", safe.len());

    let page = rows(&expect_success(&export(&data, &["--slot", "page"])));
    let own: Vec<&Json> = all.iter().filter(|row| row["slot"] == "page").collect();
    assert_eq!(page.iter().collect::<Vec<_>>(), own, "the rows of a slot do not depend on other slots");
    let middle = own[own.len() / 2]["time"].as_str().unwrap();
    let before = rows(&expect_success(&export(&data, &["--until", middle])));
    let after = rows(&expect_success(&export(&data, &["--from", middle])));
    assert!(before.iter().all(|row| row["time"].as_str().unwrap() < middle) && !before.is_empty());
    assert!(after.iter().all(|row| row["time"].as_str().unwrap() >= middle));
    let halves: Vec<Json> = before.into_iter().chain(after).collect();
    assert_eq!(by_id(&halves), by_id(&all));

    let file = folder.path().join("decisions.jsonl");
    let line = expect_success(&export(&data, &["--output", file.to_str().unwrap()]));
    let complete = all.iter().filter(|row| row["complete"] == true).count();
    let says = format!("wrote {} decisions, {complete} of them complete", all.len());
    assert!(complete >= 10 && line.starts_with(&says), "{says}: {line}");
    assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    assert!(!folder.path().join("decisions.jsonl.partial").exists());

    for (words, says) in [
        (["--slot", "pge"], "no slot 'pge'; did you mean 'page'?"),
        (["--output", "/proc/decisions"], "cannot write /proc/decisions"),
        (["--slot", "no slot"], "--slot"),
    ] {
        let output = export(&data, &words);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(export(&data, &["--from", "yesterday"]).status.code(), Some(2), "a wrong time is an error of usage");
}

/// After old records were dropped, the export holds the decisions behind them, joined as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_a_trimmed_journal_holds_the_remaining_decisions() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data).await;
    let whole = rows(&expect_success(&export(&data, &[])));
    let mut journal = SqliteJournal::open(&data, LossPolicy::Refused).unwrap();
    let half = journal.last() / 2;
    while journal.trim(&["decided", "rewarded"], i64::MAX, half, 1_000).unwrap() {}
    drop(journal);
    // The plain join sees only the kept records. It cannot know that an event was sent before, for a decision that was
    // dropped since.
    let join = PlainJoin::read(&data);
    let kept: BTreeMap<String, &PlainDecision> =
        join.decisions.values().flatten().map(|plain| (plain.decided.id.to_string(), plain)).collect();
    let rest = expect_success(&export(&data, &[]));
    let (rows, before) = (rows(&rest), by_id(&whole));
    assert_eq!(by_id(&rows).keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>());
    assert!(kept.len() > 50 && whole.len() - kept.len() > 50, "{} of {}", kept.len(), whole.len());
    let mut same = 0;
    for (line, row) in rest.lines().zip(&rows) {
        let id = row["decision_id"].as_str().unwrap();
        assert_row(line, kept[id], &join);
        same += usize::from(row == before[id]);
    }
    assert!(same > kept.len() / 2, "{same} of {}", kept.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statistics_of_a_journal_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = InProcessServer::start(&data).await;
    let mut clients = server.clients().await;
    clients.create(slot("offers", &["a", "b"])).await.unwrap();
    for i in 0..7 {
        let decision = clients.decide(decide("offers")).await.unwrap();
        let result = clients.reward(click(&format!("e{i}"), &decision)).await.unwrap();
        assert_eq!(result.status(), RewardStatus::Accepted);
    }
    // The command runs beside the service.
    let stats = |words: &[&str]| {
        expect_success(&program().args(["journal", "stats", "--data"]).arg(&data).args(words).output().unwrap())
    };
    let json: Json = serde_json::from_str(&stats(&["-o", "json"])).unwrap();
    assert_eq!((&json["records"], &json["last_position"], &json["trimmed"]), (&json!(15), &json!(15), &json!(0)));
    let of = |what: &str, name: &str| json[what][name]["records"].as_u64().unwrap();
    let kinds = (of("kinds", "slot_created"), of("kinds", "decided"), of("kinds", "rewarded"));
    assert_eq!((kinds, of("slots", "offers")), ((1, 7, 7), 15));
    let bytes = |name: &str| json["kinds"][name]["bytes"].as_u64().unwrap();
    assert_eq!(json["bytes"], bytes("slot_created") + bytes("decided") + bytes("rewarded"));
    let days = json["decisions_per_day"].as_object().unwrap();
    assert_eq!(days.values().map(|day| day.as_u64().unwrap()).sum::<u64>(), 7);
    assert!(days.contains_key(&json["last_time"].as_str().unwrap()[..10]));
    let table = stats(&[]);
    assert!(["decided", "offers", "last position 15", "day (UTC)"].iter().all(|word| table.contains(word)), "{table}");
    server.stop().await;
}

/// Read back by the format's own reader, a Parquet file has the rows of the other formats.
#[cfg(feature = "parquet")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parquet_file_holds_the_same_rows() {
    use parquet::{
        file::reader::{FileReader as _, SerializedFileReader},
        record::Field,
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    traffic(&data).await;
    let all = rows(&expect_success(&export(&data, &[])));
    let path = folder.path().join("decisions.parquet");
    expect_success(&export(&data, &["--format", "parquet", "--output", path.to_str().unwrap()]));
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), i64::try_from(all.len()).unwrap());
    for (row, want) in reader.get_row_iter(None).unwrap().zip(&all) {
        let row = row.unwrap();
        assert_eq!(row.len(), want.as_object().unwrap().len());
        for (name, field) in row.get_column_iter() {
            let want = &want[name];
            match field {
                Field::Null => assert_eq!(*want, Json::Null, "{name}"),
                Field::Bool(flag) => assert_eq!(Some(*flag), want.as_bool(), "{name}"),
                // The parser of the JSON may be off by the last bit.
                Field::Double(number) => {
                    assert!((number - want.as_f64().unwrap()).abs() <= f64::EPSILON * number.abs(), "{name}: {number}");
                }
                Field::Str(text) if want.is_string() => assert_eq!(Some(text.as_str()), want.as_str(), "{name}"),
                Field::Str(text) => assert_eq!(serde_json::from_str::<Json>(text).unwrap(), *want, "{name}"),
                Field::Bytes(bytes) => {
                    assert_eq!(serde_json::from_slice::<Json>(bytes.data()).unwrap(), *want, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
