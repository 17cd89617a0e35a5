//! Go's way to quote a string, which messages and history texts use.

use std::fmt::Write as _;

/// Returns the text in double quotes, with what is not printable escaped as Go's `%q` does.
///
/// ```
/// use executor::dockerfile::quote::quoted;
/// assert_eq!(quoted("say \"hi\"\n"), r#""say \"hi\"\n""#);
/// ```
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            ' ' => out.push(' '),
            c if (c as u32) < 0x20 || c == '\x7f' => {
                push(&mut out, format_args!("\\x{:02x}", c as u32))
            }
            c if !c.is_control() && !c.is_whitespace() && c != '\u{feff}' => out.push(c),
            c if (c as u32) < 0x10000 => push(&mut out, format_args!("\\u{:04x}", c as u32)),
            c => push(&mut out, format_args!("\\U{:08x}", c as u32)),
        }
    }
    out.push('"');
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn escapes() {
        #[rustfmt::skip]
        let cases = [
            ("",            r#""""#),
            ("a b",         r#""a b""#),
            ("a\"b\\c",     r#""a\"b\\c""#),
            ("\t\r\n\x07",  r#""\t\r\n\a""#),
            ("\x01\x7f",    r#""\x01\x7f""#),
            ("\u{a0}é",     r#""\u00a0é""#),
        ];
        for (text, want) in cases {
            assert_eq!(quoted(text), want);
        }
    }
}
