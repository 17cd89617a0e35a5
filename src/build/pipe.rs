//! Reading ahead on another thread, with bounded memory.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

const CHUNK: usize = 256 << 10;
/// Chunks under way; with one on each side, 2 MiB.
const CHUNKS: usize = 6;

/// The reading end of [`read_ahead`].
pub struct ReadAhead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: io::Cursor<Vec<u8>>,
    /// Chunks that were read go back to be filled again: memory that one thread takes and another gives back piles up.
    empties: Sender<Vec<u8>>,
    ended: bool,
}

/// Reads what `open` returns, on a thread of its own, which ends with the source or with the reader that is returned.
pub fn read_ahead<R: Read>(
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<ReadAhead> {
    let (sender, chunks) = sync_channel(CHUNKS);
    let (empties, used) = channel();
    std::thread::Builder::new()
        .name("read-ahead".to_owned())
        .spawn(move || match open() {
            Ok(source) => pump(source, &sender, &used),
            // whoever does not listen any more does not miss it
            Err(error) => drop(sender.send(Err(error))),
        })?;
    Ok(ReadAhead {
        chunks,
        chunk: io::Cursor::default(),
        empties,
        ended: false,
    })
}

fn pump(mut source: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>, used: &Receiver<Vec<u8>>) {
    loop {
        let used = used.try_iter().find(|chunk| chunk.capacity() >= CHUNK);
        let mut chunk = used.unwrap_or_else(|| Vec::with_capacity(CHUNK));
        chunk.clear();
        let read = source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        // bytes before an error are no use to anybody: the error itself ends the stream
        let message = read.map(|_| chunk);
        let last = !matches!(&message, Ok(chunk) if !chunk.is_empty());
        if sender.send(message).is_err() || last {
            return;
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.chunk.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if self.ended {
                return Ok(0);
            }
            // the pump says when the end is reached: one that just vanished must not look like it
            let vanished = |_| io::Error::other("the thread that reads ahead ended early");
            let chunk = self.chunks.recv().map_err(vanished)??;
            self.ended = chunk.is_empty();
            let read = std::mem::replace(&mut self.chunk, io::Cursor::new(chunk));
            // nobody fills it any more once the source has ended
            let _ = self.empties.send(read.into_inner());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_arrives_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
        let mut read = Vec::new();
        read_ahead({
            let bytes = bytes.clone();
            move || Ok(io::Cursor::new(bytes))
        })
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
        assert!(read == bytes);
    }

    #[test]
    fn an_error_is_not_an_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let source = io::Cursor::new(vec![1; 1000]).chain(Broken);
        let error = read_ahead(|| Ok(source))
            .unwrap()
            .read_to_end(&mut Vec::new())
            .unwrap_err();
        assert_eq!(error.to_string(), "broken");
    }
}
