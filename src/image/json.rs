//! JSON as Go writes it, so that documents equal BuildKit's byte for byte.

use serde::Serialize;

/// Serialises a document compactly and escapes `<`, `>`, `&`, U+2028 and U+2029 as Go's encoder does.
pub fn to_vec(document: &impl Serialize) -> Vec<u8> {
    let plain = serde_json::to_string(document)
        .expect("image documents have string keys and finite numbers only");
    let mut text = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        match c {
            // these occur only inside strings: JSON's own syntax has none of them
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", c as u32))
            }
            c => text.push(c),
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_go_escapes() {
        assert_eq!(to_vec(&"a<b>&\u{2028}é\u{1}"), br#""a\u003cb\u003e\u0026\u2028"#.iter().copied().chain("é\\u0001\"".bytes()).collect::<Vec<_>>());
    }
}
