//! Tests of the copy for decisions.

use super::{thinning::QuietShop, *};
use crate::bandit::Scoring;

/// Names of the members without posteriors.
fn withheld(learner: &Learner) -> Vec<&'static str> {
    let without = |member: &&PortfolioMember| member.withheld;
    learner.portfolio().members.iter().filter(without).map(|member| member.spec.name()).collect()
}

/// Products of words are noise in this world, so decisions do without the models of many dimensions. The copy for
/// decisions scores every context as the original does, also after half of the evidence has faded.
#[test]
fn decisions_from_a_copy_without_idle_models_are_those_from_the_original() {
    let mut shop = QuietShop::new();
    assert!(shop.learner.for_decisions().is_none(), "nothing is known of the models yet");
    shop.play(4, true);
    let copy = shop.learner.for_decisions().unwrap();
    let names = withheld(&copy);
    assert!(names.contains(&"interactions") && names.contains(&"interactions_identity"), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("linear")), "{names:?}");
    for member in copy.portfolio().members.iter().filter(|member| member.withheld) {
        assert!(member.model.linear().unwrap().posterior(0).is_none(), "{}", member.spec.name());
    }
    assert!(withheld(&shop.learner).is_empty());
    let arms = [Some(0), Some(1), None];
    for faded in [0, HALF_LIFE_US] {
        let (want, got) = (shop.learner.faded(faded, HALF_LIFE_US), copy.faded(faded, HALF_LIFE_US));
        for words in [["a", "a", "b", "c"], ["c", "b", "a", "a"]] {
            let context = context(&words);
            let candidates = Candidates { arms: &arms, context: &context, own: None, attributes: None };
            let scores = |learner: &Learner| learner.scores(candidates, Scoring::new(1.0, 2, 7)).unwrap();
            let (want, got) = (scores(&want), scores(&got));
            assert_eq!(got.parts().len(), want.parts().len());
            for i in 0..arms.len() {
                assert_eq!(got.mean(i).to_bits(), want.mean(i).to_bits());
                assert_eq!(got.std(i).to_bits(), want.std(i).to_bits());
            }
        }
    }
}

/// A challenger may bring any model back, so all posteriors are published while one competes.
#[test]
fn nothing_is_withheld_while_a_challenger_competes() {
    let mut shop = QuietShop::new();
    shop.play(4, true);
    let mut portfolio = shop.learner.portfolio().clone();
    assert!(portfolio.for_decisions().is_some());
    portfolio.challenger = Some(Challenger::new(1, &portfolio.members, 0..1));
    assert!(portfolio.for_decisions().is_none());
}
