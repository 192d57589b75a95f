//! Limits of the controls, and controls of older snapshots.

use super::*;

/// Controls as they were before there was a policy.
#[derive(Serialize)]
struct Before {
    exploration: Option<f64>,
    floor: Option<f64>,
    ceiling: Option<f64>,
    half_life_us: Option<i64>,
    holdout: Option<f64>,
    freeze_learning: Option<bool>,
    safe_choice: Option<bool>,
}

#[test]
fn controls_from_before_there_was_a_policy_still_read() {
    let before = Before {
        exploration: Some(0.5),
        floor: None,
        ceiling: Some(0.9),
        half_life_us: Some(DAY_US),
        holdout: None,
        freeze_learning: None,
        safe_choice: Some(false),
    };
    let bytes = rmp_serde::to_vec_named(&before).unwrap();
    let want = Controls {
        exploration: Some(0.5),
        ceiling: Some(0.9),
        half_life_us: Some(DAY_US),
        safe_choice: Some(false),
        ..Controls::default()
    };
    assert_eq!(rmp_serde::from_slice::<Controls>(&bytes).unwrap(), want);
    assert_eq!(want.policy(), Policy::ThompsonSampling);
}

#[test]
fn a_policy_s_parameters_have_their_limits() {
    let field = |policy| Controls { policy: Some(policy), ..Controls::default() }.check().map_err(|e| e.field);
    for epsilon in [0.0, 0.05, 1.0] {
        assert_eq!(field(Policy::EpsilonGreedy { epsilon }), Ok(()));
    }
    for epsilon in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let want = Err("controls.policy.epsilon_greedy.epsilon".to_owned());
        assert_eq!(field(Policy::EpsilonGreedy { epsilon }), want);
    }
    assert_eq!(field(Policy::square_cb(None)), Ok(()));
    for gamma in [0.0, -1.0, 1e13, f64::NAN] {
        assert_eq!(field(Policy::SquareCb { gamma }), Err("controls.policy.square_cb.gamma".to_owned()));
    }
}
