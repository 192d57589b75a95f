//! A figure: its title, a note, a legend, the drawing, and its numbers as a table.
//!
//! Invariants:
//!
//! * A drawing has a title and a description for readers who do not see it.
//! * A legend never distinguishes by colour alone.
//! * The numbers that are drawn are in the table.

use super::{
    markup::Markup,
    plot::{WIDTH, px, series_class, shape},
};

/// An entry of a legend.
#[derive(Debug)]
pub struct LegendEntry {
    /// Name of the drawn thing.
    pub name: String,
    /// Sign with which it is drawn.
    pub sign: LegendSign,
}

/// Sign of a drawn thing.
#[derive(Debug)]
pub enum LegendSign {
    /// The line of a policy.
    Line(usize),
    /// The mark of a policy.
    Mark(usize),
    /// A line of reference, by its class.
    Reference(&'static str),
    /// An area, by its class.
    Area(String),
}

/// A table of numbers whose first column names the rows.
#[derive(Debug)]
pub struct NumberTable {
    /// Names of the columns.
    pub header: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<String>>,
}

/// A figure without its drawing.
#[derive(Debug)]
pub struct Figure {
    /// Id of the figure, unique in the page.
    pub id: String,
    /// Title of the figure.
    pub title: String,
    /// Explanation in a sentence or two.
    pub note: String,
    /// Description of the drawing for readers who do not see it.
    pub description: String,
    /// Names of the drawn things.
    pub legend: Vec<LegendEntry>,
    /// Numbers that are drawn.
    pub numbers: NumberTable,
}

impl Figure {
    /// Writes the figure, `height` units high.
    pub fn write(&self, out: &mut Markup, height: f64, draw: impl FnOnce(&mut Markup)) {
        out.trusted("\n").element("figure", &[("id", &self.id)], |out| {
            out.element("figcaption", &[], |out| {
                out.leaf("h3", &[], &self.title);
                if !self.note.is_empty() {
                    out.leaf("p", &[], &self.note);
                }
            });
            if !self.legend.is_empty() {
                out.element("ul", &[("class", "legend")], |out| self.legend.iter().for_each(|key| key.write(out)));
            }
            let (title, description) = (format!("{}-title", self.id), format!("{}-description", self.id));
            let view = format!("0 0 {} {}", px(WIDTH), px(height));
            let attributes = [
                ("class", "drawing"),
                ("role", "img"),
                ("viewBox", &*view),
                ("aria-labelledby", &*title),
                ("aria-describedby", &*description),
            ];
            out.element("svg", &attributes, |out| {
                out.leaf("title", &[("id", &title)], &self.title);
                out.leaf("desc", &[("id", &description)], &self.description);
                draw(out);
            });
            out.element("details", &[("class", "numbers")], |out| {
                out.leaf("summary", &[], "Numbers");
                out.element("div", &[("class", "scroll"), ("tabindex", "0")], |out| {
                    self.numbers.write(out, &self.title);
                });
            });
        });
    }
}

impl LegendEntry {
    fn write(&self, out: &mut Markup) {
        out.element("li", &[], |out| {
            let view = [("viewBox", "-14 -7 28 14"), ("aria-hidden", "true")];
            out.element("svg", &view, |out| match &self.sign {
                LegendSign::Line(series) => {
                    let class = format!("line {}", series_class(*series));
                    out.empty("path", &[("class", &class), ("d", "M-14,0H14")]);
                }
                LegendSign::Mark(series) => {
                    let class = format!("mark {}", series_class(*series));
                    out.empty("path", &[("class", &class), ("d", shape(*series))]);
                }
                LegendSign::Reference(class) => out.empty("path", &[("class", class), ("d", "M-14,0H14")]),
                LegendSign::Area(class) => {
                    let attributes =
                        [("class", &**class), ("x", "-10"), ("y", "-6"), ("width", "20"), ("height", "12")];
                    out.empty("rect", &attributes);
                }
            });
            out.leaf("span", &[], &self.name);
        });
    }
}

impl NumberTable {
    /// Writes the numbers as a table with a caption.
    pub fn write(&self, out: &mut Markup, caption: &str) {
        out.element("table", &[], |out| {
            out.leaf("caption", &[], caption);
            out.element("thead", &[], |out| {
                out.element("tr", &[], |out| {
                    for name in &self.header {
                        out.leaf("th", &[("scope", "col")], name);
                    }
                });
            });
            out.element("tbody", &[], |out| {
                for row in &self.rows {
                    out.trusted("\n").element("tr", &[], |out| {
                        for (i, cell) in row.iter().enumerate() {
                            if i == 0 {
                                out.leaf("th", &[("scope", "row")], cell);
                            } else {
                                out.leaf("td", &[], cell);
                            }
                        }
                    });
                }
            });
        });
    }
}

/// Writes a part of a drawing that shows `tells` when pointed at.
pub fn spot(out: &mut Markup, tells: &str, inside: impl FnOnce(&mut Markup)) {
    out.element("g", &[("class", "spot")], |out| {
        out.leaf("title", &[], tells);
        inside(out);
    });
}
