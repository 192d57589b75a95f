//! Rules as a whole: what conditions mean, how they are refused, and that all ways to evaluate them agree.

mod agreement;
mod conflicts;
mod effects;
mod meaning;
mod refusals;

use std::sync::Arc;

use super::{Effect, OnError, Rule};
use crate::{
    bandit::{Features, Value},
    slot::{Arm, ArmId},
};

fn rule(when: &str) -> Rule {
    Rule { name: "a rule".into(), when: when.into(), effect: Effect::Exclude, on_error: OnError::Ignore, paused: false }
}

fn features<const N: usize>(pairs: [(&str, Value); N]) -> Features {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn words(words: &[&str]) -> Value {
    Value::Texts(words.iter().map(|&word| word.to_owned()).collect())
}

fn arm(id: &str, attributes: Features) -> Arc<Arm> {
    let id = ArmId::parse("arm_id", id).unwrap();
    Arc::new(Arm { attributes, ..Arm::new(id) })
}
