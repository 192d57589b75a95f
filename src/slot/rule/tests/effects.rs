//! The ranges of an effect's numbers, and of a name.

use crate::slot::rule::{Comparand, Effect, OnError, Rule};

fn rule(effect: Effect) -> Rule {
    Rule { name: "a rule".into(), when: String::new(), effect, on_error: OnError::Ignore, paused: false }
}

/// One rule per effect, with numbers in their ranges.
fn good() -> Vec<Rule> {
    let quota =
        |min_values, max_per_value| Effect::Quota { attribute: "brand".into(), top: 10, min_values, max_per_value };
    [
        Effect::Exclude,
        Effect::Evidence { confidence: 0.5, than: Comparand::Others },
        Effect::Evidence { confidence: 0.999, than: Comparand::Reward(-2.5) },
        Effect::Pin { position: 1 },
        Effect::Boost { factor: 0.01 },
        Effect::Boost { factor: 100.0 },
        Effect::ProbabilityBounds { floor: Some(0.0), ceiling: None },
        Effect::ProbabilityBounds { floor: Some(0.2), ceiling: Some(0.2) },
        Effect::SubjectCap { count: 3, window_us: 24 * 3600 * 1_000_000, together: true },
        Effect::DayCap { count: 1, together: false },
        quota(Some(10), None),
        quota(None, Some(1)),
        Effect::MaxMoves { positions: 0 },
    ]
    .map(rule)
    .to_vec()
}

#[test]
fn rules_survive_a_snapshot_bit_for_bit() {
    for rule in good() {
        assert_eq!(rule.check(), Ok(()), "{rule:?}");
        let bytes = rmp_serde::to_vec_named(&rule).unwrap();
        assert_eq!(rmp_serde::from_slice::<Rule>(&bytes).unwrap(), rule);
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let quota =
        |top, min_values, max_per_value| Effect::Quota { attribute: "brand".into(), top, min_values, max_per_value };
    for (effect, field) in [
        (Effect::Evidence { confidence: 0.49, than: Comparand::Others }, "evidence.confidence"),
        (Effect::Evidence { confidence: 1.0, than: Comparand::Others }, "evidence.confidence"),
        (Effect::Evidence { confidence: f64::NAN, than: Comparand::Others }, "evidence.confidence"),
        (Effect::Evidence { confidence: 0.9, than: Comparand::Reward(f64::INFINITY) }, "evidence.reward"),
        (Effect::Pin { position: 0 }, "pin.position"),
        (Effect::Pin { position: 1_001 }, "pin.position"),
        (Effect::Boost { factor: 0.0 }, "boost.factor"),
        (Effect::Boost { factor: 100.1 }, "boost.factor"),
        (Effect::Boost { factor: f64::NAN }, "boost.factor"),
        (Effect::ProbabilityBounds { floor: None, ceiling: None }, "bounds"),
        (Effect::ProbabilityBounds { floor: Some(-0.1), ceiling: None }, "bounds.floor"),
        (Effect::ProbabilityBounds { floor: None, ceiling: Some(0.0) }, "bounds.ceiling"),
        (Effect::ProbabilityBounds { floor: None, ceiling: Some(1.1) }, "bounds.ceiling"),
        (Effect::ProbabilityBounds { floor: Some(0.3), ceiling: Some(0.2) }, "bounds.floor"),
        (Effect::SubjectCap { count: 0, window_us: 1_000_000, together: false }, "subject_cap.count"),
        (Effect::SubjectCap { count: 1, window_us: 999_999, together: false }, "subject_cap.window"),
        (Effect::SubjectCap { count: 1, window_us: i64::MAX, together: false }, "subject_cap.window"),
        (Effect::DayCap { count: 0, together: true }, "day_cap.count"),
        (quota(0, None, Some(1)), "quota.top"),
        (quota(10, None, None), "quota"),
        (quota(10, Some(11), None), "quota.min_values"),
        (quota(10, Some(0), None), "quota.min_values"),
        (quota(10, None, Some(0)), "quota.max_per_value"),
        (Effect::MaxMoves { positions: 1_001 }, "max_moves.positions"),
    ] {
        let rule = rule(effect);
        assert_eq!(rule.check().unwrap_err().field, field, "{rule:?}");
    }
}

#[test]
fn a_name_is_short_and_printable() {
    let named = |name: &str| Rule { name: name.into(), ..rule(Effect::Exclude) }.check().map_err(|e| e.field);
    assert_eq!(named("Kein Rabatt für Stammkunden"), Ok(()));
    assert_eq!(named(&"x".repeat(128)), Ok(()));
    for bad in ["", "  ", "a\nb", &"x".repeat(129)] {
        assert_eq!(named(bad), Err("name".to_owned()), "{bad:?}");
    }
}
