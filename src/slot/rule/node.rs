//! Expression tree of a condition, made from the parser's tree once names and types are checked.
//!
//! Deliberately not here: evaluation, and the positions of nodes in the text.

use std::{mem, slice};

/// Owner of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Request.
    Context,
    /// Subject, with its ids.
    Subject,
    /// Arm, with its id and features.
    Arm,
}

/// Literal value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// Yes or no.
    Flag(bool),
    /// Number.
    Number(f64),
    /// Word.
    Text(String),
}

/// Comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparisonOperator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// Arithmetic of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// Sum of numbers, or concatenation of texts or lists.
    Add,
    /// Difference of two numbers.
    Subtract,
    /// Product of two numbers.
    Multiply,
    /// Quotient of two numbers.
    Divide,
    /// Quotient of two whole numbers, without the remainder.
    DivideWhole,
    /// Remainder of a division, which is an error if the divisor is 0.
    Remainder,
}

/// Test of two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
    /// `contains`
    Contains,
}

/// Operation over the values of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachOperation {
    /// `all`: the condition holds for all values.
    All,
    /// `exists`: the condition holds for any value.
    Exists,
    /// `exists_one`: the condition holds for exactly one value.
    ExistsOne,
    /// `filter`: the values for which the condition holds.
    Filter,
    /// `map`: the result for each value.
    Map,
}

/// Expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// Literal.
    Literal(Literal),
    /// `context.name`, which is an error if there is no such feature.
    Field(Owner, String),
    /// `context[name]`
    FieldOf(Owner, Box<Expression>),
    /// `has(context.name)`
    Has(Owner, String),
    /// `name in context`
    HasOf(Owner, Box<Expression>),
    /// Current value of an enclosing [`Expression::Each`], counted from the outermost.
    Bound(usize),
    /// `!a`
    Not(Box<Expression>),
    /// `-a`
    Negate(Box<Expression>),
    /// `a && b && …`
    And(Vec<Expression>),
    /// `a || b || …`
    Or(Vec<Expression>),
    /// `condition ? yes : no`
    If(Box<[Expression; 3]>),
    /// `a == b` and the like
    Compare(ComparisonOperator, Box<[Expression; 2]>),
    /// `a + b` and the like
    Compute(Arithmetic, Box<[Expression; 2]>),
    /// `value in list`
    In(Box<[Expression; 2]>),
    /// `value in ["literals"]`
    InLiterals(Box<Expression>, Vec<Literal>),
    /// `[a, b]`
    List(Vec<Expression>),
    /// `list[at]`
    Index(Box<[Expression; 2]>),
    /// `size(a)`
    Size(Box<Expression>),
    /// `a.startsWith(b)` and the like
    TextTest(TextTest, Box<[Expression; 2]>),
    /// `double(a)`
    ToNumber(Box<Expression>),
    /// `int(a)`
    ToWhole(Box<Expression>),
    /// `list.exists(x, condition)` and the like
    Each(EachOperation, Box<[Expression; 2]>),
    /// Value that was evaluated once for all arms of the request.
    Hoisted(usize),
}

impl Expression {
    /// Subexpressions of the node.
    pub(super) fn parts(&self) -> &[Expression] {
        match self {
            Expression::Literal(_)
            | Expression::Field(..)
            | Expression::Has(..)
            | Expression::Bound(_)
            | Expression::Hoisted(_) => &[],
            Expression::FieldOf(_, part)
            | Expression::HasOf(_, part)
            | Expression::Not(part)
            | Expression::Negate(part)
            | Expression::InLiterals(part, _)
            | Expression::Size(part)
            | Expression::ToNumber(part)
            | Expression::ToWhole(part) => slice::from_ref(part),
            Expression::And(parts) | Expression::Or(parts) | Expression::List(parts) => parts,
            Expression::If(parts) => parts.as_slice(),
            Expression::Compare(_, parts)
            | Expression::Compute(_, parts)
            | Expression::In(parts)
            | Expression::Index(parts)
            | Expression::TextTest(_, parts)
            | Expression::Each(_, parts) => parts.as_slice(),
        }
    }

    /// Mutable subexpressions of the node.
    fn parts_mut(&mut self) -> &mut [Expression] {
        match self {
            Expression::Literal(_)
            | Expression::Field(..)
            | Expression::Has(..)
            | Expression::Bound(_)
            | Expression::Hoisted(_) => &mut [],
            Expression::FieldOf(_, part)
            | Expression::HasOf(_, part)
            | Expression::Not(part)
            | Expression::Negate(part)
            | Expression::InLiterals(part, _)
            | Expression::Size(part)
            | Expression::ToNumber(part)
            | Expression::ToWhole(part) => slice::from_mut(part),
            Expression::And(parts) | Expression::Or(parts) | Expression::List(parts) => parts,
            Expression::If(parts) => parts.as_mut_slice(),
            Expression::Compare(_, parts)
            | Expression::Compute(_, parts)
            | Expression::In(parts)
            | Expression::Index(parts)
            | Expression::TextTest(_, parts)
            | Expression::Each(_, parts) => parts.as_mut_slice(),
        }
    }

    /// Owner of the features that the node itself reads, or `None` if it reads none.
    fn owner(&self) -> Option<Owner> {
        if let Expression::Field(owner, _)
        | Expression::FieldOf(owner, _)
        | Expression::Has(owner, _)
        | Expression::HasOf(owner, _) = self
        {
            Some(*owner)
        } else {
            None
        }
    }

    /// Returns whether the value is the same for all arms of a request and for all values of enclosing lists.
    fn is_of_request(&self) -> bool {
        let itself = match self.owner() {
            Some(owner) => owner != Owner::Arm,
            None => !matches!(self, Expression::Bound(_)),
        };
        itself && self.parts().iter().all(Expression::is_of_request)
    }

    /// Returns whether the node consists of literals only.
    fn is_constant(&self) -> bool {
        self.owner().is_none() && self.parts().iter().all(Expression::is_constant)
    }

    /// Moves subexpressions with one value for all arms of a request out of the node and leaves [`Expression::Hoisted`] in their
    /// place.
    pub(super) fn hoist(&mut self, hoisted: &mut Vec<Expression>) {
        if !self.is_of_request() {
            self.parts_mut().iter_mut().for_each(|part| part.hoist(hoisted));
        } else if !self.is_constant() {
            let place = Expression::Hoisted(hoisted.len());
            hoisted.push(mem::replace(self, place));
        }
    }
}
