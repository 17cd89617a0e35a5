//! Threads that compress blocks, and hand them back in the order in which they came.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use super::codec::{Block, Codec, Machine};

/// The compressed bytes, and the memory of the block, to be filled again: what one thread takes and another gives back piles up.
type Compressed = io::Result<(Vec<u8>, Vec<u8>)>;
type Job = (Block, Sender<Compressed>);

/// Compresses blocks; threads are started with the second block, so that a small layer costs none.
pub struct Pool {
    codec: Codec,
    threads: usize,
    jobs: Option<Sender<Job>>,
    workers: usize,
    results: VecDeque<Receiver<Compressed>>,
    submitted: usize,
}

impl Pool {
    pub fn new(codec: Codec, threads: usize) -> Self {
        Self {
            codec,
            threads,
            jobs: None,
            workers: 0,
            results: VecDeque::new(),
            submitted: 0,
        }
    }

    /// Returns how many blocks should be under way before the first is waited for.
    pub fn in_flight_at_most(&self) -> usize {
        self.workers * 2
    }

    /// Takes a block; compresses it here and now where threads do not pay or cannot be had.
    pub fn submit(&mut self, block: Block) -> io::Result<()> {
        self.submitted += 1;
        if self.jobs.is_none() && !block.last && self.threads > 1 {
            self.start();
        }
        let (sender, receiver) = mpsc::channel();
        self.results.push_back(receiver);
        match &self.jobs {
            Some(jobs) if self.workers > 0 => jobs
                .send((block, sender))
                .map_err(|_| io::Error::other("the compression threads have died")),
            _ => {
                let compressed = Machine::new(self.codec)?.compress(&block);
                sender
                    .send(compressed.map(|bytes| (bytes, block.bytes)))
                    .map_err(|_| io::Error::other("the receiver stands in the queue"))
            }
        }
    }

    /// Returns the next block in order, waiting for it if more than `in_flight` are under way; `None` if not.
    pub fn next(&mut self, in_flight: usize) -> Option<Compressed> {
        let receiver = self.results.front()?;
        let compressed = if self.results.len() > in_flight {
            receiver.recv().ok()
        } else {
            match receiver.try_recv() {
                Err(mpsc::TryRecvError::Empty) => return None,
                result => result.ok(),
            }
        };
        self.results.pop_front();
        let died = || Err(io::Error::other("a compression thread has died"));
        Some(compressed.unwrap_or_else(died))
    }

    /// Starts the threads; they end when the pool is dropped. Fewer than wished for are as good.
    fn start(&mut self) {
        let (sender, receiver) = mpsc::channel::<Job>();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..self.threads {
            let (receiver, codec) = (Arc::clone(&receiver), self.codec);
            let worker = move || work(codec, &receiver);
            let builder = thread::Builder::new().name("compress".to_owned());
            if builder.spawn(worker).is_ok() {
                self.workers += 1;
            }
        }
        self.jobs = Some(sender);
    }
}

fn work(codec: Codec, jobs: &Mutex<Receiver<Job>>) {
    let mut machine = Machine::new(codec);
    loop {
        // a poisoned lock means that another worker has died, which its block's receiver learns
        let Ok(Ok((block, result))) = jobs.lock().map(|jobs| jobs.recv()) else {
            return;
        };
        let compressed = match &mut machine {
            Ok(machine) => machine.compress(&block),
            Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
        };
        // nobody waits any more when the encoder was dropped
        let _ = result.send(compressed.map(|bytes| (bytes, block.bytes)));
    }
}
