//! Names in terms, drift and checks: factors about a shopper and factors about arms.

use crate::slot::suggestion;

use super::{ArmAttribute, CatalogueSpec, Problem, Shoppers, TraitSpec};

/// A factor of the odds about a shopper: a number per visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShopperFactor {
    /// The constant 1.
    Always,
    /// 1 for this segment, else 0.
    Segment(usize),
    /// 1 for this intent, else 0.
    Intent(usize),
    /// 1 if a trait is this word, else 0: index of the trait by name, and of the word in the trait.
    Word(usize, usize),
    /// A trait that is a number: index of the trait by name.
    Number(usize),
    /// 1 for returning shoppers, else 0.
    Returning,
    /// 1 for new shoppers, else 0.
    New,
    /// The price sensitivity, 0 to 1.
    PriceSensitivity,
}

/// A factor of the odds about arms: a number per arm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArmFactor {
    /// The constant 1.
    Always,
    /// 1 for the arm of this id, else 0.
    Id(String),
    /// 1 if an attribute is this word, or a true flag for the word "true", else 0.
    Word(String, String),
    /// An attribute that is a number.
    Number(String),
    /// ln(price / the catalogue's median price), or 0 without a price.
    Price,
}

fn unknown(given: &str, what: &str, known: &[String]) -> Problem {
    let near = suggestion(given, known.iter().map(String::as_str));
    let rest = if near.is_empty() { format!("; there are {}", known.join(", ")) } else { near };
    Problem::new("", format!("{what} '{given}' is not known{rest}"))
}

/// Returns all factors about a shopper, by their names in terms.
pub fn shopper_factors(shoppers: &Shoppers) -> Vec<(String, ShopperFactor)> {
    let mut all = vec![
        ("returning".to_owned(), ShopperFactor::Returning),
        ("new".to_owned(), ShopperFactor::New),
        ("price_sensitivity".to_owned(), ShopperFactor::PriceSensitivity),
    ];
    all.extend(
        shoppers.segments.iter().enumerate().map(|(i, s)| (format!("segment:{}", s.name), ShopperFactor::Segment(i))),
    );
    all.extend(
        shoppers.intents.iter().enumerate().map(|(i, s)| (format!("intent:{}", s.name), ShopperFactor::Intent(i))),
    );
    for (i, (name, of)) in shoppers.traits.iter().enumerate() {
        match of {
            TraitSpec::Words(words) => {
                all.extend(words.keys().enumerate().map(|(j, w)| (format!("{name}:{w}"), ShopperFactor::Word(i, j))));
            }
            TraitSpec::Normal { .. } | TraitSpec::Uniform { .. } => all.push((name.clone(), ShopperFactor::Number(i))),
        }
    }
    all
}

/// Returns the factor that a term's `shopper` names.
pub fn shopper_factor(shoppers: &Shoppers, given: Option<&str>) -> Result<ShopperFactor, Problem> {
    let Some(given) = given else { return Ok(ShopperFactor::Always) };
    let all = shopper_factors(shoppers);
    if let Some((_, factor)) = all.iter().find(|(name, _)| name == given) {
        return Ok(*factor);
    }
    let known: Vec<String> = all.into_iter().map(|(name, _)| name).collect();
    Err(unknown(given, "what a shopper is:", &known))
}

/// Returns all factors about arms, by their names in terms, except those of ids.
fn arm_factors(catalogue: &CatalogueSpec) -> Vec<(String, ArmFactor)> {
    let mut all = vec![("price".to_owned(), ArmFactor::Price)];
    let mut add = |name: String, factor: ArmFactor| {
        if !all.iter().any(|(known, _)| *known == name) {
            all.push((name, factor));
        }
    };
    for (name, value) in catalogue.arms.iter().flat_map(|arm| &arm.attributes) {
        match value {
            ArmAttribute::Number(_) => add(name.clone(), ArmFactor::Number(name.clone())),
            ArmAttribute::Flag(flag) => add(format!("{name}:{flag}"), ArmFactor::Word(name.clone(), flag.to_string())),
            ArmAttribute::Word(word) => add(format!("{name}:{word}"), ArmFactor::Word(name.clone(), word.clone())),
        }
    }
    for (name, of) in catalogue.generated.iter().flat_map(|generated| &generated.attributes) {
        match of {
            TraitSpec::Words(words) => {
                for word in words.keys() {
                    add(format!("{name}:{word}"), ArmFactor::Word(name.clone(), word.clone()));
                }
            }
            TraitSpec::Normal { .. } | TraitSpec::Uniform { .. } => add(name.clone(), ArmFactor::Number(name.clone())),
        }
    }
    all
}

/// Returns the factor that a term's `arm` names.
pub fn arm_factor(catalogue: &CatalogueSpec, given: Option<&str>) -> Result<ArmFactor, Problem> {
    let Some(given) = given else { return Ok(ArmFactor::Always) };
    if let Some(id) = given.strip_prefix("arm:") {
        arm_id(catalogue, id)?;
        return Ok(ArmFactor::Id(id.to_owned()));
    }
    let all = arm_factors(catalogue);
    if let Some((_, factor)) = all.iter().find(|(name, _)| name == given) {
        return Ok(factor.clone());
    }
    let known: Vec<String> = all
        .into_iter()
        .map(|(name, _)| name)
        .chain(catalogue.arms.iter().map(|a| format!("arm:{}", a.arm_id)))
        .collect();
    Err(unknown(given, "what an arm is:", &known))
}

/// Checks that an arm of this id exists, listed or generated.
pub fn arm_id(catalogue: &CatalogueSpec, given: &str) -> Result<(), Problem> {
    let generated = catalogue.generated.as_ref().is_some_and(|generated| {
        let number = given.strip_prefix(&generated.prefix).and_then(|number| number.parse::<u32>().ok());
        number.is_some_and(|number| number < generated.count)
    });
    if generated || catalogue.arms.iter().any(|arm| arm.arm_id == given) {
        return Ok(());
    }
    let known: Vec<String> = catalogue.arms.iter().map(|arm| arm.arm_id.clone()).collect();
    Err(unknown(given, "the arm", &known))
}

/// Returns the names that `shoppers.context` may contain.
pub fn context_names(shoppers: &Shoppers) -> Vec<String> {
    let own = ["segment", "intent", "returning", "price_sensitivity", "step", "hour", "weekday"];
    own.into_iter().map(str::to_owned).chain(shoppers.traits.keys().cloned()).collect()
}

/// Returns the index of a name among others.
pub fn place<'a>(what: &str, given: &str, known: impl Iterator<Item = &'a str>) -> Result<usize, Problem> {
    let known: Vec<String> = known.map(str::to_owned).collect();
    known.iter().position(|name| name == given).ok_or_else(|| unknown(given, what, &known))
}
