//! Compiler of conditions: parses the text, splits it at its `&&` and checks each part.
//!
//! Parts differ by the variables that they read. A part that reads neither context nor subject has the same value in
//! every request, and a part that reads no arm has the same value for all arms of a request.

use std::collections::BTreeSet;

use cel::{
    Env,
    common::ast::{Expr, IdedExpr, operators},
    parser::ParseErrors,
};

use super::{
    Refusal, guard,
    lower::{Lowering, ValueKind, Vocabulary},
    node::Expression,
};
use crate::slot::{id::shorten, limits::RULE_STEPS_MAX};

/// Variables that a part reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct PartReads {
    /// Reads the context or the subject.
    pub(super) request: bool,
    /// Reads the arm.
    pub(super) arm: bool,
    /// Names of the arm's features that it reads.
    pub(super) names: BTreeSet<String>,
    /// Reads features of the arm by computed names, which may be any.
    pub(super) any_name: bool,
}

impl PartReads {
    fn add(&mut self, other: PartReads) {
        self.request |= other.request;
        self.arm |= other.arm;
        self.any_name |= other.any_name;
        self.names.extend(other.names);
    }
}

/// Compiled condition. All parts must hold; a condition without parts always holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Program {
    /// Parts with one value for all arms of a request.
    pub(super) request: Vec<Expression>,
    /// Parts with one value per arm in all requests.
    pub(super) arm: Vec<Expression>,
    /// Variables that the arm's parts read.
    pub(super) arm_reads: PartReads,
    /// Parts that read both the arm and the request.
    pub(super) both: Vec<Expression>,
    /// Subexpressions of those parts that read the request alone.
    pub(super) hoisted: Vec<Expression>,
}

/// Compiles a condition on these variables. The refusal names the place of the error.
pub(super) fn compile(vocabulary: Vocabulary, text: &str) -> Result<Program, Refusal> {
    let mut program = Program::default();
    if text.trim().is_empty() {
        return Ok(program);
    }
    guard::check(text)?;
    let parser = Env::default().with_optional_support(false).parser();
    let (tree, places) = parser.parse_with_source_info(text).map_err(|errors| refusal(text, &errors))?;
    let mut parts = Vec::new();
    split(&tree, &mut parts);
    let mut steps = 0;
    for part in parts {
        let mut lowering = Lowering::new(vocabulary, text, &places);
        let lowered = lowering.lower(part)?;
        lowering.expect(part, &lowered, ValueKind::Flag, vocabulary.condition())?;
        steps += lowered.steps;
        if steps > RULE_STEPS_MAX {
            let message = format!(
                "could take {steps} steps for each arm; at most {RULE_STEPS_MAX} are allowed: \
                 use fewer or shorter lists, or split the {}",
                vocabulary.noun()
            );
            return Err(Refusal::new(lowering.place(part), message));
        }
        let reads = lowering.reads;
        match (reads.request, reads.arm) {
            (true, true) => {
                let mut node = lowered.node;
                node.hoist(&mut program.hoisted);
                program.both.push(node);
            }
            (false, true) => {
                program.arm_reads.add(reads);
                program.arm.push(lowered.node);
            }
            (true | false, false) => program.request.push(lowered.node),
        }
    }
    Ok(program)
}

/// Returns the parts that a condition's outermost `&&` join.
pub(super) fn split<'a>(tree: &'a IdedExpr, parts: &mut Vec<&'a IdedExpr>) {
    joined(tree, operators::LOGICAL_AND, parts);
}

/// Returns the operands that the outermost `operator`s of a tree join.
pub(super) fn joined<'a>(tree: &'a IdedExpr, operator: &str, parts: &mut Vec<&'a IdedExpr>) {
    if let Expr::Call(call) = &tree.expr
        && call.func_name == operator
        && call.target.is_none()
    {
        call.args.iter().for_each(|side| joined(side, operator, parts));
    } else {
        parts.push(tree);
    }
}

/// Returns the byte at a line and a column in characters, both from 1.
fn byte_at(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// Returns the parser's first error as a refusal.
fn refusal(text: &str, errors: &ParseErrors) -> Refusal {
    let syntax = errors.errors.iter().find(|error| error.msg.starts_with(SYNTAX));
    let Some(error) = syntax.or_else(|| errors.errors.first()) else {
        return Refusal::new(0, "is not an expression".into());
    };
    let at = byte_at(text, error.pos);
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let message =
        if error.msg.starts_with(SYNTAX) { unexpected(before, rest, &error.msg) } else { unsupported(&error.msg) };
    Refusal::new(at, message)
}

/// Prefix of the parser's message about a text outside of the grammar.
const SYNTAX: &str = "Syntax error";

/// Returns the message about syntax that the grammar allows and rules do not.
fn unsupported(said: &str) -> String {
    if said.contains('`') {
        "a name in ` is written as in context[\"name\"]".into()
    } else if said.contains('?') {
        "what may be missing is asked for with has(), as in has(context.loyalty)".into()
    } else if said.contains("invalid int literal") || said.contains("invalid uint literal") {
        "the number is too large".into()
    } else {
        said.to_owned()
    }
}

/// Returns the message about a syntax error between `before` and `rest`.
fn unexpected(before: &str, rest: &str, said: &str) -> String {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let word: String = rest.chars().take_while(|&c| inside(c)).collect();
    let last = before.trim_end().rsplit(|c| !inside(c)).next().unwrap_or_default();
    match (last.to_ascii_lowercase().as_str(), word.to_ascii_lowercase().as_str()) {
        (_, "and") => return "'and' is written &&".into(),
        (_, "or") => return "'or' is written ||".into(),
        ("not", _) => return "'not' is written !, right before what is negated".into(),
        ("if", _) => return "a rule is a condition; leave the 'if' out".into(),
        _ => {}
    }
    let unknown = said.contains("token recognition");
    match rest.chars().next() {
        None => "the expression ends too early".into(),
        Some('=') if !rest.starts_with("==") => "a single = means nothing here; compare with ==".into(),
        Some('&') if !rest.starts_with("&&") => "a single & means nothing here; 'and' is written &&".into(),
        Some('|') if !rest.starts_with("||") => "a single | means nothing here; 'or' is written ||".into(),
        Some('"' | '\'') if unknown => "the text has an unknown escape; write \\\\ for a backslash".into(),
        Some(letter) if unknown && letter.is_alphabetic() => {
            format!("'{letter}' may stand in a text only; write a name that has it as in context[\"name\"]")
        }
        Some(first) if word.is_empty() => format!("'{}' is not expected here", first.escape_debug()),
        Some(_) => format!("'{}' is not expected here", shorten(&word)),
    }
}
