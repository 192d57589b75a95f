//! Course of a loss over the ten tenths of a stream, as numbers and as a line of bars.

use serde::{Serialize, Serializer};

/// Number of parts.
const PARTS: usize = 10;

/// Bars from the lowest to the highest.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Number of rounds in each tenth of a stream, and of those without a reward.
///
/// Round t of n belongs to the tenth ⌊10·t/n⌋, counted from 0. With fewer than ten rounds some tenths stay empty. The
/// JSON is the ten losses, with `null` for an empty tenth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tenths {
    rounds: [usize; PARTS],
    wrong: [usize; PARTS],
}

impl Tenths {
    /// Counts round `t`, below `rounds`.
    pub fn count(&mut self, t: usize, rounds: usize, wrong: bool) {
        // A data set has at most a million rows, so nothing overflows.
        let part = t * PARTS / rounds;
        self.rounds[part] += 1;
        self.wrong[part] += usize::from(wrong);
    }

    /// Returns the sum of several streams, tenth by tenth.
    pub fn sum<'a>(streams: impl Iterator<Item = &'a Self>) -> Self {
        streams.fold(Self::default(), |mut sum, stream| {
            for part in 0..PARTS {
                sum.rounds[part] += stream.rounds[part];
                sum.wrong[part] += stream.wrong[part];
            }
            sum
        })
    }

    /// Returns the mean of 1 − reward in each tenth, or `None` for an empty one.
    pub fn losses(&self) -> [Option<f64>; PARTS] {
        std::array::from_fn(|part| (self.rounds[part] > 0).then(|| self.wrong[part] as f64 / self.rounds[part] as f64))
    }

    /// Returns the course as ten bars between the losses of the first and of the last tenth. The bars stand on 0, and
    /// the highest is the line's own highest loss. An empty tenth is a blank.
    pub fn sparkline(&self) -> String {
        let losses = self.losses();
        let highest = losses.iter().flatten().copied().fold(0.0, f64::max);
        let bars: String = losses.iter().map(|loss| loss.map_or(' ', |loss| bar(loss, highest))).collect();
        let end = |loss: Option<&Option<f64>>| loss.copied().flatten().map_or("–".to_owned(), |l| format!("{l:.3}"));
        format!("{} {bars} {}", end(losses.first()), end(losses.last()))
    }
}

/// Returns the bar for a loss: the lowest for 0, then equal steps up to the highest.
fn bar(loss: f64, highest: f64) -> char {
    let steps = (BARS.len() - 1) as f64;
    // The highest loss is not 0 here, so nothing is divided by 0.
    let height = if loss > 0.0 { (loss / highest * steps).ceil() } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 7")]
    let height = height as usize;
    BARS[height.min(BARS.len() - 1)]
}

impl Serialize for Tenths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.losses().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the tenths of 25 rounds, which have 3, 2, 3, 2 and so on. The first 3, 1 of the next 2, and the last
    /// are wrong.
    fn tenths() -> Tenths {
        let mut tenths = Tenths::default();
        for t in 0..25 {
            tenths.count(t, 25, t < 4 || t == 24);
        }
        tenths
    }

    #[test]
    fn each_tenth_has_a_loss_of_its_own() {
        assert_eq!(tenths().rounds, [3, 2, 3, 2, 3, 2, 3, 2, 3, 2]);
        let zero = Some(0.0);
        let want = [Some(1.0), Some(0.5), zero, zero, zero, zero, zero, zero, zero, Some(0.5)];
        assert_eq!(tenths().losses(), want);
        let mut two = tenths();
        for t in 0..10 {
            two.count(t, 10, false);
        }
        assert_eq!(two.losses()[..2], [Some(0.75), Some(1.0 / 3.0)], "3 of 4, 1 of 3");
    }

    #[test]
    fn streams_are_added_tenth_by_tenth() {
        let mut other = Tenths::default();
        for t in 0..10 {
            other.count(t, 10, t == 9);
        }
        let sum = Tenths::sum([tenths(), other].iter());
        assert_eq!((sum.losses()[0], sum.losses()[9]), (Some(0.75), Some(2.0 / 3.0)));
    }

    #[test]
    fn a_sparkline_shows_the_course_of_the_loss() {
        assert_eq!(tenths().sparkline(), "1.000 █▅▁▁▁▁▁▁▁▅ 0.500");
        let mut short = Tenths::default();
        for t in 0..3 {
            short.count(t, 3, t == 0);
        }
        assert_eq!(short.sparkline(), "1.000 █  ▁  ▁    –");
        assert_eq!(serde_json::to_string(&short).unwrap(), "[1.0,null,null,0.0,null,null,0.0,null,null,null]");
        assert_eq!(bar(0.0, 0.0), '▁');
        assert_eq!(bar(0.001, 1.0), '▂', "what is not 0 does not look like 0");
    }
}
