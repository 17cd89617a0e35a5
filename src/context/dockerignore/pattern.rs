//! One pattern of an ignore file.

use super::Error;
use crate::layer::LayerPath;

/// One pattern, compared with whole paths relative to the root of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Written with a leading `!`: what it matches is kept.
    pub exception: bool,
    /// The text before the first wildcard.
    prefix: Vec<u8>,
    /// What follows the prefix.
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Symbol),
    /// `?`
    One,
    /// `[a-z]`
    Class {
        negated: bool,
        ranges: Vec<(Symbol, Symbol)>,
    },
    /// `*`: any run without `/`.
    Star,
    /// `**/`, or `**` before other text: nothing, or any text that ends in `/`.
    Directories,
    /// `**` at the end: anything. Also at the start, when the rest has no wildcard.
    Anything,
}

/// A character, or a byte that belongs to none, moved behind the last character.
type Symbol = u32;

const SLASH: Symbol = b'/' as Symbol;

impl Pattern {
    /// Parses one line; `None` if it is blank.
    pub fn parse(line: &[u8]) -> Result<Option<Self>, Error> {
        let line = line.trim_ascii();
        let (exception, text) = match line.strip_prefix(b"!") {
            Some(b"") => return Err(Error::IllegalExclusion),
            Some(rest) => (true, rest.trim_ascii()),
            None => (false, line),
        };
        if line.is_empty() {
            return Ok(None);
        }
        let cleaned = clean(text);
        let syntax = || Error::Syntax {
            pattern: String::from_utf8_lossy(text).into_owned(),
        };
        let mut pieces = compile(&symbols(&cleaned)).ok_or_else(syntax)?;
        let literals = pieces
            .iter()
            .take_while(|piece| matches!(piece, Piece::Literal(_)))
            .count();
        let prefix = pieces
            .drain(..literals)
            .flat_map(|piece| match piece {
                Piece::Literal(symbol) => bytes(symbol),
                _ => unreachable!("only literals stand in the prefix"),
            })
            .collect();
        Ok(Some(Self {
            exception,
            prefix,
            pieces,
        }))
    }

    /// Tells whether the pattern matches the whole of `path`.
    pub fn matches(&self, path: &[u8]) -> bool {
        match path.strip_prefix(&*self.prefix) {
            None => false,
            Some(rest) if self.pieces.is_empty() => rest.is_empty() && !path.is_empty(),
            Some(rest) => run(&self.pieces, &symbols(rest)),
        }
    }

    /// Tells whether the pattern may match `directory` or something below it; errs on the side of yes.
    pub fn may_match_below(&self, directory: &LayerPath) -> bool {
        let fixed = match (
            self.pieces.is_empty(),
            self.prefix.iter().rposition(|b| *b == b'/'),
        ) {
            (true, _) => &*self.prefix,
            (false, Some(slash)) => &self.prefix[..slash],
            (false, None) => &[],
        };
        let fixed = LayerPath::clean(fixed);
        fixed.starts_with(directory) || directory.starts_with(&fixed)
    }
}

/// Cleans a pattern lexically and drops one leading slash. What climbs out of the tree keeps its `..`, so that it matches nothing.
fn clean(text: &[u8]) -> Vec<u8> {
    let rooted = text.starts_with(b"/");
    let mut components: Vec<&[u8]> = Vec::new();
    for component in text.split(|b| *b == b'/') {
        match component {
            b"" | b"." => {}
            b".." if components.last().is_some_and(|last| *last != b"..") => {
                components.pop();
            }
            b".." if rooted => {}
            name => components.push(name),
        }
    }
    components.join(&b'/')
}

/// Translates a cleaned pattern; `None` if its syntax is wrong.
fn compile(pattern: &[Symbol]) -> Option<Vec<Piece>> {
    let is = |at: usize, byte: u8| pattern.get(at) == Some(&Symbol::from(byte));
    let wild = |symbol: &Symbol| b"*?[\\".iter().any(|b| Symbol::from(*b) == *symbol);
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        if is(at, b'*') && is(at + 1, b'*') {
            let leading = at == 0;
            at += 2;
            let slash = is(at, b'/');
            at += usize::from(slash);
            let suffix = leading && !slash && !pattern[at..].iter().any(wild);
            pieces.push(if at == pattern.len() || suffix {
                Piece::Anything
            } else {
                Piece::Directories
            });
            continue;
        }
        at += 1;
        pieces.push(match u8::try_from(pattern[at - 1]) {
            Ok(b'*') => Piece::Star,
            Ok(b'?') => Piece::One,
            Ok(b'[') => class(pattern, &mut at)?,
            Ok(b'\\') => {
                at += 1;
                Piece::Literal(*pattern.get(at - 1)?)
            }
            _ => Piece::Literal(pattern[at - 1]),
        });
    }
    Some(pieces)
}

/// Reads a class whose `[` stands before `at`, and moves `at` behind its `]`.
fn class(pattern: &[Symbol], at: &mut usize) -> Option<Piece> {
    let is = |at: usize, byte: u8| pattern.get(at) == Some(&Symbol::from(byte));
    let member = |at: &mut usize| {
        if is(*at, b'-') || is(*at, b']') {
            return None;
        }
        *at += usize::from(is(*at, b'\\'));
        *at += 1;
        pattern.get(*at - 1).copied()
    };
    let negated = is(*at, b'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    while ranges.is_empty() || !is(*at, b']') {
        let low = member(at)?;
        let mut high = low;
        if is(*at, b'-') {
            *at += 1;
            high = member(at)?;
        }
        if high < low {
            return None;
        }
        ranges.push((low, high));
    }
    *at += 1;
    Some(Piece::Class { negated, ranges })
}

/// Runs the pieces over the text, all ways at once, so that time stays proportional to their product.
fn run(pieces: &[Piece], text: &[Symbol]) -> bool {
    // `next[i]`: piece `i` comes next. `inside[i]`: piece `i`, a `Directories`, has taken some text.
    let mut next = vec![false; pieces.len() + 1];
    let mut inside = vec![false; pieces.len()];
    arrive(pieces, &mut next, 0);
    for symbol in text {
        let before = std::mem::replace(&mut next, vec![false; pieces.len() + 1]);
        let mut alive = false;
        for (index, piece) in pieces.iter().enumerate() {
            if !before[index] && !inside[index] {
                continue;
            }
            let (stays, passes) = match piece {
                Piece::Literal(literal) => (false, literal == symbol),
                Piece::One => (false, *symbol != SLASH),
                Piece::Class { negated, ranges } => {
                    let listed = ranges
                        .iter()
                        .any(|(low, high)| low <= symbol && symbol <= high);
                    (false, listed != *negated)
                }
                Piece::Star => (*symbol != SLASH, false),
                Piece::Anything => (true, false),
                Piece::Directories => {
                    inside[index] = true;
                    alive = true;
                    (false, *symbol == SLASH)
                }
            };
            if stays {
                arrive(pieces, &mut next, index);
            }
            if passes {
                arrive(pieces, &mut next, index + 1);
            }
            alive |= stays || passes;
        }
        if !alive {
            return false;
        }
    }
    next[pieces.len()]
}

/// Marks piece `index` as next, and what follows it when it may match nothing.
fn arrive(pieces: &[Piece], next: &mut [bool], index: usize) {
    next[index] = true;
    let optional = pieces
        .get(index)
        .is_some_and(|piece| matches!(piece, Piece::Star | Piece::Anything | Piece::Directories));
    if optional {
        arrive(pieces, next, index + 1);
    }
}

fn symbols(text: &[u8]) -> Vec<Symbol> {
    let mut symbols = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        symbols.extend(chunk.valid().chars().map(Symbol::from));
        symbols.extend(chunk.invalid().iter().map(|b| 0x11_0000 + Symbol::from(*b)));
    }
    symbols
}

fn bytes(symbol: Symbol) -> Vec<u8> {
    match char::from_u32(symbol) {
        Some(character) => character.to_string().into_bytes(),
        None => vec![u8::try_from(symbol - 0x11_0000).expect("a lone byte")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_paths() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&str, &[&str], &[&str]); 14] = [
            // pattern         matches                      does not match
            ("a*b",            &["ab", "axb", "a.b"],        &["a/b", "abc"]),
            ("?",              &["a", "é"],                  &["", "ab", "/"]),
            ("[a-cx]",         &["a", "c", "x"],             &["d", "-"]),
            ("[^a]",           &["b", "é"],                  &["a", ""]),
            ("[\\]]",          &["]"],                       &["\\"]),
            ("**/a/**/b",      &["a/b", "x/a/y/z/b"],        &["a", "ab", "xa/b"]),
            ("s**c.go",        &["src/sub/c.go", "sc.go"],   &["sxc.go"]),
            ("**.g?",          &[".go", "a/.go"],            &["a.go"]),
            ("**/foo",         &["foo", "x/y/foo"],          &["xfoo"]),
            ("**.go",          &["a.go", "x/a.go"],          &["a.god"]),
            ("**foo**",        &["foo", "foox", "x/foo/y"],  &["xfoo"]),
            ("x/**",           &["x/y", "x/y/z"],            &["x", "xy"]),
            ("*a*a*a*a*a*a*b", &["aaaaaab"],                 &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]),
            (".",              &[],                          &[".", "", "a"]),
        ];
        for (text, yes, no) in cases {
            let pattern = Pattern::parse(text.as_bytes()).unwrap().unwrap();
            for path in yes {
                assert!(pattern.matches(path.as_bytes()), "{text} {path}");
            }
            for path in no {
                assert!(!pattern.matches(path.as_bytes()), "{text} {path}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_text() {
        let pattern = Pattern::parse(b"\xff?").unwrap().unwrap();
        assert!(pattern.matches(b"\xff\xfe") && !pattern.matches(b"\xfe\xff"));
    }
}
