//! A condition's own tree: what the parser's tree becomes once its names and types are checked.
//!
//! Deliberately not here: evaluation, and where in the text a node stood.

use std::{mem, slice};

/// Whose features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The request's.
    Context,
    /// The subject's ids.
    Subject,
    /// The arm's id and features.
    Arm,
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

/// How two values are compared.
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

/// What becomes of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// Numbers, texts or lists.
    Add,
    /// Numbers.
    Subtract,
    /// Numbers.
    Multiply,
    /// Numbers.
    Divide,
    /// Whole numbers, without the rest.
    DivideWhole,
    /// The rest of a division; an error by zero.
    Remainder,
}

/// What is asked of two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextTest {
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
    /// `contains`
    Contains,
}

/// What is made of a list's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EachOperation {
    /// Whether it holds for all.
    All,
    /// Whether it holds for any.
    Exists,
    /// Whether it holds for exactly one.
    ExistsOne,
    /// Those that it holds for.
    Filter,
    /// What each becomes.
    Map,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    /// A literal.
    Literal(Literal),
    /// `context.name`; an error where there is none.
    Field(Owner, String),
    /// `context[name]`
    FieldOf(Owner, Box<Node>),
    /// `has(context.name)`
    Has(Owner, String),
    /// `name in context`
    HasOf(Owner, Box<Node>),
    /// The value in hand of an enclosing [`Node::Each`], counted from the outermost.
    Bound(usize),
    /// `!a`
    Not(Box<Node>),
    /// `-a`
    Negate(Box<Node>),
    /// `a && b && …`
    And(Vec<Node>),
    /// `a || b || …`
    Or(Vec<Node>),
    /// `condition ? yes : no`
    If(Box<[Node; 3]>),
    /// `a == b` and the like
    Compare(ComparisonOperator, Box<[Node; 2]>),
    /// `a + b` and the like
    Compute(Arithmetic, Box<[Node; 2]>),
    /// `value in list`
    In(Box<[Node; 2]>),
    /// `value in ["literals"]`
    InLiterals(Box<Node>, Vec<Literal>),
    /// `[a, b]`
    List(Vec<Node>),
    /// `list[at]`
    Index(Box<[Node; 2]>),
    /// `size(a)`
    Size(Box<Node>),
    /// `a.startsWith(b)` and the like
    TextTest(TextTest, Box<[Node; 2]>),
    /// `double(a)`
    ToNumber(Box<Node>),
    /// `int(a)`
    ToWhole(Box<Node>),
    /// `list.exists(x, condition)` and the like
    Each(EachOperation, Box<[Node; 2]>),
    /// What was evaluated once for all arms of the request.
    Hoisted(usize),
}

impl Node {
    /// What it is made of.
    pub(super) fn parts(&self) -> &[Node] {
        match self {
            Node::Literal(_) | Node::Field(..) | Node::Has(..) | Node::Bound(_) | Node::Hoisted(_) => &[],
            Node::FieldOf(_, part)
            | Node::HasOf(_, part)
            | Node::Not(part)
            | Node::Negate(part)
            | Node::InLiterals(part, _)
            | Node::Size(part)
            | Node::ToNumber(part)
            | Node::ToWhole(part) => slice::from_ref(part),
            Node::And(parts) | Node::Or(parts) | Node::List(parts) => parts,
            Node::If(parts) => parts.as_slice(),
            Node::Compare(_, parts)
            | Node::Compute(_, parts)
            | Node::In(parts)
            | Node::Index(parts)
            | Node::TextTest(_, parts)
            | Node::Each(_, parts) => parts.as_slice(),
        }
    }

    /// The same, to be changed.
    fn parts_mut(&mut self) -> &mut [Node] {
        match self {
            Node::Literal(_) | Node::Field(..) | Node::Has(..) | Node::Bound(_) | Node::Hoisted(_) => &mut [],
            Node::FieldOf(_, part)
            | Node::HasOf(_, part)
            | Node::Not(part)
            | Node::Negate(part)
            | Node::InLiterals(part, _)
            | Node::Size(part)
            | Node::ToNumber(part)
            | Node::ToWhole(part) => slice::from_mut(part),
            Node::And(parts) | Node::Or(parts) | Node::List(parts) => parts,
            Node::If(parts) => parts.as_mut_slice(),
            Node::Compare(_, parts)
            | Node::Compute(_, parts)
            | Node::In(parts)
            | Node::Index(parts)
            | Node::TextTest(_, parts)
            | Node::Each(_, parts) => parts.as_mut_slice(),
        }
    }

    /// Whose features it reads itself.
    fn owner(&self) -> Option<Owner> {
        if let Node::Field(owner, _) | Node::FieldOf(owner, _) | Node::Has(owner, _) | Node::HasOf(owner, _) = self {
            Some(*owner)
        } else {
            None
        }
    }

    /// Whether its value is the same for all arms of a request, whatever value of a list is in hand.
    fn is_of_request(&self) -> bool {
        let itself = match self.owner() {
            Some(owner) => owner != Owner::Arm,
            None => !matches!(self, Node::Bound(_)),
        };
        itself && self.parts().iter().all(Node::is_of_request)
    }

    /// Whether it is made of literals only.
    fn is_constant(&self) -> bool {
        self.owner().is_none() && self.parts().iter().all(Node::is_constant)
    }

    /// Moves what is the same for all arms of a request out of it; [`Node::Hoisted`] stays in its place.
    pub(super) fn hoist(&mut self, hoisted: &mut Vec<Node>) {
        if !self.is_of_request() {
            self.parts_mut().iter_mut().for_each(|part| part.hoist(hoisted));
        } else if !self.is_constant() {
            let place = Node::Hoisted(hoisted.len());
            hoisted.push(mem::replace(self, place));
        }
    }
}
