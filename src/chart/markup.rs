//! Writer of markup that is well-formed XML and HTML at once.
//!
//! Invariants:
//!
//! * Text and attribute values are escaped as they are written, so a scenario's texts never become markup.
//! * Every opened element is closed.
//! * A character that XML lacks becomes U+FFFD.
//! * Unescaped text must be `'static`, so it comes from this source code.
//!
//! Deliberately not here: a library. The outputs need only elements, attributes and text, and an independent parser
//! reads them back in the tests.

use std::fmt::{self, Display, Write};

/// Attributes of an element. Their names are from this source code; their values may be any text.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

/// A document that grows.
#[derive(Debug, Default)]
pub struct Markup {
    text: String,
}

/// Writer that escapes all text.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\t' | '\n' => self.0.push(c),
                // XML does not allow these characters, even escaped.
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => self.0.push(char::REPLACEMENT_CHARACTER),
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}

impl Markup {
    /// An empty document that begins with `prologue`.
    pub fn beginning(prologue: &'static str) -> Self {
        Self { text: prologue.to_owned() }
    }

    /// Writes text, escaped.
    pub fn text(&mut self, text: impl Display) -> &mut Self {
        // Writing to a string cannot fail.
        let _ = write!(Escaped(&mut self.text), "{text}");
        self
    }

    /// Writes text from this source code, which may contain markup.
    pub fn trusted(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Writes an element with its end tag. `inside` writes the contents.
    pub fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.open(tag, attributes);
        self.text.push('>');
        inside(self);
        let _ = write!(self.text, "</{tag}>");
    }

    /// Writes an element that contains text.
    pub fn leaf(&mut self, tag: &'static str, attributes: Attributes<'_>, text: impl Display) {
        self.element(tag, attributes, |out| {
            out.text(text);
        });
    }

    /// Writes an element without an end tag: one of HTML's void elements or SVG's shapes.
    pub fn empty(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.open(tag, attributes);
        self.text.push_str("/>");
    }

    fn open(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        let _ = write!(self.text, "<{tag}");
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"");
            self.text(value);
            self.text.push('"');
        }
    }

    /// The finished document.
    pub fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_name_holds_a_parser_reads_it_back() {
        let nasty = "</script><script>alert('1')</script> & \"quoted\" ]]> <!-- – ✓\n\ttwo lines";
        let mut out = Markup::default();
        out.element("a", &[("b", nasty)], |out| out.leaf("c", &[], nasty));
        let text = out.finish();
        let document = roxmltree::Document::parse(&text).unwrap();
        assert_eq!(document.descendants().find(|node| node.has_tag_name("c")).unwrap().text(), Some(nasty));
        // A parser turns line breaks and tabs in attributes into blanks.
        let on_one_line = nasty.replace(['\n', '\t'], " ");
        assert_eq!(document.root_element().attribute("b"), Some(on_one_line.as_str()));
    }

    #[test]
    fn ids_of_arms_are_read_back_as_they_are() {
        for id in ["gid://shopify/Product/7967?a=1&b='2'", r#"a"b\c,d=e'f<g>&h;"#, "crème – 日本\u{202e}", "&amp;&#39;"]
        {
            let mut out = Markup::default();
            out.element("a", &[("b", id)], |out| out.leaf("c", &[], id));
            let text = out.finish();
            let document = roxmltree::Document::parse(&text).unwrap();
            assert_eq!(document.root_element().attribute("b"), Some(id));
            assert_eq!(document.descendants().find(|node| node.has_tag_name("c")).unwrap().text(), Some(id));
        }
    }

    #[test]
    fn characters_that_xml_does_not_have_are_replaced() {
        let mut out = Markup::default();
        out.leaf("a", &[], "bell \u{7}, nul \0, delete \u{7f}, next line \u{85}, none \u{ffff}, return \r");
        let text = out.finish();
        let document = roxmltree::Document::parse(&text).unwrap();
        let want = "bell \u{fffd}, nul \u{fffd}, delete \u{fffd}, next line \u{fffd}, none \u{fffd}, return \u{fffd}";
        assert_eq!(document.root_element().text(), Some(want));
    }
}
