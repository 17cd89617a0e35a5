//! What is under way, drawn below the log while it is: on a terminal only.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The display; clones share it. Without a terminal it does nothing.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<Display>>);

struct Display {
    bars: MultiProgress,
    /// How many commands write to the terminal just now.
    commands: Mutex<usize>,
}

/// One thing that is under way until this is dropped.
pub struct Task(Option<ProgressBar>);

/// The terminal belongs to a command until this is dropped.
#[must_use = "the display comes back when this is dropped"]
pub struct Lent(Option<Arc<Display>>);

const TICK: Duration = Duration::from_millis(120);

impl Progress {
    /// Makes a display on standard error, if that is a terminal that can move its cursor.
    pub fn on_terminal() -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if is_dumb || !io::stderr().is_terminal() {
            return Self::default();
        }
        Self(Some(Arc::new(Display {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            commands: Mutex::new(0),
        })))
    }

    /// Shows something that takes its time.
    pub fn task(&self, what: impl Into<Cow<'static, str>>) -> Task {
        self.add(
            ProgressBar::no_length(),
            "  {spinner} {wide_msg} {elapsed} ",
            what,
        )
    }

    /// Shows something of a known size.
    pub fn transfer(&self, what: impl Into<Cow<'static, str>>, size: u64) -> Task {
        let template = "  {msg} [{bar:24}] {decimal_bytes} of {decimal_total_bytes} ";
        self.add(ProgressBar::new(size), template, what)
    }

    fn add(&self, bar: ProgressBar, template: &str, what: impl Into<Cow<'static, str>>) -> Task {
        let Some(display) = &self.0 else {
            return Task(None);
        };
        let style = ProgressStyle::with_template(template).expect("the template is a right one");
        let bar = display.bars.add(bar);
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(printable(what.into()));
        bar.enable_steady_tick(TICK);
        Task(Some(bar))
    }

    /// Writes what is to stay, above the display.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(display) => display.bars.suspend(write),
            None => write(),
        }
    }

    /// Takes the display away, so that a command's output meets a clean line.
    pub fn lend(&self) -> Lent {
        if let Some(display) = &self.0 {
            let mut commands = display.commands();
            *commands += 1;
            if *commands == 1 {
                // A terminal that is gone shows nothing either way.
                let _gone = display.bars.clear();
                display.bars.set_draw_target(ProgressDrawTarget::hidden());
            }
        }
        Lent(self.0.clone())
    }

    /// Takes the display away for good.
    pub fn end(&self) {
        std::mem::forget(self.lend());
    }
}

impl Display {
    fn commands(&self) -> std::sync::MutexGuard<'_, usize> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(display) = &self.0 {
            let mut commands = display.commands();
            *commands -= 1;
            if *commands == 0 {
                display.bars.set_draw_target(ProgressDrawTarget::stderr());
            }
        }
    }
}

impl Task {
    /// Tells that so many more bytes are done.
    pub fn add(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// A writer to the terminal that the display gives way to.
pub struct Above<W> {
    pub progress: Progress,
    pub writer: W,
}

impl<W: Write> Write for Above<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let writer = &mut self.writer;
        self.progress.above(|| {
            let written = writer.write(bytes)?;
            writer.flush()?; // before the display is back
            Ok(written)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Keeps a text from steering the terminal.
fn printable(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.contains(char::is_control) {
        true => text.replace(char::is_control, " ").into(),
        false => text,
    }
}
