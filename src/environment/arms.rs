//! The arms of one replication, written in the catalogue or generated from it.

use std::sync::Arc;

use crate::{
    bandit::{Features, Value},
    slot::{Arm, ArmId, FieldError},
    stats::math,
};

use super::coin::{Coins, Purpose};
use super::spec::{
    ArmAttribute, ArmSpec, CatalogueSpec, Generated, Period, TraitSpec,
    names::ArmFactor,
    time::{Moment, When},
};

/// Number of arms above which a report tells of groups instead.
const ARMS_REPORTED_MAX: usize = 50;

/// An arm with the facts that only the environment knows.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvironmentArm {
    /// The arm as the slot knows it.
    pub arm: Arc<Arm>,
    /// Log odds of the first funnel step, before terms.
    pub appeal: f64,
    /// The price that a shopper pays, or `None`.
    pub price: Option<f64>,
    /// The margin that the shop keeps, or `None`.
    pub margin: Option<f64>,
    /// The moment at which the arm joins the slot, or `None` if it is there from the start.
    pub launch: Option<When>,
    /// The moment at which the arm leaves the slot, or `None` if it stays.
    pub retire: Option<When>,
    /// Periods in which the arm is certainly out of stock.
    pub out_of_stock: Vec<Period>,
    /// Index of the arm's group among [`groups`].
    pub group: usize,
    coins: Coins,
}

impl EnvironmentArm {
    /// Returns whether the arm is in the slot.
    pub fn present(&self, now: Moment) -> bool {
        self.launch.is_none_or(|launch| launch.reached(now)) && self.retire.is_none_or(|retire| !retire.reached(now))
    }

    /// Returns whether the arm is in stock, in the stock period of this number.
    pub fn in_stock(&self, now: Moment, period: u64, share: f64) -> bool {
        let out = self.out_of_stock.iter().any(|out| out.from.reached(now) && !out.until.reached(now));
        !(out || share > 0.0 && self.coins.flip(Purpose::Stock, period, share))
    }

    /// Returns the value of a factor of the odds for this arm. Prices are in units of `median`.
    pub fn factor(&self, factor: &ArmFactor, median: f64) -> f64 {
        let yes = |applies: bool| f64::from(u8::from(applies));
        match factor {
            ArmFactor::Always => 1.0,
            ArmFactor::Id(id) => yes(self.arm.id.as_str() == id),
            ArmFactor::Word(name, word) => yes(match self.arm.attributes.get(name) {
                Some(Value::Text(have)) => have == word,
                Some(Value::Flag(have)) => have.to_string() == *word,
                Some(Value::Number(_) | Value::Texts(_) | Value::Vector(_)) | None => false,
            }),
            ArmFactor::Number(name) => match self.arm.attributes.get(name) {
                Some(Value::Number(number)) => *number,
                Some(Value::Text(_) | Value::Flag(_) | Value::Texts(_) | Value::Vector(_)) | None => 0.0,
            },
            ArmFactor::Price => self.price.map_or(0.0, |price| math::ln(price / median)),
        }
    }
}

/// Returns the names that the report tells shares of: arms, or groups of them if there are many.
pub fn groups(catalogue: &CatalogueSpec) -> Vec<String> {
    let CatalogueSpec { arms, generated, group_by, .. } = catalogue;
    let drawn = generated.as_ref().map_or(0, |generated| generated.count);
    if arms.len() + drawn as usize <= ARMS_REPORTED_MAX {
        let ids = generated.iter().flat_map(|of| (0..of.count).map(|i| format!("{}{i}", of.prefix)));
        return arms.iter().map(|arm| arm.arm_id.clone()).chain(ids).collect();
    }
    let mut words: Vec<String> = Vec::new();
    if let Some(name) = group_by {
        let own = arms.iter().filter_map(|arm| match arm.attributes.get(name) {
            Some(ArmAttribute::Word(word)) => Some(word.clone()),
            Some(ArmAttribute::Flag(_) | ArmAttribute::Number(_)) | None => None,
        });
        let drawn = generated.iter().flat_map(|of| match of.attributes.get(name) {
            Some(TraitSpec::Words(words)) => words.keys().cloned().collect(),
            Some(TraitSpec::Normal { .. } | TraitSpec::Uniform { .. }) | None => Vec::new(),
        });
        for word in own.chain(drawn) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
    }
    words.push("other".to_owned());
    words
}

fn group(catalogue: &CatalogueSpec, groups: &[String], arm: &Arm) -> usize {
    let last = groups.len().saturating_sub(1);
    let by_word = catalogue.group_by.as_ref().and_then(|name| match arm.attributes.get(name) {
        Some(Value::Text(word)) => groups.iter().position(|group| group == word),
        Some(_) | None => None,
    });
    groups.iter().position(|group| group == arm.id.as_str()).or(by_word).unwrap_or(last)
}

/// Draws a trait as an attribute of an arm.
fn drawn(of: &TraitSpec, coins: Coins, item: u64) -> Value {
    match of {
        TraitSpec::Words(words) => {
            let i = coins.pick(Purpose::Trait, 2 * item, words.values().copied());
            Value::Text(words.keys().nth(i).cloned().unwrap_or_default())
        }
        TraitSpec::Normal { mean, std } => Value::Number(mean + std * coins.normal(Purpose::Trait, item)),
        TraitSpec::Uniform { from, until } => {
            Value::Number(from + (until - from) * coins.fraction(Purpose::Trait, 2 * item))
        }
    }
}

/// Returns the arms of a replication, in the slot's order.
pub(super) fn arms(catalogue: &CatalogueSpec, seed: u64, replication: u64) -> Result<Vec<EnvironmentArm>, FieldError> {
    let groups = groups(catalogue);
    let mut all = Vec::new();
    for spec in &catalogue.arms {
        all.push(by_hand(spec)?);
    }
    if let Some(generated) = &catalogue.generated {
        for i in 0..generated.count {
            let coins = Coins::new("simulated arm", &[seed, replication, u64::from(i)]);
            all.push(one_drawn(generated, i, coins)?);
        }
    }
    for (i, arm) in (0_u64..).zip(&mut all) {
        arm.coins = Coins::new("simulated stock", &[seed, replication, i]);
        arm.group = group(catalogue, &groups, &arm.arm);
    }
    Ok(all)
}

fn by_hand(spec: &ArmSpec) -> Result<EnvironmentArm, FieldError> {
    let value = |value: &ArmAttribute| match value {
        ArmAttribute::Flag(flag) => Value::Flag(*flag),
        ArmAttribute::Number(number) => Value::Number(*number),
        ArmAttribute::Word(word) => Value::Text(word.clone()),
    };
    let mut attributes: Features = spec.attributes.iter().map(|(name, of)| (name.clone(), value(of))).collect();
    if let Some(price) = spec.price {
        attributes.entry("price".to_owned()).or_insert(Value::Number(price));
    }
    let arm = Arm { attributes, ..Arm::new(ArmId::parse("arm_id", &spec.arm_id)?) };
    Ok(EnvironmentArm {
        arm: Arc::new(arm),
        appeal: spec.appeal,
        price: spec.price,
        margin: spec.margin,
        launch: spec.launch,
        retire: spec.retire,
        out_of_stock: spec.out_of_stock.clone(),
        group: 0,
        coins: Coins::new("", &[]),
    })
}

fn one_drawn(of: &Generated, i: u32, coins: Coins) -> Result<EnvironmentArm, FieldError> {
    let mut attributes: Features =
        (0_u64..).zip(&of.attributes).map(|(item, (name, of))| (name.clone(), drawn(of, coins, item))).collect();
    let price = of.price.map(|median| median * math::exp(of.price_spread * coins.normal(Purpose::Value, 0)));
    if let Some(price) = price {
        attributes.entry("price".to_owned()).or_insert(Value::Number(price));
    }
    let later = i.saturating_sub(of.at_start.unwrap_or(of.count).saturating_sub(1));
    let after = |when: When, times: f64| match when {
        When::Part(part) => When::Part(part * times),
        When::After(span) => When::After(super::spec::time::Span { us: span.us * times }),
    };
    let launch = of.launch_every.filter(|_| later > 0).map(|every| after(every, f64::from(later)));
    let retire = of.stays.map(|stays| match (launch, stays) {
        (Some(When::Part(from)), When::Part(stays)) => When::Part(from + stays),
        (Some(When::After(from)), When::After(stays)) => {
            When::After(super::spec::time::Span { us: from.us + stays.us })
        }
        (_, stays) => stays,
    });
    let id = format!("{}{i}", of.prefix);
    let arm = Arm { attributes, ..Arm::new(ArmId::parse("arm_id", &id)?) };
    Ok(EnvironmentArm {
        arm: Arc::new(arm),
        appeal: of.appeal + of.appeal_std * coins.normal(Purpose::Arm, 0),
        price,
        margin: price.zip(of.margin_rate).map(|(price, rate)| price * rate),
        launch,
        retire,
        out_of_stock: Vec::new(),
        group: 0,
        coins,
    })
}
