//! Progress of a command that takes long: a bar on standard error, or a line now and then if that is no terminal.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::node::Progress;

/// Time below which a task is not worth a bar.
const SOON: Duration = Duration::from_secs(1);
/// Time between two lines, and before the first.
const LINES_EVERY: Duration = Duration::from_secs(10);
/// Time between two steps of the spinner of a task of unknown length.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// Display of a command's progress.
pub(super) struct Meter {
    /// Progress bar, whose clock also times the lines.
    bar: ProgressBar,
    terminal: bool,
    next: Duration,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { bar: ProgressBar::hidden(), terminal: std::io::stderr().is_terminal(), next: LINES_EVERY }
    }

    /// Shows the progress.
    pub(super) fn show(&mut self, progress: Progress) {
        let elapsed = self.bar.elapsed();
        if self.terminal {
            self.draw(progress, elapsed);
        } else if elapsed > self.next {
            self.next = elapsed + LINES_EVERY;
            let Progress { doing, done, of } = progress;
            let how_far = if of == 0 { String::new() } else { format!(": {done} of {of}") };
            // A terminal that cannot be written to has no reader for an error either.
            let _ = writeln!(std::io::stderr(), "{doing}{how_far}");
        }
    }

    fn draw(&self, Progress { doing, done, of }: Progress, elapsed: Duration) {
        let bar = &self.bar;
        if bar.message() != doing {
            let template = if of == 0 { "{spinner} {msg}" } else { "{msg} {wide_bar} {percent:>3} %, {eta} left" };
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_message(doing);
            bar.reset_eta();
            if of == 0 {
                bar.enable_steady_tick(TURN_EVERY);
            } else {
                bar.disable_steady_tick();
            }
        }
        if bar.is_hidden() && (of == 0 || elapsed > SOON) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        bar.set_length(of);
        bar.set_position(done);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
