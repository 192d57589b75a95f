//! Logs of a real server and of the Open Bandit Dataset, evaluated by the library and by the program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail like tests")]
#![allow(clippy::cast_precision_loss, reason = "counts of some hundred")]

use std::fs;

use crate::support::{
    logs::{ROWS, features, program, word, write},
    server::with_server,
};
use slotwise::{
    bandit::{Features, Value},
    cli::export,
    client::RewardEvent,
    engine::Request,
    journal::JournalReader,
    node::ExportFormat,
    node::Selection,
    slot::{Arm, ArmId, ChangeReason, Controls, Definition, Goal, RewardKind, Schedule, SlotId},
};
use slotwise_simulator::{
    evaluate::logged::{FileFormat, Log, LogSelection},
    evaluate::{EvaluatedPolicy, EvaluationOptions, LearningSource, NoEvaluationProgress, evaluate},
};

/// Returns `true` if decision `i` of a shopper of this kind, with this arm, is clicked.
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
    let kind = |kind: &str, weight, cap| RewardKind {
        kind: kind.into(),
        weight,
        use_value: false,
        cap,
        winsorize: None,
        role: None,
        joins: None,
    };
    Definition {
        arms: ["a", "b", "c"].map(arm).into(),
        goal: Goal { kinds: vec![kind("click", 1.0, Some(1.0)), kind("look", 0.0, None)], ..Goal::default() },
        model: slotwise::bandit::ModelSpec::linear(None, None),
        controls: Controls { holdout: Some(0.0), floor: Some(0.05), ..Controls::default() },
        ..Definition::new(SlotId::parse("slot", "shop").unwrap())
    }
}

/// A real server decides and learns. Its journal is exported in both formats and read back: the same decisions, with
/// the propensities and rewards as they were sent. The same slot, learning from every decision of the log, arrives at
/// the logged propensities: its weights are 1, and its value is the log's mean.
#[test]
fn an_export_of_a_real_node_is_read_back_and_its_own_slot_has_weights_of_1() {
    with_server(true, async |server, mut client| {
        client.create_slot(&shop(), &ChangeReason::default(), false).await.unwrap();
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
            let event = RewardEvent {
                event_id: format!("e{i}"),
                decision_id: decision.id,
                arm_id: String::new(),
                kind: if earned { "click" } else { "look" }.to_owned(),
                value: None,
            };
            client.record_rewards(vec![event]).await.unwrap();
            shown.push((arm, propensity, if earned { 1.0 } else { 0.0 }));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut logs = Vec::new();
        for (format, name) in [(ExportFormat::Jsonl, "shop.jsonl"), (ExportFormat::Csv, "shop.csv")] {
            let (mut bytes, reader) = (Vec::new(), JournalReader::open(&server.data).unwrap());
            assert_eq!(export(&reader, &Selection::default(), format, &mut bytes).unwrap(), 300);
            let file = folder.path().join(name);
            fs::write(&file, bytes).unwrap();
            assert_eq!(FileFormat::detect(&file), FileFormat::Journal);
            logs.push(Log::read(&file, FileFormat::Journal, &LogSelection::default()).unwrap());
        }
        assert_eq!((&logs[0].rows, &logs[0].arms), (&logs[1].rows, &logs[1].arms), "both formats hold the same");
        let log = &logs[0];
        assert_eq!((log.incomplete, log.rows.len()), (300, 300), "no window closed within a second");
        for (row, (arm, propensity, reward)) in log.rows.iter().zip(&shown) {
            assert_eq!(log.arms[row.arm].id.as_str(), arm);
            assert!((row.propensity - propensity).abs() < 1e-14 && (row.reward - reward).abs() < 1e-14);
        }
        let subject = |row: usize| log.rows[row].subject.id.as_str();
        assert!(subject(4).starts_with('~'), "a pseudonym, because no table of names was given");
        assert!(subject(4) == subject(54) && subject(4) != subject(5), "the same for the same customer alone");
        assert_eq!(*log.rows[7].context, features([("kind", word("new")), ("step", Value::Number(0.0))]));

        let own = EvaluatedPolicy::slot(log, "the same slot", shop()).unwrap();
        let candidates = [EvaluatedPolicy::logged(), own.clone()];
        let options = EvaluationOptions { learning: LearningSource::All, ..EvaluationOptions::default() };
        let report = evaluate(log, &candidates, &options, &NoEvaluationProgress).unwrap();
        let mean = clicked as f64 / 300.0;
        let logged = &report.policy("logged").unwrap().value;
        assert!((logged.ips.unwrap().mean - mean).abs() < 1e-12, "the log's own policy has the log's mean");
        let again = &report.policy("the same slot").unwrap().value;
        // The slot is almost the same: an export lacks the exact moment, to some milliseconds, at which it learned of a
        // reward.
        assert!(
            (again.ips.unwrap().mean - mean).abs() < 1e-3 && (again.largest_weight - 1.0).abs() < 1e-2,
            "{again:?}"
        );
        assert!((again.effective - 300.0).abs() < 0.1, "{again:?}");
        let other = EvaluationOptions { learning: LearningSource::Matched, ..options };
        let matched = evaluate(log, &[own], &other, &NoEvaluationProgress).unwrap();
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
    // Each arm was shown every third time and logged with 1/4. Its weights average 4/3, and so do those of uniform
    // choice.
    assert!((report["calibration"]["uniform"]["mean"].as_f64().unwrap() - 4.0 / 3.0).abs() < 1e-9);
    let positions = report["policies"][1]["positions"].as_array().unwrap();
    assert_eq!(positions.iter().map(|at| at["decisions"].as_u64().unwrap()).collect::<Vec<_>>(), [120, 120]);
    // Computed by hand: position 2 has the odd rows, of which every eighth from the first is clicked: 30 of 120.
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
