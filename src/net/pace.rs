//! How slowly a body may come.

use std::time::Duration;

/// So many bytes must come while they are waited for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Least {
    pub bytes: u64,
    pub within: Duration,
}

impl Least {
    /// For what a server has lying ready: half a kilobyte a second is nothing that anybody would wait for.
    pub const DEFAULT: Self = Self {
        bytes: PROGRESS,
        within: Duration::from_secs(120),
    };
}

/// A connection that brought less than this before it broke is as good as one that brought nothing.
pub const PROGRESS: u64 = 64 << 10;

/// Watches one body. Time in which nobody asks for more does not count.
#[derive(Debug)]
pub struct Pace {
    least: Least,
    waited: Duration,
    bytes: u64,
    /// What came in a time that has passed, if it was too little.
    too_few: Option<u64>,
}

impl Pace {
    pub fn new(least: Least) -> Self {
        Self {
            least,
            waited: Duration::ZERO,
            bytes: 0,
            too_few: None,
        }
    }

    /// Counts bytes that came and the wait for them; returns how many came before, all that time, if they were too few.
    ///
    /// That is told once more comes, and never of a body that is complete: the end of a body is not to be counted.
    pub fn too_few(&mut self, bytes: usize, waited: Duration) -> Option<u64> {
        if self.too_few.is_some() {
            return self.too_few;
        }
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited >= self.least.within {
            let bytes = std::mem::take(&mut self.bytes);
            self.waited = Duration::ZERO;
            self.too_few = (bytes < self.least.bytes).then_some(bytes);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpStream;

    use super::*;
    use crate::net::retry::Retry;
    use crate::net::{Get, Net, Options};

    /// Serves a body of `length` bytes once, which `body` sends, and returns how to ask for it.
    fn served(length: u64, body: impl FnOnce(TcpStream) + Send + 'static, within: Duration) -> Get {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let request = BufReader::new(&stream).lines().map(Result::unwrap);
            request.take_while(|line| !line.is_empty()).for_each(drop);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            body(stream);
        });
        let mut get = Get::new(url.parse().unwrap());
        get.least = Least {
            bytes: 1_000_000,
            within,
        };
        get.retry = Retry {
            attempts: 1,
            ..Retry::DEFAULT
        };
        get
    }

    fn read(get: &Get) -> std::io::Result<String> {
        let net = Net::new(Options { http1_only: false }).unwrap();
        let mut body = String::new();
        net.get(get).unwrap().read_to_string(&mut body)?;
        Ok(body)
    }

    #[test]
    fn a_body_that_drips_is_given_up() {
        let drip = |mut stream: TcpStream| {
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let error = read(&served(1_000_000, drip, Duration::from_millis(50))).unwrap_err();
        assert!(error.to_string().contains("no more than"), "{error}");
    }

    #[test]
    fn a_body_that_is_complete_is_not_too_slow() {
        let late = |mut stream: TcpStream| {
            std::thread::sleep(Duration::from_millis(50));
            stream.write_all(b"slow").unwrap();
        };
        let body = read(&served(4, late, Duration::from_millis(1)));
        assert_eq!(body.unwrap(), "slow");
    }

    #[test]
    fn too_few_bytes_in_too_much_time() {
        type Case<'a> = (&'a [(usize, u64)], Option<u64>);
        #[rustfmt::skip] // a table keeps its columns
        let cases: [Case<'_>; 7] = [
            // bytes and seconds
            (&[(1, 59), (1, 59), (1, 0)],           None),
            (&[(1, 59), (1, 59), (1, 59)],          None), // it may be complete
            (&[(1, 59), (1, 59), (1, 59), (9, 0)],  Some(3)),
            (&[(0, 120), (9, 0)],                   Some(0)),
            (&[(65_535, 1), (1, 119), (9, 0)],      None),
            (&[(65_536, 120), (9, 119), (9, 0)],    None),
            (&[(65_536, 120), (9, 120), (9, 0)],    Some(9)),
        ];
        for (pieces, want) in cases {
            let mut pace = Pace::new(Least::DEFAULT);
            let mut found = None;
            for (bytes, seconds) in pieces {
                found = found.or(pace.too_few(*bytes, Duration::from_secs(*seconds)));
            }
            assert_eq!(found, want, "{pieces:?}");
        }
    }
}
