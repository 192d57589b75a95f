//! Markup of the documents: headings, paragraphs, lists, tables and blocks of code, as the documents use them.
//!
//! Invariant: every text is escaped. A document is part of the program, and still nothing in it becomes markup by itself.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use super::help_path;

/// Title of a document: its first heading.
pub(super) fn title(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("# ")).unwrap_or("Help")
}

/// Returns the name by which a heading is linked, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

/// Renders a document without its title.
pub(super) fn render(text: &str) -> Markup {
    let mut blocks = Blocks { lines: text.lines().peekable(), ids: BTreeSet::new() };
    let mut shown = Vec::new();
    while let Some(block) = blocks.next_block() {
        shown.push(block);
    }
    html! { @for block in &shown { (block) } }
}

/// Blocks of a document, one after the other.
struct Blocks<'a> {
    lines: std::iter::Peekable<std::str::Lines<'a>>,
    /// Names of headings and rows that are taken.
    ids: BTreeSet<String>,
}

fn is_item(line: &str) -> bool {
    line.starts_with("* ") || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok())
}

impl<'a> Blocks<'a> {
    /// Takes the following lines as long as they belong to the same block.
    fn take_while(&mut self, belongs: impl Fn(&str) -> bool) -> Vec<&'a str> {
        let mut taken = Vec::new();
        while let Some(line) = self.lines.next_if(|line| belongs(line)) {
            taken.push(line);
        }
        taken
    }

    /// Returns a name if no other heading or row has it.
    fn id(&mut self, text: &str) -> Option<String> {
        let id = anchor(text);
        (!id.is_empty() && self.ids.insert(id.clone())).then_some(id)
    }

    fn next_block(&mut self) -> Option<Markup> {
        loop {
            let line = *self.lines.peek()?;
            let start = line.trim_start();
            if start.is_empty() || line.starts_with("# ") || start.starts_with("![") {
                self.lines.next();
            } else if start.starts_with("<!--") {
                while self.lines.next().is_some_and(|line| !line.contains("-->")) {}
            } else if start.starts_with("```") {
                self.lines.next();
                let code = self.take_while(|line| !line.trim_start().starts_with("```"));
                self.lines.next();
                return Some(html! { pre tabindex="0" { code { (code.join("\n")) } } });
            } else if line.starts_with("## ") || line.starts_with("### ") {
                self.lines.next();
                return Some(self.heading(line));
            } else if line.starts_with('|') {
                let rows = self.take_while(|line| line.starts_with('|'));
                return Some(self.table(&rows));
            } else if is_item(line) {
                return Some(self.list(line.starts_with("* ")));
            } else {
                let starts_other = |line: &str| {
                    line.trim().is_empty() || line.starts_with(['|', '#']) || line.starts_with("```") || is_item(line)
                };
                let first = self.lines.next().unwrap_or_default();
                let rest = self.take_while(|line| !starts_other(line));
                let text = std::iter::once(first).chain(rest).map(str::trim).collect::<Vec<_>>().join(" ");
                return Some(html! { p { (inline(&text)) } });
            }
        }
    }

    fn heading(&mut self, line: &str) -> Markup {
        let (level, text) = line.split_once(' ').unwrap_or(("##", line));
        let id = self.id(text);
        html! { @if level.len() == 2 { h2 id=[id] { (inline(text)) } } @else { h3 id=[id] { (inline(text)) } } }
    }

    fn list(&mut self, bullets: bool) -> Markup {
        let mut items: Vec<String> = Vec::new();
        while let Some(line) = self.lines.next_if(|line| is_item(line) || line.starts_with("  ")) {
            match items.last_mut() {
                Some(item) if !is_item(line) => {
                    item.push(' ');
                    item.push_str(line.trim());
                }
                _ => items.push(line.split_once(' ').map_or(line, |(_, text)| text).trim().to_owned()),
            }
        }
        html! {
            @if bullets { ul { @for item in &items { li { (inline(item)) } } } }
            @else { ol { @for item in &items { li { (inline(item)) } } } }
        }
    }

    fn table(&mut self, rows: &[&str]) -> Markup {
        let cells = |row: &str| -> Vec<String> {
            let row = row.trim().trim_start_matches('|').trim_end_matches('|').replace("\\|", "\u{0}");
            row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
        };
        let head = rows.first().map(|row| cells(row)).unwrap_or_default();
        let body: Vec<_> = rows.iter().skip(2).map(|row| cells(row)).collect();
        let ids: Vec<_> = body.iter().map(|row| row.first().and_then(|name| self.id(name))).collect();
        html! {
            div.scroll.wide tabindex="0" { table {
                caption { (head.join(", ")) }
                thead { tr { @for cell in &head { th.text scope="col" { (inline(cell)) } } } }
                tbody { @for (row, id) in body.iter().zip(&ids) { tr id=[id.as_ref()] {
                    @for (place, cell) in row.iter().enumerate() {
                        @if place == 0 { th.text scope="row" { (inline(cell)) } } @else { td.text { (inline(cell)) } }
                    }
                } } }
            } }
        }
    }
}

/// Returns the text up to a sign and the text after it, or `None` if the sign does not come.
fn until<'a>(text: &'a str, sign: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(sign).filter(|(inner, _)| !inner.is_empty())
}

/// Renders text with code, links and emphasis.
fn inline(text: &str) -> Markup {
    let (mut out, mut rest) = (String::new(), text);
    let mut plain = String::new();
    while let Some(first) = rest.chars().next() {
        let found = match first {
            '`' => until(&rest[1..], "`").map(|(code, after)| (html! { code { (code) } }, after)),
            '*' if rest.starts_with("**") => {
                until(&rest[2..], "**").map(|(inner, after)| (html! { strong { (inline(inner)) } }, after))
            }
            '*' if !rest[1..].starts_with(' ') => {
                until(&rest[1..], "*").map(|(inner, after)| (html! { em { (inline(inner)) } }, after))
            }
            '<' => until(&rest[1..], ">")
                .filter(|(address, _)| address.contains("://") && !address.contains(' '))
                .map(|(address, after)| (html! { code { (address) } }, after)),
            '[' => link(rest),
            _ => None,
        };
        if let Some((markup, after)) = found {
            out.push_str(&html! { (plain) }.into_string());
            plain.clear();
            out.push_str(&markup.into_string());
            rest = after;
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out.push_str(&html! { (plain) }.into_string());
    PreEscaped(out)
}

/// Renders a link. One that leads out of the help is its text alone.
fn link(text: &str) -> Option<(Markup, &str)> {
    let (label, after) = until(&text[1..], "](").filter(|(label, _)| !label.contains(']'))?;
    let (target, after) = until(after, ")")?;
    let markup = match help_path(target) {
        Some(path) => html! { a href=(path) { (inline(label)) } },
        None => inline(label),
    };
    Some((markup, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_becomes_markup_with_its_texts_escaped() {
        let text = "# Title\n\n*Reader: you.*\n\n<!-- setup: x -->\n\nA `code <b>` and **bold**, [one](rules.md#a),\nand [out](x.md).\n\n## If so\n\n* first\n  goes on\n* second <i>\n\n| a | b |\n| --- | --- |\n| one two | `x \\| y` |\n\n```sh\nrun <it>\n```\n";
        assert_eq!(title(text), "Title");
        let shown = render(text).into_string();
        for part in [
            "<p><em>Reader: you.</em></p>",
            "<code>code &lt;b&gt;</code> and <strong>bold</strong>, <a href=\"/help/rules#a\">one</a>, and out.</p>",
            "<h2 id=\"if-so\">If so</h2>",
            "<ul><li>first goes on</li><li>second &lt;i&gt;</li></ul>",
            "<tr id=\"one-two\"><th class=\"text\" scope=\"row\">one two</th><td class=\"text\"><code>x | y</code></td></tr>",
            "<code>run &lt;it&gt;</code>",
        ] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        let signs = render("Within [0, 1], p < 1 and 2 * 3 * 4 > 5: [so](#a) <http://x/>.").into_string();
        let plain = "Within [0, 1], p &lt; 1 and 2 * 3 * 4 &gt; 5: <a href=\"#a\">so</a> <code>http://x/</code>.";
        assert_eq!(signs, format!("<p>{plain}</p>"));
        assert!(!shown.contains("setup") && !shown.contains("Title"), "{shown}");
    }
}
