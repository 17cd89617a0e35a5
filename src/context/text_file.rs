//! Reading a Dockerfile or ignore file, whatever stands at its path.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use tracing::info;

use super::Error;

/// What a Dockerfile may have.
pub const SIZE_LIMIT: u64 = 16 << 20;

/// How long a named pipe may be without anybody who writes to it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Marks of UTF-16 at the beginning of a file.
const UTF_16: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// Reads a file, a pipe such as `/dev/stdin` or that of `<(…)`, or a named pipe once somebody writes to it.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_within(path, PATIENCE)
}

fn read_within(path: &Path, patience: Duration) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read {
        path: path.into(),
        source,
    };
    // Opening a named pipe for reading would otherwise wait for a writer, for ever if there is none.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::empty());
    let file = File::from(opened.map_err(|errno| failed(errno.into()))?);
    let stat = rustix::fs::fstat(&file).map_err(|errno| failed(errno.into()))?;
    let mut text = Vec::new();
    if FileType::from_raw_mode(stat.st_mode) == FileType::Fifo {
        let arrived = wait_for_writer(&file, path, patience).map_err(failed)?;
        text.extend(arrived.ok_or_else(|| Error::NoWriter { path: path.into() })?);
    }
    let waiting = rustix::fs::fcntl_setfl(&file, OFlags::RDONLY);
    waiting.map_err(|errno| failed(errno.into()))?;
    let left = SIZE_LIMIT + 1 - text.len() as u64;
    file.take(left).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > SIZE_LIMIT {
        return Err(Error::TooLarge {
            path: path.into(),
            limit: SIZE_LIMIT,
        });
    }
    match UTF_16.iter().any(|mark| text.starts_with(mark)) {
        true => Err(Error::Utf16 { path: path.into() }),
        false => Ok(text),
    }
}

/// Waits until a pipe has a writer, or has had one. Returns what has been read meanwhile; `None` if nobody came.
fn wait_for_writer(pipe: &File, path: &Path, patience: Duration) -> io::Result<Option<Option<u8>>> {
    let start = Instant::now();
    let mut is_said = false;
    loop {
        let look = Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        let mut events = [PollFd::new(pipe, PollFlags::IN)];
        match poll(&mut events, Some(&look)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(Some(None)),
            Err(errno) => return Err(errno.into()),
        }
        // A writer who has not written yet is no event; reading tells it from none at all.
        let mut byte = [0];
        match rustix::io::read(pipe.as_fd(), &mut byte) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(Some(Some(byte[0]))),
            Err(Errno::AGAIN) => return Ok(Some(None)),
            Err(errno) => return Err(errno.into()),
        }
        if start.elapsed() >= patience {
            return Ok(None);
        }
        if !is_said && start.elapsed() >= Duration::from_secs(1) {
            info!(
                "Waiting for somebody to write to the named pipe {}",
                path.display()
            );
            is_said = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pipe() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
        (dir, path)
    }

    #[test]
    fn a_pipe_that_nobody_writes_to() {
        let (_dir, path) = pipe();
        let error = read_within(&path, Duration::from_millis(10)).unwrap_err();
        assert!(matches!(error, Error::NoWriter { .. }), "{error}");
        assert!(error.help().is_some());
    }

    #[test]
    fn a_pipe_whose_writer_takes_its_time() {
        let (_dir, path) = pipe();
        // Open for both it waits for no reader: there is a writer before anybody looks.
        let mut both = fs_err::OpenOptions::new();
        let mut pipe = both.read(true).write(true).open(&path).unwrap();
        let (begin, begun) = std::sync::mpsc::channel();
        let writer = std::thread::spawn(move || {
            begun.recv().unwrap();
            pipe.write_all(b"FROM ").unwrap();
            std::thread::sleep(Duration::from_millis(50));
            pipe.write_all(b"scratch\n").unwrap();
        });
        // After the time that a pipe may be without a writer.
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(400));
            begin.send(()).unwrap();
        });
        let text = read_within(&path, Duration::from_millis(10)).unwrap();
        assert_eq!(text, b"FROM scratch\n");
        writer.join().unwrap();
        later.join().unwrap();
    }

    #[test]
    fn a_pipe_without_a_name() {
        for content in ["FROM scratch\n", ""] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(content.as_bytes()).unwrap();
            drop(writer);
            let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
            let text = read_within(Path::new(&path), Duration::ZERO).unwrap();
            assert_eq!(text, content.as_bytes());
        }
    }

    #[test]
    fn what_is_no_dockerfile() {
        let endless = read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(
            endless.to_string(),
            "`/dev/zero` has more than 16777216 bytes"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("Dockerfile");
        fs_err::write(&path, b"\xff\xfeF\0R\0O\0M\0").unwrap();
        let wide = read(&path).unwrap_err();
        assert!(wide.to_string().ends_with("is UTF-16") && wide.help().is_some());
    }
}
