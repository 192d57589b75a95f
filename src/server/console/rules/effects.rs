//! Effects of rules as their forms have them: kinds and fields.

use super::draft::RuleDraft;

/// Way in which a field of an effect is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    Number,
    Text,
    Tick,
}

/// Field of an effect.
#[derive(Debug)]
pub(super) struct EffectField<'a> {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) kind: FieldKind,
    pub(super) value: &'a str,
}

/// Kinds of effects: the name in the API, a name for people, and what an arm gets.
pub(super) const EFFECTS: [(&str, &str, &str); 9] = [
    ("exclude", "Keep away", "Arms are not shown, for instance no discounts for loyal shoppers."),
    ("pin", "Pin", "A position goes to one of the arms, for instance the campaign leads."),
    ("boost", "Push or lower", "Arms count as if they earned more, or less, for instance own brands."),
    ("bounds", "Share", "Arms get at least, or at most, a part of the decisions, for instance a partner."),
    ("subject_cap", "Not too often", "Arms are shown to one shopper a few times at most."),
    ("day_cap", "Budget per day", "Arms are shown a number of times a day at most, for instance vouchers."),
    ("evidence", "Only if it pays", "Arms are shown only once they proved that they earn enough."),
    ("quota", "Mix", "The first positions have different values of an attribute, for instance brands."),
    ("max_moves", "Stay near the order", "Arms stay within a few positions of the caller's order."),
];

impl RuleDraft {
    /// Fields of the draft's effect.
    pub(super) fn effect_fields(&self) -> Vec<EffectField<'_>> {
        use FieldKind::{Number, Text, Tick};
        let field = |name, label, hint, kind, value| EffectField { name, label, hint, kind, value };
        let together = field(
            "together",
            "Count all arms of the rule together",
            "Otherwise each counts by itself.",
            Tick,
            &self.together,
        );
        match self.effect.as_str() {
            "evidence" => vec![
                field(
                    "confidence",
                    "Confidence, %",
                    "From 50 to below 100, for instance 95.",
                    Number,
                    &self.confidence,
                ),
                field(
                    "reward",
                    "Reward to exceed",
                    "Per showing, in the goal's units. Empty means the best of the other arms.",
                    Number,
                    &self.reward,
                ),
            ],
            "pin" => vec![field("position", "Position", "1 is the first.", Number, &self.position)],
            "boost" => vec![field(
                "factor",
                "Factor",
                "1.2 counts a fifth more; below 1 lowers the arms.",
                Number,
                &self.factor,
            )],
            "bounds" => vec![
                field(
                    "floor",
                    "At least, %",
                    "Share of the decisions that each arm gets. Empty for no bound.",
                    Number,
                    &self.floor,
                ),
                field("ceiling", "At most, %", "Empty for no bound.", Number, &self.ceiling),
            ],
            "subject_cap" => vec![
                field("count", "Times", "Greatest number of showings to one shopper.", Number, &self.count),
                field(
                    "window",
                    "Within, days",
                    "Back from the decision; 0.5 is twelve hours. At most 90.",
                    Number,
                    &self.window,
                ),
                together,
            ],
            "day_cap" => vec![field("count", "Times a day", "Days are those of UTC.", Number, &self.count), together],
            "quota" => vec![
                field("attribute", "Attribute", "Attribute of the arms, for instance brand.", Text, &self.attribute),
                field("top", "Among the first", "Number of positions.", Number, &self.top),
                field("min_values", "At least this many values", "Empty for no bound.", Number, &self.min_values),
                field(
                    "max_per_value",
                    "At most this many arms of a value",
                    "Empty for no bound.",
                    Number,
                    &self.max_per_value,
                ),
            ],
            "max_moves" => vec![field(
                "positions",
                "Positions",
                "0 keeps the arms where the caller put them.",
                Number,
                &self.positions,
            )],
            _ => Vec::new(),
        }
    }
}
