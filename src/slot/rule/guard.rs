//! Limits on length and nesting of a condition, checked before the parser reads it.
//!
//! The parser descends recursively, with some 8 kB of stack per bracket and 1 kB per link of a chain such as
//! `a + b + c`, and so does every walk over the tree. A condition that passes needs a fifth of a megabyte.
//!
//! Deliberately not here: the grammar. Brackets are counted, not matched.

use super::Refusal;
use crate::slot::limits::{RULE_BYTES_MAX, RULE_DEPTH_MAX, RULE_NESTING_MAX};

/// Open constructs at one level of brackets.
#[derive(Default, Clone, Copy)]
struct BracketLevel {
    /// Number of conditionals, each of which contains the text up to the bracket's end.
    conditionals: usize,
    /// Number of links of the current chain of operators and members.
    chain: usize,
}

/// Iterator over the characters that are neither in a string nor in a comment, with their positions.
struct Code<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Code<'a> {
    fn starts(&self, with: &[u8]) -> bool {
        self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(with))
    }

    /// Skips the word that begins here and returns it, or returns an empty one if none begins here.
    fn pass_word(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = rest.iter().position(|byte| !inside(byte)).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Skips the string that opens here. Returns its start as the error if it never closes.
    fn pass_string(&mut self, quote: u8, raw: bool) -> Result<(), usize> {
        let opened = self.at;
        let triple = [quote; 3];
        let close: &[u8] = if self.starts(&triple) { &triple } else { &triple[..1] };
        self.at += close.len();
        while self.at < self.bytes.len() {
            if self.starts(close) {
                self.at += close.len();
                return Ok(());
            }
            match self.bytes.get(self.at) {
                Some(b'\\') if !raw => self.at += 2,
                Some(b'\n') if close.len() == 1 => return Err(opened),
                _ => self.at += 1,
            }
        }
        Err(opened)
    }

    /// Skips the rest of the line.
    fn pass_comment(&mut self) {
        while self.bytes.get(self.at).is_some_and(|&byte| byte != b'\n') {
            self.at += 1;
        }
    }
}

/// Nesting of the condition up to a character.
struct Nesting {
    /// Open brackets, outermost first, after the level outside of all brackets.
    levels: Vec<BracketLevel>,
    /// Depth of the tree that the parser would have built so far.
    depth: usize,
}

impl Nesting {
    fn new() -> Self {
        Self { levels: vec![BracketLevel::default()], depth: 1 }
    }

    /// Counts the character that begins a bracket, an operator or a member.
    fn count(&mut self, byte: u8) {
        let Some(level) = self.levels.last_mut() else { return };
        match byte {
            b'(' | b'[' | b'{' => {
                self.levels.push(BracketLevel::default());
                self.depth += 1;
            }
            b')' | b']' | b'}' => self.close_bracket(),
            b',' => {
                self.depth -= level.conditionals + level.chain;
                *level = BracketLevel::default();
            }
            b'&' | b'|' => {
                self.depth -= level.chain;
                level.chain = 0;
            }
            b'?' => {
                level.conditionals += 1;
                self.depth += 1;
            }
            b'.' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'!' | b'i' => {
                level.chain += 1;
                self.depth += 1;
            }
            _ => {}
        }
    }

    fn close_bracket(&mut self) {
        if self.levels.len() > 1
            && let Some(closed) = self.levels.pop()
        {
            self.depth -= 1 + closed.conditionals + closed.chain;
        }
        // A member, an index or a call of the bracketed expression continues the chain.
        if let Some(level) = self.levels.last_mut() {
            level.chain += 1;
            self.depth += 1;
        }
    }

    /// Refuses a condition whose nesting exceeds a limit at the character `at`.
    fn check(&self, at: usize) -> Result<(), Refusal> {
        if self.levels.len() > RULE_NESTING_MAX + 1 {
            return Err(Refusal::new(at, format!("more than {RULE_NESTING_MAX} brackets are open; split the rule")));
        }
        if self.depth > RULE_DEPTH_MAX {
            let message = "is nested too deep from here on; join with && and ||, or split the rule";
            return Err(Refusal::new(at, message.into()));
        }
        Ok(())
    }
}

/// Refuses a condition that is too long, is nested too deep, or has a string that does not end.
pub(super) fn check(text: &str) -> Result<(), Refusal> {
    if text.len() > RULE_BYTES_MAX {
        return Err(Refusal::new(0, format!("has {} bytes; at most {RULE_BYTES_MAX} are allowed", text.len())));
    }
    let mut code = Code { bytes: text.as_bytes(), at: 0 };
    let mut nesting = Nesting::new();
    let mut raw = false;
    while let Some(&byte) = code.bytes.get(code.at) {
        let at = code.at;
        let word = code.pass_word();
        if !word.is_empty() {
            raw = matches!(word, b"r" | b"R" | b"br" | b"bR" | b"Br" | b"BR");
            if word != b"in" {
                continue;
            }
        }
        match byte {
            b'"' | b'\'' => {
                let unclosed =
                    |opened| Refusal::new(opened, format!("the text is not closed: a {} is missing", char::from(byte)));
                code.pass_string(byte, raw).map_err(unclosed)?;
                raw = false;
                continue;
            }
            b'/' if code.starts(b"//") => {
                code.pass_comment();
                continue;
            }
            _ => {}
        }
        raw = false;
        if word.is_empty() {
            code.at += if code.starts(b"&&") || code.starts(b"||") { 2 } else { 1 };
        }
        nesting.count(byte);
        nesting.check(at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_at(text: &str) -> Option<usize> {
        check(text).err().map(|refusal| refusal.at)
    }

    #[test]
    fn the_nesting_of_brackets_is_limited() {
        let nested = |n: usize| format!("{}true{}", "(".repeat(n), ")".repeat(n));
        assert_eq!(refused_at(&nested(RULE_NESTING_MAX)), None);
        assert_eq!(refused_at(&nested(RULE_NESTING_MAX + 1)), Some(RULE_NESTING_MAX));
        assert_eq!(refused_at(&"[{(".repeat(1_000)), Some(RULE_NESTING_MAX));
    }

    #[test]
    fn the_length_of_chains_is_limited() {
        for link in ["+1", ".a", "<1", "?1:", "(1)", "[0]", "-1", "!x", " in a"] {
            let chain = |n: usize| format!("a{}", link.repeat(n));
            assert_eq!(refused_at(&chain(RULE_DEPTH_MAX / 2 - 1)), None, "{link}");
            assert!(refused_at(&chain(RULE_DEPTH_MAX + 1)).is_some(), "{link}");
        }
    }

    #[test]
    fn conjunctions_and_lists_may_be_long() {
        assert_eq!(refused_at(&["context.a == 1"; 200].join(" || ")), None);
        assert_eq!(refused_at(&["context.a == 1"; 200].join(" && ")), None);
        assert_eq!(refused_at(&format!("arm.id in [{}]", ["'x.y.z'"; 400].join(", "))), None);
    }

    #[test]
    fn brackets_in_texts_and_comments_do_not_count() {
        let brackets = "(".repeat(100);
        for text in [
            format!("context.a == '{brackets}'"),
            format!("context.a == \"{brackets}\""),
            format!("context.a == r'\\' && context.b == '{brackets}'"),
            format!("context.a == '\\'{brackets}'"),
            format!("context.a == '''{brackets}'\n{brackets}'''"),
            format!("// {brackets} 'not closed\ncontext.a"),
        ] {
            assert_eq!(refused_at(&text), None, "{text}");
        }
    }

    #[test]
    fn a_string_that_does_not_end_is_refused_at_its_start() {
        assert_eq!(refused_at("context.a == 'gold"), Some(13));
        assert_eq!(refused_at("context.a == \"gold' "), Some(13));
        assert_eq!(refused_at("'''gold''"), Some(0));
        assert_eq!(refused_at("'gold\\'"), Some(0));
        assert_eq!(refused_at("'gold\n'"), Some(0));
        assert_eq!(refused_at("'\\"), Some(0));
    }

    #[test]
    fn length_is_limited() {
        assert_eq!(refused_at(&" ".repeat(RULE_BYTES_MAX)), None);
        assert!(refused_at(&" ".repeat(RULE_BYTES_MAX + 1)).is_some());
    }
}
