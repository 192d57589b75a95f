//! Tests of previews against brute force: the same past requests decided again and again under the changed slot.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{Availability, Estimate, SlotPreview, SlotView, preview},
    slot::{Baseline, Effect, ExplorationPreset, Mode, OnError, ProbabilityBounds, Rule, Stickiness},
};

const DECISIONS: usize = 160;
/// Number of times that brute force decides each past request.
const AGAIN: u64 = 30;
/// Number of previews of slates that are averaged, each with draws of its own.
const PREVIEWS: u64 = 10;
const ARMS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Returns the reward rate of an arm. Gold customers like another arm than the others do.
fn rate(arm: &str, gold: bool) -> f64 {
    match (arm, gold) {
        ("a", true) | ("b", false) => 0.6,
        ("c", _) => 0.35,
        _ => 0.15,
    }
}

fn shopper(rng: &mut StdRng) -> Request {
    let loyalty = ["gold", "none"][rng.random_range(0..2)];
    let id = if rng.random_bool(0.5) { format!("s{}", rng.random_range(0..90)) } else { String::new() };
    Request {
        subject: Subject { id, session_id: String::new() },
        context: [
            ("loyalty".to_owned(), Value::Text(loyalty.into())),
            ("hour".to_owned(), Value::Number(f64::from(rng.random_range(0..24)))),
        ]
        .into(),
        ..request()
    }
}

/// A slot that learned from [`DECISIONS`] decisions, some of them anonymous.
fn learned(edit: impl FnOnce(&mut Definition)) -> (StateHarness, Vec<(i64, Arc<DecisionRecord>)>) {
    let mut definition = definition(&ARMS);
    definition.controls.holdout = Some(0.0);
    definition.model = ModelSpec::linear(None, None);
    edit(&mut definition);
    let mut world = StateHarness::new(definition);
    let (mut rng, mut decisions) = (StdRng::seed_from_u64(11), Vec::new());
    for i in 0..DECISIONS {
        world.at_us += 60_000_000;
        let request = shopper(&mut rng);
        let gold = request.context["loyalty"] == Value::Text("gold".into());
        let decided = world.decide(request);
        for chosen in &decided.chosen {
            if rng.random_bool(rate(chosen.arm.as_str(), gold)) {
                let event = rewarded(&format!("e{i}-{}", chosen.arm), Some(decided.id), "click", None);
                world.send(RewardEvent { arm: Some(chosen.arm.clone()), ..event });
            }
        }
        decisions.push((world.at_us, decided));
    }
    (world, decisions)
}

fn view(world: &StateHarness) -> SlotView {
    world.state.slot("offers").unwrap().view()
}

/// Returns the changed slot.
fn draft(world: &StateHarness, change: Change) -> SlotView {
    let mut only = world.state.only(&slot_id());
    if let Some(body) = plan(&world.state, &slot_id(), change, &ChangeReason::default()).unwrap() {
        only.apply(&Event { at_us: world.at_us, body });
    }
    only.slot("offers").unwrap().view()
}

fn edited(world: &StateHarness, edit: impl FnOnce(&mut Definition)) -> SlotView {
    let mut definition = (**world.state.slot("offers").unwrap().definition()).clone();
    edit(&mut definition);
    draft(world, Change::Update { definition, revision: 0 })
}

fn previewed(world: &StateHarness, after: &SlotView, decisions: &[(i64, Arc<DecisionRecord>)]) -> SlotPreview {
    preview(&view(world), after, decisions, world.at_us)
}

fn rule(name: &str, when: &str, effect: Effect) -> Rule {
    Rule { name: name.into(), when: when.into(), effect, on_error: OnError::Ignore, paused: false }
}

fn again(decided: &DecisionRecord) -> Request {
    let candidate = |(arm, own): &(ArmId, Features)| RequestCandidate { arm: arm.clone(), features: own.clone() };
    Request {
        subject: decided.subject.clone(),
        context: decided.context.clone(),
        candidates: decided.candidates.iter().map(candidate).collect(),
        ..request()
    }
}

/// Result of deciding each request [`AGAIN`] times.
#[derive(Default)]
struct BruteForceDraws {
    n: f64,
    shown: BTreeMap<String, f64>,
    rewards: Vec<f64>,
    costs: Vec<f64>,
    fired: BTreeMap<String, f64>,
}

fn brute_force(view: &SlotView, decisions: &[(i64, Arc<DecisionRecord>)], now_us: i64) -> BruteForceDraws {
    let mut drawn = BruteForceDraws::default();
    for (i, (_, past)) in decisions.iter().enumerate() {
        for n in 0..AGAIN {
            let random = crate::engine::hash("brute force", &[&(i as u64).to_be_bytes(), &n.to_be_bytes()]);
            let id = DecisionId::new(view.number, now_us, random.other_word());
            let options = DecideOptions { already_shown: &past.already_shown, ..DecideOptions::new(id, random.word()) };
            let decided = decide(view, again(past), options).decided;
            drawn.n += 1.0;
            for chosen in &decided.chosen {
                *drawn.shown.entry(chosen.arm.to_string()).or_default() += 1.0;
            }
            let reward: f64 = decided.chosen.iter().map(|chosen| chosen.expected_reward).sum();
            drawn.rewards.push(reward);
            let policy = !decided.holdout && decided.fallback.is_none() && decided.shadow_slate.is_empty();
            drawn.costs.push(if policy { decided.best_expected - reward } else { 0.0 });
            for name in &decided.matched_rules {
                *drawn.fired.entry(name.clone()).or_default() += 1.0;
            }
        }
    }
    drawn
}

/// Returns the mean and its standard error.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// Returns the decisions with other ids, from which a preview's draws come.
fn renamed(decisions: &[(i64, Arc<DecisionRecord>)], n: u64) -> Vec<(i64, Arc<DecisionRecord>)> {
    let rename = |(i, (at_us, decided)): (u64, &(i64, Arc<DecisionRecord>))| {
        let id = DecisionId::new(decided.id.slot(), *at_us, n * 1_000_000 + i);
        (*at_us, Arc::new(DecisionRecord { id, ..(**decided).clone() }))
    };
    (0..).zip(decisions).map(rename).collect()
}

/// Compares a preview with brute force. With m draws a share is off by at most √(p(1−p)/m), a mean by its standard
/// error. Five of those, over the hundred or so figures that are compared, give a false alarm once in ten thousand
/// fresh seeds. The preview itself draws slates of several arms, once per request, so several previews are averaged.
#[track_caller]
fn check(what: &str, world: &StateHarness, decisions: &[(i64, Arc<DecisionRecord>)], after: &SlotView) -> SlotPreview {
    let preview = previewed(world, after, decisions);
    let drawn = brute_force(after, decisions, world.at_us);
    let slates = after.definition.count() > 1;
    let previews: Vec<SlotPreview> = if slates {
        (0..PREVIEWS).map(|n| previewed(world, after, &renamed(decisions, n))).collect()
    } else {
        vec![preview.clone()]
    };
    let said = |of: &dyn Fn(&SlotPreview) -> f64| previews.iter().map(of).sum::<f64>() / previews.len() as f64;
    let draws = if slates { 1.0 / (decisions.len() as f64 * PREVIEWS as f64) } else { 0.0 };
    for (at, arm) in preview.arms.iter().enumerate() {
        let got = drawn.shown.get(arm.arm.as_str()).copied().unwrap_or(0.0) / drawn.n;
        let said = said(&|preview| preview.arms[at].all.after.value);
        let error = (said * (1.0 - said).max(0.0) * (1.0 / drawn.n + draws)).sqrt();
        assert!((got - said).abs() <= 5.0 * error + 1e-9, "{what}: {}: {got} drawn, {said} previewed", arm.arm);
    }
    if !after.definition.controls.safe_choice() {
        let (reward, error) = mean(&drawn.rewards);
        let error = error * (1.0 + draws * drawn.n).sqrt();
        let said = said(&|preview| preview.expected_reward.after.value);
        assert!((reward - said).abs() <= 5.0 * error + 1e-9, "{what}: reward {reward} drawn, {said} previewed");
    }
    if !slates {
        let (cost, error) = mean(&drawn.costs);
        let said = preview.exploration_cost_per_1000.after.value / 1_000.0;
        assert!((cost - said).abs() <= 5.0 * error + 1e-9, "{what}: cost {cost} drawn, {said} previewed");
    }
    for rule in preview.rules.iter().filter(|rule| rule.fires.after.is_some()) {
        let got = drawn.fired.get(&rule.name).copied().unwrap_or(0.0) / drawn.n;
        let said = rule.fires.after.unwrap();
        let error = (said * (1.0 - said) / drawn.n).sqrt();
        assert!((got - said).abs() <= 5.0 * error + 1e-9, "{what}: '{}' {got} drawn, {said} previewed", rule.name);
    }
    // Figures that the preview took over from the present slot must be those that the changed slot gives by itself.
    let fresh = crate::engine::preview(after, after, decisions, world.at_us);
    for arm in &fresh.arms {
        let have = preview.arms.iter().find(|have| have.arm == arm.arm).unwrap();
        for (a, b) in [(have.all.after, arm.all.before), (have.policy.after, arm.policy.before)] {
            assert!((a.value - b.value).abs() < 1e-9, "{what}: {}: {a:?} against {b:?}", arm.arm);
            assert!((a.standard_error - b.standard_error).abs() < 1e-9, "{what}: {}: {a:?} against {b:?}", arm.arm);
        }
    }
    preview
}

#[test]
fn shares_and_rewards_are_those_of_brute_force() {
    let (world, decisions) = learned(|_| {});
    let controls = |what: &str, edit: fn(&mut crate::slot::Controls)| {
        let after = edited(&world, |d| edit(&mut d.controls));
        check(what, &world, &decisions, &after)
    };
    controls("nothing", |_| {});
    controls("holdout", |c| c.holdout = Some(0.3));
    controls("holdout, uniform", |c| (c.holdout, c.baseline) = (Some(0.4), Some(Baseline::Uniform)));
    controls("floor", |c| c.floor = Some(0.1));
    controls("ceiling", |c| c.ceiling = Some(0.4));
    controls("one arm's floor", |c| {
        c.arm_bounds.insert(arm_id("e"), ProbabilityBounds { floor: Some(0.25), ceiling: None });
    });
    controls("narrow", |c| c.exploration = Some(0.3));
    controls("wide", |c| c.exploration = Some(4.0));
    controls("best guess", |c| c.exploration = Some(0.0));
    controls("greedy", |c| c.policy = Some(Policy::EpsilonGreedy { epsilon: 0.2 }));
    controls("watch", |c| c.mode = Some(Mode::Shadow));
    controls("test", |c| c.mode = Some(Mode::Test(0.6)));
    controls("safe", |c| c.safe_choice = Some(true));
    let even = controls("even split", |c| c.preset = Some(ExplorationPreset::EvenSplit));
    assert!(even.arms.iter().all(|arm| (arm.policy.after.value - 0.2).abs() < 1e-12));
}

#[test]
fn changes_of_arms_and_of_the_model_are_previewed_alike() {
    let (world, decisions) = learned(|_| {});
    let pause = Change::SetAvailability(vec![(arm_id("a"), Availability::new(false))]);
    let paused = check("paused", &world, &decisions, &draft(&world, pause));
    assert!(paused.arms[0].all.after.value.abs() < f64::EPSILON);
    check("removed", &world, &decisions, &draft(&world, Change::RemoveArms(vec![arm_id("c")])));
    let new = Arm { id: arm_id("new"), ..(*definition(&["new"]).arms[0]).clone() };
    let added = check("added", &world, &decisions, &draft(&world, Change::UpsertArms(vec![new])));
    assert!(added.arms.last().is_some_and(|arm| arm.all.before.value == 0.0 && arm.all.after.value > 0.0));
    check("moved", &world, &decisions, &edited(&world, |d| d.arms.reverse()));
    check("portfolio", &world, &decisions, &edited(&world, |d| d.model = ModelSpec::default()));
    check("beta", &world, &decisions, &edited(&world, |d| d.model = ModelSpec::beta_bernoulli(None, None)));
}

#[test]
fn slates_are_previewed_by_how_often_each_arm_is_shown() {
    let (world, decisions) = learned(|d| d.count = Some(3));
    let nothing = check("slates", &world, &decisions, &view(&world));
    let sum: f64 = nothing.arms.iter().map(|arm| arm.all.after.value).sum();
    assert!((sum - 3.0).abs() < 1e-9, "three arms are shown: {sum}");
    check("slates, floor", &world, &decisions, &edited(&world, |d| d.controls.floor = Some(0.15)));
    let fewer = check("two", &world, &decisions, &edited(&world, |d| d.count = Some(2)));
    let sum: f64 = fewer.arms.iter().map(|arm| arm.all.after.value).sum();
    assert!((sum - 2.0).abs() < 1e-9, "requests that asked for the slot's number get its new one: {sum}");
    let pin = |d: &mut Definition| d.rules.push(rule("first", "arm.id == 'e'", Effect::Pin { position: 2 }));
    let pinned = check("pinned", &world, &decisions, &edited(&world, pin));
    assert!((pinned.arms[4].all.after.value - 1.0).abs() < 1e-9);
}

#[test]
fn rules_are_previewed_with_how_often_they_apply() {
    let (world, decisions) = learned(|d| d.controls.holdout = Some(0.2));
    let rules = |what: &str, rules: Vec<Rule>| check(what, &world, &decisions, &edited(&world, |d| d.rules = rules));
    let out = rule("no a for gold", "arm.id == 'a' && context.loyalty == 'gold'", Effect::Exclude);
    let gold = decisions.iter().filter(|(_, d)| d.context["loyalty"] == Value::Text("gold".into())).count();
    let preview = rules("exclude", vec![out.clone()]);
    let fires = preview.rules[0].fires.after.unwrap();
    assert!((fires - gold as f64 / DECISIONS as f64).abs() < 1e-12, "{fires}");
    assert_eq!((preview.rules[0].fires.before, preview.rules[0].keeps_out.after), (None, fires));
    rules("boost", vec![rule("more e", "arm.id == 'e'", Effect::Boost { factor: 3.0 })]);
    rules("pin", vec![rule("d first", "arm.id == 'd' && context.hour < 6", Effect::Pin { position: 1 })]);
    rules(
        "share",
        vec![out, rule("some c", "arm.id == 'c'", Effect::ProbabilityBounds { floor: Some(0.3), ceiling: None })],
    );
    let evidence = Effect::Evidence { confidence: 0.9, than: crate::slot::Comparand::Reward(0.3) };
    rules("evidence", vec![rule("sure", "arm.id in ['a', 'd']", evidence)]);
}

#[test]
fn one_decision_s_share_is_its_propensity() {
    let (mut world, decisions) = learned(|_| {});
    for past in decisions.iter().step_by(30) {
        let explained = world.would_decide(Request { explain: true, ..again(&past.1) }, &[]).explanation.unwrap();
        let preview = previewed(&world, &view(&world), std::slice::from_ref(past));
        for (arm, told) in preview.arms.iter().zip(&explained.candidates) {
            assert_eq!(arm.arm, told.arm);
            assert!((arm.policy.after.value - told.propensity).abs() < 1e-12, "{arm:?} {told:?}");
        }
    }
}

/// Two kinds of requests, 30 and 10 times: the variance of a share is that of a number that is p in three of four.
#[test]
fn alike_requests_count_as_often_as_they_came() {
    let (world, decisions) = learned(|_| {});
    let kinds: Vec<_> = [&decisions[0], &decisions[1]].into_iter().cloned().collect();
    assert_ne!(kinds[0].1.context, kinds[1].1.context);
    let alone = |at: usize| previewed(&world, &view(&world), &kinds[at..=at]).arms[0].policy.after.value;
    let (first, second) = (alone(0), alone(1));
    let many: Vec<_> = (0..40).map(|i| kinds[usize::from(i % 4 == 0)].clone()).collect();
    let got = previewed(&world, &view(&world), &many).arms[0].policy.after;
    let mean = 0.75 * first + 0.25 * second;
    let variance = 0.75 * (first - mean).powi(2) + 0.25 * (second - mean).powi(2);
    assert!((got.value - mean).abs() < 1e-12, "{got:?} against {mean}");
    assert!((got.standard_error - (variance / 39.0).sqrt()).abs() < 1e-12, "{got:?}");
}

#[test]
fn warnings_are_given() {
    let (world, decisions) = learned(|d| d.controls.holdout = Some(0.1));
    let warned = |edit: &dyn Fn(&mut Definition)| previewed(&world, &edited(&world, edit), &decisions).warnings;
    let has =
        |warnings: &[String], what: &str| assert!(warnings.iter().any(|w| w.contains(what)), "{what}: {warnings:?}");
    assert_eq!(warned(&|_| {}), Vec::<String>::new());
    has(&warned(&|d| d.controls.holdout = Some(0.005)), "holdout of 0.5 % is too small");
    has(&warned(&|d| d.controls.policy = Some(Policy::FixedOrder)), "'a' would be shown in 100.0 %");
    has(&warned(&|d| d.controls.policy = Some(Policy::FixedOrder)), "too seldom to learn");
    let even = Some(ExplorationPreset::EvenSplit);
    has(&warned(&|d| d.controls.preset = even), "expected reward per decision would fall");
    has(&warned(&|d| d.controls.preset = even), "cost of exploring would rise");
    has(&warned(&|d| (d.controls.preset, d.goal.currency) = (even, Some("EUR".into()))), " EUR to ");
    has(&warned(&|d| d.controls.stickiness = Some(Stickiness::Session)), "Stickiness is left out");
    has(&warned(&|d| d.controls.safe_choice = Some(true)), "everybody would get the baseline");
    has(&warned(&|d| d.model = ModelSpec::beta_bernoulli(None, None)), "The model would change");
    let never = rule("platinum", "context.loyalty == 'platinum'", Effect::Exclude);
    has(&warned(&|d| d.rules = vec![never.clone()]), "'platinum' would have applied to none");
    let nobody = rule("closed", "context.loyalty == 'gold'", Effect::Exclude);
    has(&warned(&|d| d.rules = vec![nobody.clone()]), "nothing would be eligible");
    let cap = rule("daily", "", Effect::DayCap { count: 5, together: true });
    has(&warned(&|d| d.rules = vec![cap.clone()]), "Caps are taken for not reached");
    let unknown = rule("typo", "context.loyality == 'gold'", Effect::Exclude);
    has(&warned(&|d| d.rules = vec![unknown.clone()]), "could not be evaluated in 100.0 %");
    let least = |min| Effect::ProbabilityBounds { floor: Some(min), ceiling: None };
    // Which arms this condition matches cannot be known before there is a request.
    let gold_or_none = "context.loyalty == 'gold' || arm.id == 'none'";
    let gold = rule("gold", gold_or_none, least(0.3));
    has(&warned(&|d| d.rules = vec![gold.clone()]), "the floors would add up to more than 100 %");
    let gold = rule("gold", gold_or_none, least(0.1));
    let warnings = warned(&|d| d.rules = vec![gold.clone()]);
    assert!(!warnings.iter().any(|w| w.contains("floors would add up")), "{warnings:?}");
    let few = previewed(&world, &view(&world), &decisions[..5]).warnings;
    has(&few, "Only 5 past decisions");
    let none = previewed(&world, &view(&world), &[]);
    has(&none.warnings, "no past decisions");
    assert_eq!((none.decisions_used, none.arms.len()), (0, 5));
}

#[test]
fn requests_that_name_arms_which_would_be_left_out_are_counted() {
    let (mut world, mut decisions) = learned(|_| {});
    for i in 0..60 {
        let candidate = |id: &str| RequestCandidate { arm: arm_id(id), features: Features::new() };
        let names = if i % 3 == 0 { ["a", "b"] } else { ["b", "c"] };
        let decided = world.decide(Request { candidates: names.map(candidate).to_vec(), ..request() });
        decisions.push((world.at_us, decided));
    }
    let after = draft(&world, Change::RemoveArms(vec![arm_id("a")]));
    let preview = previewed(&world, &after, &decisions);
    let warning = format!("{:.1} % of the past requests name arms", 100.0 * 20.0 / decisions.len() as f64);
    assert!(preview.warnings.iter().any(|w| w.starts_with(&warning)), "{:?}", preview.warnings);
    let sum: f64 = preview.arms.iter().map(|arm| arm.all.after.value).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
}

/// The sums are taken in the order of the parts, however the parts are divided among threads.
#[test]
fn parts_that_are_done_in_any_order_give_the_same_bits() {
    use crate::engine::Previewer;
    let (world, decisions) = learned(|d| d.count = Some(2));
    let (before, after) = (view(&world), edited(&world, |d| d.controls.floor = Some(0.1)));
    let previewer = Previewer::new(&before, &after, &decisions, world.at_us);
    let mut done: Vec<_> = (0..previewer.parts()).rev().map(|part| (part, previewer.part(part))).collect();
    done.sort_by_key(|(part, _)| *part);
    let parts = previewer.finish(done.into_iter().map(|(_, tally)| tally).collect());
    assert_eq!(parts, preview(&before, &after, &decisions, world.at_us));
}

/// Shares and rewards of a value are those of a preview by the decisions with that value alone.
#[test]
fn segments_are_previews_of_their_decisions() {
    let (world, decisions) = learned(|_| {});
    let after = edited(&world, |d| d.controls.exploration = Some(0.0));
    let all = previewed(&world, &after, &decisions);
    assert!(all.segments.iter().map(|segment| segment.value.as_str()).eq(["gold", "none"]));
    for segment in &all.segments {
        let with = |decided: &DecisionRecord| decided.context["loyalty"] == Value::Text(segment.value.clone());
        let own: Vec<_> = decisions.iter().filter(|(_, decided)| with(decided)).cloned().collect();
        let alone = previewed(&world, &after, &own);
        assert_eq!((segment.decisions, segment.arms.len()), (alone.decisions_used, 3));
        let near = |a: Estimate, b: Estimate| (a.value - b.value).hypot(a.standard_error - b.standard_error) < 1e-9;
        let (have, want) = (segment.expected_reward, alone.expected_reward);
        assert!(near(have.before, want.before) && near(have.after, want.after));
        assert!(near(segment.expected_reward_change, alone.expected_reward_change));
        for (arm, shown) in &segment.arms {
            let want = &alone.arms.iter().find(|of| of.arm == *arm).unwrap().all;
            assert!((shown.before - want.before.value).abs() < 1e-9 && (shown.after - want.after.value).abs() < 1e-9);
        }
    }
}
