//! Draft of a rule as its form has it, and the rule that it makes.

use serde::Deserialize;

use crate::{
    server::console::draft::{number, number_of},
    wire::proto::{self, evidence_effect::Than, rule::Effect},
};

const DAY_S: f64 = 24.0 * 3_600.0;

/// Rule as the form has it. An empty text is an unset field.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub(in crate::server::console) struct RuleDraft {
    /// Revision that the draft was made from.
    pub(super) revision: String,
    /// Name of the rule that is edited, or empty for a new one.
    pub(super) original: String,
    pub(super) name: String,
    pub(super) when: String,
    /// Kind of effect, by its name in the API.
    pub(super) effect: String,
    /// Meaning of a condition that fails: `exclude`, or empty.
    pub(super) on_error: String,
    /// The rule has no effect: `on`, or empty.
    pub(super) paused: String,
    /// Confidence, percent.
    pub(super) confidence: String,
    pub(super) reward: String,
    pub(super) position: String,
    pub(super) factor: String,
    /// Bounds, percent.
    pub(super) floor: String,
    pub(super) ceiling: String,
    pub(super) count: String,
    /// Time in which showings count, days.
    pub(super) window: String,
    pub(super) together: String,
    pub(super) attribute: String,
    pub(super) top: String,
    pub(super) min_values: String,
    pub(super) max_per_value: String,
    pub(super) positions: String,
    /// Reason of the change.
    pub(super) reason: String,
}

/// Returns the whole number of a field.
fn whole(label: &str, text: &str) -> Result<Option<u64>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.parse().map_err(|_| format!("{label}: '{text}' is no whole number; write it as 3"))?;
    Ok(Some(number))
}

fn needed<T>(label: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("{label}: is missing"))
}

fn small(label: &str, text: &str) -> Result<Option<u32>, String> {
    let number = whole(label, text)?;
    number.map(|number| u32::try_from(number).map_err(|_| format!("{label}: {number} is too large"))).transpose()
}

/// Returns a share, from per cent.
fn share(label: &str, text: &str) -> Result<Option<f64>, String> {
    match number_of(label, text, 100.0)? {
        Some(part) if !(0.0..=1.0).contains(&part) => Err(format!("{label}: must be from 0 to 100")),
        part => Ok(part),
    }
}

fn flag(on: bool) -> String {
    if on { "on".to_owned() } else { String::new() }
}

impl RuleDraft {
    /// Draft that is a rule as it is.
    pub(super) fn of(rule: &proto::Rule, revision: u64) -> Self {
        let exclude = rule.on_error == i32::from(proto::OnError::Exclude);
        let mut draft = Self {
            revision: revision.to_string(),
            original: rule.name.clone(),
            name: rule.name.clone(),
            when: rule.when.clone(),
            on_error: if exclude { "exclude".into() } else { String::new() },
            paused: flag(rule.paused),
            ..Self::default()
        };
        let whole = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
        let effect = match rule.effect.clone() {
            None => "",
            Some(Effect::Exclude(proto::ExcludeEffect {})) => "exclude",
            Some(Effect::Evidence(proto::EvidenceEffect { confidence, than })) => {
                draft.confidence = number(Some(confidence), 100.0);
                if let Some(Than::Reward(reward)) = than {
                    draft.reward = reward.to_string();
                }
                "evidence"
            }
            Some(Effect::Pin(proto::PinEffect { position })) => {
                draft.position = position.to_string();
                "pin"
            }
            Some(Effect::Boost(proto::BoostEffect { factor })) => {
                draft.factor = factor.to_string();
                "boost"
            }
            Some(Effect::Bounds(proto::BoundsEffect { floor, ceiling })) => {
                (draft.floor, draft.ceiling) = (number(floor, 100.0), number(ceiling, 100.0));
                "bounds"
            }
            Some(Effect::SubjectCap(proto::SubjectCapEffect { count, window, together })) => {
                let days = window.map(|window| (window.seconds as f64 + f64::from(window.nanos) / 1e9) / DAY_S);
                (draft.count, draft.window) = (count.to_string(), number(days, 1.0));
                draft.together = flag(together);
                "subject_cap"
            }
            Some(Effect::DayCap(proto::DayCapEffect { count, together })) => {
                (draft.count, draft.together) = (count.to_string(), flag(together));
                "day_cap"
            }
            Some(Effect::Quota(proto::QuotaEffect { attribute, top, min_values, max_per_value })) => {
                (draft.attribute, draft.top) = (attribute, top.to_string());
                (draft.min_values, draft.max_per_value) = (whole(min_values), whole(max_per_value));
                "quota"
            }
            Some(Effect::MaxMoves(proto::MaxMovesEffect { positions })) => {
                draft.positions = positions.to_string();
                "max_moves"
            }
        };
        effect.clone_into(&mut draft.effect);
        draft
    }

    /// Fields that are set, but for the reason.
    pub(super) fn set_fields(&self) -> Vec<(&'static str, &str)> {
        let head = [
            ("revision", &self.revision),
            ("original", &self.original),
            ("name", &self.name),
            ("when", &self.when),
            ("effect", &self.effect),
            ("on_error", &self.on_error),
            ("paused", &self.paused),
        ];
        let head = head.into_iter().map(|(name, value)| (name, value.as_str()));
        let own = self.effect_fields().into_iter().map(|field| (field.name, field.value));
        head.chain(own).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// Rule that the draft makes.
    ///
    /// # Errors
    ///
    /// A sentence that begins with the label of the field that is wrong.
    pub(super) fn rule(&self) -> Result<proto::Rule, String> {
        let effect = match self.effect.as_str() {
            "exclude" => Effect::Exclude(proto::ExcludeEffect {}),
            "evidence" => {
                let confidence = needed("Confidence, %", share("Confidence, %", &self.confidence)?)?;
                let reward = number_of("Reward to exceed", &self.reward, 1.0)?;
                let than = Some(reward.map_or(Than::Others(proto::OthersThan {}), Than::Reward));
                Effect::Evidence(proto::EvidenceEffect { confidence, than })
            }
            "pin" => {
                Effect::Pin(proto::PinEffect { position: needed("Position", small("Position", &self.position)?)? })
            }
            "boost" => {
                Effect::Boost(proto::BoostEffect { factor: needed("Factor", number_of("Factor", &self.factor, 1.0)?)? })
            }
            "bounds" => {
                let (floor, ceiling) = (share("At least, %", &self.floor)?, share("At most, %", &self.ceiling)?);
                if let (Some(least), Some(most)) = (floor, ceiling)
                    && least > most
                {
                    return Err("At least, %: is above “At most, %”; lower the one or raise the other".to_owned());
                }
                Effect::Bounds(proto::BoundsEffect { floor, ceiling })
            }
            "subject_cap" => {
                let days = needed("Within, days", number_of("Within, days", &self.window, 1.0)?)?;
                if !(0.0..=90.0).contains(&days) {
                    return Err("Within, days: must be at most 90".to_owned());
                }
                #[expect(clippy::cast_possible_truncation, reason = "checked to be at most 90 days")]
                let seconds = (days * DAY_S).round() as i64;
                Effect::SubjectCap(proto::SubjectCapEffect {
                    count: needed("Times", small("Times", &self.count)?)?,
                    window: Some(prost_types::Duration { seconds, nanos: 0 }),
                    together: self.together == "on",
                })
            }
            "day_cap" => Effect::DayCap(proto::DayCapEffect {
                count: needed("Times a day", whole("Times a day", &self.count)?)?,
                together: self.together == "on",
            }),
            "quota" => Effect::Quota(proto::QuotaEffect {
                attribute: self.attribute.trim().to_owned(),
                top: needed("Among the first", small("Among the first", &self.top)?)?,
                min_values: small("At least this many values", &self.min_values)?,
                max_per_value: small("At most this many arms of a value", &self.max_per_value)?,
            }),
            "max_moves" => Effect::MaxMoves(proto::MaxMovesEffect {
                positions: needed("Positions", small("Positions", &self.positions)?)?,
            }),
            _ => return Err("Effect: choose one of the list".to_owned()),
        };
        let on_error = if self.on_error == "exclude" { proto::OnError::Exclude } else { proto::OnError::Ignore };
        Ok(proto::Rule {
            name: self.name.trim().to_owned(),
            // Forms send the ends of lines as two characters.
            when: self.when.replace("\r\n", "\n").trim().to_owned(),
            effect: Some(effect),
            on_error: on_error.into(),
            paused: self.paused == "on",
        })
    }

    /// Returns the slot's rules with the draft's in its place, and that place. A new rule comes last.
    ///
    /// # Errors
    ///
    /// A sentence if a field is wrong, or if the rule that is edited is gone.
    pub(super) fn rules(&self, mut rules: Vec<proto::Rule>) -> Result<(Vec<proto::Rule>, usize), String> {
        let rule = self.rule()?;
        if self.original.is_empty() {
            rules.push(rule);
            let place = rules.len() - 1;
            return Ok((rules, place));
        }
        let Some(place) = rules.iter().position(|of| of.name == self.original) else {
            return Err(format!(
                "The rule '{}' is no longer there: somebody removed or renamed it. Open the rules again.",
                self.original
            ));
        };
        rules[place] = rule;
        Ok((rules, place))
    }
}

/// Returns an error of the API about the rule at a place, in the words of the form.
pub(super) fn in_words_of_the_form(message: &str, place: usize) -> String {
    let Some(rest) = message.strip_prefix(&format!("slot.rules[{place}].")) else {
        return message.strip_prefix("slot.").unwrap_or(message).to_owned();
    };
    let (field, text) = rest.split_once(": ").unwrap_or((rest, ""));
    let label = match field {
        "name" => "Name",
        "when" => "Condition",
        "effect" => "Effect",
        "evidence.confidence" => "Confidence",
        "evidence.reward" => "Reward to exceed",
        "pin.position" => "Position",
        "boost.factor" => "Factor",
        "bounds.floor" => "At least, as a part of 1",
        "bounds.ceiling" => "At most, as a part of 1",
        "subject_cap.count" => "Times",
        "subject_cap.window" => "Within",
        "day_cap.count" => "Times a day",
        "quota.attribute" => "Attribute",
        "quota.top" => "Among the first",
        "quota.min_values" => "At least this many values",
        "quota.max_per_value" => "At most this many arms of a value",
        "max_moves.positions" => "Positions",
        other => other,
    };
    format!("{label}: {text}")
}

#[cfg(test)]
mod tests {
    use super::{super::effects::EFFECTS, *};

    fn filled(effect: &str) -> RuleDraft {
        let text = |text: &str| text.to_owned();
        RuleDraft {
            name: text("a rule"),
            when: text("arm.id == \"x\"\r\n&& true"),
            effect: text(effect),
            confidence: text("95"),
            reward: text("0,02"),
            position: text("2"),
            factor: text("1.2"),
            floor: text("5"),
            ceiling: text("40"),
            count: text("3"),
            window: text("0.5"),
            together: text("on"),
            attribute: text("brand"),
            top: text("10"),
            min_values: text("3"),
            positions: text("0"),
            ..RuleDraft::default()
        }
    }

    #[test]
    fn a_draft_of_each_effect_makes_the_rule_that_it_was_read_from() {
        for (effect, _, _) in EFFECTS {
            let rule = filled(effect).rule().unwrap();
            assert_eq!(rule.when, "arm.id == \"x\"\n&& true");
            let draft = RuleDraft::of(&rule, 7);
            assert_eq!(draft.effect, effect);
            assert_eq!(draft.rule().unwrap(), rule, "{effect}");
            assert_eq!((draft.revision.as_str(), draft.original.as_str()), ("7", "a rule"));
            for field in draft.effect_fields() {
                let is_unset = field.name == "max_per_value";
                assert_eq!(field.value.is_empty(), is_unset, "{effect}: {}", field.name);
            }
        }
    }

    #[test]
    fn a_field_that_is_wrong_is_named_by_its_label() {
        let wrong = |effect: &str, edit: fn(&mut RuleDraft)| {
            let mut draft = filled(effect);
            edit(&mut draft);
            draft.rule().unwrap_err()
        };
        for (why, label) in [
            (wrong("pin", |draft| draft.position = "first".into()), "Position: 'first'"),
            (wrong("pin", |draft| draft.position = String::new()), "Position: is missing"),
            (wrong("bounds", |draft| draft.floor = "50".into()), "At least, %: is above"),
            (wrong("bounds", |draft| draft.floor = "150".into()), "At least, %: must be from 0 to 100"),
            (wrong("subject_cap", |draft| draft.window = "91".into()), "Within, days: must be at most 90"),
            (wrong("boost", |draft| draft.factor = "big".into()), "Factor: 'big' is no number"),
            (wrong("nonsense", |_| ()), "Effect"),
        ] {
            assert!(why.starts_with(label), "{why}");
        }
        let of_the_api = "slot.rules[1].when: line 1, column 1: 'arms' is not known";
        assert_eq!(in_words_of_the_form(of_the_api, 1), "Condition: line 1, column 1: 'arms' is not known");
        assert_eq!(in_words_of_the_form(of_the_api, 0), "rules[1].when: line 1, column 1: 'arms' is not known");
    }

    #[test]
    fn an_edited_rule_keeps_its_place_and_a_new_one_comes_last() {
        let named = |name: &str| proto::Rule { name: name.into(), ..proto::Rule::default() };
        let rules = vec![named("a"), named("b")];
        let edited = RuleDraft { original: "a".into(), ..filled("exclude") };
        let (after, place) = edited.rules(rules.clone()).unwrap();
        assert_eq!((after[0].name.as_str(), after.len(), place), ("a rule", 2, 0));
        let (after, place) = filled("exclude").rules(rules.clone()).unwrap();
        assert_eq!((after[2].name.as_str(), place), ("a rule", 2));
        let gone = RuleDraft { original: "c".into(), ..filled("exclude") };
        assert!(gone.rules(rules).unwrap_err().contains("no longer there"));
    }
}
