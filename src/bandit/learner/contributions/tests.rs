use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::*;
use crate::bandit::{
    Expansion, Features, LinearSpec, Link, ModelSpec, Scoring, Sharing, SlotTraits, Value,
    learner::tests::{observation, show},
};

fn text(word: &str) -> Value {
    Value::Text(word.to_owned())
}

/// Returns a shopper with a feature of every kind.
fn shopper(rng: &mut StdRng) -> Features {
    let count = rng.random_range(0..3);
    let likes = (0..count).map(|_| ["shoes", "hats", "bags"][rng.random_range(0..3)].to_owned()).collect();
    [
        ("loyalty", text(["gold", "silver", "none"][rng.random_range(0..3)])),
        ("age", Value::Number(rng.random_range(18.0..80.0))),
        ("gift", Value::Flag(rng.random_bool(0.3))),
        ("likes", Value::Texts(likes)),
        ("taste", Value::Vector(vec![rng.random_range(-2.0..2.0), rng.random_range(0.0..9.0)])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Returns a learner for which the reward of gold customers differs by arm and age reduces it.
fn taught(spec: ModelSpec, arms: u32) -> Learner {
    let mut learner = Learner::new(spec, SlotTraits::default());
    let mut rng = StdRng::seed_from_u64(5);
    for i in 0..400_u32 {
        let context = shopper(&mut rng);
        let gold = f64::from(context["loyalty"] == text("gold"));
        let Value::Number(age) = context["age"] else { unreachable!() };
        let y = 4.0 + 3.0 * gold * f64::from(i % arms) - 0.05 * age + rng.random_range(-1.0..1.0);
        show(&mut learner, &context, observation(i % arms, y));
    }
    learner
}

fn spec(expansion: Expansion, link: Link, sharing: Sharing) -> ModelSpec {
    let (link, sharing) = (Some(link), Some(sharing));
    ModelSpec::Linear(LinearSpec { link, sharing, expansion, prior_precision: 0.7, ..LinearSpec::default() })
}

fn candidates<'a>(arms: &'a [Option<u32>], context: &'a Features) -> Candidates<'a> {
    Candidates { arms, context, own: None, attributes: None }
}

fn means(learner: &Learner, arms: &[Option<u32>], context: &Features) -> Vec<f64> {
    let scores = learner.scores(candidates(arms, context), Scoring::new(1.0, 1, 3)).unwrap();
    (0..arms.len()).map(|i| scores.mean(i)).collect()
}

/// Returns the contributions of one arm, by name.
fn contributions_of(learner: &Learner, arm: u32, context: &Features) -> BTreeMap<String, f64> {
    learner.contributions(candidates(&[Some(arm)], context), usize::MAX).remove(0).into_iter().collect()
}

#[track_caller]
fn close(got: f64, want: f64) {
    assert!((got - want).abs() < 1e-9, "{got} against {want}");
}

/// Up to sixteen entries are not scaled down, so removing one changes no other contribution.
#[test]
fn removing_a_feature_removes_its_contribution_only() {
    let learner = taught(spec(Expansion::None, Link::Identity, Sharing::Disjoint), 3);
    let mut rng = StdRng::seed_from_u64(6);
    for _ in 0..50 {
        let context = shopper(&mut rng);
        let all = means(&learner, &[Some(2)], &context)[0];
        let contributions = contributions_of(&learner, 2, &context);
        for feature in context.keys() {
            let mut without = context.clone();
            without.remove(feature);
            let of_feature = contributions
                .iter()
                .filter(|(name, _)| *name == feature || name.starts_with(&format!("{feature}=")))
                .map(|(_, amount)| amount);
            close(of_feature.sum(), all - means(&learner, &[Some(2)], &without)[0]);
        }
        close(contributions["(arm)"], means(&learner, &[Some(2)], &Features::new())[0]);
    }
}

#[test]
fn words_numbers_flags_and_lists_have_their_names() {
    let learner = taught(spec(Expansion::None, Link::Identity, Sharing::Disjoint), 3);
    let context: Features = [
        ("loyalty", text("gold")),
        ("age", Value::Number(70.0)),
        ("gift", Value::Flag(false)),
        ("likes", Value::Texts(vec!["shoes".into(), "unheard of".into(), "bags".into()])),
        ("taste", Value::Vector(vec![1.0, 2.0])),
        ("never met", text("x")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    let names: Vec<String> = contributions_of(&learner, 1, &context).into_keys().collect();
    assert_eq!(names, ["(arm)", "age", "gift=no", "likes=bags", "likes=shoes", "loyalty=gold", "taste"]);
    // Gold pays 6 more for this arm, three times as much as the next feature does.
    let most = learner.contributions(candidates(&[Some(2)], &context), 2).remove(0);
    assert_eq!(most.len(), 2);
    assert_eq!(most[0].0, "loyalty=gold");
    assert!(most[0].1 > 2.0 && most[1].1.abs() < most[0].1, "{most:?}");
}

/// One pair of words each: the difference of differences of four means is that of the products.
#[test]
fn products_have_both_names_and_equal_the_joint_effect() {
    let mut learner =
        Learner::new(spec(Expansion::Interactions, Link::Identity, Sharing::Disjoint), SlotTraits::default());
    let pair = |a: &str, b: &str| -> Features { [("a".to_owned(), text(a)), ("b".to_owned(), text(b))].into() };
    let mut rng = StdRng::seed_from_u64(9);
    for i in 0..200 {
        let (a, b) = (["x", "y"][i % 2], ["u", "v"][i / 2 % 2]);
        let y = f64::from(u8::from(a == "x" && b == "u")) * 5.0 + rng.random_range(-1.0..1.0);
        show(&mut learner, &pair(a, b), observation(0, y));
    }
    let (mut of_means, mut of_products) = (0.0, 0.0);
    for (a, b, sign) in [("x", "u", 1.0), ("x", "v", -1.0), ("y", "u", -1.0), ("y", "v", 1.0)] {
        of_means += sign * means(&learner, &[Some(0)], &pair(a, b))[0];
        // The names are in alphabetical order.
        let told = contributions_of(&learner, 0, &pair(a, b));
        let product = told.get(&format!("a={a} × b={b}")).or_else(|| told.get(&format!("b={b} × a={a}")));
        of_products += sign * product.unwrap();
    }
    close(of_products, of_means);
    assert!(of_products > 2.0, "{of_products}");
    let age: Features = [("age".to_owned(), Value::Number(3.0))].into();
    for n in 0..5 {
        let age = Features::from([("age".to_owned(), Value::Number(f64::from(n * n)))]);
        show(&mut learner, &age, observation(0, f64::from(n)));
    }
    assert!(contributions_of(&learner, 0, &age).contains_key("age²"));
}

/// Contributions add up for all models and for arms that were never shown.
#[test]
fn contributions_add_up_to_the_linear_predictor() {
    let mut rng = StdRng::seed_from_u64(7);
    for expansion in [Expansion::None, Expansion::Interactions, Expansion::Fourier] {
        for (sharing, arms) in [(Sharing::Disjoint, 3), (Sharing::Shared, 3), (Sharing::Opposed, 2)] {
            let learner = taught(spec(expansion, Link::Identity, sharing), arms);
            let arms = [Some(0), if arms == 2 { Some(1) } else { None }];
            for _ in 0..20 {
                let context = shopper(&mut rng);
                let contributions = learner.contributions(candidates(&arms, &context), usize::MAX);
                for (of_arm, mean) in contributions.iter().zip(means(&learner, &arms, &context)) {
                    close(of_arm.iter().map(|c| c.1).sum(), mean);
                    let nonlinear = of_arm.iter().any(|c| c.0 == "numbers (nonlinear)");
                    assert!(!nonlinear || expansion == Expansion::Fourier, "{of_arm:?}");
                }
            }
        }
    }
}

#[test]
fn a_candidate_s_own_features_contribute_to_it_alone() {
    let mut learner = Learner::new(spec(Expansion::None, Link::Identity, Sharing::Shared), SlotTraits::default());
    let (context, mut rng) = (Features::new(), StdRng::seed_from_u64(8));
    let price = |price: f64| Features::from([("price".to_owned(), Value::Number(price))]);
    for i in 0..100_u32 {
        let own = price(rng.random_range(1.0..9.0));
        let rows = learner.meet(&[crate::bandit::RowFeatures {
            candidate: Some(&own),
            ..crate::bandit::RowFeatures::from_context(&context)
        }]);
        let Value::Number(value) = own["price"] else { unreachable!() };
        learner.observe(observation(i % 2, 10.0 - value), &rows[0]);
    }
    let (cheap, dear) = (price(1.0), price(9.0));
    let own = [&cheap, &dear];
    let asked = Candidates { own: Some(&own), ..candidates(&[Some(0), Some(1)], &context) };
    let got = learner.contributions(asked, 5);
    let amount = |i: usize| got[i].iter().find(|c| c.0 == "candidate.price").unwrap().1;
    assert!(amount(0) > 1.0 && amount(1) < -1.0, "{got:?}");
}

#[test]
fn models_without_features_have_no_contributions() {
    let learner = Learner::new(ModelSpec::beta_bernoulli(None, None), SlotTraits::default());
    let (arms, context) = ([Some(0), None], Features::new());
    assert_eq!(learner.contributions(candidates(&arms, &context), 5), vec![Vec::new(), Vec::new()]);
}
