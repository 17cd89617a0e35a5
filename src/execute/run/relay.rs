//! Passing on what commands print when several do at the same time, a whole line at a time.

use std::io::{self, Read, Write};
use std::process::{ChildStderr, ChildStdout};
use std::thread::JoinHandle;

use crate::log::Progress;
use crate::log::progress::Above;

/// A line longer than this is passed on in pieces, each with a prefix.
const LONGEST_LINE: usize = 64 << 10;

/// The threads that pass output on; dropped, it waits for the end of the output.
pub struct Relays(Vec<JoinHandle<()>>);

/// How the output of one of several commands is told from the others'.
#[derive(Clone)]
pub struct Prefix {
    /// Stands before each line.
    pub text: String,
    /// What else is on the terminal, to be kept below.
    pub progress: Progress,
}

/// Starts to pass on a child's output with `prefix` before each line.
pub fn start(prefix: &Prefix, stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> Relays {
    let mut threads = Vec::new();
    let mut start = |relay: Box<dyn FnOnce() + Send>| {
        let thread = std::thread::Builder::new().name("output".to_owned());
        // without its thread the pipe closes, which the command notices
        threads.extend(thread.spawn(relay).ok());
    };
    let text = prefix.text.as_bytes().to_vec();
    let progress = prefix.progress.clone();
    if let Some(stdout) = stdout {
        let (text, progress) = (text.clone(), progress.clone());
        let writer = io::stdout();
        let above = Above { progress, writer };
        start(Box::new(move || pass_on(stdout, above, &text)));
    }
    if let Some(stderr) = stderr {
        let writer = io::stderr();
        let above = Above { progress, writer };
        start(Box::new(move || pass_on(stderr, above, &text)));
    }
    Relays(threads)
}

impl Drop for Relays {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // a relay that panicked has passed on what it could
            let _ = thread.join();
        }
    }
}

/// Passes lines on until the end; what cannot be written any more is read all the same, so that the command does not wait.
fn pass_on(mut from: impl Read, mut to: impl Write, prefix: &[u8]) {
    let mut waiting = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(read) => read,
        };
        waiting.extend_from_slice(&buffer[..read]);
        let end = match waiting.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if waiting.len() >= LONGEST_LINE => waiting.len(),
            None => continue,
        };
        let _closed = to.write_all(&prefixed(&waiting[..end], prefix));
        waiting.drain(..end);
    }
    if !waiting.is_empty() {
        let _closed = to.write_all(&prefixed(&waiting, prefix));
    }
    let _closed = to.flush();
}

/// Returns lines with `prefix` before each; the last one ends too.
fn prefixed(lines: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.len() + 4 * prefix.len());
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        text.extend_from_slice(prefix);
        text.extend_from_slice(line);
    }
    if !text.ends_with(b"\n") {
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
            pass_on(output.as_bytes(), &mut whole, b"[p] ");
            let mut slow = Vec::new();
            pass_on(Slow(output.as_bytes()), &mut slow, b"[p] ");
            assert_eq!(String::from_utf8_lossy(&whole), want, "{output:?}");
            assert_eq!(whole, slow, "{output:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let output = vec![b'x'; 3 * LONGEST_LINE];
        let mut text = Vec::new();
        pass_on(&output[..], &mut text, b"> ");
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
