//! The log: `tracing` events on stderr in kaniko's three formats; the [`timeline`] of a build, which reports are
//! made of; and its [`progress`] on a terminal.
//!
//! Only this program's own events are written; what libraries trace may show headers and credentials.

pub mod ansi;
pub mod page;
pub mod progress;
pub mod record;
pub mod timeline;
pub mod trace;
pub mod transfer;
pub mod units;

mod line;
mod quote;
mod summary;

use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use line::{Line, Stamp};
use progress::Above;
pub use progress::Progress;
pub use quote::{go_quote, go_quote_bytes, harmless};

/// Target of an event that is written at level `fatal`: the program ends right after it.
pub const FATAL: &str = "executor::fatal";

/// How the log looks and how much it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub format: Format,
    pub level: Level,
    /// `color` lines show the time of day instead of the seconds since the start.
    pub timestamp: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Color,
    Text,
    Json,
}

/// How grave a line is; a log shows its own level and what is graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Panic,
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("parsing log level: not a valid logrus Level: {}", go_quote(.0))]
    Level(String),
    #[error("not a valid log format: {}. Please specify one of (text, color, json)", go_quote(.0))]
    Format(String),
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "color" => Ok(Self::Color),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Error::Format(other.into())),
        }
    }
}

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match &*text.to_ascii_lowercase() {
            "panic" => Ok(Self::Panic),
            "fatal" => Ok(Self::Fatal),
            "error" => Ok(Self::Error),
            "warn" | "warning" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(Error::Level(text.into())),
        }
    }
}

impl Level {
    fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            tracing::Level::ERROR if metadata.target() == FATAL => Self::Fatal,
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::TRACE => Self::Trace,
        }
    }
}

/// Starts logging to stderr, above what `progress` shows, for the whole process and once.
pub fn start(options: Options, progress: &Progress) {
    let above = Above {
        progress: progress.clone(),
        writer: std::io::stderr(),
    };
    let subscriber = subscriber(options, above);
    let started = tracing::subscriber::set_global_default(subscriber);
    debug_assert!(started.is_ok(), "only the process edge starts the log");
}

fn subscriber(
    options: Options,
    writer: impl Write + Send + 'static,
) -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(Lines {
        options,
        start: Instant::now(),
        writer: Mutex::new(writer),
    })
}

/// Writes each event as one line, by one `write` where possible.
struct Lines<W> {
    options: Options,
    start: Instant,
    writer: Mutex<W>,
}

impl<S: Subscriber, W: Write + Send + 'static> Layer<S> for Lines<W> {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = metadata.target() == "executor" || metadata.target().starts_with("executor::");
        own && Level::of(metadata) <= self.options.level
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::new(Level::of(event.metadata()));
        event.record(&mut line);
        let stamp = Stamp {
            now: SystemTime::now(),
            elapsed: self.start.elapsed(),
        };
        let text = line.format(&self.options, stamp);
        // A log that nobody reads any more must not end the build.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writer.write_all(text.as_bytes());
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), Value::from(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::Arc;
    use tracing::{debug, error, info, trace, warn};

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn options(level: Level) -> Options {
        Options {
            format: Format::Color,
            level,
            timestamp: false,
        }
    }

    fn speak() {
        trace!("t");
        debug!("d");
        info!("i");
        warn!("w");
        error!("e");
        error!(target: FATAL, "f");
        error!(target: "h2::frame", "authorization: Basic c2VjcmV0");
    }

    #[test]
    fn levels() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("panic",   ""),
            ("fatal",   "FATA"),
            ("error",   "ERRO FATA"),
            ("warn",    "WARN ERRO FATA"),
            ("WARNING", "WARN ERRO FATA"),
            ("info",    "INFO WARN ERRO FATA"),
            ("debug",   "DEBU INFO WARN ERRO FATA"),
            ("Trace",   "TRAC DEBU INFO WARN ERRO FATA"),
        ];
        for (word, want) in cases {
            let buffer = Buffer::default();
            let subscriber = subscriber(options(word.parse().unwrap()), buffer.clone());
            tracing::subscriber::with_default(subscriber, speak);
            let written = buffer.0.lock().unwrap().clone();
            let lines = String::from_utf8(written).unwrap();
            let words: Vec<&str> = lines.lines().map(|line| &line[5..9]).collect();
            assert_eq!(words.join(" "), want, "{word}");
        }
    }

    #[test]
    fn a_closed_stderr_is_no_reason_to_die() {
        let subscriber = subscriber(options(Level::Info), Closed);
        tracing::subscriber::with_default(subscriber, speak);
    }

    #[test]
    fn words_that_are_none() {
        let message = "loud".parse::<Level>().unwrap_err().to_string();
        assert_eq!(
            message,
            "parsing log level: not a valid logrus Level: \"loud\""
        );
        let message = "xml".parse::<Format>().unwrap_err().to_string();
        assert_eq!(
            message,
            "not a valid log format: \"xml\". Please specify one of (text, color, json)"
        );
    }
}
