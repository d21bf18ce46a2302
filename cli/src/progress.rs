//! Progress on stderr: a bar where a person watches, now and then a line where a file collects it.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use covey_node::api::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;
use crate::text::clean;

/// What takes less than this shows nothing.
const PATIENCE: Duration = Duration::from_millis(700);
/// How often a line is printed where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The progress of one command.
pub struct Bar {
    mode: Mode,
    started: Instant,
    printed: Option<Instant>,
    bar: Option<ProgressBar>,
    last: Progress,
}

enum Mode {
    Silent,
    Lines,
    Drawn,
}

impl Bar {
    /// Starts a bar that says `what` until the first real progress arrives.
    pub fn start(what: &str, output: &Output) -> Self {
        let mode = match (output.is_quiet(), io::stderr().is_terminal()) {
            (true, _) => Mode::Silent,
            (false, true) => Mode::Drawn,
            (false, false) => Mode::Lines,
        };
        let last = Progress { stage: what.to_owned(), done: 0, total: None, item: None };
        Self { mode, started: Instant::now(), printed: None, bar: None, last }
    }

    /// Takes note of progress.
    pub fn update(&mut self, progress: Progress) {
        self.last = progress;
        self.tick();
    }

    /// To be called a few times a second, so that a command without progress of its own shows life.
    pub fn tick(&mut self) {
        if self.started.elapsed() < PATIENCE {
            return;
        }
        match self.mode {
            Mode::Silent => {}
            Mode::Drawn => self.draw(),
            Mode::Lines => self.print(),
        }
    }

    /// Prints with `print` what stays above the bar.
    pub fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn draw(&mut self) {
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        });
        let counted = self.last.total.is_some();
        if bar.length() != self.last.total || bar.position() == 0 {
            bar.set_style(style(counted));
            self.last.total.map_or_else(|| bar.unset_length(), |total| bar.set_length(total));
        }
        bar.set_position(self.last.done);
        bar.set_prefix(clean(&self.last.stage));
        bar.set_message(self.last.item.as_deref().map(clean).unwrap_or_default());
        bar.tick();
    }

    fn print(&mut self) {
        if self.printed.is_some_and(|at| at.elapsed() < LINE_EVERY) {
            return;
        }
        self.printed = Some(Instant::now());
        let Progress { stage, done, total, .. } = &self.last;
        let amount = match (done, total) {
            (done, Some(total)) => format!(" {done}/{total}"),
            (0, None) => String::new(),
            (done, None) => format!(" {done}"),
        };
        let _ = writeln!(io::stderr(), "{}{amount} …", clean(stage));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(counted: bool) -> ProgressStyle {
    let template = if counted {
        "{spinner} {prefix} [{bar:30}] {pos}/{len} {eta} {wide_msg}"
    } else {
        "{spinner} {prefix} {pos} {elapsed} {wide_msg}"
    };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}
