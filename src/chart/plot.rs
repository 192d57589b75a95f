//! Axes, which turn numbers into places in a drawing.
//!
//! A drawing is [`WIDTH`] units wide whatever its width on the screen, so its text shrinks with it. It is made for half
//! of a desktop's page, and legible on a phone.

use super::{
    markup::Markup,
    number::{Unit, ticks},
};

/// Width of every drawing, in its own units.
pub const WIDTH: f64 = 480.0;

/// Room on the right for half of the last tick's label.
const RIGHT: f64 = 22.0;
/// Room above for the y axis's title.
const TOP: f64 = 26.0;
/// Room below the y axis's title for the names of moments.
const NAMES: f64 = 16.0;
/// Room below for tick labels and the x axis's title.
const BOTTOM: f64 = 42.0;
/// Greatest width of a label's character. Fonts differ.
pub const CHARACTER: f64 = 8.1;

/// A number as a coordinate. A tenth of a unit is finer than a pixel.
pub fn px(number: f64) -> String {
    let text = format!("{number:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// An axis from its low end to its high end.
#[derive(Debug, Clone)]
pub struct Axis {
    low: f64,
    high: f64,
    /// Places and texts of the labels.
    labels: Vec<(f64, String)>,
    /// `true` for an axis of powers of ten, on which 0 is not a special place.
    logarithmic: bool,
    title: String,
}

impl Axis {
    /// An axis from the tick below `low` to the tick above `high`.
    pub fn round(title: &str, unit: Unit, (low, high): (f64, f64)) -> Self {
        let ticks = ticks(low, high, 5, unit);
        let low = ticks.values.first().copied().unwrap_or(low);
        let high = ticks.values.last().copied().unwrap_or(high);
        let labels = ticks.values.iter().map(|tick| (*tick, unit.show_fixed(*tick, ticks.decimals))).collect();
        Self { low, high, labels, logarithmic: false, title: title.to_owned() }
    }

    /// An axis from `low` to `high`, which must be above it, with ticks at round numbers.
    pub fn exact(title: &str, unit: Unit, (low, high): (f64, f64)) -> Self {
        let hair = (high - low) * 1e-9;
        let mut axis = Self::round(title, unit, (low, high));
        axis.labels.retain(|(tick, _)| (low - hair..=high + hair).contains(tick));
        Self { low, high, ..axis }
    }

    /// An axis of powers of ten that surround `low` and `high`. Both are exponents: 2 is labelled as 100.
    pub fn logarithmic(title: &str, unit: Unit, (low, high): (f64, f64)) -> Self {
        let (low, high) = (low.floor(), high.ceil().max(low.floor() + 1.0));
        // A longer axis has only room for the powers themselves.
        let steps: &[f64] = if high - low <= 2.0 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let mut labels = Vec::new();
        let mut power = low;
        while power <= high {
            let ticks = steps.iter().map(|step| step.log10() + power).filter(|tick| *tick <= high);
            labels.extend(ticks.map(|tick| (tick, unit.show(10_f64.powf(tick)))));
            power += 1.0;
        }
        Self { low, high, labels, logarithmic: true, title: title.to_owned() }
    }

    /// The class of the line at a tick, which emphasises 0.
    fn line_class(&self, tick: f64) -> &'static str {
        if tick == 0.0 && !self.logarithmic { "grid zero" } else { "grid" }
    }

    /// The place of a number along the axis, from 0 to 1. A number beyond an end is at the end.
    fn part(&self, number: f64) -> f64 {
        ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Returns `true` if `number` lies strictly inside the axis.
    pub fn holds(&self, number: f64) -> bool {
        self.low < number && number < self.high
    }
}

/// Two axes and the area between them.
#[derive(Debug)]
pub struct Plot {
    /// The horizontal axis.
    pub across: Axis,
    /// The vertical axis, or `None` if there are rows instead.
    pub up: Option<Axis>,
    /// Left edge of the area.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Plot {
    /// A plot with numbers on both axes.
    pub fn new(across: Axis, up: Axis, height: f64) -> Self {
        let widest = up.labels.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(0);
        let left = 8.0 + CHARACTER * widest as f64;
        Self { across, up: Some(up), left, right: WIDTH - RIGHT, top: TOP, bottom: height - BOTTOM }
    }

    /// The plot with additional room above for the names of moments.
    #[must_use]
    pub fn with_names(self) -> Self {
        Self { top: self.top + NAMES, ..self }
    }

    /// A plot with rows, which are `rows_height` high in all and have `left` units for their names.
    pub fn rows(across: Axis, left: f64, rows_height: f64) -> Self {
        Self { across, up: None, left, right: WIDTH - RIGHT, top: 10.0, bottom: 10.0 + rows_height }
    }

    /// Height of the drawing.
    pub fn height(&self) -> f64 {
        self.bottom + BOTTOM
    }

    /// The horizontal place of a number.
    pub fn x(&self, number: f64) -> f64 {
        self.left + self.across.part(number) * (self.right - self.left)
    }

    /// The vertical place of a number.
    pub fn y(&self, number: f64) -> f64 {
        let part = self.up.as_ref().map_or(0.5, |up| up.part(number));
        self.bottom - part * (self.bottom - self.top)
    }

    /// The two places, as a path or a polygon writes them.
    pub fn at(&self, x: f64, y: f64) -> String {
        format!("{},{}", px(self.x(x)), px(self.y(y)))
    }

    /// Writes lines and labels at the ticks, and the axes' titles.
    pub fn frame(&self, out: &mut Markup) {
        let (left, right) = (px(self.left), px(self.right));
        if let Some(up) = &self.up {
            for (tick, label) in &up.labels {
                let y = px(self.y(*tick));
                let class = up.line_class(*tick);
                out.empty("line", &[("class", class), ("x1", &left), ("x2", &right), ("y1", &y), ("y2", &y)]);
                let (x, y) = (px(self.left - 6.0), px(self.y(*tick) + 4.5));
                out.leaf("text", &[("class", "end"), ("x", &x), ("y", &y)], label);
            }
            out.leaf("text", &[("class", "axis"), ("x", "0"), ("y", "13")], &up.title);
        }
        let (top, bottom) = (px(self.top), px(self.bottom));
        for (tick, label) in &self.across.labels {
            let x = px(self.x(*tick));
            if self.up.is_none() {
                let class = self.across.line_class(*tick);
                out.empty("line", &[("class", class), ("x1", &x), ("x2", &x), ("y1", &top), ("y2", &bottom)]);
            } else {
                let y2 = px(self.bottom + 4.0);
                out.empty("line", &[("class", "grid zero"), ("x1", &x), ("x2", &x), ("y1", &bottom), ("y2", &y2)]);
            }
            // A wide label at the edge is moved in.
            let half = CHARACTER * label.chars().count() as f64 / 2.0;
            let (x, y) = (px(self.x(*tick).min(WIDTH - half)), px(self.bottom + 18.0));
            out.leaf("text", &[("class", "middle"), ("x", &x), ("y", &y)], label);
        }
        out.empty("line", &[("class", "grid zero"), ("x1", &left), ("x2", &right), ("y1", &bottom), ("y2", &bottom)]);
        let y = px(self.bottom + 37.0);
        out.leaf("text", &[("class", "axis end"), ("x", &right), ("y", &y)], &self.across.title);
    }
}

/// The smallest and the largest finite number, or 0 and 1 if there is none.
pub fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers
        .filter(|number| number.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The mark of a policy's own shape around (0, 0), as a path.
pub fn shape(series: usize) -> &'static str {
    const SHAPES: [&str; 6] = [
        "M-4.5,0A4.5,4.5 0 1 0 4.5,0A4.5,4.5 0 1 0 -4.5,0Z",
        "M-4,-4H4V4H-4Z",
        "M0,-5L5,4H-5Z",
        "M0,-5.5L5.5,0L0,5.5L-5.5,0Z",
        "M0,5L5,-4H-5Z",
        "M-1.7,-5H1.7V-1.7H5V1.7H1.7V5H-1.7V1.7H-5V-1.7H-1.7Z",
    ];
    SHAPES[series % SHAPES.len()]
}

/// The class of a policy's colour and of the way its line is drawn.
pub fn series_class(series: usize) -> String {
    format!("s{}", series % 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_axes_are_the_edges_of_the_room() {
        let plot = Plot::new(
            Axis::exact("decision", Unit::Plain, (0.0, 1234.0)),
            Axis::round("regret", Unit::Plain, (0.013, 0.088)),
            300.0,
        );
        assert_eq!((plot.x(0.0), plot.x(1234.0)), (plot.left, plot.right));
        assert_eq!((plot.y(0.0), plot.y(0.1)), (plot.bottom, plot.top), "0.013 to 0.088 is shown as 0 to 0.1");
        assert_eq!(px(plot.x(617.0)), px(f64::midpoint(plot.left, plot.right)));
        assert_eq!((plot.x(-5.0), plot.x(1e9)), (plot.left, plot.right), "what is beyond an end is at it");
        assert_eq!(px(plot.height()), "300");
    }

    #[test]
    fn coordinates_are_short() {
        let numbers = [0.0, -0.04, 1.26, 100.0, -3.5];
        assert_eq!(numbers.map(px), ["0", "0", "1.3", "100", "-3.5"].map(str::to_owned));
    }

    #[test]
    fn the_range_of_nothing_is_still_an_axis() {
        assert_eq!(range([].into_iter()), (0.0, 1.0));
        assert_eq!(range([f64::NAN, 2.0, -1.0, f64::INFINITY].into_iter()), (-1.0, 2.0));
    }
}
