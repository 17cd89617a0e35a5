//! One line of the log.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use super::quote::{go_quote, harmless};
use super::{Format, Level, Options};

/// An event's message and fields.
pub struct Line {
    level: Level,
    message: String,
    fields: BTreeMap<&'static str, Value>,
}

/// When a line is written.
#[derive(Clone, Copy)]
pub struct Stamp {
    pub now: SystemTime,
    /// Since the program's start.
    pub elapsed: Duration,
}

impl Line {
    pub fn new(level: Level) -> Self {
        Self {
            level,
            message: String::new(),
            fields: BTreeMap::new(),
        }
    }

    pub fn set(&mut self, name: &'static str, value: Value) {
        match (name, value) {
            ("message", Value::String(message)) => self.message = message,
            (name, value) => drop(self.fields.insert(name, value)),
        }
    }

    /// Returns the line with its newline.
    ///
    /// # Spec
    /// Compat spec 10.2; extra fields as logrus prints them.
    pub fn format(&self, options: &Options, stamp: Stamp) -> String {
        match options.format {
            Format::Color => self.color(options.timestamp, stamp),
            Format::Text => self.text(stamp),
            Format::Json => self.json(stamp),
        }
    }

    fn color(&self, timestamp: bool, stamp: Stamp) -> String {
        let color = match self.level {
            Level::Trace | Level::Debug => 37,
            Level::Info => 36,
            Level::Warn => 33,
            Level::Error | Level::Fatal | Level::Panic => 31,
        };
        let word = self.word().to_uppercase();
        let time = match timestamp {
            true => rfc3339(stamp.now),
            false => format!("{:04}", stamp.elapsed.as_secs()),
        };
        let message = harmless(self.message.strip_suffix('\n').unwrap_or(&self.message));
        let mut line = format!("\x1b[{color}m{}\x1b[0m[{time}] {message:<44} ", &word[..4]);
        for (name, value) in &self.fields {
            let _ = write!(line, " \x1b[{color}m{name}\x1b[0m={}", plain(value));
        }
        line + "\n"
    }

    fn text(&self, stamp: Stamp) -> String {
        let mut line = format!(
            "time=\"{}\" level={} msg={}",
            rfc3339(stamp.now),
            self.word(),
            plain(&Value::from(&*self.message))
        );
        for (name, value) in &self.fields {
            let _ = write!(line, " {name}={}", plain(value));
        }
        line + "\n"
    }

    fn json(&self, stamp: Stamp) -> String {
        let mut object: BTreeMap<&str, Value> = BTreeMap::new();
        for (name, value) in &self.fields {
            // A field must not hide what every line has.
            let name = match *name {
                "level" => "fields.level",
                "msg" => "fields.msg",
                "time" => "fields.time",
                name => name,
            };
            object.insert(name, value.clone());
        }
        object.insert("level", self.word().into());
        object.insert("msg", (*self.message).into());
        object.insert("time", rfc3339(stamp.now).into());
        let json = serde_json::to_string(&object).expect("names are text");
        let mut line = String::with_capacity(json.len() + 1);
        for character in json.chars() {
            match character {
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                    let _ = write!(line, "\\u{:04x}", u32::from(character));
                }
                other => line.push(other),
            }
        }
        line + "\n"
    }

    fn word(&self) -> &'static str {
        match self.level {
            Level::Panic => "panic",
            Level::Fatal => "fatal",
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// Prints a value bare where it reads as one word, else quoted.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    match text.chars().all(bare) {
        true => text,
        false => go_quote(&text),
    }
}

fn rfc3339(time: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let text = OffsetDateTime::from(time).format(&format);
    text.expect("the clock shows a year of four digits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(format: Format, timestamp: bool, level: Level, message: &str, want: Expect) {
        let mut line = Line::new(level);
        line.set("message", message.into());
        if message.is_empty() {
            line.set("size_bytes", 7.into());
            line.set("path", "a b".into());
            line.set("level", "x".into());
        }
        let options = Options {
            format,
            level: Level::Trace,
            timestamp,
        };
        let stamp = Stamp {
            now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_769_860_800),
            elapsed: Duration::from_millis(7_900),
        };
        want.assert_eq(&line.format(&options, stamp).replace('\x1b', "<ESC>"));
    }

    #[test]
    fn color() {
        let check = |level, message, want| check(Format::Color, false, level, message, want);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (Level::Info,  "message", expect![["<ESC>[36mINFO<ESC>[0m[0007] message                                      \n"]]),
            (Level::Warn,  "é",       expect![["<ESC>[33mWARN<ESC>[0m[0007] é                                            \n"]]),
            (Level::Fatal, "gone\n",  expect![["<ESC>[31mFATA<ESC>[0m[0007] gone                                         \n"]]),
            (Level::Trace, "",        expect![["<ESC>[37mTRAC<ESC>[0m[0007]                                               <ESC>[37mlevel<ESC>[0m=x <ESC>[37mpath<ESC>[0m=\"a b\" <ESC>[37msize_bytes<ESC>[0m=7\n"]]),
        ];
        for (level, message, want) in cases {
            check(level, message, want);
        }
    }

    #[test]
    fn color_with_time_of_day() {
        check(
            Format::Color,
            true,
            Level::Debug,
            "a message that is a little longer than the padding",
            expect![[
                "<ESC>[37mDEBU<ESC>[0m[2026-01-31T12:00:00Z] a message that is a little longer than the padding \n"
            ]],
        );
    }

    #[test]
    fn text() {
        let check = |level, message, want| check(Format::Text, false, level, message, want);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (Level::Info,  "Pushing image to", expect![["time=\"2026-01-31T12:00:00Z\" level=info msg=\"Pushing image to\"\n"]]),
            (Level::Warn,  "a\"b\\\n\x01é",    expect![["time=\"2026-01-31T12:00:00Z\" level=warning msg=\"a\\\"b\\\\\\n\\x01é\"\n"]]),
            (Level::Panic, "word",             expect![["time=\"2026-01-31T12:00:00Z\" level=panic msg=word\n"]]),
            (Level::Error, "",                 expect![["time=\"2026-01-31T12:00:00Z\" level=error msg= level=x path=\"a b\" size_bytes=7\n"]]),
        ];
        for (level, message, want) in cases {
            check(level, message, want);
        }
    }

    #[test]
    fn json() {
        let check = |level, message, want| check(Format::Json, true, level, message, want);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (Level::Warn,  "<a> & \"b\"\n", expect![["{\"level\":\"warning\",\"msg\":\"\\u003ca\\u003e \\u0026 \\\"b\\\"\\n\",\"time\":\"2026-01-31T12:00:00Z\"}\n"]]),
            (Level::Debug, "",              expect![["{\"fields.level\":\"x\",\"level\":\"debug\",\"msg\":\"\",\"path\":\"a b\",\"size_bytes\":7,\"time\":\"2026-01-31T12:00:00Z\"}\n"]]),
        ];
        for (level, message, want) in cases {
            check(level, message, want);
        }
    }
}
