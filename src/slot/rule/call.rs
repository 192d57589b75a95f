//! Operators and functions of conditions: their names, operands, types and steps.
//!
//! Deliberately not here: names of values and literals, which belong to [`super::lower`].

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use super::{
    Refusal,
    compile::joined,
    lower::{LoweredExpression, Lowering, ValueKind, meant},
    node::{Arithmetic, ComparisonOperator, EachOperation, Expression, TextTest},
};
use crate::slot::id::shorten;

const FUNCTIONS: [&str; 13] = [
    "size",
    "startsWith",
    "endsWith",
    "contains",
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "filter",
    "map",
    "double",
    "int",
];
impl Lowering<'_> {
    /// Checks the call of an operator or a function.
    pub(super) fn call(&mut self, expr: &IdedExpr, call: &CallExpr) -> Result<LoweredExpression, Refusal> {
        let name = call.func_name.as_str();
        match (name, call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, _) => self.logic(expr, name, Expression::And, "&&"),
            (operators::LOGICAL_OR, None, _) => self.logic(expr, name, Expression::Or, "||"),
            (operators::LOGICAL_NOT, None, [part]) => {
                let part = self.lower_as(part, ValueKind::Flag, "!")?;
                Ok(LoweredExpression::new(Expression::Not(Box::new(part.node)), ValueKind::Flag, part.steps))
            }
            (operators::NEGATE, None, [part]) => {
                let part = self.lower_as(part, ValueKind::Number, "a minus")?;
                let kind = if part.kind == ValueKind::Whole { ValueKind::Whole } else { ValueKind::Number };
                Ok(LoweredExpression::new(Expression::Negate(Box::new(part.node)), kind, part.steps))
            }
            (operators::CONDITIONAL, None, [condition, yes, no]) => self.conditional(condition, yes, no),
            (operators::EQUALS, None, [a, b]) => self.equality(expr, ComparisonOperator::Equal, a, b),
            (operators::NOT_EQUALS, None, [a, b]) => self.equality(expr, ComparisonOperator::NotEqual, a, b),
            (operators::LESS, None, [a, b]) => self.order(expr, ComparisonOperator::Less, a, b),
            (operators::LESS_EQUALS, None, [a, b]) => self.order(expr, ComparisonOperator::AtMost, a, b),
            (operators::GREATER, None, [a, b]) => self.order(expr, ComparisonOperator::Greater, a, b),
            (operators::GREATER_EQUALS, None, [a, b]) => self.order(expr, ComparisonOperator::AtLeast, a, b),
            (operators::ADD, None, [a, b]) => self.sum(expr, a, b),
            (operators::SUBSTRACT, None, [a, b]) => self.compute(Arithmetic::Subtract, a, b, "-"),
            (operators::MULTIPLY, None, [a, b]) => self.compute(Arithmetic::Multiply, a, b, "*"),
            (operators::DIVIDE, None, [a, b]) => self.compute(Arithmetic::Divide, a, b, "/"),
            (operators::MODULO, None, [a, b]) => self.compute(Arithmetic::Remainder, a, b, "%"),
            (operators::IN, None, [value, list]) => self.within(value, list),
            (operators::INDEX, None, [list, at]) => self.index(list, at),
            ("has", None, [member]) => self.has(member),
            ("size", Some(part), []) | ("size", None, [part]) => {
                let part = self.lower(part)?;
                if !part.kind.may_be(ValueKind::Text) && !part.kind.may_be(ValueKind::List) {
                    return self.refuse(expr, format!("size() is of a text or a list, not of {}", part.kind.words()));
                }
                Ok(LoweredExpression::new(Expression::Size(Box::new(part.node)), ValueKind::Whole, part.steps))
            }
            ("startsWith", Some(text), [part]) => self.text_test(TextTest::StartsWith, text, part, "startsWith()"),
            ("endsWith", Some(text), [part]) => self.text_test(TextTest::EndsWith, text, part, "endsWith()"),
            ("contains", Some(text), [part]) => self.text_test(TextTest::Contains, text, part, "contains()"),
            ("double", None, [part]) => {
                self.conversion(expr, part, Expression::ToNumber, ValueKind::Number, "double()")
            }
            ("int", None, [part]) => self.conversion(expr, part, Expression::ToWhole, ValueKind::Whole, "int()"),
            ("all", Some(list), [name, body]) => self.each(EachOperation::All, list, name, body, "all()"),
            ("exists", Some(list), [name, body]) => self.each(EachOperation::Exists, list, name, body, "exists()"),
            ("exists_one" | "existsOne", Some(list), [name, body]) => {
                self.each(EachOperation::ExistsOne, list, name, body, "exists_one()")
            }
            ("filter", Some(list), [name, body]) => self.each(EachOperation::Filter, list, name, body, "filter()"),
            ("map", Some(list), [name, body]) => self.each(EachOperation::Map, list, name, body, "map()"),
            _ if FUNCTIONS.contains(&name) => self.refuse(expr, format!("{name}() {}", misused(name))),
            _ => {
                let (known, meant) = (FUNCTIONS.join(", "), meant(name, &FUNCTIONS));
                let message = format!(
                    "there is no function {}(); a {} may use {known}{meant}",
                    shorten(name),
                    self.vocabulary.noun()
                );
                self.refuse(expr, message)
            }
        }
    }

    fn logic(
        &mut self,
        expr: &IdedExpr,
        operator: &str,
        node: fn(Vec<Expression>) -> Expression,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let mut parts = Vec::new();
        joined(expr, operator, &mut parts);
        let mut nodes = Vec::with_capacity(parts.len());
        let mut steps = 0_usize;
        for part in parts {
            let lowered = self.lower_as(part, ValueKind::Flag, who)?;
            steps = steps.saturating_add(lowered.steps);
            nodes.push(lowered.node);
        }
        Ok(LoweredExpression::new(node(nodes), ValueKind::Flag, steps))
    }

    fn conditional(
        &mut self,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Result<LoweredExpression, Refusal> {
        let condition = self.lower_as(condition, ValueKind::Flag, "what stands before a ?")?;
        let (yes, no) = (self.lower(yes)?, self.lower(no)?);
        let kind = match (yes.kind, no.kind) {
            (a, b) if a == b => a,
            (a, b) if a.is_number() && b.is_number() => ValueKind::Number,
            (a, b) if a.is_list() && b.is_list() => ValueKind::List,
            _ => ValueKind::Any,
        };
        let steps = condition.steps.saturating_add(yes.steps.max(no.steps));
        let length = yes.length.max(no.length);
        Ok(LoweredExpression {
            length,
            ..LoweredExpression::new(Expression::If(Box::new([condition.node, yes.node, no.node])), kind, steps)
        })
    }

    fn equality(
        &mut self,
        expr: &IdedExpr,
        how: ComparisonOperator,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Result<LoweredExpression, Refusal> {
        let (a, b) = (self.lower(a)?, self.lower(b)?);
        if !a.kind.may_be(b.kind) {
            return self.refuse(expr, format!("{} never equals {}", a.kind.words(), b.kind.words()));
        }
        let steps = a.steps.saturating_add(b.steps).saturating_add(compared(&a, &b));
        Ok(LoweredExpression::new(Expression::Compare(how, Box::new([a.node, b.node])), ValueKind::Flag, steps))
    }

    fn order(
        &mut self,
        expr: &IdedExpr,
        how: ComparisonOperator,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Result<LoweredExpression, Refusal> {
        let (a, b) = (self.lower(a)?, self.lower(b)?);
        if !a.kind.may_be(b.kind) || a.kind.is_list() || b.kind.is_list() {
            return self.refuse(expr, format!("{} has no order with {}", a.kind.words(), b.kind.words()));
        }
        let steps = a.steps.saturating_add(b.steps);
        Ok(LoweredExpression::new(Expression::Compare(how, Box::new([a.node, b.node])), ValueKind::Flag, steps))
    }

    fn sum(&mut self, expr: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Result<LoweredExpression, Refusal> {
        let (a, b) = (self.lower(a)?, self.lower(b)?);
        let kind = match (a.kind, b.kind) {
            (a, b) if !a.may_be(b) || a == ValueKind::Flag || b == ValueKind::Flag => {
                return self.refuse(expr, format!("{} and {} do not add up", a.words(), b.words()));
            }
            (ValueKind::Any, ValueKind::Any) => ValueKind::Any,
            // A whole number need not stay whole if the type of one side is unknown.
            (ValueKind::Any, other) | (other, ValueKind::Any) if other.is_number() => ValueKind::Number,
            (ValueKind::Any, other) | (other, ValueKind::Any) if other.is_list() => ValueKind::List,
            (ValueKind::Any, other) | (other, ValueKind::Any) => other,
            (a, b) if a == b => a,
            (a, _) if a.is_number() => ValueKind::Number,
            _ => ValueKind::List,
        };
        let mut steps = a.steps.saturating_add(b.steps);
        let mut length = a.length.saturating_add(b.length);
        if kind.is_list() || kind == ValueKind::Any {
            steps = steps.saturating_add(length);
        } else {
            length = 0;
        }
        Ok(LoweredExpression {
            length,
            ..LoweredExpression::new(Expression::Compute(Arithmetic::Add, Box::new([a.node, b.node])), kind, steps)
        })
    }

    fn compute(
        &mut self,
        how: Arithmetic,
        a: &IdedExpr,
        b: &IdedExpr,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let a = self.lower_as(a, ValueKind::Number, who)?;
        let b = self.lower_as(b, ValueKind::Number, who)?;
        let (how, kind) = match (how, a.kind, b.kind) {
            (Arithmetic::Divide, ValueKind::Whole, ValueKind::Whole) => (Arithmetic::DivideWhole, ValueKind::Whole),
            (how, ValueKind::Whole, ValueKind::Whole) => (how, ValueKind::Whole),
            (how, ..) => (how, ValueKind::Number),
        };
        let steps = a.steps.saturating_add(b.steps);
        Ok(LoweredExpression::new(Expression::Compute(how, Box::new([a.node, b.node])), kind, steps))
    }

    fn within(&mut self, value: &IdedExpr, list: &IdedExpr) -> Result<LoweredExpression, Refusal> {
        if let Some(owner) = self.whole_owner(list) {
            return self.keyed(value, owner, Expression::Has, Expression::HasOf, ValueKind::Flag);
        }
        let value = self.lower(value)?;
        let list = self.lower_as(list, ValueKind::List, "what stands behind in")?;
        let steps = value.steps.saturating_add(list.steps).saturating_add(list.length / COMPARED_PER_STEP);
        Ok(LoweredExpression::new(member_of(value.node, list.node), ValueKind::Flag, steps))
    }

    fn index(&mut self, list: &IdedExpr, at: &IdedExpr) -> Result<LoweredExpression, Refusal> {
        if let Some(owner) = self.whole_owner(list) {
            return self.keyed(at, owner, Expression::Field, Expression::FieldOf, ValueKind::Any);
        }
        let list = self.lower_as(list, ValueKind::List, "an index")?;
        let at = self.lower_as(at, ValueKind::Number, "a place in a list")?;
        let kind = if list.kind == ValueKind::Wholes { ValueKind::Whole } else { ValueKind::Any };
        let steps = list.steps.saturating_add(at.steps);
        Ok(LoweredExpression::new(Expression::Index(Box::new([list.node, at.node])), kind, steps))
    }

    fn has(&mut self, member: &IdedExpr) -> Result<LoweredExpression, Refusal> {
        let Expr::Select(select) = &member.expr else {
            return self.refuse(
                member,
                "has() asks for a member, as in has(context.loyalty); or write \"loyalty\" in context",
            );
        };
        let owner = self.owner_of(member, &select.operand)?;
        self.field(member, owner, &select.field)?;
        Ok(LoweredExpression::new(Expression::Has(owner, select.field.clone()), ValueKind::Flag, 1))
    }

    fn text_test(
        &mut self,
        test: TextTest,
        text: &IdedExpr,
        part: &IdedExpr,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let text = self.lower_as(text, ValueKind::Text, who)?;
        let part = self.lower_as(part, ValueKind::Text, who)?;
        let steps = text.steps.saturating_add(part.steps);
        Ok(LoweredExpression::new(Expression::TextTest(test, Box::new([text.node, part.node])), ValueKind::Flag, steps))
    }

    fn conversion(
        &mut self,
        expr: &IdedExpr,
        part: &IdedExpr,
        node: fn(Box<Expression>) -> Expression,
        kind: ValueKind,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let part = self.lower(part)?;
        if !part.kind.may_be(ValueKind::Text) && !part.kind.may_be(ValueKind::Number) {
            return self.refuse(expr, format!("{who} is of a number or a text, not of {}", part.kind.words()));
        }
        Ok(LoweredExpression::new(node(Box::new(part.node)), kind, part.steps))
    }

    fn each(
        &mut self,
        each: EachOperation,
        list: &IdedExpr,
        name: &IdedExpr,
        body: &IdedExpr,
        who: &str,
    ) -> Result<LoweredExpression, Refusal> {
        let Expr::Ident(bound) = &name.expr else {
            return self
                .refuse(name, format!("{who} wants a new name first, as in context.tags.exists(tag, tag == \"new\")"));
        };
        if self.vocabulary.owner(bound).is_some() || self.bound.iter().any(|(other, _)| other == bound) {
            return self.refuse(name, format!("the name '{}' is taken; choose another", shorten(bound)));
        }
        let list = self.lower_as(list, ValueKind::List, who)?;
        let one = if list.kind == ValueKind::Wholes { ValueKind::Whole } else { ValueKind::Any };
        self.bound.push((bound.clone(), one));
        let lowered =
            if each == EachOperation::Map { self.lower(body) } else { self.lower_as(body, ValueKind::Flag, who) };
        self.bound.pop();
        let body = lowered?;
        let steps = list.steps.saturating_add(list.length.saturating_mul(body.steps));
        let (kind, length) = match each {
            EachOperation::All | EachOperation::Exists | EachOperation::ExistsOne => (ValueKind::Flag, 0),
            EachOperation::Filter => {
                (if list.kind == ValueKind::Wholes { ValueKind::Wholes } else { ValueKind::List }, list.length)
            }
            EachOperation::Map if body.kind == ValueKind::Whole => (ValueKind::Wholes, list.length),
            EachOperation::Map => (ValueKind::List, list.length),
        };
        Ok(LoweredExpression {
            length,
            ..LoweredExpression::new(Expression::Each(each, Box::new([list.node, body.node])), kind, steps)
        })
    }
}

/// Number of values that are compared in the time of one step.
const COMPARED_PER_STEP: usize = 32;

/// Number of additional steps of a comparison, as lists are compared value by value.
fn compared(a: &LoweredExpression, b: &LoweredExpression) -> usize {
    let values = |side: &LoweredExpression| match side.kind {
        ValueKind::Any | ValueKind::List | ValueKind::Wholes => side.length,
        ValueKind::Flag | ValueKind::Number | ValueKind::Whole | ValueKind::Text => 0,
    };
    values(a).min(values(b)) / COMPARED_PER_STEP
}

/// Returns the node of `value in list`. A list of literals is never built.
fn member_of(value: Expression, list: Expression) -> Expression {
    let Expression::List(nodes) = list else {
        return Expression::In(Box::new([value, list]));
    };
    let literals: Option<Vec<_>> = nodes
        .iter()
        .map(|node| if let Expression::Literal(literal) = node { Some(literal.clone()) } else { None })
        .collect();
    match literals {
        Some(literals) => Expression::InLiterals(Box::new(value), literals),
        None => Expression::In(Box::new([value, Expression::List(nodes)])),
    }
}

/// Returns the right call of a function that was called in another way.
fn misused(name: &str) -> &'static str {
    match name {
        "size" => "is called as in size(context.tags)",
        "startsWith" | "endsWith" | "contains" => {
            "is called on a text with one text, as in context.page.contains(\"sale\")"
        }
        "has" => "is called as in has(context.loyalty)",
        "double" | "int" => "is called with one value, as in double(context.age)",
        "map" => "is called as in context.prices.map(price, price * 2.0)",
        _ => "is called on a list with a name and a condition, as in context.tags.exists(tag, tag == \"new\")",
    }
}
