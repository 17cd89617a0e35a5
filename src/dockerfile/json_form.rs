//! The JSON (exec) form of an instruction's arguments (JSON-1 to JSON-4).

use std::borrow::Cow;

use serde_json::Value;

use super::Problem;

/// Returns the strings if the whole text is a JSON array, or `None` if it is no JSON array at all.
///
/// # Errors
/// [`Problem::NotStrings`] if an element is anything but a string.
pub(super) fn parse(text: &str) -> Result<Option<Vec<String>>, Problem> {
    if !text.starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<Value>>(&without_lone_surrogates(text)) else {
        return Ok(None);
    };
    values
        .into_iter()
        .map(|value| match value {
            Value::String(word) => Ok(word),
            _ => Err(Problem::NotStrings(text.trim_end().to_owned())),
        })
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Replaces each `\uD8xx` that is no half of a pair by `\uFFFD`, because they are tolerated here but not by the JSON reader.
fn without_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match (code_unit(rest), rest.get(6..).and_then(code_unit)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => 12,
            (Some(0xd800..=0xdfff), _) => {
                out.push_str("\\ufffd");
                rest = &rest[6..];
                continue;
            }
            _ => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Returns the code unit of the `\uXXXX` that the text starts with.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        type Case = (
            &'static str,
            Result<Option<&'static [&'static str]>, Problem>,
        );
        #[rustfmt::skip]
        let cases: [Case; 25] = [
            (r#"["a", "b c"]"#,         Ok(Some(&["a", "b c"]))),
            (r#"[ "a" ]"#,              Ok(Some(&["a"]))),
            (r#"["a"]  "#,              Ok(Some(&["a"]))),
            (r#"["a",]"#,               Ok(None)),
            (r#"["a""#,                 Ok(None)),
            (r#"['a']"#,                Ok(None)),
            (r#"["a"] # x"#,            Ok(None)),
            (r#"["a" "b"]"#,            Ok(None)),
            (r#"["\x41"]"#,             Ok(None)),
            ("[\"a\tb\"]",              Ok(None)),
            (r#"[ -f /x ] && echo"#,    Ok(None)),
            (r#"a"#,                    Ok(None)),
            (r#"[1,"a"]"#,              Err(Problem::NotStrings(r#"[1,"a"]"#.to_owned()))),
            (r#"[null]"#,               Err(Problem::NotStrings(r#"[null]"#.to_owned()))),
            (r#"[["a"]]"#,              Err(Problem::NotStrings(r#"[["a"]]"#.to_owned()))),
            (r#"[{}]"#,                 Err(Problem::NotStrings(r#"[{}]"#.to_owned()))),
            (r#"[]"#,                   Ok(Some(&[]))),
            (r#"[""]"#,                 Ok(Some(&[""]))),
            (r#"["\ud800"]"#,           Ok(Some(&["\u{fffd}"]))),
            (r#"["\udc00\ud83d\ude00"]"#, Ok(Some(&["\u{fffd}😀"]))),
            (r#"["\ud800\ud83d\ude00"]"#, Ok(Some(&["\u{fffd}😀"]))),
            (r#"["\\ud800"]"#,          Ok(Some(&["\\ud800"]))),
            (r#"["\ud800\n"]"#,         Ok(Some(&["\u{fffd}\n"]))),
            (r#"["\ud800é\"]"#,         Ok(None)),
            (r#"["\u0041\/\\\""]"#,     Ok(Some(&["A/\\\""]))),
        ];
        for (text, want) in cases {
            let want = want
                .map(|words| words.map(|w| w.iter().map(|s| s.to_string()).collect::<Vec<_>>()));
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
