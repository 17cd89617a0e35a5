//! Quoting as Go's `%q` verb does it, which kaniko's messages and log lines show.

use std::borrow::Cow;
use std::fmt::Write;

/// Quotes `text` with double quotes and backslash escapes.
///
/// ```
/// assert_eq!(executor::log::go_quote("a\"b\n"), r#""a\"b\n""#);
/// ```
pub fn go_quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            '\0'..' ' | '\x7f' => {
                let _ = write!(quoted, "\\x{:02x}", u32::from(character));
            }
            other if !is_print(other) => {
                let code = u32::from(other);
                let width = if code < 0x1_0000 { 4 } else { 8 };
                let letter = if width == 4 { 'u' } else { 'U' };
                let _ = write!(quoted, "\\{letter}{code:0width$x}");
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// Like [`go_quote`], for bytes that need not be text.
pub fn go_quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let valid = go_quote(chunk.valid());
        quoted.push_str(&valid[1..valid.len() - 1]);
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

/// Keeps a text that others wrote, such as a file's name in a layer, from steering the terminal; its lines stay.
pub fn harmless(text: &str) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && !matches!(character, '\t' | '\n');
    match text.contains(steers) {
        true => text.replace(steers, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// Tells whether Go counts a character as printable: of the spaces only the ASCII one, no control and no format characters.
fn is_print(character: char) -> bool {
    character == ' '
        || !(character.is_whitespace()
            || character.is_control()
            || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_the_terminal() {
        assert_eq!(harmless("a\tb\nc é"), "a\tb\nc é");
        assert_eq!(
            harmless("a\x1b[2J\r\u{9b}2J"),
            "a\u{fffd}[2J\u{fffd}\u{fffd}2J"
        );
    }

    #[test]
    fn escapes() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("plain é 日",         r#""plain é 日""#),
            ("\"\\",               r#""\"\\""#),
            ("\x07\x08\x0c\n\r\t\x0b\x1b\x7f", r#""\a\b\f\n\r\t\v\x1b\x7f""#),
            ("\u{85}\u{a0}\u{200b}\u{feff}", r#""\u0085\u00a0\u200b\ufeff""#),
        ];
        for (text, want) in cases {
            assert_eq!(go_quote(text), want);
            assert_eq!(go_quote_bytes(text.as_bytes()), want);
        }
        assert_eq!(go_quote_bytes(b"/a\xff\n\xc3"), r#""/a\xff\n\xc3""#);
    }
}
