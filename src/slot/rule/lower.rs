//! Names and types of conditions: turns the parser's tree into a [`Expression`] tree, and refuses expressions that can never
//! have a value.
//!
//! Features have any type until they are read; literals and values computed from them have a known type. All numbers are
//! doubles, as features are. A whole number matters only for `/`, which then drops the remainder as CEL does.
//!
//! Deliberately not here: the grammar, which belongs to the parser, and operators and functions, which belong to
//! [`super::call`].

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SourceInfo};

use super::{
    Refusal,
    compile::PartReads,
    node::{Expression, Literal, Owner},
};
use crate::slot::{
    id::{shorten, suggestion},
    limits::VECTOR_MAX,
};

/// Type of an expression's value, as far as the text determines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// Any type, as the value is a feature's.
    Any,
    /// Yes or no.
    Flag,
    /// Number.
    Number,
    /// Whole number.
    Whole,
    /// Text.
    Text,
    /// List.
    List,
    /// List of whole numbers.
    Wholes,
}

impl ValueKind {
    pub(super) fn is_number(self) -> bool {
        matches!(self, ValueKind::Number | ValueKind::Whole)
    }

    pub(super) fn is_list(self) -> bool {
        matches!(self, ValueKind::List | ValueKind::Wholes)
    }

    /// Returns whether a value of this kind may be one of the other kind.
    pub(super) fn may_be(self, other: ValueKind) -> bool {
        self == ValueKind::Any
            || other == ValueKind::Any
            || self == other
            || (self.is_number() && other.is_number())
            || (self.is_list() && other.is_list())
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            ValueKind::Any => "a value",
            ValueKind::Flag => "true or false",
            ValueKind::Number | ValueKind::Whole => "a number",
            ValueKind::Text => "a text",
            ValueKind::List | ValueKind::Wholes => "a list",
        }
    }
}

/// Checked expression.
#[derive(Debug)]
pub(super) struct LoweredExpression {
    pub(super) node: Expression,
    pub(super) kind: ValueKind,
    /// Greatest number of steps of its evaluation.
    pub(super) steps: usize,
    /// Greatest number of its values, if it is a list.
    pub(super) length: usize,
}

impl LoweredExpression {
    pub(super) fn new(node: Expression, kind: ValueKind, steps: usize) -> Self {
        // The longest list that the text does not spell out is a feature's.
        Self { node, kind, steps: steps.saturating_add(1), length: VECTOR_MAX }
    }
}

/// Variables that a condition may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vocabulary {
    /// Variables of a rule: context, subject and arm.
    Rule,
    /// Variable of a filter of items: the item, which is read like an arm.
    Filter,
}

impl Vocabulary {
    fn variables(self) -> &'static [&'static str] {
        match self {
            Vocabulary::Rule => &["context", "subject", "arm"],
            Vocabulary::Filter => &["item"],
        }
    }

    pub(super) fn owner(self, name: &str) -> Option<Owner> {
        match (self, name) {
            (Vocabulary::Rule, "context") => Some(Owner::Context),
            (Vocabulary::Rule, "subject") => Some(Owner::Subject),
            (Vocabulary::Rule, "arm") | (Vocabulary::Filter, "item") => Some(Owner::Arm),
            _ => None,
        }
    }

    /// Name of the condition.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Vocabulary::Rule => "a rule's condition",
            Vocabulary::Filter => "a filter",
        }
    }

    /// Name of what the condition belongs to.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Vocabulary::Rule => "rule",
            Vocabulary::Filter => "filter",
        }
    }

    /// Example of a member that may be missing.
    pub(super) fn example(self) -> &'static str {
        match self {
            Vocabulary::Rule => "context.loyalty",
            Vocabulary::Filter => "item.brand",
        }
    }

    /// Returns the clause that says which variables there are.
    fn words(self) -> &'static str {
        match self {
            Vocabulary::Rule => "a rule reads context, subject and arm",
            Vocabulary::Filter => "a filter reads item, as in item.category",
        }
    }
}

/// State of a walk over the parser's tree.
pub(super) struct Lowering<'a> {
    pub(super) vocabulary: Vocabulary,
    text: &'a str,
    places: &'a SourceInfo,
    /// Names and kinds of the current values of the enclosing lists.
    pub(super) bound: Vec<(String, ValueKind)>,
    pub(super) reads: PartReads,
}

const SUBJECT_FIELDS: [&str; 2] = ["id", "session_id"];

/// Returns the name that a wrong name was most likely meant to be, including abbreviations.
pub(super) fn meant<'a>(given: &str, known: &[&'a str]) -> String {
    let abbreviates = |name: &&&'a str| {
        let mut letters = name.chars();
        given.len() >= 2
            && name.chars().next() == given.chars().next()
            && given.chars().all(|c| letters.any(|l| l == c))
    };
    match known.iter().find(abbreviates) {
        Some(name) => format!("; did you mean '{name}'?"),
        None => suggestion(given, known.iter().copied()),
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn new(vocabulary: Vocabulary, text: &'a str, places: &'a SourceInfo) -> Self {
        Self { vocabulary, text, places, bound: Vec::new(), reads: PartReads::default() }
    }

    /// Byte at which an expression stands: the name of a call or a member, or the operator of an operation.
    pub(super) fn place(&self, expr: &IdedExpr) -> usize {
        let at = self.places.offset_for(expr.id).map_or(0, |(start, _)| start as usize);
        #[expect(clippy::wildcard_enum_match_arm, reason = "all else stands where it begins")]
        match &expr.expr {
            Expr::Call(call) if self.text.get(at..).is_some_and(|rest| rest.starts_with('(')) => {
                let before = self.text.get(..at).unwrap_or_default().trim_end();
                if before.ends_with(call.func_name.as_str()) { before.len() - call.func_name.len() } else { at }
            }
            Expr::Select(_) => {
                let name = self.text.get(at..).and_then(|rest| rest.strip_prefix('.')).map(str::trim_start);
                name.map_or(at, |name| self.text.len() - name.len())
            }
            _ => at,
        }
    }

    pub(super) fn refuse<T>(&self, expr: &IdedExpr, message: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.place(expr), message.into()))
    }

    /// Refuses an expression that cannot be of the kind that `who` needs.
    pub(super) fn expect(
        &self,
        expr: &IdedExpr,
        got: &LoweredExpression,
        kind: ValueKind,
        who: &str,
    ) -> Result<(), Refusal> {
        if got.kind.may_be(kind) {
            Ok(())
        } else {
            self.refuse(expr, format!("this is {}; {who} needs {}", got.kind.words(), kind.words()))
        }
    }

    pub(super) fn lower_as(
        &mut self,
        expr: &IdedExpr,
        kind: ValueKind,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let lowered = self.lower(expr)?;
        self.expect(expr, &lowered, kind, who)?;
        Ok(lowered)
    }

    /// Checks an expression and its subexpressions.
    pub(super) fn lower(&mut self, expr: &IdedExpr) -> Result<LoweredExpression, Refusal> {
        match &expr.expr {
            Expr::Literal(literal) => self.literal(expr, literal),
            Expr::Ident(name) => self.ident(expr, name),
            Expr::Select(select) => {
                let owner = self.owner_of(expr, &select.operand)?;
                self.field(expr, owner, &select.field)?;
                Ok(LoweredExpression::new(Expression::Field(owner, select.field.clone()), ValueKind::Any, 1))
            }
            Expr::List(list) => self.list(&list.elements),
            Expr::Call(call) => self.call(expr, call),
            Expr::Map(_) => self.refuse(
                expr,
                format!("maps cannot be written in a {}; compare with == and join with ||", self.vocabulary.noun()),
            ),
            Expr::Struct(_) => self.refuse(expr, format!("messages cannot be written in a {}", self.vocabulary.noun())),
            Expr::Comprehension(_) | Expr::Unspecified => self.refuse(expr, "is not understood"),
        }
    }

    fn literal(&self, expr: &IdedExpr, literal: &LiteralValue) -> Result<LoweredExpression, Refusal> {
        /// Bound up to which every whole number is a double.
        const EXACT: u64 = 1 << 53;
        let whole = |number: f64, size: u64| {
            if size <= EXACT {
                Ok(LoweredExpression::new(Expression::Literal(Literal::Number(number)), ValueKind::Whole, 0))
            } else {
                self.refuse(expr, format!("the number is too large; at most {EXACT} is exact"))
            }
        };
        match literal {
            LiteralValue::Boolean(flag) => {
                Ok(LoweredExpression::new(Expression::Literal(Literal::Flag(*flag.inner())), ValueKind::Flag, 0))
            }
            LiteralValue::Double(number) => {
                Ok(LoweredExpression::new(Expression::Literal(Literal::Number(*number.inner())), ValueKind::Number, 0))
            }
            LiteralValue::Int(number) => whole(*number.inner() as f64, number.inner().unsigned_abs()),
            LiteralValue::UInt(number) => whole(*number.inner() as f64, *number.inner()),
            LiteralValue::String(text) => Ok(LoweredExpression::new(
                Expression::Literal(Literal::Text(text.inner().to_owned())),
                ValueKind::Text,
                0,
            )),
            LiteralValue::Null => {
                let example = self.vocabulary.example();
                self.refuse(expr, format!("nothing is ever null here; ask with has(), as in has({example})"))
            }
            LiteralValue::Bytes(_) => self.refuse(expr, "bytes are not a feature's value; write a text without the b"),
        }
    }

    fn ident(&self, expr: &IdedExpr, name: &str) -> Result<LoweredExpression, Refusal> {
        if let Some(depth) = self.bound.iter().rposition(|(bound, _)| bound == name) {
            let kind = self.bound.get(depth).map_or(ValueKind::Any, |(_, kind)| *kind);
            // A feature's list contains no lists.
            return Ok(LoweredExpression { length: 1, ..LoweredExpression::new(Expression::Bound(depth), kind, 0) });
        }
        if self.vocabulary.owner(name).is_some() {
            return self.refuse(expr, format!("'{name}' holds several values; name one, as in {name}.id"));
        }
        self.unknown(expr, name)
    }

    pub(super) fn unknown<T>(&self, expr: &IdedExpr, name: &str) -> Result<T, Refusal> {
        let mut known = self.vocabulary.variables().to_vec();
        known.extend(self.bound.iter().map(|(name, _)| name.as_str()));
        self.refuse(
            expr,
            format!("'{}' is not known; {}{}", shorten(name), self.vocabulary.words(), meant(name, &known)),
        )
    }

    /// Returns the owner of the member that an expression with this operand names.
    pub(super) fn owner_of(&self, member: &IdedExpr, operand: &IdedExpr) -> Result<Owner, Refusal> {
        if let Expr::Ident(name) = &operand.expr {
            let bound = self.bound.iter().any(|(bound, _)| bound == name);
            match self.vocabulary.owner(name) {
                Some(owner) if !bound => return Ok(owner),
                None if !bound => return self.unknown(operand, name),
                _ => {}
            }
        }
        self.refuse(member, "a value has no members; a name with a dot is written as in context[\"a.b\"]")
    }

    /// Records that a member is read. Refuses a member that a subject never has.
    pub(super) fn field(&mut self, expr: &IdedExpr, owner: Owner, name: &str) -> Result<(), Refusal> {
        match owner {
            Owner::Context => self.reads.request = true,
            Owner::Subject => {
                self.reads.request = true;
                if !SUBJECT_FIELDS.contains(&name) {
                    let message = format!(
                        "subject has id and session_id only; what else is known of a person is in context{}",
                        meant(name, &SUBJECT_FIELDS)
                    );
                    return self.refuse(expr, message);
                }
            }
            Owner::Arm => {
                self.reads.arm = true;
                self.reads.names.insert(name.to_owned());
            }
        }
        Ok(())
    }

    /// Returns the member of `owner` that `key` names, by a literal or a computed text.
    pub(super) fn keyed(
        &mut self,
        key: &IdedExpr,
        owner: Owner,
        literally: fn(Owner, String) -> Expression,
        computed: fn(Owner, Box<Expression>) -> Expression,
        kind: ValueKind,
    ) -> Result<LoweredExpression, Refusal> {
        let lowered = self.lower_as(key, ValueKind::Text, "a member's name")?;
        if let Expression::Literal(Literal::Text(name)) = lowered.node {
            self.field(key, owner, &name)?;
            return Ok(LoweredExpression::new(literally(owner, name), kind, 1));
        }
        match owner {
            Owner::Context | Owner::Subject => self.reads.request = true,
            Owner::Arm => {
                self.reads.arm = true;
                self.reads.any_name = true;
            }
        }
        Ok(LoweredExpression::new(computed(owner, Box::new(lowered.node)), kind, lowered.steps))
    }

    /// Returns the owner whose members an expression names as a whole.
    pub(super) fn whole_owner(&self, expr: &IdedExpr) -> Option<Owner> {
        let Expr::Ident(name) = &expr.expr else { return None };
        if self.bound.iter().any(|(bound, _)| bound == name) { None } else { self.vocabulary.owner(name) }
    }

    fn list(&mut self, elements: &[IdedExpr]) -> Result<LoweredExpression, Refusal> {
        let lowered = elements.iter().map(|element| self.lower(element)).collect::<Result<Vec<_>, _>>()?;
        let wholes = lowered.iter().all(|element| element.kind == ValueKind::Whole);
        let steps = lowered.iter().map(|element| element.steps).sum();
        let nodes: Vec<_> = lowered.into_iter().map(|element| element.node).collect();
        let length = nodes.len();
        let kind = if wholes { ValueKind::Wholes } else { ValueKind::List };
        Ok(LoweredExpression { length, ..LoweredExpression::new(Expression::List(nodes), kind, steps) })
    }
}
