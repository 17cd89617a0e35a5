//! Which ids a RUN's user namespace has, and what they are outside of it.

use std::fmt;

/// A user namespace's map, as written to `uid_map` or `gid_map`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap(Vec<Range>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    count: u32,
}

impl IdMap {
    /// Every id of the namespace whose map is `own` (the text of `/proc/self/uid_map`), under its own number.
    pub fn identity(own: &str) -> Self {
        let range = |range: Range| Range {
            outside: range.inside,
            ..range
        };
        Self(parse(own).into_iter().map(range).collect())
    }

    /// The same without id 0, which only a process with CAP_SETFCAP may pass on: each id is one more outside.
    pub fn shifted(own: &str) -> Self {
        let shift = |range: Range| match range.inside {
            0 => Range {
                inside: 0,
                outside: 1,
                count: range.count - 1,
            },
            inside => Range {
                inside: inside - 1,
                outside: inside,
                count: range.count,
            },
        };
        let ranges = parse(own).into_iter().map(shift);
        Self(ranges.filter(|range| range.count > 0).collect())
    }

    /// `id` as 0, and what `/etc/subuid` or `/etc/subgid` (`table`) grants to the user as 1 and up; `None` if that is nothing.
    pub fn subordinate(id: u32, uid: u32, name: Option<&str>, table: &str) -> Option<Self> {
        let mut ranges = vec![Range {
            inside: 0,
            outside: id,
            count: 1,
        }];
        for line in table.lines() {
            let mut fields = line.split(':');
            let owner = fields.next().unwrap_or_default();
            if Some(owner) != name && owner != uid.to_string() {
                continue;
            }
            let mut number = || {
                fields
                    .next()
                    .and_then(|field| field.trim().parse::<u32>().ok())
            };
            if let (Some(outside), Some(count)) = (number(), number()) {
                let last = ranges.last()?;
                let inside = last.inside + last.count;
                ranges.push(Range {
                    inside,
                    outside,
                    count,
                });
            }
        }
        (ranges.len() > 1).then_some(Self(ranges))
    }

    /// Returns the numbers as arguments of `newuidmap` and `newgidmap`.
    pub fn numbers(&self) -> Vec<String> {
        let numbers = self
            .0
            .iter()
            .flat_map(|range| [range.inside, range.outside, range.count]);
        numbers.map(|number| number.to_string()).collect()
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for range in &self.0 {
            writeln!(f, "{} {} {}", range.inside, range.outside, range.count)?;
        }
        Ok(())
    }
}

fn parse(map: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut numbers = line
            .split_ascii_whitespace()
            .map(|number| number.parse().ok());
        Some(Range {
            inside: numbers.next()??,
            outside: numbers.next()??,
            count: numbers.next()??,
        })
    };
    map.lines()
        .filter_map(range)
        .filter(|range| range.count > 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let host = "         0          0 4294967295\n";
        let rootless = "0 1000 1\n1 100000 65536\n";
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (IdMap::identity(host),                                 "0 0 4294967295\n"),
            (IdMap::identity("0 200000 65536"),                     "0 0 65536\n"),
            (IdMap::identity(rootless),                             "0 0 1\n1 1 65536\n"),
            (IdMap::shifted(host),                                  "0 1 4294967294\n"),
            (IdMap::shifted(rootless),                              "0 1 65536\n"),
        ];
        for (map, want) in cases {
            assert_eq!(map.to_string(), want);
        }
    }

    #[test]
    fn subordinate_ids() {
        let table = "other:100000:65536\nme:200000:1000\n7:300000:5\n";
        let map = |uid, name| {
            let map = IdMap::subordinate(uid, uid, name, table);
            map.map(|map| map.numbers().join(" "))
        };
        assert_eq!(
            map(7, Some("me")).unwrap(),
            "0 7 1 1 200000 1000 1001 300000 5"
        );
        assert_eq!(map(8, Some("me")).unwrap(), "0 8 1 1 200000 1000");
        assert_eq!(map(8, None), None);
    }
}
