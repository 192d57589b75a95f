//! Evaluation of conditions by the rules of CEL, with doubles for all numbers.
//!
//! * Only `&&` and `||` absorb an error, if the other side decides, in either order.
//! * Values of different types are unequal and have no order.
//! * Only lists and texts that the condition itself builds are allocated.
//!
//! The compiler has bounded the number of steps.
//!
//! Deliberately not here: the limits on conditions.

use std::borrow::Cow;

use super::{
    datum::{Datum, EvaluationError, compute},
    node::{ComparisonOperator, EachOperation, Expression, Owner, TextTest},
};
use crate::bandit::Features;

/// Values of the variables of a condition: a request, and possibly an arm.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvaluationScope<'a> {
    /// Features of the request.
    pub(super) context: &'a Features,
    /// Id of the subject, or an empty text if it is unknown.
    pub(super) subject_id: &'a str,
    /// Id of the session, or an empty text if it is unknown.
    pub(super) session_id: &'a str,
    /// Id of the arm, or an empty text without an arm.
    pub(super) arm_id: &'a str,
    /// Features of the arm in the slot.
    pub(super) attributes: Option<&'a Features>,
    /// Features of the arm in the request, which take precedence.
    pub(super) own: Option<&'a Features>,
}

impl<'a> EvaluationScope<'a> {
    fn field(&self, owner: Owner, name: &str) -> Option<Datum<'a>> {
        let given = |id: &'a str| (!id.is_empty()).then_some(Datum::Text(Cow::Borrowed(id)));
        match owner {
            Owner::Context => self.context.get(name).map(Datum::from_value),
            Owner::Subject => match name {
                "id" => given(self.subject_id),
                "session_id" => given(self.session_id),
                _ => None,
            },
            Owner::Arm if name == "id" => given(self.arm_id),
            Owner::Arm => {
                let of = |features: Option<&'a Features>| features.and_then(|features| features.get(name));
                of(self.own).or_else(|| of(self.attributes)).map(Datum::from_value)
            }
        }
    }
}

/// Values that were evaluated once for all arms of a request.
pub(super) type Hoisted<'a> = Vec<Result<Datum<'a>, EvaluationError>>;

/// Returns whether the condition holds.
pub(super) fn holds<'a>(
    node: &'a Expression,
    scope: &EvaluationScope<'a>,
    hoisted: &Hoisted<'a>,
) -> Result<bool, EvaluationError> {
    Evaluation { scope, hoisted, bound: Vec::new() }.flag(node)
}

/// Evaluates the subexpressions with one value for all arms of a request.
pub(super) fn evaluate_once<'a>(nodes: &'a [Expression], request: &EvaluationScope<'a>) -> Hoisted<'a> {
    let nothing = Hoisted::new();
    nodes.iter().map(|node| Evaluation { scope: request, hoisted: &nothing, bound: Vec::new() }.value(node)).collect()
}

struct Evaluation<'s, 'a> {
    scope: &'s EvaluationScope<'a>,
    hoisted: &'s Hoisted<'a>,
    /// Current values of the enclosing lists.
    bound: Vec<Datum<'a>>,
}

impl<'a> Evaluation<'_, 'a> {
    fn flag(&mut self, node: &'a Expression) -> Result<bool, EvaluationError> {
        match node {
            Expression::And(parts) => self.decided(parts, false),
            Expression::Or(parts) => self.decided(parts, true),
            Expression::Not(part) => Ok(!self.flag(part)?),
            Expression::Has(owner, name) => Ok(self.scope.field(*owner, name).is_some()),
            Expression::Compare(comparison, sides) => {
                let [a, b] = self.both(sides)?;
                match comparison {
                    ComparisonOperator::Equal => Ok(a.equals(&b)),
                    ComparisonOperator::NotEqual => Ok(!a.equals(&b)),
                    ComparisonOperator::Less => Ok(a.order(&b)?.is_lt()),
                    ComparisonOperator::AtMost => Ok(a.order(&b)?.is_le()),
                    ComparisonOperator::Greater => Ok(a.order(&b)?.is_gt()),
                    ComparisonOperator::AtLeast => Ok(a.order(&b)?.is_ge()),
                }
            }
            Expression::In(sides) => {
                let [value, list] = self.both(sides)?;
                list.has(&value)
            }
            Expression::InLiterals(value, literals) => {
                let value = self.value(value)?;
                Ok(literals.iter().any(|literal| Datum::from_literal(literal).equals(&value)))
            }
            Expression::HasOf(owner, name) => {
                let name = self.value(name)?;
                Ok(self.scope.field(*owner, name.text()?).is_some())
            }
            Expression::TextTest(test, sides) => {
                let [text, part] = self.both(sides)?;
                let (text, part) = (text.text()?, part.text()?);
                Ok(match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                })
            }
            Expression::Each(each, parts) => match each {
                EachOperation::All => self.decided_by_each(parts, false),
                EachOperation::Exists => self.decided_by_each(parts, true),
                EachOperation::ExistsOne => self.holds_for_one(parts),
                EachOperation::Filter | EachOperation::Map => Err(EvaluationError),
            },
            Expression::If(parts) => {
                let chosen = self.chosen(parts)?;
                self.flag(chosen)
            }
            Expression::Hoisted(place) => match self.hoisted.get(*place) {
                Some(Ok(value)) => value.flag(),
                Some(Err(_)) | None => Err(EvaluationError),
            },
            Expression::Literal(_)
            | Expression::Field(..)
            | Expression::FieldOf(..)
            | Expression::Bound(_)
            | Expression::Negate(_)
            | Expression::Compute(..)
            | Expression::List(_)
            | Expression::Index(_)
            | Expression::Size(_)
            | Expression::ToNumber(_)
            | Expression::ToWhole(_) => self.value(node)?.flag(),
        }
    }

    fn value(&mut self, node: &'a Expression) -> Result<Datum<'a>, EvaluationError> {
        match node {
            Expression::Literal(literal) => Ok(Datum::from_literal(literal)),
            Expression::Field(owner, name) => self.scope.field(*owner, name).ok_or(EvaluationError),
            Expression::FieldOf(owner, name) => {
                let name = self.value(name)?;
                self.scope.field(*owner, name.text()?).ok_or(EvaluationError)
            }
            Expression::Hoisted(place) => self.hoisted.get(*place).cloned().unwrap_or(Err(EvaluationError)),
            Expression::Bound(depth) => self.bound.get(*depth).cloned().ok_or(EvaluationError),
            Expression::Negate(part) => Ok(Datum::Number(-self.value(part)?.number()?)),
            Expression::If(parts) => {
                let chosen = self.chosen(parts)?;
                self.value(chosen)
            }
            Expression::Compute(arithmetic, sides) => {
                let [a, b] = self.both(sides)?;
                compute(*arithmetic, a, b)
            }
            Expression::List(nodes) => {
                Ok(Datum::List(nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?))
            }
            Expression::Index(sides) => {
                let [list, at] = self.both(sides)?;
                let (len, at) = (list.len()?, at.number()?);
                // A fraction, a negative number and a number beyond the end are no indices of the list.
                let found = (0..len).find(|&place| (place as f64).total_cmp(&at).is_eq());
                let found = found.and_then(|place| list.get(place));
                found.ok_or(EvaluationError)
            }
            Expression::Size(part) => {
                let value = self.value(part)?;
                let size = if let Datum::Text(text) = &value { text.chars().count() } else { value.len()? };
                Ok(Datum::Number(size as f64))
            }
            Expression::ToNumber(part) => {
                let value = self.value(part)?;
                let number = if let Datum::Text(text) = &value {
                    text.parse().map_err(|_| EvaluationError)
                } else {
                    value.number()
                };
                number.map(Datum::Number)
            }
            Expression::ToWhole(part) => {
                let value = self.value(part)?;
                if let Datum::Text(text) = &value {
                    return text.parse::<i64>().map(|whole| Datum::Number(whole as f64)).map_err(|_| EvaluationError);
                }
                let whole = value.number()?.trunc();
                if whole.abs() < WHOLE_END { Ok(Datum::Number(whole)) } else { Err(EvaluationError) }
            }
            Expression::Each(EachOperation::Filter, parts) => self.filtered(parts),
            Expression::Each(EachOperation::Map, parts) => self.mapped(parts),
            Expression::Has(..)
            | Expression::HasOf(..)
            | Expression::Not(_)
            | Expression::And(_)
            | Expression::Or(_)
            | Expression::Compare(..)
            | Expression::In(_)
            | Expression::InLiterals(..)
            | Expression::TextTest(..)
            | Expression::Each(EachOperation::All | EachOperation::Exists | EachOperation::ExistsOne, _) => {
                self.flag(node).map(Datum::Flag)
            }
        }
    }

    fn both(&mut self, [a, b]: &'a [Expression; 2]) -> Result<[Datum<'a>; 2], EvaluationError> {
        Ok([self.value(a)?, self.value(b)?])
    }

    fn chosen(&mut self, [condition, yes, no]: &'a [Expression; 3]) -> Result<&'a Expression, EvaluationError> {
        Ok(if self.flag(condition)? { yes } else { no })
    }

    /// Evaluates `&&` over the parts if `decisive` is `false`, and `||` if it is `true`. One part with the value `decisive`
    /// decides, even if others fail.
    fn decided(&mut self, parts: &'a [Expression], decisive: bool) -> Result<bool, EvaluationError> {
        let mut without = Ok(!decisive);
        for part in parts {
            match self.flag(part) {
                Ok(flag) if flag == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(EvaluationError) => without = Err(EvaluationError),
            }
        }
        without
    }

    /// Evaluates `&&` or `||` over the condition's values for each element of a list.
    fn decided_by_each(
        &mut self,
        [list, condition]: &'a [Expression; 2],
        decisive: bool,
    ) -> Result<bool, EvaluationError> {
        let list = self.value(list)?;
        let mut without = Ok(!decisive);
        for value in list.values()? {
            match self.with(value, |this| this.flag(condition)) {
                Ok(flag) if flag == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(EvaluationError) => without = Err(EvaluationError),
            }
        }
        without
    }

    fn holds_for_one(&mut self, [list, condition]: &'a [Expression; 2]) -> Result<bool, EvaluationError> {
        let list = self.value(list)?;
        let mut held = 0;
        for value in list.values()? {
            held += usize::from(self.with(value, |this| this.flag(condition))?);
        }
        Ok(held == 1)
    }

    fn filtered(&mut self, [list, condition]: &'a [Expression; 2]) -> Result<Datum<'a>, EvaluationError> {
        let list = self.value(list)?;
        let mut kept = Vec::new();
        for value in list.values()? {
            if self.with(value.clone(), |this| this.flag(condition))? {
                kept.push(value);
            }
        }
        Ok(Datum::List(kept))
    }

    fn mapped(&mut self, [list, made]: &'a [Expression; 2]) -> Result<Datum<'a>, EvaluationError> {
        let list = self.value(list)?;
        list.values()?.map(|value| self.with(value, |this| this.value(made))).collect::<Result<_, _>>().map(Datum::List)
    }

    fn with<T>(&mut self, value: Datum<'a>, then: impl FnOnce(&mut Self) -> T) -> T {
        self.bound.push(value);
        let result = then(self);
        self.bound.pop();
        result
    }
}

/// Bound beyond which a double is no whole number of 64 bits.
const WHOLE_END: f64 = 9_223_372_036_854_775_808.0;
