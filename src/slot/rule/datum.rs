//! Values of expressions, and the operations on them.
//!
//! Values of different types are unequal and have no order. An operation that a type lacks is an [`EvaluationError`].

use std::{borrow::Cow, cmp::Ordering};

use super::node::{Arithmetic, Literal};
use crate::bandit::Value;

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
    pub(super) fn from_value(value: &'a Value) -> Self {
        match value {
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(Cow::Borrowed(text)),
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Texts(words) => Self::Words(words),
            Value::Vector(numbers) => Self::Numbers(numbers),
        }
    }

    pub(super) fn from_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Flag(flag) => Self::Flag(*flag),
            Literal::Number(number) => Self::Number(*number),
            Literal::Text(text) => Self::Text(Cow::Borrowed(text)),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, EvaluationError> {
        if let Self::Flag(flag) = self { Ok(*flag) } else { Err(EvaluationError) }
    }

    pub(super) fn number(&self) -> Result<f64, EvaluationError> {
        if let Self::Number(number) = self { Ok(*number) } else { Err(EvaluationError) }
    }

    pub(super) fn text(&self) -> Result<&str, EvaluationError> {
        if let Self::Text(text) = self { Ok(text) } else { Err(EvaluationError) }
    }

    /// Number of values of a list, or of characters of a text.
    pub(super) fn len(&self) -> Result<usize, EvaluationError> {
        match self {
            Self::Words(words) => Ok(words.len()),
            Self::Numbers(numbers) => Ok(numbers.len()),
            Self::List(list) => Ok(list.len()),
            Self::Flag(_) | Self::Number(_) | Self::Text(_) => Err(EvaluationError),
        }
    }

    /// Value of a list at an index.
    pub(super) fn get(&self, at: usize) -> Option<Datum<'a>> {
        match self {
            Self::Words(words) => words.get(at).map(|word| Self::Text(Cow::Borrowed(word))),
            Self::Numbers(numbers) => numbers.get(at).map(|number| Self::Number(f64::from(*number))),
            Self::List(list) => list.get(at).cloned(),
            Self::Flag(_) | Self::Number(_) | Self::Text(_) => None,
        }
    }

    pub(super) fn values(&self) -> Result<impl Iterator<Item = Datum<'a>>, EvaluationError> {
        let len = self.len()?;
        Ok((0..len).filter_map(|at| self.get(at)))
    }

    pub(super) fn has(&self, value: &Datum<'_>) -> Result<bool, EvaluationError> {
        match (self, value) {
            (Self::Words(words), Datum::Text(text)) => Ok(words.iter().any(|word| word == text)),
            (list, value) => Ok(list.values()?.any(|other| other.equals(value))),
        }
    }

    #[expect(clippy::float_cmp, reason = "a rule that compares with == means just that")]
    pub(super) fn equals(&self, other: &Datum<'_>) -> bool {
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

    pub(super) fn order(&self, other: &Datum<'_>) -> Result<Ordering, EvaluationError> {
        match (self, other) {
            (Self::Flag(a), Datum::Flag(b)) => Ok(a.cmp(b)),
            (Self::Number(a), Datum::Number(b)) => a.partial_cmp(b).ok_or(EvaluationError),
            (Self::Text(a), Datum::Text(b)) => Ok(a.as_ref().cmp(b.as_ref())),
            _ => Err(EvaluationError),
        }
    }
}

/// Returns the result of an operation on two values.
pub(super) fn compute<'a>(arithmetic: Arithmetic, a: Datum<'a>, b: Datum<'a>) -> Result<Datum<'a>, EvaluationError> {
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
