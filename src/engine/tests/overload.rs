//! Tests of a slot whose decisions wait to be written.

use super::*;

/// Decisions wait for some seconds, and those that are rewarded go ahead with their rewards, so the others are a long silence once
/// they are written. That is no change of the world, and nothing that was learned is given up.
#[test]
fn a_backlog_of_silence_is_no_change_of_the_world() {
    for rate in [0.05, 0.3] {
        let mut world = StateHarness::new(Definition { model: ModelSpec::default(), ..definition(&["a", "b"]) });
        let mut rng = StdRng::seed_from_u64(33);
        let mut number = 0;
        let mut next = |world: &mut StateHarness| {
            world.at_us += 10_000;
            number += 1;
            (format!("e{number}"), Arc::new(world.would_decide(request(), &[]).decided))
        };
        for _ in 0..4 {
            for _ in 0..1_500 {
                let (event, decided) = next(&mut world);
                world.apply(Body::Decided(Arc::clone(&decided)));
                if rng.random_bool(rate) {
                    world.reward(&event, &decided, "click", None);
                }
            }
            let mut waiting = Vec::new();
            for _ in 0..800 {
                let (event, decided) = next(&mut world);
                if rng.random_bool(rate) {
                    world.apply(Body::Decided(Arc::clone(&decided)));
                    world.reward(&event, &decided, "click", None);
                } else {
                    waiting.push(decided);
                }
            }
            for decided in waiting {
                world.at_us += 100;
                world.apply(Body::Decided(decided));
            }
        }
        let view = world.state.slot("offers").unwrap().view();
        let report = report(&view);
        assert_eq!(report.changes_found, 0, "rate {rate}");
        let shown: u64 = report.arms.iter().map(|arm| arm.shown).sum();
        let effective: f64 = report.arms.iter().map(|arm| arm.effective_observations).sum();
        assert!(effective > 0.8 * shown as f64, "{effective} of {shown}");
    }
}
