//! Mode changes as `--chmod` spells them.

/// A mode change (language spec CHMOD-1, CHMOD-2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    Octal(u32),
    /// Valid symbolic clauses as typed, such as `u=rwX,go=rX`.
    Symbolic(String),
}

/// Why a text is no mode change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    Octal,
    Symbolic,
}

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

impl Chmod {
    pub(super) fn parse(text: &str) -> Result<Self, Invalid> {
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return match u32::from_str_radix(text, 8) {
                Ok(mode) if mode <= 0o7777 => Ok(Self::Octal(mode)),
                _ => Err(Invalid::Octal),
            };
        }
        match text.split(',').all(is_clause) {
            true => Ok(Self::Symbolic(text.to_owned())),
            false => Err(Invalid::Symbolic),
        }
    }

    /// Returns `mode` as it is after this change, with a umask of 0.
    ///
    /// ```
    /// use executor::plan::Chmod;
    /// let change = Chmod::Symbolic("u=rwX,go=rX".to_owned());
    /// assert_eq!(change.apply(0o600, false), 0o644);
    /// assert_eq!(change.apply(0o700, true), 0o755);
    /// ```
    pub fn apply(&self, mode: u32, is_directory: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(clauses) => {
                let executable = is_directory || mode & 0o111 != 0;
                clauses
                    .split(',')
                    .fold(mode, |mode, clause| apply_clause(clause, mode, executable))
            }
        }
    }
}

/// Tells whether `clause` is `[ugoa]*([-+=][rwxXstugo]*)+`.
fn is_clause(clause: &str) -> bool {
    let actions = clause.trim_start_matches(['u', 'g', 'o', 'a']);
    actions.starts_with(['-', '+', '=']) && actions.bytes().all(|b| b"-+=rwxXstugo".contains(&b))
}

fn apply_clause(clause: &str, mut mode: u32, executable: bool) -> u32 {
    let split = clause.find(['-', '+', '=']).unwrap_or(clause.len());
    let (who, actions) = clause.split_at(split);
    let who = match who {
        "" => SETUID | SETGID | 0o777,
        who => who.bytes().fold(0, |bits, b| bits | who_bits(b)),
    };
    let mut rest = actions.as_bytes();
    while let Some((operator, after)) = rest.split_first() {
        let end = after
            .iter()
            .position(|b| b"-+=".contains(b))
            .unwrap_or(after.len());
        let (permissions, next) = after.split_at(end);
        let mut bits = 0;
        for permission in permissions {
            bits |= match permission {
                b'r' => who & 0o444,
                b'w' => who & 0o222,
                b'x' => who & 0o111,
                b'X' if executable => who & 0o111,
                b's' => who & (SETUID | SETGID),
                b't' if who & 0o770 != 0 => STICKY,
                b'u' => who & spread(mode >> 6),
                b'g' => who & spread(mode >> 3),
                b'o' => who & spread(mode),
                _ => 0,
            };
        }
        mode = match operator {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            _ => mode & !who | bits,
        };
        rest = next;
    }
    mode
}

fn who_bits(who: u8) -> u32 {
    match who {
        b'u' => SETUID | 0o700,
        b'g' => SETGID | 0o070,
        b'o' => 0o007,
        _ => SETUID | SETGID | 0o777,
    }
}

/// Repeats the lowest three bits for user, group and others.
fn spread(bits: u32) -> u32 {
    (bits & 7) * 0o111
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_apply_as_chmod_does() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // change        before   dir    after
            ("u=rwX,go=rX",  0o600,   false, 0o644),
            ("u=rwX,go=rX",  0o755,   false, 0o755),
            ("u=rwX,go=rX",  0o700,   true,  0o755),
            ("+x",           0o644,   false, 0o755),
            ("g=u",          0o644,   false, 0o664),
            ("a-w",          0o644,   false, 0o444),
            ("u+s",          0o755,   false, 0o4755),
            ("+t",           0o755,   false, 0o1755),
            ("0",            0o644,   false, 0o000),
            ("640",          0o644,   true,  0o640),
            ("7777",         0o644,   false, 0o7777),
            ("g+s",          0o755,   true,  0o2755),
            ("o+s",          0o755,   true,  0o755),
            ("u=",           0o4755,  false, 0o055),
            ("u+r-w",        0o200,   false, 0o400),
            ("=",            0o644,   false, 0o000),
            ("u=rw,g=u,o=g", 0o000,   false, 0o666),
            ("a+X",          0o644,   false, 0o644),
            ("go-rwx,+t",    0o1777,  true,  0o1700),
        ];
        for (text, before, is_directory, after) in cases {
            let change = Chmod::parse(text).unwrap();
            let got = change.apply(before, is_directory);
            assert_eq!(got, after, "{text} on {before:o} gives {got:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("77777", Invalid::Octal),
            ("8",     Invalid::Octal),
            ("0o755", Invalid::Octal),
            ("10000", Invalid::Octal),
            ("rwx",   Invalid::Symbolic),
            ("x",     Invalid::Symbolic),
            ("u+x,",  Invalid::Symbolic),
            ("-1",    Invalid::Symbolic),
            ("u",     Invalid::Symbolic),
            ("z+x",   Invalid::Symbolic),
        ];
        for (text, want) in cases {
            assert_eq!(Chmod::parse(text), Err(want), "{text}");
        }
    }
}
