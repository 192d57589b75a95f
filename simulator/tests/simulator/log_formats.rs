//! Formats of log files: how they are read, and the answers to broken ones.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::support::logs::{ROWS, features, program, word, write};
use slotwise::{bandit::Value, slot::SlotId};
use slotwise_simulator::evaluate::logged::{AFFINITY, FileFormat, Log, LogSelection, OfferedArms};

const ITEMS: &str = "\
,item_id,item_feature_0,item_feature_1
0,0,-0.5,red
1,2,0.25,blue
2,10,,blue
";

#[test]
fn open_bandit_rows_are_read_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let items = write(folder.path(), "items.csv", ITEMS);
    for name in ["rows.csv", "rows.csv.gz"] {
        let file = write(folder.path(), name, ROWS);
        assert_eq!(FileFormat::detect(&file), FileFormat::OpenBandit);
        let log = Log::read(
            &file,
            FileFormat::OpenBandit,
            &LogSelection { items: Some(items.clone()), ..LogSelection::default() },
        )
        .unwrap();
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
        assert_eq!(log.rows[1].offered, OfferedArms::Affinities(vec![(1, 1.5)]));
        assert!(log.rows.iter().all(|row| row.known_us == Some(row.at_us)), "a click is known at once");
        // Every item is a candidate, with its own affinity.
        let request = log.request(&log.rows[2], &SlotId::parse("slot", "s").unwrap());
        let affinities: Vec<_> =
            request.candidates.iter().map(|c| (c.arm.as_str(), c.features[AFFINITY].clone())).collect();
        let number = Value::Number;
        assert_eq!(affinities, [("0", number(4.0)), ("2", number(0.0)), ("10", number(0.0))]);
    }
    let file = write(folder.path(), "rows.csv", ROWS);
    let first =
        Log::read(&file, FileFormat::OpenBandit, &LogSelection { position: Some(1), ..LogSelection::default() })
            .unwrap();
    assert_eq!((first.rows.len(), first.left_out.not_asked_for), (2, 1));
    let one =
        Log::read(&file, FileFormat::OpenBandit, &LogSelection { rows: Some(1), ..LogSelection::default() }).unwrap();
    assert_eq!((one.rows.len(), one.rows[0].arm), (1, 1), "the earliest");
}

/// Asserts the program's answer to a broken log. FOLDER stands for the folder.
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
        "00:00:03+09h",
        "FOLDER/r.csv, line 4, column 2: timestamp is '2019-11-24 00:00:03+09h'; write it in UTC, as in 2019-11-24 00:03:13.442536+00:00",
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
             \"context\":{context},\"candidates\":[],\"already_shown\":[],\"arms\":[\"a\"],\"propensities\":{propensities},\
             \"reasons\":[\"exploring\"],\"sticky\":null,\"rewards\":[0.0],\"events\":[],\"complete\":true}}\n"
        )
    };
    let good = line("[0.5]", "{\"age\":3}");
    let after_good = |bad: &str| format!("{good}{}", bad.replace("\"d\"", "\"d2\""));
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
        "{\"decision_id\":\"d\"}",
        &[],
        "FOLDER/j.jsonl, line 1, column 19: missing field `slot`; is it a whole row of `slotwise journal export`?",
    );
    check(
        "j.csv",
        "decision_id,slot\nd,s\n",
        &[],
        "FOLDER/j.csv, line 1: the columns 'time', 'subject_id', 'session_id', 'fallback', 'sticky', 'holdout', 'context', \
         'candidates', 'already_shown', 'arms', 'propensities', 'reasons', 'rewards', 'events', 'complete' are missing; needed are slot, time, subject_id, session_id, fallback, sticky, \
         holdout, context, candidates, already_shown, arms, propensities, reasons, rewards, events, complete",
    );
    let header = "slot,time,subject_id,session_id,fallback,sticky,holdout,context,candidates,already_shown,arms,propensities,reasons,rewards,events,complete,decision_id";
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
        &row("[\"\"\"\"]").replace("[\"\"\"\"]", "\"[\"\"\"\"]\""),
        &[],
        "FOLDER/j.csv, line 2, column 11: arms: must not be empty",
    );
    check(
        "j.jsonl",
        &format!("{good}{}", good.replace("\"slot\":\"s\"", "\"slot\":\"t\"")),
        &[],
        "FOLDER/j.jsonl holds the decisions of 2 slots: s, t; choose one with --slot",
    );
    check("j.jsonl", &good, &["--slot", "ss"], "FOLDER/j.jsonl holds no decision of the slot 'ss'; did you mean 's'?");
}

/// Three decisions as Vowpal Wabbit logs them, the second without a click, and two lines that are not decisions.
const DSJSON: &str = r#"
{"_label_cost":-1,"_label_probability":0.8,"_label_Action":1,"_labelIndex":0,"o":[{"EventId":"e1","v":1}],"Timestamp":"2021-02-04T16:31:29.2460000Z","Version":"1","EventId":"e1","a":[1,2],"c":{"User":{"age":30,"segment":"new"},"_multi":[{"_tag":"gift","TAction":{"price":9.5}},{"_tag":"free","TAction":{"price":0}}]},"p":[0.8,0.2],"VWState":{"m":"x"}}
{"_label_cost":0,"_label_probability":0.2,"_label_Action":2,"_labelIndex":1,"Timestamp":"2021-02-04T16:31:30Z","Version":"1","EventId":"e2","a":[2,1],"c":{"User":{"age":41.5},"_multi":[{"_tag":"gift"},{"_tag":"free"}]},"p":[0.2,0.8]}
{"RewardValue":1.0,"EnqueuedTimeUtc":"2021-02-04T16:31:35Z","EventId":"e9"}
{"_label_cost":-1,"_label_probability":0.5,"_label_Action":1,"Timestamp":"2021-02-04T16:31:31Z","EventId":"e3","DeferredAction":true,"a":[1,2],"c":{"_multi":[{"_tag":"gift"},{"_tag":"free"}]},"p":[0.5,0.5]}
{"_label_cost":-2.5,"_label_probability":0.5,"_label_Action":1,"Timestamp":"2021-02-04T16:31:28Z","EventId":"e4","a":[1,2],"c":{"_multi":[{"i":{"constant":1,"id":"gift"},"j":[{"price":9.5}]},{"color":"red"}]},"p":[0.5,0.5]}
"#;

#[test]
fn dsjson_of_vowpal_wabbit_and_personalizer_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "log.dsjson.gz", DSJSON.trim_start());
    assert_eq!(FileFormat::detect(&file), FileFormat::Dsjson);
    let log = Log::read(&file, FileFormat::Dsjson, &LogSelection::default()).unwrap();
    let ids: Vec<&str> = log.arms.iter().map(|arm| arm.id.as_str()).collect();
    assert_eq!(ids, ["color=red", "free", "gift"]);
    let told: Vec<(usize, f64, f64)> = log.rows.iter().map(|row| (row.arm, row.propensity, row.reward)).collect();
    assert_eq!(told, [(2, 0.5, 2.5), (2, 0.8, 1.0), (1, 0.2, 0.0)], "in order of time");
    assert_eq!(log.rows[1].at_us, 1_612_456_289_246_000);
    assert_eq!(*log.rows[1].context, features([("User.age", Value::Number(30.0)), ("User.segment", word("new"))]));
    let price = |price| features([("TAction.price", Value::Number(price))]);
    assert_eq!(log.rows[1].offered, OfferedArms::Listed(vec![(2, price(9.5)), (1, price(0.0))]));
    assert_eq!((log.left_out.dangling, log.left_out.unconfirmed, log.left_out.incomplete), (1, 1, 0));
    let output = program(&["--learn", "all"], &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let dangling = "1 rewards without their decision (dangling), so that nobody knows what they are for";
    assert!(said.contains(&format!("left out: {dangling}, 1 deferred and never confirmed as shown\n")), "{said}");
    let reward = DSJSON.lines().find(|line| line.contains("RewardValue")).unwrap();
    let first = write(folder.path(), "first.json", &format!("{reward}\n{}", DSJSON.trim_start()));
    assert_eq!(FileFormat::detect(&first), FileFormat::Dsjson, "a log may begin with a dangling reward");
    let only = write(folder.path(), "only.json", &format!("{reward}\n{{\"_comment\":\"checkpoint\"}}\n"));
    let empty = Log::read(&only, FileFormat::Dsjson, &LogSelection::default()).unwrap_err().to_string();
    assert!(
        empty.ends_with(&format!("left out are {dangling}, 1 lines that are no decision with an outcome")),
        "{empty}"
    );
    let broken = DSJSON.trim_start().replace("\"_label_Action\":2", "\"_label_Action\":7");
    check(
        "l.json",
        &broken,
        &[],
        "FOLDER/l.json, line 2: _label_Action: must be the number of one of the 2 actions, from 1",
    );
}

#[test]
fn the_least_csv_is_read_whatever_its_columns_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Timestamp,user_id,age,plan,vip,action,probability,click\n\
                2026-11-01 00:00:00,u1,30,1a,true,a,0.5,1\n\
                1793491201,u2,,7,false,b,0.25,0\n\
                2026-11-01T02:00:02+02:00,u1,31,7,true,a,0.5,0\n";
    let file = write(folder.path(), "log.csv", text);
    assert_eq!(FileFormat::detect(&file), FileFormat::Csv);
    let log = Log::read(&file, FileFormat::Csv, &LogSelection::default()).unwrap();
    let at: Vec<i64> = log.rows.iter().map(|row| row.at_us - 1_793_491_200_000_000).collect();
    assert_eq!(at, [0, 1_000_000, 2_000_000]);
    let told: Vec<(usize, f64, f64)> = log.rows.iter().map(|row| (row.arm, row.propensity, row.reward)).collect();
    assert_eq!(told, [(0, 0.5, 1.0), (1, 0.25, 0.0), (0, 0.5, 0.0)]);
    let flag = |value| Value::Flag(value);
    let want = features([("age", Value::Number(30.0)), ("plan", word("1a")), ("vip", flag(true))]);
    assert_eq!(*log.rows[0].context, want);
    assert_eq!(*log.rows[1].context, features([("plan", word("7")), ("vip", flag(false))]), "an empty cell is missing");
    assert_eq!(log.rows[0].subject.id, "u1");
    let output = program(&["--learn", "all"], &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    check("l.csv", &text.replace("0.25", "25%"), &[], "FOLDER/l.csv, line 3, column 7: propensity: '25%' is no number");
    check(
        "l.csv",
        &text.replace("1793491201", "soon"),
        &[],
        "FOLDER/l.csv, line 3, column 1: time: 'soon' is no time; write 2026-11-21T08:30:00Z, 2026-11-21T08:30:00+02:00, \
         2026-11-21 08:30:00 (UTC), or seconds since 1970",
    );
}

#[test]
fn a_decision_that_an_export_holds_twice_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: &str, time: &str| {
        format!(
            "{{\"decision_id\":\"{id}\",\"slot\":\"s\",\"time\":\"{time}\",\"holdout\":false,\"fallback\":null,\
             \"context\":{{}},\"candidates\":[],\"already_shown\":[],\"arms\":[\"a\"],\"propensities\":[0.5],\
             \"reasons\":[\"exploring\"],\"sticky\":null,\"rewards\":[0.0],\"events\":[],\"complete\":true}}\n"
        )
    };
    let (first, second) = (line("d1", "2026-11-01T00:30:00+02:00"), line("d2", "2026-11-01 00:00:00"));
    let file = write(folder.path(), "j.jsonl", &format!("{first}{second}{first}"));
    let log = Log::read(&file, FileFormat::Journal, &LogSelection::default()).unwrap();
    assert_eq!((log.rows.len(), log.left_out.repeated), (2, 1));
    assert_eq!(log.rows[1].at_us - log.rows[0].at_us, 5_400_000_000, "in UTC, from 22:30 to midnight");
    let output = program(&["--learn", "all"], &file);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let warning = "left out: 1 given again under a decision id that came before; each decision counts once";
    assert!(output.status.success() && told.contains(warning), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_file_of_another_form_is_named_as_what_it_looks_like() {
    let looks = |name: &str, text: &str, want: &str| {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), name, text);
        let output = program(&[], &file);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(want) && told.trim_end().lines().count() == 1, "{told}");
        assert!(told.contains("accepted are"), "{told}");
    };
    looks("a.json", "[{\"arm\":1}]", "looks like one JSON list");
    looks("a.json", "{\n  \"arm\": 1\n}", "looks like one JSON object over several lines");
    looks(
        "a.jsonl",
        "{\"user\":1,\"item\":2}\n",
        "looks like JSON lines with the keys item, user; the nearest form is CSV",
    );
    looks("a.vw", "shared | a\n0:-1:0.5 | b\n", "looks like Vowpal Wabbit's text format; give its dsjson log");
    looks("a.csv", "time;arm;propensity;reward\n", "separated by semicolons");
    looks("a.tsv", "time\tarm\tpropensity\treward\n", "separated by tabs");
    looks(
        "a.csv",
        "time,arm,reward\n",
        "looks like CSV without propensity; the nearest form is CSV with the columns time, arm",
    );
    looks("a.csv", "1,2,0.5,1\n", "looks like CSV without a header");
    looks("a.parquet", "PAR1....", "looks like Parquet; write it as CSV");
    looks("a.html", "<html>", "looks like XML or HTML");
    looks("a.txt", "hello", "looks like plain text");
    looks("a.csv", "", "is empty");
}
