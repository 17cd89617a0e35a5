//! JSON as Go writes and reads it: written documents equal BuildKit's byte for byte, and `null` is read as a field that is not there.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Parses a document. Builders write `null` for whatever they left unset, lists and whole objects among it.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    // What fails as it stands may succeed without its nulls; if not, the first error knows line and column.
    serde_json::from_slice(bytes).or_else(|error| {
        let mut value: Value = serde_json::from_slice(bytes)?;
        drop_nulls(&mut value);
        T::deserialize(value).map_err(|_| error)
    })
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

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
