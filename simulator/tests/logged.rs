//! Logs as files: what is read of them, what a broken one is answered with, and what the program says of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]
#![allow(clippy::cast_precision_loss, reason = "counts of some hundred")]

#[path = "support/server.rs"]
mod server;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flate2::{Compression, write::GzEncoder};
use server::with_server;
use slotwise::{
    bandit::{Features, Value},
    cli::{ExportFormat, export},
    engine::Request,
    journal::JournalReader,
    node::Selection,
    slot::{Arm, ArmId, Controls, Definition, Goal, RewardKind, Schedule, SlotId, Why},
    wire::ClientReward,
};
use slotwise_simulator::{
    evaluate::{Candidate, Learning, Options, Unwatched, evaluate},
    logged::{AFFINITY, Form, Log, Offered, Wanted},
};

/// Three rows of two positions, not in order of time, with an index column as the full dataset has one.
const ROWS: &str = "\
,timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user-item_affinity_0,user-item_affinity_2
0,2019-11-24 00:00:02+00:00,10,2,1,0.25,cef3,17,0,1.5
1,2019-11-24 00:00:01.5+00:00,2,1,0,0.5,03a5,,0,0
2,2019-11-24 00:00:03+00:00,0,1,1,1,cef3,-2.5,4,0
";
const ITEMS: &str = "\
,item_id,item_feature_0,item_feature_1
0,0,-0.5,red
1,2,0.25,blue
2,10,,blue
";

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let file = folder.join(name);
    if file.extension().is_some_and(|ending| ending == "gz") {
        let mut gzip = GzEncoder::new(fs::File::create(&file).unwrap(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap();
    } else {
        fs::write(&file, text).unwrap();
    }
    file
}

fn program(words: &[&str], file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).arg("replay").arg(file).args(words).output().unwrap()
}

fn features<const N: usize>(of: [(&str, Value); N]) -> Features {
    of.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn word(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn open_bandit_rows_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let items = write(folder.path(), "items.csv", ITEMS);
    for name in ["rows.csv", "rows.csv.gz"] {
        let file = write(folder.path(), name, ROWS);
        assert_eq!(Form::of(&file), Form::OpenBandit);
        let log =
            Log::read(&file, Form::OpenBandit, &Wanted { items: Some(items.clone()), ..Wanted::default() }).unwrap();
        let ids: Vec<&str> = log.arms.iter().map(|arm| arm.id.as_str()).collect();
        assert_eq!(ids, ["0", "2", "10"], "by number");
        assert_eq!(
            log.arms[0].attributes,
            features([("item_feature_0", Value::Number(-0.5)), ("item_feature_1", word("red"))])
        );
        assert_eq!(log.arms[2].attributes, features([("item_feature_1", word("blue"))]), "an empty cell is missing");
        let second = 1_000_000;
        let midnight = 18_224 * 24 * 3600 * second;
        let at: Vec<i64> = log.rows.iter().map(|row| row.at_us - midnight).collect();
        assert_eq!(at, [3 * second / 2, 2 * second, 3 * second], "in order of time");
        let shown: Vec<_> = log.rows.iter().map(|row| (row.arm, row.position, row.reward, row.propensity)).collect();
        assert_eq!(shown, [(1, 1, 0.0, 0.5), (2, 2, 1.0, 0.25), (0, 1, 1.0, 1.0)]);
        assert_eq!(*log.rows[0].context, features([("user_feature_0", word("03a5")), ("position", word("1"))]));
        let user = [("user_feature_0", word("cef3")), ("user_feature_1", Value::Number(17.0)), ("position", word("2"))];
        assert_eq!(*log.rows[1].context, features(user), "a column of numbers holds numbers");
        assert_eq!(log.rows[1].offered, Offered::Affinities(vec![(1, 1.5)]));
        assert!(log.rows.iter().all(|row| row.told_us == Some(row.at_us)), "a click is known at once");
        // Every item is a candidate, with its own affinity.
        let request = log.request(&log.rows[2], &SlotId::parse("slot", "s").unwrap());
        let affinities: Vec<_> =
            request.candidates.iter().map(|c| (c.arm.as_str(), c.features[AFFINITY].clone())).collect();
        let number = Value::Number;
        assert_eq!(affinities, [("0", number(4.0)), ("2", number(0.0)), ("10", number(0.0))]);
    }
    let file = write(folder.path(), "rows.csv", ROWS);
    let first = Log::read(&file, Form::OpenBandit, &Wanted { position: Some(1), ..Wanted::default() }).unwrap();
    assert_eq!((first.rows.len(), first.left_out.not_asked_for), (2, 1));
    let one = Log::read(&file, Form::OpenBandit, &Wanted { rows: Some(1), ..Wanted::default() }).unwrap();
    assert_eq!((one.rows.len(), one.rows[0].arm), (1, 1), "the earliest");
}

/// The program's answer to a broken log, in which FOLDER stands for the folder.
#[track_caller]
fn check(name: &str, text: &str, words: &[&str], want: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = program(words, &write(folder.path(), name, text));
    let answer = String::from_utf8(output.stderr).unwrap().replace(&folder.path().display().to_string(), "FOLDER");
    assert_eq!(answer, format!("error: {want}\n"));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
}

#[test]
fn a_broken_open_bandit_file_is_named_with_line_and_column() {
    let with = |from: &str, to: &str| ROWS.replacen(from, to, 1);
    let broken = |from: &str, to: &str, want: &str| check("r.csv", &with(from, to), &[], want);
    broken(
        "0.25,cef3",
        "1.25,cef3",
        "FOLDER/r.csv, line 2, column 6: propensity_score is '1.25'; it must be from 0 to 1",
    );
    broken("10,2,1", "10,0,1", "FOLDER/r.csv, line 2, column 4: position is '0'; it must be from 1 to 1000");
    broken(
        "2,1,0,0.5",
        "2,1,no,0.5",
        "FOLDER/r.csv, line 3, column 5: click is 'no'; it must be a number, 0 or 1 as a rule",
    );
    broken(
        "00:00:03+00:00",
        "00:00:03+09:00",
        "FOLDER/r.csv, line 4, column 2: timestamp is '2019-11-24 00:00:03+09:00'; write it in UTC, as in 2019-11-24 00:03:13.442536+00:00",
    );
    broken("-2.5,4,0", "-2.5,x,0", "FOLDER/r.csv, line 4, column 9: the affinity is 'x'; it must be a number");
    broken("-2.5,4,0", "-2.5,4", "FOLDER/r.csv, line 4: has 9 columns, the header has 10; quote what has a comma");
    broken(
        ",click,",
        ",clicks,",
        "FOLDER/r.csv, line 1: the column 'click' is missing; needed are timestamp, item_id, position, click, propensity_score",
    );
    broken(
        "user_feature_1",
        "user_feature_0",
        "FOLDER/r.csv, line 1, column 8: 'user_feature_0' stands in the header twice; rename one",
    );
    let header = ROWS.lines().next().unwrap();
    check("r.csv", header, &[], "FOLDER/r.csv holds no decision that can be evaluated: there are no rows");
    let zeros = ROWS.replace(",0.25,", ",0,").replace(",0.5,", ",0,").replace(",1,cef3", ",0,cef3");
    check(
        "r.csv",
        &zeros,
        &[],
        "FOLDER/r.csv holds no decision that can be evaluated: left out are 3 logged with a propensity of 0",
    );
    check("r.csv", ROWS, &["--arm", "11"], "--arm: the log has no arm '11'; did you mean '10'?");
    check("r.csv", ROWS, &["--drift"], "--drift is for a classification set; FOLDER/r.csv is a log of decisions");
    check("r.csv", ROWS, &["--complete"], "--complete is for a journal export; leave it out");
    check("r.csv", ROWS, &["--first", "0.3"], "--first is for --learn first; leave it out");
}

#[test]
fn a_broken_journal_export_is_named_with_line_and_column() {
    let line = |propensities: &str, context: &str| {
        format!(
            "{{\"decision_id\":\"d\",\"slot\":\"s\",\"time\":\"2026-01-05T00:00:00Z\",\"holdout\":false,\"fallback\":null,\
             \"context\":{context},\"candidates\":[],\"taken\":[],\"arms\":[\"a\"],\"propensities\":{propensities},\
             \"reasons\":[\"exploring\"],\"sticky\":null,\"rewards\":[0.0],\"events\":[],\"complete\":true}}\n"
        )
    };
    let good = line("[0.5]", "{\"age\":3}");
    let after_good = |bad: &str| format!("{good}{bad}");
    check(
        "j.jsonl",
        &after_good(&line("[1.5]", "{}")),
        &[],
        "FOLDER/j.jsonl, line 2: propensities: the first is 1.5; it must be from 0 to 1",
    );
    check(
        "j.jsonl",
        &after_good(&line("[0.5,0.5]", "{}")),
        &[],
        "FOLDER/j.jsonl, line 2: propensities: there are 2 for 1 arms; there must be one each",
    );
    let half = good.trim_end().strip_suffix('}').unwrap();
    let want = format!(
        "FOLDER/j.jsonl, line 1, column {}: EOF while parsing an object; is it a whole row of `slotwise journal export`?",
        half.len()
    );
    check("j.jsonl", half, &[], &want);
    check(
        "j.jsonl",
        "{\"decision_id\":1}",
        &[],
        "FOLDER/j.jsonl, line 1, column 17: missing field `slot`; is it a whole row of `slotwise journal export`?",
    );
    check(
        "j.csv",
        "decision_id,slot\nd,s\n",
        &[],
        "FOLDER/j.csv, line 1: the column 'time' is missing; needed are slot, time, subject_id, session_id, fallback, sticky, \
         holdout, context, candidates, taken, arms, propensities, reasons, rewards, events, complete",
    );
    let header = "slot,time,subject_id,session_id,fallback,sticky,holdout,context,candidates,taken,arms,propensities,reasons,rewards,events,complete,decision_id";
    let row =
        |arms: &str| format!("{header}\ns,2026-01-05T00:00:00Z,,,,,false,{{}},[],[],{arms},[0.5],[],[0.0],[],true,d\n");
    check(
        "j.csv",
        &row("[a]"),
        &[],
        "FOLDER/j.csv, line 2, column 11: arms: expected value at line 1 column 2 of the cell",
    );
    check(
        "j.csv",
        &row("[\"\"a b\"\"]").replace("[\"\"a b\"\"]", "\"[\"\"a b\"\"]\""),
        &[],
        "FOLDER/j.csv, line 2, column 11: arms: \"a b\" is not allowed: letters, digits and . _ : - only, and the first a letter or digit",
    );
    check(
        "j.jsonl",
        &format!("{good}{}", good.replace("\"slot\":\"s\"", "\"slot\":\"t\"")),
        &[],
        "FOLDER/j.jsonl holds the decisions of 2 slots: s, t; choose one with --slot",
    );
    check("j.jsonl", &good, &["--slot", "ss"], "FOLDER/j.jsonl holds no decision of the slot 'ss'; did you mean 's'?");
}

/// What shoppers of each kind do with each arm.
fn clicks(kind: usize, arm: &str, i: usize) -> bool {
    let chance = match (kind, arm) {
        (0, "a") => 2,
        (1, "b") => 5,
        _ => 8,
    };
    i.is_multiple_of(chance)
}

fn shop() -> Definition {
    let arm = |id: &str| {
        std::sync::Arc::new(Arm {
            id: ArmId::parse("arm", id).unwrap(),
            attributes: Features::new(),
            available: true,
            payload: None,
            because: None,
            schedule: Schedule::default(),
        })
    };
    let kind =
        |kind: &str, weight, cap| RewardKind { kind: kind.into(), weight, use_value: false, cap, winsorize: None };
    Definition {
        arms: ["a", "b", "c"].map(arm).into(),
        goal: Goal { kinds: vec![kind("click", 1.0, Some(1.0)), kind("look", 0.0, None)], ..Goal::default() },
        model: slotwise::bandit::ModelSpec::linear(None, None),
        controls: Controls { holdout: Some(0.0), floor: Some(0.05), ..Controls::default() },
        ..Definition::new(SlotId::parse("slot", "shop").unwrap())
    }
}

/// A real server decides and learns, its journal is exported in both formats, and read back: the same decisions, with the
/// propensities that were answered and the rewards that were sent. The same slot, learning from every decision of
/// the log, comes by the propensities that were logged: its weights are 1, and its value is the log's mean.
#[test]
fn an_export_of_a_real_node_is_read_back_and_its_own_slot_has_weights_of_1() {
    with_server(true, async |server, mut client| {
        client.create_slot(&shop(), &Why::default(), false).await.unwrap();
        let (mut shown, mut clicked) = (Vec::new(), 0);
        for i in 0..300_usize {
            let kind = usize::from(i % 3 == 0);
            let mut request = Request::new(SlotId::parse("slot", "shop").unwrap());
            request.context = features([("kind", word(["new", "old"][kind])), ("step", Value::Number((i % 7) as f64))]);
            request.subject.id = format!("customer-{}", i % 50);
            let decision = client.decide(&request).await.unwrap();
            let (arm, propensity) = decision.arms[0].clone();
            let earned = clicks(kind, &arm, i);
            clicked += usize::from(earned);
            let event = ClientReward {
                event_id: format!("e{i}"),
                decision_id: decision.id,
                arm_id: String::new(),
                kind: if earned { "click" } else { "look" }.to_owned(),
                value: None,
            };
            client.record(vec![event]).await.unwrap();
            shown.push((arm, propensity, if earned { 1.0 } else { 0.0 }));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut logs = Vec::new();
        for (format, name) in [(ExportFormat::Jsonl, "shop.jsonl"), (ExportFormat::Csv, "shop.csv")] {
            let (mut bytes, reader) = (Vec::new(), JournalReader::open(&server.data).unwrap());
            assert_eq!(export(&reader, &Selection::default(), format, &mut bytes).unwrap(), 300);
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            assert_eq!(Form::of(&file), Form::Journal);
            logs.push(Log::read(&file, Form::Journal, &Wanted::default()).unwrap());
        }
        assert_eq!((&logs[0].rows, &logs[0].arms), (&logs[1].rows, &logs[1].arms), "both formats hold the same");
        let log = &logs[0];
        assert_eq!((log.incomplete, log.rows.len()), (300, 300), "no window closed within a second");
        for (row, (arm, propensity, reward)) in log.rows.iter().zip(&shown) {
            assert_eq!(log.arms[row.arm].id.as_str(), arm);
            assert!((row.propensity - propensity).abs() < 1e-14 && (row.reward - reward).abs() < 1e-14);
        }
        assert_eq!(log.rows[4].subject.id, "customer-4");
        assert_eq!(*log.rows[7].context, features([("kind", word("new")), ("step", Value::Number(0.0))]));

        let own = Candidate::slot(log, "the same slot", shop()).unwrap();
        let candidates = [Candidate::logged(), own.clone()];
        let options = Options { learning: Learning::All, ..Options::default() };
        let report = evaluate(log, &candidates, &options, &Unwatched).unwrap();
        let mean = clicked as f64 / 300.0;
        let logged = &report.policy("logged").unwrap().value;
        assert!((logged.ips.unwrap().mean - mean).abs() < 1e-12, "the log's own policy has the log's mean");
        let again = &report.policy("the same slot").unwrap().value;
        // Only when exactly it heard of a reward, some milliseconds, is not in an export.
        assert!(
            (again.ips.unwrap().mean - mean).abs() < 1e-3 && (again.largest_weight - 1.0).abs() < 1e-2,
            "{again:?}"
        );
        assert!((again.effective - 300.0).abs() < 0.1, "{again:?}");
        let other = Options { learning: Learning::Matched, ..options };
        let matched = evaluate(log, &[own], &other, &Unwatched).unwrap();
        assert!((matched.policies[0].value.effective - 300.0).abs() > 1.0, "what it learns from matters");
    });
}

#[test]
fn the_program_tells_of_a_log_and_prints_the_same_bytes_with_any_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = ROWS.lines().next().unwrap().to_owned() + "\n";
    for i in 0..240 {
        let (item, position, click) = ([0, 2, 10][i % 3], i % 2 + 1, usize::from(i % 8 == 1));
        let (minute, second) = (i / 60, i % 60);
        let row = format!(
            "{i},2019-11-24 00:{minute:02}:{second:02}+00:00,{item},{position},{click},0.25,u{},{i},0,1\n",
            i % 5
        );
        rows += &row;
    }
    let file = write(folder.path(), "rows.csv.gz", &rows);
    let policies = write(
        folder.path(),
        "policies.toml",
        "[slot]\nmodel = \"beta_bernoulli\"\n[[policies]]\nname = \"careful\"\nslot.controls.floor = 0.2\n[[policies]]\nname = \"bold\"\nslot.controls.policy = \"greedy\"\n",
    );
    let policies = policies.to_str().unwrap();
    let run = |words: &[&str]| {
        let output = program(&[&["--policies", policies, "--arm", "10"], words].concat(), &file);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let json = run(&["--json", "--threads", "1"]);
    assert_eq!(run(&["--json", "--threads", "4"]), json);
    assert_ne!(run(&["--json", "--seed", "1"]), json);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let names: Vec<&str> = report["policies"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["logged", "uniform", "careful", "bold", "always 10"]);
    // Each arm was shown every third time and logged with 1/4: its weights average 4/3, so uniform choice's do.
    assert!((report["calibration"]["uniform"]["mean"].as_f64().unwrap() - 4.0 / 3.0).abs() < 1e-9);
    let positions = report["policies"][1]["positions"].as_array().unwrap();
    assert_eq!(positions.iter().map(|at| at["decisions"].as_u64().unwrap()).collect::<Vec<_>>(), [120, 120]);
    // By hand: at position 2 stand the odd rows, of which every eighth from the first is clicked: 30 of 120.
    assert!((positions[1]["log"]["mean"].as_f64().unwrap() - 0.25).abs() < 1e-12);
    assert!((positions[1]["ips"]["mean"].as_f64().unwrap() - 0.25 * 4.0 / 3.0).abs() < 1e-12);
    let text = run(&[]);
    for part in [
        "rows.csv.gz, Open Bandit: 240 decisions of 3 arms, 2019-11-24T00:00:00.000000Z to 2019-11-24T00:03:59.000000Z",
        "warning: the logged propensities are off",
        "they are too small by about that factor",
        "│ careful",
        "by position",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}
