//! What is under way, drawn below the log while it is: on a terminal only.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::ansi;

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

/// What something that is under way said last, shown below it.
#[derive(Clone, Default)]
pub struct Tail(Option<ProgressBar>);

/// The terminal belongs to a command until this is dropped.
#[must_use = "the display comes back when this is dropped"]
pub struct Lent(Option<Arc<Display>>);

const TICK: Duration = Duration::from_millis(120);
const TASK: &str = "  {spinner} {wide_msg} {elapsed} ";
const TASK_WITH_TAIL: &str = "  {spinner} {wide_msg} {elapsed} \n    {prefix:.dim}";
const TAIL_INDENT: usize = 4;
const TRANSFER: &str = "  {wide_msg} [{bar:24}] {decimal_bytes} of {decimal_total_bytes} ";
const TRANSFER_WITHOUT_END: &str = "  {spinner} {wide_msg} {decimal_bytes} ";

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
        self.add(ProgressBar::no_length(), TASK, what)
    }

    /// Shows something that is transferred, and of how much, if that is known.
    pub fn transfer(&self, what: impl Into<Cow<'static, str>>, size: Option<u64>) -> Task {
        match size {
            Some(size) => self.add(ProgressBar::new(size), TRANSFER, what),
            None => self.add(ProgressBar::no_length(), TRANSFER_WITHOUT_END, what),
        }
    }

    fn add(&self, bar: ProgressBar, template: &str, what: impl Into<Cow<'static, str>>) -> Task {
        let Some(display) = &self.0 else {
            return Task(None);
        };
        let bar = display.bars.add(bar);
        bar.set_style(style(template));
        bar.set_message(printable(what.into()));
        bar.enable_steady_tick(TICK);
        Task(Some(bar))
    }

    /// Tells whether there is a display.
    pub fn is_shown(&self) -> bool {
        self.0.is_some()
    }

    /// Writes what is to stay, above the display.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            // the library panics where it cannot draw, and the build may go on for longer than the terminal
            Some(display) if is_open() => display.bars.suspend(write),
            _ => write(),
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

    /// Returns the place for what it says.
    pub fn tail(&self) -> Tail {
        Tail(self.0.clone())
    }
}

impl Tail {
    /// Shows a line in place of the last one; one in which there is nothing to see changes nothing.
    pub fn show(&self, line: &[u8]) {
        let Some(bar) = &self.0 else {
            return;
        };
        let room = columns().saturating_sub(TAIL_INDENT);
        let line = ansi::condensed(&String::from_utf8_lossy(line), room);
        if line.is_empty() {
            return;
        }
        if bar.prefix().is_empty() {
            bar.set_style(style(TASK_WITH_TAIL));
        }
        bar.set_prefix(line);
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .expect("the template is a right one")
        .progress_chars("=> ")
}

/// Tells whether the terminal is still there.
fn is_open() -> bool {
    rustix::termios::tcgetwinsize(io::stderr()).is_ok()
}

/// Returns how wide the terminal is.
fn columns() -> usize {
    const USUAL: u16 = 80;
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| size.ws_col);
    usize::from(if columns == 0 { USUAL } else { columns })
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
