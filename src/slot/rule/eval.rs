//! Evaluation of conditions by the rules of CEL, with doubles for all numbers.
//!
//! * Only `&&` and `||` absorb an error, if the other side decides, in either order.
//! * Values of different types are unequal and have no order.
//! * Only lists and texts that the condition itself builds are allocated.
//!
//! The compiler has bounded the number of steps.
//!
//! Deliberately not here: the limits on conditions.

use std::{borrow::Cow, cmp::Ordering};

use super::node::{Arithmetic, ComparisonOperator, EachOperation, Literal, Node, Owner, TextTest};
use crate::bandit::{Features, Value};

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
            Owner::Context => self.context.get(name).map(Datum::of),
            Owner::Subject => match name {
                "id" => given(self.subject_id),
                "session_id" => given(self.session_id),
                _ => None,
            },
            Owner::Arm if name == "id" => given(self.arm_id),
            Owner::Arm => {
                let of = |features: Option<&'a Features>| features.and_then(|features| features.get(name));
                of(self.own).or_else(|| of(self.attributes)).map(Datum::of)
            }
        }
    }
}

/// Error of an expression without a value: a feature is missing, or a value has a type without this operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EvaluationError;

/// Value of an expression.
#[derive(Debug, Clone)]
pub(super) enum Datum<'a> {
    Flag(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Words(&'a [String]),
    Numbers(&'a [f32]),
    List(Vec<Datum<'a>>),
}

impl<'a> Datum<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(Cow::Borrowed(text)),
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Texts(words) => Self::Words(words),
            Value::Vector(numbers) => Self::Numbers(numbers),
        }
    }

    fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Flag(flag) => Self::Flag(*flag),
            Literal::Number(number) => Self::Number(*number),
            Literal::Text(text) => Self::Text(Cow::Borrowed(text)),
        }
    }

    fn flag(&self) -> Result<bool, EvaluationError> {
        if let Self::Flag(flag) = self { Ok(*flag) } else { Err(EvaluationError) }
    }

    fn number(&self) -> Result<f64, EvaluationError> {
        if let Self::Number(number) = self { Ok(*number) } else { Err(EvaluationError) }
    }

    fn text(&self) -> Result<&str, EvaluationError> {
        if let Self::Text(text) = self { Ok(text) } else { Err(EvaluationError) }
    }

    /// Number of values of a list, or of characters of a text.
    fn len(&self) -> Result<usize, EvaluationError> {
        match self {
            Self::Words(words) => Ok(words.len()),
            Self::Numbers(numbers) => Ok(numbers.len()),
            Self::List(list) => Ok(list.len()),
            Self::Flag(_) | Self::Number(_) | Self::Text(_) => Err(EvaluationError),
        }
    }

    /// Value of a list at an index.
    fn get(&self, at: usize) -> Option<Datum<'a>> {
        match self {
            Self::Words(words) => words.get(at).map(|word| Self::Text(Cow::Borrowed(word))),
            Self::Numbers(numbers) => numbers.get(at).map(|number| Self::Number(f64::from(*number))),
            Self::List(list) => list.get(at).cloned(),
            Self::Flag(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }

    fn values(&self) -> Result<impl Iterator<Item = Datum<'a>>, EvaluationError> {
        let len = self.len()?;
        Ok((0..len).filter_map(|at| self.get(at)))
    }

    fn has(&self, value: &Datum<'_>) -> Result<bool, EvaluationError> {
        match (self, value) {
            (Self::Words(words), Datum::Text(text)) => Ok(words.iter().any(|word| word == text)),
            (list, value) => Ok(list.values()?.any(|other| other.equals(value))),
        }
    }

    #[expect(clippy::float_cmp, reason = "a rule that compares with == means just that")]
    fn equals(&self, other: &Datum<'_>) -> bool {
        match (self, other) {
            (Self::Flag(a), Datum::Flag(b)) => a == b,
            (Self::Number(a), Datum::Number(b)) => a == b,
            (Self::Text(a), Datum::Text(b)) => a == b,
            (a, b) => match (a.len(), b.len()) {
                (Ok(these), Ok(those)) if these == those => (0..these).all(|at| match (a.get(at), b.get(at)) {
                    (Some(a), Some(b)) => a.equals(&b),
                    _ => false,
                }),
                _ => false,
            },
        }
    }

    fn order(&self, other: &Datum<'_>) -> Result<Ordering, EvaluationError> {
        match (self, other) {
            (Self::Flag(a), Datum::Flag(b)) => Ok(a.cmp(b)),
            (Self::Number(a), Datum::Number(b)) => a.partial_cmp(b).ok_or(EvaluationError),
            (Self::Text(a), Datum::Text(b)) => Ok(a.as_ref().cmp(b.as_ref())),
            _ => Err(EvaluationError),
        }
    }
}

/// Values that were evaluated once for all arms of a request.
pub(super) type Hoisted<'a> = Vec<Result<Datum<'a>, EvaluationError>>;

/// Returns whether the condition holds.
pub(super) fn holds<'a>(
    node: &'a Node,
    scope: &EvaluationScope<'a>,
    hoisted: &Hoisted<'a>,
) -> Result<bool, EvaluationError> {
    Evaluation { scope, hoisted, bound: Vec::new() }.flag(node)
}

/// Evaluates the subexpressions with one value for all arms of a request.
pub(super) fn evaluate_once<'a>(nodes: &'a [Node], request: &EvaluationScope<'a>) -> Hoisted<'a> {
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
    fn flag(&mut self, node: &'a Node) -> Result<bool, EvaluationError> {
        match node {
            Node::And(parts) => self.decided(parts, false),
            Node::Or(parts) => self.decided(parts, true),
            Node::Not(part) => Ok(!self.flag(part)?),
            Node::Has(owner, name) => Ok(self.scope.field(*owner, name).is_some()),
            Node::Compare(comparison, sides) => {
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
            Node::In(sides) => {
                let [value, list] = self.both(sides)?;
                list.has(&value)
            }
            Node::InLiterals(value, literals) => {
                let value = self.value(value)?;
                Ok(literals.iter().any(|literal| Datum::of_literal(literal).equals(&value)))
            }
            Node::HasOf(owner, name) => {
                let name = self.value(name)?;
                Ok(self.scope.field(*owner, name.text()?).is_some())
            }
            Node::TextTest(test, sides) => {
                let [text, part] = self.both(sides)?;
                let (text, part) = (text.text()?, part.text()?);
                Ok(match test {
                    TextTest::StartsWith => text.starts_with(part),
                    TextTest::EndsWith => text.ends_with(part),
                    TextTest::Contains => text.contains(part),
                })
            }
            Node::Each(each, parts) => match each {
                EachOperation::All => self.decided_by_each(parts, false),
                EachOperation::Exists => self.decided_by_each(parts, true),
                EachOperation::ExistsOne => self.holds_for_one(parts),
                EachOperation::Filter | EachOperation::Map => Err(EvaluationError),
            },
            Node::If(parts) => {
                let chosen = self.chosen(parts)?;
                self.flag(chosen)
            }
            Node::Hoisted(place) => match self.hoisted.get(*place) {
                Some(Ok(value)) => value.flag(),
                Some(Err(_)) | None => Err(EvaluationError),
            },
            Node::Literal(_)
            | Node::Field(..)
            | Node::FieldOf(..)
            | Node::Bound(_)
            | Node::Negate(_)
            | Node::Compute(..)
            | Node::List(_)
            | Node::Index(_)
            | Node::Size(_)
            | Node::ToNumber(_)
            | Node::ToWhole(_) => self.value(node)?.flag(),
        }
    }

    fn value(&mut self, node: &'a Node) -> Result<Datum<'a>, EvaluationError> {
        match node {
            Node::Literal(literal) => Ok(Datum::of_literal(literal)),
            Node::Field(owner, name) => self.scope.field(*owner, name).ok_or(EvaluationError),
            Node::FieldOf(owner, name) => {
                let name = self.value(name)?;
                self.scope.field(*owner, name.text()?).ok_or(EvaluationError)
            }
            Node::Hoisted(place) => self.hoisted.get(*place).cloned().unwrap_or(Err(EvaluationError)),
            Node::Bound(depth) => self.bound.get(*depth).cloned().ok_or(EvaluationError),
            Node::Negate(part) => Ok(Datum::Number(-self.value(part)?.number()?)),
            Node::If(parts) => {
                let chosen = self.chosen(parts)?;
                self.value(chosen)
            }
            Node::Compute(arithmetic, sides) => {
                let [a, b] = self.both(sides)?;
                compute(*arithmetic, a, b)
            }
            Node::List(nodes) => Ok(Datum::List(nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?)),
            Node::Index(sides) => {
                let [list, at] = self.both(sides)?;
                let (len, at) = (list.len()?, at.number()?);
                // A fraction, a negative number and a number beyond the end are no indices of the list.
                let found = (0..len).find(|&place| (place as f64).total_cmp(&at).is_eq());
                let found = found.and_then(|place| list.get(place));
                found.ok_or(EvaluationError)
            }
            Node::Size(part) => {
                let value = self.value(part)?;
                let size = if let Datum::Text(text) = &value { text.chars().count() } else { value.len()? };
                Ok(Datum::Number(size as f64))
            }
            Node::ToNumber(part) => {
                let value = self.value(part)?;
                let number = if let Datum::Text(text) = &value {
                    text.parse().map_err(|_| EvaluationError)
                } else {
                    value.number()
                };
                number.map(Datum::Number)
            }
            Node::ToWhole(part) => {
                let value = self.value(part)?;
                if let Datum::Text(text) = &value {
                    return text.parse::<i64>().map(|whole| Datum::Number(whole as f64)).map_err(|_| EvaluationError);
                }
                let whole = value.number()?.trunc();
                if whole.abs() < WHOLE_END { Ok(Datum::Number(whole)) } else { Err(EvaluationError) }
            }
            Node::Each(EachOperation::Filter, parts) => self.filtered(parts),
            Node::Each(EachOperation::Map, parts) => self.mapped(parts),
            Node::Has(..)
            | Node::HasOf(..)
            | Node::Not(_)
            | Node::And(_)
            | Node::Or(_)
            | Node::Compare(..)
            | Node::In(_)
            | Node::InLiterals(..)
            | Node::TextTest(..)
            | Node::Each(EachOperation::All | EachOperation::Exists | EachOperation::ExistsOne, _) => {
                self.flag(node).map(Datum::Flag)
            }
        }
    }

    fn both(&mut self, [a, b]: &'a [Node; 2]) -> Result<[Datum<'a>; 2], EvaluationError> {
        Ok([self.value(a)?, self.value(b)?])
    }

    fn chosen(&mut self, [condition, yes, no]: &'a [Node; 3]) -> Result<&'a Node, EvaluationError> {
        Ok(if self.flag(condition)? { yes } else { no })
    }

    /// Evaluates `&&` over the parts if `decisive` is `false`, and `||` if it is `true`. One part with the value `decisive`
    /// decides, even if others fail.
    fn decided(&mut self, parts: &'a [Node], decisive: bool) -> Result<bool, EvaluationError> {
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
    fn decided_by_each(&mut self, [list, condition]: &'a [Node; 2], decisive: bool) -> Result<bool, EvaluationError> {
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

    fn holds_for_one(&mut self, [list, condition]: &'a [Node; 2]) -> Result<bool, EvaluationError> {
        let list = self.value(list)?;
        let mut held = 0;
        for value in list.values()? {
            held += usize::from(self.with(value, |this| this.flag(condition))?);
        }
        Ok(held == 1)
    }

    fn filtered(&mut self, [list, condition]: &'a [Node; 2]) -> Result<Datum<'a>, EvaluationError> {
        let list = self.value(list)?;
        let mut kept = Vec::new();
        for value in list.values()? {
            if self.with(value.clone(), |this| this.flag(condition))? {
                kept.push(value);
            }
        }
        Ok(Datum::List(kept))
    }

    fn mapped(&mut self, [list, made]: &'a [Node; 2]) -> Result<Datum<'a>, EvaluationError> {
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

fn compute<'a>(arithmetic: Arithmetic, a: Datum<'a>, b: Datum<'a>) -> Result<Datum<'a>, EvaluationError> {
    if arithmetic == Arithmetic::Add {
        return match (a, b) {
            (Datum::Number(a), Datum::Number(b)) => Ok(Datum::Number(a + b)),
            (Datum::Text(a), Datum::Text(b)) => Ok(Datum::Text(Cow::Owned(a.into_owned() + &b))),
            (a, b) => Ok(Datum::List(a.values()?.chain(b.values()?).collect())),
        };
    }
    let (a, b) = (a.number()?, b.number()?);
    Ok(Datum::Number(match arithmetic {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide => a / b,
        Arithmetic::DivideWhole | Arithmetic::Remainder if b == 0.0 => return Err(EvaluationError),
        Arithmetic::DivideWhole => (a / b).trunc(),
        Arithmetic::Remainder => a % b,
    }))
}
