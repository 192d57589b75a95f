//! Tests of imports: they teach the models, and nothing else.

use super::*;
use crate::engine::{Counters, ImportedObservation, ImportedPart, plan_import};

const HOUR: i64 = 3600 * 1_000_000;

fn observation(world: &StateHarness, age_us: i64, device: &str, arm: &str, reward: f64) -> ImportedObservation {
    ImportedObservation {
        at_us: world.at_us - age_us,
        context: Features::from([("device".to_owned(), Value::Text(device.to_owned()))]),
        arm: arm_id(arm),
        features: Features::new(),
        propensity: 0.5,
        reward,
    }
}

fn part(number: u32, observations: Vec<ImportedObservation>) -> ImportedPart {
    let (slot, why) = (slot_id(), ChangeReason::new("ann", "warm start"));
    ImportedPart { slot, import_id: "old-system".into(), part: number, observations, why }
}

impl StateHarness {
    fn import(&mut self, part: ImportedPart) -> Result<bool, crate::engine::ChangeError> {
        let body = plan_import(&self.state, self.at_us, part)?;
        let learned = body.is_some();
        body.map(|body| self.apply(body));
        Ok(learned)
    }

    /// Part of a log in which phones want `a` and others `b`.
    fn log(&self, number: u32, age_us: i64) -> ImportedPart {
        let row = |i: usize| {
            let (device, arm) = (["phone", "desktop"][i % 2], ["a", "b"][i / 2 % 2]);
            observation(self, age_us, device, arm, f64::from(u8::from((device == "phone") == (arm == "a"))))
        };
        part(number, (0..200).map(row).collect())
    }

    /// Share of decisions for this device that show `a`.
    fn share_of_a(&mut self, device: &str) -> f64 {
        let request =
            Request { context: Features::from([("device".to_owned(), Value::Text(device.to_owned()))]), ..request() };
        let shown = (0..200).map(|_| self.would_decide(request.clone(), &[]).decided.chosen[0].arm.clone());
        shown.filter(|arm| *arm == arm_id("a")).count() as f64 / 200.0
    }
}

#[test]
fn an_import_teaches_the_models_and_changes_no_count() {
    let mut world = StateHarness::new(definition(&["a", "b"]));
    let plain = snapshot::encode(&world.state).unwrap();
    assert!(!plain.windows(7).any(|word| word == b"imports"), "a slot without imports writes none");
    for number in 1..=5 {
        assert!(world.import(world.log(number, HOUR)).unwrap());
    }
    let (phone, desktop) = (world.share_of_a("phone"), world.share_of_a("desktop"));
    assert!(phone > 0.8 && desktop < 0.2, "{phone} and {desktop}");
    assert_eq!(world.counters(), Counters::default());
    // The fold: a snapshot in between, and each part once.
    let bytes = snapshot::encode(&world.state).unwrap();
    let decoded = snapshot::decode(&bytes).unwrap();
    assert!(decoded == world.state && snapshot::encode(&decoded).unwrap() == bytes);
    assert!(!world.import(world.log(3, HOUR)).unwrap(), "a repetition is not learned");
    assert_eq!(world.state.import_progress("offers", "old-system").unwrap().observations, 1_000);
    let missing = world.import(world.log(9, HOUR)).unwrap_err().to_string();
    assert!(missing.contains("send 6 next"), "{missing}");
    // A reset forgets the import with all else.
    world.change(Change::Reset).unwrap();
    assert!((0.2..0.8).contains(&world.share_of_a("phone")));
    assert!(world.import(world.log(1, HOUR)).unwrap());
}

#[test]
fn what_is_old_has_faded_and_what_is_wrong_is_refused() {
    let half_life = crate::slot::Controls::HALF_LIFE_US_DEFAULT;
    let mut world = StateHarness::new(definition(&["a", "b"]));
    for number in 1..=5 {
        world.import(world.log(number, 15 * half_life)).unwrap();
    }
    let phone = world.share_of_a("phone");
    assert!((0.2..0.8).contains(&phone), "fifteen half-lives leave nothing: {phone}");
    let mut refused = |observation: ImportedObservation, words: &str| {
        let why = world.import(part(6, vec![observation])).unwrap_err().to_string();
        assert!(why.contains(words), "{why}");
    };
    let of = StateHarness::new(definition(&["a", "b"]));
    refused(observation(&of, 0, "phone", "z", 1.0), "observations[0].arm_id");
    refused(observation(&of, -HOUR, "phone", "a", 1.0), "observations[0].time");
    world.update(|d| d.controls.freeze_learning = Some(true));
    assert!(world.import(world.log(6, HOUR)).unwrap_err().to_string().contains("frozen"));
}
