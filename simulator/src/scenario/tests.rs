//! Messages about mistakes in a scenario.

use std::fs;

use super::*;

/// Loads `text` laid over the offer scenario.
fn over_offer(text: &str, changes: &Changes) -> Result<Loaded, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    fs::write(&file, format!("extends = \"offer\"\n{text}")).unwrap();
    load(file.to_str().unwrap(), changes).map_err(|why| why.to_string())
}

#[track_caller]
fn refused(text: &str, wants: &[&str]) {
    let error = over_offer(text, &Changes::default()).unwrap_err();
    for want in wants {
        assert!(error.contains(want), "{error}\nwithout: {want}");
    }
}

#[test]
fn an_unknown_key_is_reported_with_its_path_and_a_correction() {
    refused("horizn = 5", &["mine: ", "unknown key 'horizn'; did you mean 'horizon'?"]);
    refused("[traffic]\nper_dy = 5", &["traffic", "'per_dy'; did you mean 'per_day'?"]);
    let segments = "[shoppers]\nsegments = [{ name = \"a\", shaer = 1 }]\ncontext = []";
    refused(segments, &["shoppers.segments[0]", "did you mean 'share'?"]);
    refused("[slot.controls]\nflor = 0.1", &["slot.controls", "did you mean 'floor'?"]);
    refused(
        "[policies.default.slot.controls]\nflor = 0.1",
        &["policies.default.slot.controls", "did you mean 'floor'?"],
    );
    refused("[small]\nhorizn = 5", &["small version", "did you mean 'horizon'?"]);
}

#[test]
fn a_misspelt_metric_or_name_is_reported_with_a_correction() {
    refused(
        "[[check]]\nmetric = \"lfit\"\nmin = 0",
        &["check[0].metric", "unknown value 'lfit'; did you mean 'lift'?"],
    );
    refused("[[check]]\nmetric = \"lift\"\nmin = 0\nover = \"unifrom\"", &["check[0].over", "did you mean 'uniform'?"]);
    let share = |of: &str| format!("[[check]]\nmetric = \"share\"\nmin = 0\n{of}");
    refused(&share("arm = \"gitf\""), &["check[0].arm", "did you mean 'gift'?"]);
    refused(&share("attribute = \"kind:discont\""), &["check[0].attribute", "did you mean 'kind:discount'?"]);
    refused(&share("arm = \"gift\"\nsegment = \"loyl\""), &["check[0].segment", "did you mean 'loyal'?"]);
    refused("[shoppers]\ncontext = [\"segmnt\"]", &["shoppers.context[0]", "did you mean 'segment'?"]);
    let drift = "[[drift]]\nweight = 1\nshopper = \"segment:lojal\"\ncourse = { abrupt = { at = 0.5 } }";
    refused(drift, &["drift[0].shopper", "did you mean 'segment:loyal'?"]);
}

#[test]
fn an_unknown_scenario_is_reported_with_a_near_name() {
    let error = load("serach-ranking", &Changes::default()).unwrap_err().to_string();
    assert!(error.contains("did you mean 'search-ranking'?"), "{error}");
    let error = load("/nowhere/a.toml", &Changes::default()).unwrap_err().to_string();
    assert!(error.contains("cannot read /nowhere/a.toml"), "{error}");
}

#[test]
fn invalid_values_are_refused_with_the_valid_range() {
    refused("horizon = 5", &["horizon: is 5; must be from 100"]);
    refused("replications = 1", &["checks need at least 2"]);
    refused("[traffic]\ndaily_swing = 1.5", &["traffic.daily_swing: is 1.5; must be from 0 to below 1"]);
    refused("[slot.controls]\nfloor = 2.0", &["controls.floor"]);
    refused("[[check]]\nmetric = \"lift\"\nmin = 0", &["check[0].over: is missing"]);
    refused("[[check]]\nmetric = \"lift\"\nover = \"uniform\"", &["say min, max or both"]);
    refused("[[check]]\nmetric = \"lift\"\nover = \"uniform\"\nmin = 0\narm = \"gift\"", &["does not go with lift"]);
    refused("[catalogue]\narms = []", &["there is nothing to show"]);
    refused("[behaviour]\nsteps = [{ kind = \"click\" }]", &["no step is of a kind that the slot's goal counts"]);
    refused("[[drift]]\ncourse = { abrupt = { at = 2 } }\nweight = 1", &["drift[0].course", "no part of the horizon"]);
}

#[test]
fn touchpoints_and_what_is_measured_there_are_validated() {
    let touchpoint = |keys: &str| format!("[[touchpoints]]\nname = \"search\"\n{keys}");
    refused(&touchpoint("shaer = 1"), &["touchpoints[0]", "did you mean 'share'?"]);
    refused(&touchpoint("opened = { chance = 2 }"), &["touchpoints[0].opened.chance: is 2"]);
    refused(&touchpoint("slot = { slot_id = \"x\" }"), &["touchpoints[0].slot.slot_id"]);
    refused(&touchpoint("slot = { cuont = 1 }"), &["touchpoints.search.slot", "did you mean 'count'?"]);
    refused(&touchpoint("[[touchpoints]]\nname = \"search\""), &["'search' stands there twice"]);
    let check = |keys: &str| format!("{}\n[[check]]\nmin = 0\n{keys}", touchpoint(""));
    let unknown = check("metric = \"reward_per_decision\"\ntouchpoint = \"serach\"");
    refused(&unknown, &["check[0].touchpoint", "did you mean 'search'?"]);
    refused(&check("metric = \"right_arm\""), &["right_arm is about one slot"]);
    refused(&check("metric = \"share\"\narm = \"gift\"\ntouchpoint = \"search\""), &["does not go with share"]);
    refused("[[check]]\nmetric = \"lift\"\nover = \"uniform\"\nmin = 0\nsince = \"shift\"", &["does not go with lift"]);
    let shopper_events = "shop.events = \"shopper\"\n[[check]]\nmetric = \"counted_error\"\nmax = 0";
    refused(shopper_events, &["counted_error needs reward events"]);
    refused("shop.evnts = \"shopper\"", &["shop", "did you mean 'events'?"]);
}

#[test]
fn settings_override_the_small_version_which_overrides_the_scenario() {
    let text = "horizon = 500\n[small]\nhorizon = 400\nreplications = 3";
    let of = |small: bool, set: &[&str]| {
        let set = set.iter().map(ToString::to_string).collect();
        over_offer(text, &Changes { small, set, policies: Vec::new() }).unwrap().scenario
    };
    assert_eq!((of(false, &[]).horizon, of(false, &[]).replications), (500, 20));
    assert_eq!((of(true, &[]).horizon, of(true, &[]).replications), (400, 3));
    assert_eq!(of(true, &["horizon=300"]).horizon, 300);
    let exploring = of(false, &["slot.controls.exploration=0.5", "policies.uniform.slot.controls.floor=0.25"]);
    let definition = slots::definition(&exploring, &exploring.policies[0]).unwrap();
    assert!((definition.controls.exploration() - 0.5).abs() < 1e-12);
    let uniform = exploring.policies.iter().find(|policy| policy.name == "uniform").unwrap();
    assert!((slots::definition(&exploring, uniform).unwrap().controls.floor() - 0.25).abs() < 1e-12);
}

#[test]
fn selecting_one_policy_keeps_only_the_checks_about_it() {
    let of = |policies: &[&str]| {
        let policies = policies.iter().map(ToString::to_string).collect();
        load("offer", &Changes { policies, ..Changes::default() })
    };
    let alone = of(&["default"]).unwrap().scenario;
    assert_eq!(alone.policies.len(), 1);
    assert!(!alone.check.is_empty() && alone.check.iter().all(|check| check.over.is_none()), "{:?}", alone.check);
    assert!(of(&["uniform"]).unwrap().scenario.check.is_empty());
    assert!(of(&["defalt"]).unwrap_err().to_string().contains("did you mean 'default'?"));
}

#[test]
fn scenarios_that_extend_each_other_in_a_circle_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.toml"), "extends = \"b.toml\"").unwrap();
    fs::write(folder.path().join("b.toml"), "extends = \"a.toml\"").unwrap();
    let error = load(folder.path().join("a.toml").to_str().unwrap(), &Changes::default()).unwrap_err().to_string();
    assert!(error.contains("come back to itself"), "{error}");
}

#[test]
fn every_shipped_scenario_and_the_template_load_in_both_versions() {
    for name in shipped::names() {
        for small in [false, true] {
            let loaded = load(name, &Changes { small, ..Changes::default() }).unwrap_or_else(|why| panic!("{why}"));
            assert!(!loaded.scenario.check.is_empty() && !loaded.scenario.shows.is_empty(), "{name}");
        }
    }
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/template.toml");
    load(template, &Changes::default()).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_scenario_written_as_toml_reads_back_the_same() {
    for name in shipped::names() {
        let loaded = load(name, &Changes::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("again.toml");
        fs::write(&file, toml::to_string_pretty(&loaded.scenario).unwrap()).unwrap();
        let again = load(file.to_str().unwrap(), &Changes::default()).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert_eq!(again.scenario, loaded.scenario, "{name}");
    }
}

/// Returns the policies of a file by their names and floors.
#[track_caller]
fn floors(text: &str) -> Result<Vec<(String, f64, usize)>, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("candidates.toml");
    fs::write(&file, text).unwrap();
    let found = policies(file.to_str().unwrap()).map_err(|why| why.to_string())?;
    Ok(found.into_iter().map(|(name, slot)| (name, slot.controls.floor(), slot.arms.len())).collect())
}

#[test]
fn policies_are_read_from_three_kinds_of_files() {
    let own = |name: &str, floor, arms| (name.to_owned(), floor, arms);
    let alone = "[slot]\ncontrols = { floor = 0.1 }\narms = [{ arm_id = \"a\", attributes = { price = 3 } }]\n\
                 [[policies]]\nname = \"plain\"\n[[policies]]\nname = \"less\"\nslot.controls.floor = 0.05\n\
                 [[policies]]\nname = \"not\"\nskip = true\n";
    assert_eq!(floors(alone), Ok(vec![own("plain", 0.1, 1), own("less", 0.05, 1)]));
    let document =
        "slot_id = \"offers\"\ncontrols = { floor = 0.02 }\narms = [{ arm_id = \"a\" }, { arm_id = \"b\" }]\n";
    assert_eq!(floors(document), Ok(vec![own("offers", 0.02, 2)]));
    let scenario = "extends = \"offer\"\nsmall = {}\npolicies = [{ name = \"mine\", slot = { controls = { floor = 0.03 } } }]\ncheck = []\nfaults = []\nbaseline = \"mine\"\n";
    assert_eq!(floors(scenario), Ok(vec![own("mine", 0.03, 0)]));
    let wrong = floors("slot_id = \"offers\"\ncontrols = { flor = 0.02 }\n").unwrap_err();
    assert_eq!(wrong, "candidates: controls.flor: unknown key 'flor'; did you mean 'floor'?");
}
