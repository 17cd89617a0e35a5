//! Where the output of a command goes, and how it gets there.

use std::io::{self, Read, Write};
use std::process::Stdio;
use std::thread::JoinHandle;

use super::terminal::Terminal;
use crate::log::Progress;
use crate::log::progress::{Above, Tail};

/// A line longer than this is passed on in pieces.
const LONGEST_LINE: usize = 64 << 10;
const PIECE: usize = 16 << 10;

/// Where the output of a command goes.
pub enum Output {
    /// To the executor's own streams, untouched.
    Own,
    /// To the executor's streams, as several commands print at the same time.
    Lines(Lines),
    /// To the executor's terminal, above what else is shown there.
    Terminal(Terminal),
}

/// How the output of one of several commands is told from the others'.
#[derive(Clone)]
pub struct Lines {
    /// Stands before each line.
    pub prefix: String,
    /// What else is on the terminal, to be kept below.
    pub progress: Progress,
    pub tail: Tail,
}

/// The threads that pass output on; dropped, it waits for the end of the output.
#[derive(Default)]
pub struct Relays(Vec<JoinHandle<()>>);

impl Output {
    /// Makes the standard output and error of a command; the output ends when nobody has them any more.
    pub(super) fn connect(&self) -> io::Result<(Stdio, Stdio, Relays)> {
        let mut relays = Relays::default();
        let (stdout, stderr) = match self {
            Self::Own => (Stdio::inherit(), Stdio::inherit()),
            Self::Lines(lines) => {
                let stdout = relays.start_lines(lines.clone(), io::stdout())?;
                (stdout, relays.start_lines(lines.clone(), io::stderr())?)
            }
            Self::Terminal(terminal) => {
                let (stdout, stderr) = terminal.streams()?;
                let terminal = terminal.clone();
                relays.start(move || terminal.show())?;
                (stdout, stderr)
            }
        };
        Ok((stdout, stderr, relays))
    }
}

impl Relays {
    fn start(&mut self, relay: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new().name("output".to_owned());
        self.0.push(thread.spawn(relay)?);
        Ok(())
    }

    fn start_lines(
        &mut self,
        lines: Lines,
        writer: impl Write + Send + 'static,
    ) -> io::Result<Stdio> {
        let (from, stream) = io::pipe()?;
        let progress = lines.progress.clone();
        self.start(move || lines.pass_on(from, Above { progress, writer }))?;
        Ok(stream.into())
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // a relay that panicked has passed on what it could
            let _ = thread.join();
        }
    }
}

impl Lines {
    /// Passes lines on until the end; what cannot be written any more is read all the same, so that the command does not wait.
    fn pass_on(&self, mut from: impl Read, mut to: impl Write) {
        let mut waiting = Waiting::default();
        while waiting.read(&mut from) {
            let lines = waiting.take_lines();
            let _closed = to.write_all(&prefixed(&lines, self.prefix.as_bytes()));
            self.tail.show(last_line(&lines));
            self.tail.show(&waiting.0);
        }
        let _closed = to.write_all(&prefixed(&waiting.0, self.prefix.as_bytes()));
        let _closed = to.flush();
    }
}

/// What came, and is not passed on yet.
#[derive(Default)]
pub(super) struct Waiting(pub(super) Vec<u8>);

impl Waiting {
    /// Waits for more; nothing comes after the end.
    pub(super) fn read(&mut self, from: &mut impl Read) -> bool {
        let before = self.0.len();
        self.0.resize(before + PIECE, 0);
        let read = loop {
            match from.read(&mut self.0[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // a terminal that nobody writes to any more is an error
                read => break read.unwrap_or(0),
            }
        };
        self.0.truncate(before + read);
        read > 0
    }

    /// Takes the lines that have ended; a longer one ends here.
    pub(super) fn take_lines(&mut self) -> Vec<u8> {
        let end = match self.0.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.0.len() >= LONGEST_LINE => self.0.len(),
            None => 0,
        };
        self.0.drain(..end).collect()
    }
}

pub(super) fn last_line(lines: &[u8]) -> &[u8] {
    let mut lines = lines.split(|byte| *byte == b'\n');
    lines.rfind(|line| !line.is_empty()).unwrap_or_default()
}

/// Returns lines with `prefix` before each; the last one ends too.
pub(super) fn prefixed(lines: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + 4 * prefix.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix);
        text.extend_from_slice(line);
    }
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let size = self.0.len().min(1);
            self.0.read(&mut buffer[..size])
        }
    }

    fn lines(prefix: &str) -> Lines {
        Lines {
            prefix: prefix.to_owned(),
            progress: Progress::default(),
            tail: Tail::default(),
        }
    }

    #[test]
    fn each_line_has_its_prefix() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",            ""),
            ("a\n",         "[p] a\n"),
            ("a\n\nb\r\n",  "[p] a\n[p] \n[p] b\r\n"),
            ("a\nb",        "[p] a\n[p] b\n"),
            ("a\u{fc}\n",     "[p] a\u{fc}\n"),
        ];
        for (output, want) in cases {
            let mut whole = Vec::new();
            lines("[p] ").pass_on(output.as_bytes(), &mut whole);
            let mut slow = Vec::new();
            lines("[p] ").pass_on(Slow(output.as_bytes()), &mut slow);
            assert_eq!(String::from_utf8_lossy(&whole), want, "{output:?}");
            assert_eq!(whole, slow, "{output:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let output = vec![b'x'; 3 * LONGEST_LINE];
        let mut text = Vec::new();
        lines("> ").pass_on(&output[..], &mut text);
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        assert!(
            lines
                .map(<[u8]>::len)
                .all(|length| length < 2 * LONGEST_LINE)
        );
        assert_eq!(
            text.iter().filter(|byte| **byte == b'x').count(),
            output.len()
        );
    }
}
