//! The learning benchmark: peers, verdicts, exit codes, and independence of the number of threads.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use crate::support;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use slotwise::environment::SplitMix64;
use slotwise_simulator::{
    dataset::Dataset,
    learning::replay::{NoReplayProgress, Variant, replay},
    learning::{
        BenchOptions, BenchReport, bench, default_variants,
        peers::{Class, Peers, all},
        times::{self, TimingPlan},
    },
};

fn data() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data"].iter().collect()
}

fn digits(options: &BenchOptions) -> BenchReport {
    bench(options, &[Dataset::read(&data().join("digits")).unwrap()], &NoReplayProgress).unwrap()
}

fn variants(names: &[&str]) -> Vec<Variant> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The file has six streams of at least eighteen learners, each stream once.
#[test]
fn peers_are_known_for_the_streams_that_were_measured_and_for_no_others() {
    let streams: Vec<(&str, usize, usize, &str)> =
        all().iter().map(|p| (p.dataset, p.rows, p.arms, p.variant)).collect();
    let want = [
        ("mushroom", 8124, 2, "plain"),
        ("pendigits", 10_992, 10, "plain"),
        ("adult", 20_000, 2, "plain"),
        ("pendigits", 10_992, 10, "drift"),
        ("pendigits", 10_992, 10, "delay100"),
        ("pendigits", 10_992, 10, "delay1000"),
    ];
    assert_eq!(streams, want);
    for (dataset, rows, arms, variant) in want {
        let peers = Peers::of_stream(dataset, rows, arms, variant).unwrap();
        let mut learners: Vec<&str> = peers.peers.iter().map(|peer| peer.learner).collect();
        learners.sort_unstable();
        learners.dedup();
        assert!(learners.len() == peers.peers.len() && learners.len() >= 18, "{dataset} {variant}: {learners:?}");
    }
    assert!(Peers::of_stream("adult", 20_001, 2, "plain").is_none(), "other rows are another stream");
    assert!(
        Peers::of_stream("adult", 20_000, 3, "plain").is_none()
            && Peers::of_stream("adult", 20_000, 2, "drift").is_none()
    );
}

/// Within a stream the learners to beat come first, then ours, the supervised ones and chance, each from best to worst.
#[test]
fn peers_are_ranked_by_their_loss_within_their_class() {
    for stream in all() {
        let group = |class| match class {
            Class::Tuned | Class::Untuned => 0,
            Class::Reference => 1,
            Class::Skyline => 2,
            Class::Random => 3,
        };
        let ranks: Vec<_> = stream.peers.iter().map(|peer| (group(peer.class()), peer.loss)).collect();
        assert!(ranks.is_sorted(), "{} {}: {ranks:?}", stream.dataset, stream.variant);
        let first = stream.peers.first().unwrap().loss;
        assert!(stream.best_to_beat().unwrap().loss <= first, "{} {}", stream.dataset, stream.variant);
    }
}

/// Losses and standard errors are plausible, chance loses as often as uniform choice does, and everything beats chance.
#[test]
fn losses_of_peers_are_plausible() {
    for table in all() {
        let uniform = 1.0 - 1.0 / f64::from(u32::try_from(table.arms).unwrap());
        let random = table.in_class(Class::Random).next().unwrap();
        assert!((random.loss - uniform).abs() < 0.005 && table.variant.parse::<Variant>().is_ok(), "{random:?}");
        assert!(table.peers.iter().all(|p| (0.0..=random.loss).contains(&p.loss)), "{table:?}");
        assert!(table.peers.iter().all(|p| (0.0..0.05).contains(&p.standard_error)), "{table:?}");
        assert!(table.in_class(Class::Reference).count() == 5 && table.best_to_beat().unwrap().loss < uniform);
    }
}

#[test]
fn only_sets_of_several_classes_are_also_run_in_variants() {
    let names = |classes| default_variants(classes).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!([names(2), names(3)], ["plain", "plain drift delay100 delay1000"]);
}

/// The runs are those of a replay, with any number of threads.
#[test]
fn threads_change_nothing_and_a_run_is_a_replay() {
    let named = ["plain", "drift", "delay100"];
    let one = BenchOptions { seeds: vec![0], variants: Some(variants(&named)), ..BenchOptions::default() };
    let two = BenchOptions { threads: NonZeroUsize::new(2).unwrap(), ..one.clone() };
    let (one, two) = (digits(&one), digits(&two));
    assert_eq!(one.json().unwrap(), two.json().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (row, variant) in one.rows.iter().zip(variants(&named)).skip(2) {
        let options =
            slotwise_simulator::learning::replay::ReplayOptions { seeds: vec![0], variant, ..Default::default() };
        let digits = Dataset::read(&data().join("digits")).unwrap();
        let report = runtime.block_on(replay(&options, &digits, &mut NoReplayProgress, None)).unwrap();
        assert_eq!((&report.runs, report.loss, report.variant), (&row.runs, row.loss, row.variant));
    }
    // The second half reverses what the first half taught, and delayed rewards are learned late.
    let [plain, drift, delay] = one.rows.as_slice() else { unreachable!("a row per variant") };
    assert!(drift.loss.mean > plain.loss.mean + 0.05 && delay.loss.mean > plain.loss.mean + 0.005);
    // The first round of the second half is the last of the fifth tenth.
    assert_eq!(plain.runs[0].loss_by_tenth.losses()[..4], drift.runs[0].loss_by_tenth.losses()[..4]);
}

/// The keys are documented, so a program that reads them relies on them.
#[test]
fn the_json_has_the_documented_keys() {
    let report =
        digits(&BenchOptions { seeds: vec![0], variants: Some(variants(&["plain"])), ..BenchOptions::default() });
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&json), "at_close exploration model policy regressions rows seeds silent_zeros timing tolerance");
    let row = &json["rows"][0];
    let want = "arms best_reference best_tuned best_untuned dataset difference loss loss_by_tenth \
                loss_last_20_percent missed rounds runs uniform_loss variant verdict";
    assert_eq!(keys(row), want);
    assert_eq!((row["verdict"].as_str(), row["variant"].as_str()), (Some("no_peers"), Some("plain")));
    assert!(row["difference"].is_null() && row["missed"].is_null() && row["best_tuned"].is_null());
    assert_eq!((row["uniform_loss"].as_f64(), json["seeds"].as_u64()), (Some(0.9), Some(1)));
}

/// Writes a set with the size and the name of one that has peers. Its label follows from the word if `learnable`, and
/// is random otherwise.
fn write_mushroom(folder: &Path, learnable: bool) {
    let mut random = SplitMix64::new(5);
    let rows = (0..8124).map(|_| usize::from(random.next_word() % 2 == 1));
    let rows: Vec<(usize, &str)> = rows.map(|label| (label, ["x", "y"][if learnable { label } else { 0 }])).collect();
    support::write_set(folder, "mushroom", 2, &rows);
}

fn program(folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
    command.arg("bench-learning").arg(folder).args(more).output().unwrap()
}

#[track_caller]
fn check(folder: &Path, more: &[&str], code: i32) -> (String, String) {
    let Output { status, stdout, stderr } = program(folder, more);
    let (stdout, stderr) = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).into();
    assert_eq!(status.code(), Some(code), "{stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn what_nothing_can_learn_is_a_regression_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    write_mushroom(folder.path(), false);
    let (text, progress) = check(folder.path(), &["--seeds", "2"], 1);
    let says = text.lines().find(|line| line.starts_with("regression: mushroom plain: 0.")).unwrap();
    assert!(says.ends_with(" against 0.0028 of vw/quad/greedy"), "{says}");
    assert!(text.ends_with("\n0 of 1 rows with peers hold\n"), "{text}");
    assert!(
        progress.contains("\n50 %, 8124 of 16248 rows, ") && progress.contains("\n2 runs, 16248 rows in "),
        "{progress}"
    );
    let (json, _) = check(folder.path(), &["--seeds", "2", "--json"], 1);
    assert!(json.contains(r#""regressions":["mushroom plain"]"#), "{json}");
    // Half of 8124 is right, give or take 45: thousands of such errors would lie between .5 and .0028.
    let (text, _) = check(folder.path(), &["--seeds", "2", "--tolerance", "1e6"], 0);
    assert!(text.ends_with("\n1 of 1 rows with peers hold (tolerance: 1000000 standard errors)\n"), "{text}");
}

#[test]
fn what_anything_can_learn_holds() {
    let folder = tempfile::tempdir().unwrap();
    write_mushroom(folder.path(), true);
    let (text, _) = check(folder.path(), &["--seeds", "1"], 0);
    assert!(text.contains("holds") && text.ends_with("\n1 of 1 rows with peers hold\n"), "{text}");
}

#[test]
fn a_set_without_peers_cannot_fall_behind_them() {
    let (text, _) = check(&data(), &["--sets", "digits", "--variants", "plain,plain", "--seeds", "1"], 0);
    assert!(text.contains("no peers") && text.contains("0.9000") && text.contains("uniform"), "{text}");
    assert_eq!(text.matches("digits").count(), 1, "a variant named twice is run once: {text}");
}

#[test]
fn what_is_typed_wrong_is_usage() {
    for (flag, value) in [
        ("--variants", "plain,late"),
        ("--seeds", "0"),
        ("--threads", "0"),
        ("--tolerance", "NaN"),
        ("--tolerance=-1", ""),
    ] {
        let (_, error) = check(&data(), &[flag, value][..if value.is_empty() { 1 } else { 2 }], 2);
        assert!(error.starts_with("error: invalid value"), "{error}");
    }
}

#[test]
fn what_could_not_run_is_told_in_one_line() {
    let told = |folder: &Path, more: &[&str], want: &str| {
        let (text, error) = check(folder, more, 3);
        let error = error.replace(&folder.display().to_string(), "FOLDER");
        assert_eq!((text.as_str(), error.lines().last()), ("", Some(want)));
    };
    let empty = tempfile::tempdir().unwrap();
    told(
        empty.path(),
        &[],
        "error: there is no data set in FOLDER; a set is a pair of files, NAME.csv.gz and NAME.json",
    );
    let missing = empty.path().join("missing");
    told(&missing, &[], "error: cannot read the folder FOLDER: No such file or directory (os error 2)");
    told(&data(), &["--sets", "digits,letters"], "error: there is no data set 'letters' in FOLDER; there are: digits");
    let wide = ["--exploration", "11", "--threads", "2"];
    told(&data(), &wide, "error: digits, plain, seed 0: controls.exploration: is 11; must be from 0 to 10");

    // Rows without a description are no set, but the program mentions them.
    std::fs::write(empty.path().join("half.csv.gz"), "").unwrap();
    support::write_set(empty.path(), "whole", 2, &[(0, "x"), (1, "y")]);
    let (_, error) = check(empty.path(), &[], 0);
    assert!(
        error.starts_with("note: ") && error.contains("half.csv.gz is left out: it has no .json beside it\n"),
        "{error}"
    );
}

/// Durations have no bound here. The test checks that each model was measured on rows with each number of features.
#[test]
fn every_model_is_timed_for_every_number_of_features() {
    let plan = TimingPlan { dimensions: vec![8, 11], arms: 3, warm_up: 30, calls: 2, repetitions: 1 };
    let mut measured = 0;
    let all = times::measure(&plan, |_| measured += 1);
    let text = times::text(&plan, &all);
    let models = [
        ("beta_bernoulli", 0, 0),
        ("normal_inverse_gamma", 0, 0),
        ("linear, identity", 8, 11),
        ("linear, logit", 8, 11),
        // One constant, n numbers, n(n + 1)/2 products.
        ("interactions", 8 + 28, 11 + 55),
        ("fourier", 8 + 128, 11 + 128),
        ("shared", 8, 11),
        ("portfolio", 8 + 128, 11 + 128),
        ("portfolio, undecided", 8 + 128, 11 + 128),
    ];
    let want = models.iter().flat_map(|&(model, of_8, of_11)| [(model, 8, of_8), (model, 11, of_11)]);
    // Models of a portfolio that have lost their weight by now do not decide.
    let of_model = |time: &times::Time| match time.model {
        "portfolio" => u32::try_from(time.dimensions).unwrap() + 128,
        _ => time.dimensions_of_model,
    };
    let got = all.iter().map(|time| (time.model, time.dimensions, of_model(time)));
    assert!(got.eq(want), "{all:?}");
    assert!(all[14..16].iter().all(|time| time.dimensions_of_model <= of_model(time)), "{all:?}");
    assert!(all.iter().all(|time| time.decision_us > 0.0 && time.update_us > 0.0), "{all:?}");
    assert!(all.iter().all(|time| time.deciding >= 1) && measured == 18, "{all:?}");
    assert!(all[16..].iter().all(|time| time.deciding == 7), "all but that of two arms: {all:?}");
    for (i, row) in text.lines().filter(|line| line.starts_with("│ ")).skip(2).enumerate() {
        assert!(row.contains(models[i / 2].0) && row.contains([" 8 ", " 11 "][i % 2]), "{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("│ ")).count(), 2 + 18, "{text}");
}

#[test]
fn only_times_can_do_without_a_folder() {
    let usage = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
        let Output { status, stderr, .. } = command.arg("bench-learning").args(flags).output().unwrap();
        let error = String::from_utf8(stderr).unwrap();
        assert!(status.code() == Some(2) && error.contains("not provided"), "{flags:?}: {error}");
    };
    usage(&[]);
    usage(&["--times", "--sets", "digits"]);
    usage(&["--times", "--variants", "plain"]);
}

/// The regimes by the command line: R2 and R11 hold in three worlds each, a small run is not judged, and an unknown name is
/// refused with the names that there are.
#[test]
fn the_regimes_are_played_and_judged() {
    let run = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator"));
        let Output { status, stdout, stderr } =
            command.env("COLUMNS", "80").arg("bench-learning").args(flags).output().unwrap();
        let [stdout, stderr] = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (status.code(), stdout, stderr)
    };
    let (code, json, stderr) = run(&["--regimes", "R2,R11", "--worlds", "3", "--json"]);
    assert_eq!(code, Some(0), "{json}{stderr}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of = |i: usize| json["rows"][i]["slot"]["mean"].as_f64().unwrap();
    // Without the context a slot gets .45, and .8 is the most that a policy can get.
    assert!((0.74..0.8).contains(&of(0)) && (0.74..0.81).contains(&of(1)), "{json}");
    assert_eq!(json["regressions"].as_array().unwrap().len(), 0, "{json}");
    let (code, text, _) = run(&["--regimes", "R10", "--worlds", "1", "--small"]);
    assert!(code == Some(0) && text.contains("not judged"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let (code, _, stderr) = run(&["--regimes", "R99"]);
    assert!(code != Some(0) && stderr.contains("no regime 'R99'; there are: R1 1e3"), "{stderr}");
}
