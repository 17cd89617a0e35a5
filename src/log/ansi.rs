//! What programs send to a terminal: text, and sequences that steer it.

/// A part of what is sent.
enum Piece<'t> {
    /// Without an escape character.
    Text(&'t str),
    /// What follows an escape character; the last one may not be complete.
    Sequence(&'t str),
}

fn pieces(mut sent: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let piece;
        (piece, sent) = match sent.strip_prefix('\x1b') {
            Some(rest) => {
                let (sequence, rest) = rest.split_at(sequence_end(rest));
                (Piece::Sequence(sequence), rest)
            }
            None if sent.is_empty() => return None,
            None => {
                let (text, rest) = sent.split_at(sent.find('\x1b').unwrap_or(sent.len()));
                (Piece::Text(text), rest)
            }
        };
        Some(piece)
    })
}

fn sequence_end(rest: &str) -> usize {
    let mut letters = rest.char_indices();
    let ends = |(_, letter): &(usize, char)| match rest.as_bytes()[0] {
        b'[' => ('@'..='~').contains(letter),
        b']' => matches!(*letter, '\x07' | '\x1b'),
        _ => true,
    };
    let length = match letters.next() {
        Some((_, '[' | ']' | '(' | ')' | '%')) => letters.find(ends),
        first => first,
    };
    match length {
        // a title may also end with a sequence of its own
        Some((at, '\x1b')) => at,
        Some((at, letter)) => at + letter.len_utf8(),
        None => rest.len(),
    }
}

/// Tells whether a program does more than to write lines, one below the other, and to change the last one.
pub fn leaves_the_line(sent: &str) -> bool {
    pieces(sent).any(|piece| match piece {
        Piece::Text(text) => text.contains(['\x0b', '\x0c']),
        Piece::Sequence(sequence) => match sequence.strip_prefix('[') {
            // whether there is a cursor, and when changes become visible
            Some(rest) if rest.starts_with("?25") || rest.starts_with("?2026") => false,
            // not complete; else colors, what is erased of the line, or columns
            Some(rest) => {
                rest.ends_with(|c: char| ('@'..='~').contains(&c) && !"mKCDG".contains(c))
            }
            // titles, links, and sets of letters
            None => !matches!(
                sequence.bytes().next(),
                None | Some(b']' | b'\\' | b'(' | b')' | b'%')
            ),
        },
    })
}

/// Returns what a terminal with so many columns shows of a line, cut off where that ends.
pub fn condensed(line: &str, columns: usize) -> String {
    // what stands behind a return to the first column stands in front of what was there
    let text: String = pieces(line)
        .filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Sequence(_) => None,
        })
        .collect();
    let mut parts = text.split('\r').map(str::trim);
    let shown = parts.rfind(|part| !part.is_empty()).unwrap_or_default();
    let mut condensed = String::new();
    let mut left = columns;
    for (at, letter) in shown.char_indices() {
        let is_last = at + letter.len_utf8() == shown.len();
        let letter = if letter.is_control() { ' ' } else { letter };
        if width(letter) >= left && !is_last {
            condensed.push('…');
            break;
        }
        left = left.saturating_sub(width(letter));
        condensed.push(letter);
    }
    condensed
}

/// Returns how many columns a letter takes at most.
fn width(letter: char) -> usize {
    const FIRST_WIDE: char = '\u{1100}';
    if letter < FIRST_WIDE { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",                                    ""),
            ("  short \n",                          "short"),
            ("0123456789",                          "0123456789"),
            ("0123456789a",                         "012345678…"),
            ("\x1b[1;32mgreen\x1b[0m\x1b[K",         "green"),
            (" 10 %\r 20 %\r",                      "20 %"),
            ("a\tb\x07c",                           "a b c"),
            ("\x1b]8;;http://h\x1b\\link\x1b]8;;\x07", "link"),
            ("cut \x1b[3",                          "cut"),
            ("日本語日本語",                         "日本語日…"),
        ];
        for (line, want) in cases {
            assert_eq!(condensed(line, 10), want, "{line:?}");
        }
    }

    #[test]
    fn what_moves_the_cursor_away() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("a\nb\r\n",                    false),
            ("\x1b[?25l\r\x1b[2K\x1b[1m50 %", false),
            ("\x1b[3G\x1b[2C\x1b[1D",       false),
            ("\x1b]0;title\x07\x1b(B",      false),
            ("\x1b]0;title\x1b\\",          false),
            ("\x1b",                        false),
            ("\x1b[12",                     false),
            ("\x1b[2A",                     true),
            ("\x1b[H\x1b[J",                true),
            ("\x1b[?1049h",                 true),
            ("\x1b7",                       true),
            ("text\x0c",                    true),
        ];
        for (sent, want) in cases {
            assert_eq!(leaves_the_line(sent), want, "{sent:?}");
        }
    }
}
