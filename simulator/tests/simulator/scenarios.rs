//! Scenarios as a whole: they hold, threads and other policies change nothing, and the command reports them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first thing that is wrong")]

use std::{
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use slotwise_simulator::{
    report::{CheckOutcome, RunReport, RunVerdict},
    run::{episode::NoRunProgress, run},
    scenario::{Changes, Loaded, load, shipped},
};

fn small(name: &str, set: &[&str]) -> Loaded {
    let set = set.iter().map(ToString::to_string).collect();
    load(name, &Changes { small: true, set, policies: Vec::new() }).unwrap_or_else(|why| panic!("{why}"))
}

fn report(loaded: &Loaded, threads: usize) -> RunReport {
    run(loaded, None, NonZeroUsize::new(threads).unwrap(), &NoRunProgress).unwrap_or_else(|why| panic!("{why}"))
}

/// The policy test of every shipped scenario. Seeds are fixed, so the result does not depend on chance.
#[test]
fn every_shipped_scenario_holds_in_its_small_version() {
    let mut wrong = Vec::new();
    for name in shipped::names() {
        let report = report(&small(name, &[]), 2);
        if report.verdict != RunVerdict::Holds {
            let not_held = report.checks.iter().filter(|check| check.outcome != CheckOutcome::Pass);
            wrong.extend(not_held.map(|check| format!("{name}: {}", check.sentence)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_any_number_of_threads() {
    let loaded = small("dirty-events", &["horizon=400", "replications=5"]);
    let json = |threads| report(&loaded, threads).json().unwrap();
    let first = json(1);
    for threads in [1, 2, 4] {
        assert!(json(threads) == first, "{threads} threads");
    }
    let other = run(&loaded, Some(99), NonZeroUsize::MIN, &NoRunProgress).unwrap();
    assert_ne!(other.json().unwrap(), first, "another seed is another run");
}

/// A policy's results do not depend on the other policies, because all have common random numbers.
#[test]
fn a_policy_alone_has_the_results_it_has_in_company() {
    let company = report(&small("opt-out", &["horizon=500", "replications=3"]), 2);
    let set = vec!["horizon=500".to_owned(), "replications=3".to_owned(), "check=[]".to_owned()];
    let alone = Changes { small: true, set, policies: vec!["uniform".to_owned()] };
    let alone = report(&load("opt-out", &alone).unwrap(), 2);
    let mut in_company = company.policy("uniform").unwrap().clone();
    in_company.lift = None;
    in_company.segments.iter_mut().for_each(|segment| segment.lift = None);
    let mut of_its_own = alone.policy("uniform").unwrap().clone();
    of_its_own.lift = None;
    of_its_own.segments.iter_mut().for_each(|segment| segment.lift = None);
    assert_eq!(of_its_own, in_company);
}

#[test]
fn a_report_adds_up() {
    let report = report(&small("returning-or-new", &["horizon=600"]), 2);
    assert_eq!(report.buckets.len(), 100);
    for policy in &report.policies {
        assert_eq!(policy.regret_by_bucket.len(), 100);
        let total = policy.regret_so_far.last().and_then(|point| point.mean).unwrap();
        assert!((total - policy.regret_total.mean).abs() < 1e-9);
        let shares: f64 = policy.shares.iter().map(|share| share.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let segments: f64 = policy.segments.iter().map(|segment| segment.share).sum();
        assert!((segments - 1.0).abs() < 1e-9, "{segments}");
        let events = policy.events;
        let answered = events.accepted + events.duplicates + events.late + events.unmatched + events.rejected;
        assert_eq!(events.arrived, answered);
        assert!(policy.regret_per_decision.mean >= 0.0);
    }
    // Uniform choice has the regret of uniform choice, up to the arms that it happened to draw.
    let uniform = report.policy("uniform").unwrap();
    let error = uniform.regret_per_decision.standard_error.unwrap();
    let apart = uniform.regret_per_decision.mean - uniform.uniform_regret_per_decision;
    assert!(apart.abs() < 5.0 * error, "{apart} ± {error}");
    let text = serde_json::to_string(&report).unwrap();
    let again: RunReport = serde_json::from_str(&text).unwrap();
    let told = |report: &RunReport| (report.checks.len(), report.policies[0].shares.len(), report.buckets.len());
    assert_eq!(told(&again), told(&report));
}

/// No policy can be expected to give more than the best, so regret is never negative in any scenario.
#[test]
fn regret_is_never_negative() {
    for name in shipped::names().filter(|name| *name != "large-catalogue") {
        let report = report(&small(name, &["horizon=200", "replications=2"]), 2);
        for policy in &report.policies {
            for point in policy.regret_by_bucket.iter().filter_map(|point| point.mean) {
                assert!(point >= -1e-12, "{name}, {}: {point}", policy.name);
            }
        }
    }
}

fn simulator(arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_slotwise-simulator")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.code().unwrap(), text(done.stdout), text(done.stderr))
}

const QUICK: [&str; 4] = ["--small", "--set", "horizon=300", "--replications=4"];

fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    ["run", "stock-outs"].into_iter().chain(QUICK).chain(more.iter().copied()).collect()
}

#[test]
fn exit_codes_say_what_came_of_it() {
    // Every check that needs chance is skipped.
    let holds = ["--set", "check.1.skip=true", "--set", "check.2.skip=true", "--set", "check.3.skip=true"];
    let (code, out, _) = simulator(&quick(&holds));
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("seed 1\n") && out.contains("the one check holds"), "{out}");
    let (code, out, _) = simulator(&quick(&["--set", "check.lift.min=50"]));
    assert!(code == 1 && out.contains("✗ lift"), "{code} {out}");
    let (code, _, error) = simulator(&quick(&["--set", "horizn=5"]));
    assert!(code == 2 && error.contains("did you mean 'horizon'?"), "{code} {error}");
    let (code, _, error) = simulator(&quick(&["--json", "/nowhere/at/all.json"]));
    assert!(code == 3 && error.contains("cannot write /nowhere/at/all.json"), "{code} {error}");
}

/// Two replications of 200 decisions do not distinguish 0.25 from a little more or less.
#[test]
fn what_chance_could_explain_is_inconclusive_and_says_what_it_would_take() {
    let set = ["run", "opt-out", "--small", "--set", "horizon=200", "--set", "check.0.min=0.25", "--replications=2"];
    let (code, out, _) = simulator(&set);
    assert!(code == 4 && out.contains("replications would decide it"), "{code} {out}");
}

#[test]
fn json_goes_to_a_file_or_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("report.json");
    let (_, out, _) = simulator(&quick(&["--json", file.to_str().unwrap()]));
    assert!(out.contains("regret"), "{out}");
    let (_, stdout, error) = simulator(&quick(&["--json", "-", "--threads", "2"]));
    assert!(error.starts_with("seed 1\n"), "{error}");
    assert!(fs::read_to_string(&file).unwrap() == stdout, "the same bytes");
}

/// Each output is written, contains the verdict and the scenario, and is the same on a second run with other threads.
#[test]
fn a_run_is_written_for_colleagues_for_ci_and_for_a_pull_request() {
    let folder = tempfile::tempdir().unwrap();
    let write = |run: &str, threads: &str| {
        let names = ["page.html", "junit.xml", "comment.md"].map(|name| folder.path().join(format!("{run}-{name}")));
        let [html, junit, markdown] = names.each_ref().map(|name| name.to_str().unwrap());
        let (code, _, error) =
            simulator(&quick(&["--html", html, "--junit", junit, "--markdown", markdown, "--threads", threads]));
        assert!(matches!(code, 0 | 1 | 4), "{error}");
        names.map(|name| fs::read_to_string(name).unwrap())
    };
    let [html, junit, markdown] = write("one", "1");
    assert!(write("two", "3") == [html.clone(), junit.clone(), markdown.clone()], "the same bytes");

    let allow_dtd = roxmltree::ParsingOptions { allow_dtd: true, ..roxmltree::ParsingOptions::default() };
    let page = roxmltree::Document::parse_with_options(&html, allow_dtd).unwrap();
    assert!(page.descendants().filter(|node| node.has_tag_name("figure")).count() >= 5);
    assert!(html.contains("horizon = 300"), "the scenario as it was run, with what --set made of it");
    let suite = roxmltree::Document::parse(&junit).unwrap();
    let checks = small("stock-outs", &[]).scenario.check.len();
    assert_eq!(suite.descendants().filter(|node| node.has_tag_name("testcase")).count(), checks);
    assert_eq!(markdown.lines().next().unwrap().split(": ").count(), 2, "{markdown}");
    assert!(markdown.starts_with("### ") && markdown.contains(" stock-outs: "), "{markdown}");

    let (code, _, error) = simulator(&quick(&["--html", "/nowhere/at/all.html"]));
    assert!(code == 3 && error.contains("cannot write /nowhere/at/all.html"), "{code} {error}");
}

#[test]
fn scenarios_are_listed_explained_and_begun() {
    let (code, out, _) = simulator(&["list"]);
    assert_eq!((code, out.lines().count()), (0, shipped::names().count()));
    let (code, out, _) = simulator(&["explain", "offer"]);
    assert!(code == 0 && out.contains("twenty-percent") && out.contains("check: lift"), "{out}");
    let (code, out, _) = simulator(&["list", "--json"]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, listed["scenarios"].as_array().unwrap().len()), (0, shipped::names().count()));
    let (code, out, _) = simulator(&["explain", "offer", "--json", "--seed", "3"]);
    let explained: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && explained["check"].as_array().unwrap().len() > 1, "{out}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine");
    let file = file.to_str().unwrap();
    let (code, out, _) = simulator(&["new", file]);
    assert!(code == 0 && out.contains("mine.toml"), "{out}");
    let (code, out, error) = simulator(&["explain", &format!("{file}.toml")]);
    assert_eq!(code, 0, "{out} {error}");
    let (code, _, error) = simulator(&["new", file]);
    assert!(code == 3 && error.contains("mine.toml"), "a file is never overwritten: {error}");
}

#[test]
fn two_slots_are_compared_and_a_setting_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let bold = write("bold.toml", "slot_id = \"x\"\n[controls]\nexploration = 2.0\n[[arms]]\narm_id = \"a\"");
    let meek = write("meek.toml", "slot_id = \"x\"\n[controls]\nexploration = 0.1");
    let on = ["--on", "stock-outs"];
    let arguments: Vec<&str> = ["compare", &bold, &meek].into_iter().chain(on).chain(QUICK).collect();
    let (code, out, error) = simulator(&arguments);
    assert!(code == 0 && out.contains("bold") && out.contains("over meek"), "{out} {error}");
    let arguments: Vec<&str> = ["compare", &bold, &meek, "--json"].into_iter().chain(on).chain(QUICK).collect();
    let (code, out, _) = simulator(&arguments);
    let compared: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && compared["policies"][1]["name"] == "meek", "{out}");
    let broken = write("broken.toml", "slot_id = \"x\"\n[controls]\nexplration = 2.0");
    let arguments: Vec<&str> = ["compare", &bold, &broken].into_iter().chain(on).chain(QUICK).collect();
    let (code, _, error) = simulator(&arguments);
    assert!(code == 2 && error.contains("did you mean 'exploration'?"), "{code} {error}");
    let sweep = ["sweep", "stock-outs", "--over", "slot.controls.exploration=0,1,3"];
    let arguments: Vec<&str> = sweep.into_iter().chain(QUICK).collect();
    let (code, out, error) = simulator(&arguments);
    assert!(code == 0 && out.contains("slot.controls.exploration") && out.contains('█'), "{out} {error}");
    let arguments: Vec<&str> = sweep.into_iter().chain(QUICK).chain(["--json"]).collect();
    let (code, out, _) = simulator(&arguments);
    let swept: Value = serde_json::from_str(&out).unwrap();
    assert!(
        code == 0 && swept["runs"][2]["value"] == "3" && swept["runs"][2]["report"]["policies"].is_array(),
        "{out}"
    );
    let (code, _, _) = simulator(&["sweep", "stock-outs", "--over", "horizon"]);
    assert_eq!(code, 2);
}

/// The modules in reading order, as in the crate's documentation. Each may name those before it and itself.
const MODULES: [&str; 13] = [
    "order",
    "clock",
    "dataset",
    "scenario",
    "environment",
    "load",
    "report",
    "run",
    "live",
    "evaluate",
    "learning",
    "stress",
    "cli",
];

/// The source files below a folder, or the one file if `path` is a file.
fn source_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|entry| source_files(&entry));
    files.filter(|file| file.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The modules that code names, as `crate::name` or as the first name of an entry of `crate::{…}`.
fn modules_named(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(tree) = rest.strip_prefix('{') else {
            named.push(word(rest));
            continue;
        };
        let (mut depth, mut starts) = (1, true);
        for (at, character) in tree.char_indices() {
            depth += i32::from(character == '{') - i32::from(character == '}');
            if depth == 0 {
                break;
            }
            if starts && character.is_alphabetic() {
                named.push(word(&tree[at..]));
                starts = false;
            }
            starts |= depth == 1 && character == ',';
        }
    }
    named
}

#[test]
fn modules_depend_only_on_the_modules_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (position, module) in MODULES.iter().enumerate() {
        let file = source.join(format!("{module}.rs"));
        let files = source_files(&if file.exists() { file } else { source.join(module) });
        assert!(!files.is_empty(), "{module} has source files");
        for file in files {
            for named in modules_named(&file) {
                if !MODULES[..=position].contains(&named.as_str()) {
                    wrong.push(format!("{} names crate::{named}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_order_of_modules_names_every_module() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(MODULES.contains(&name) || ["lib", "main"].contains(&name), "{name} has no place in the order");
    }
}
