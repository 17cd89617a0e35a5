//! Documents as YAML. Pure.

use serde_json::Value;

/// Prints a document, with the keys of objects in their order.
pub fn print(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Prints an object or a list whose lines are indented.
fn block(value: &Value, indent: usize, text: &mut String) {
    let start = " ".repeat(indent);
    match value {
        Value::Object(pairs) => {
            for (key, value) in pairs {
                text.push_str(&format!("{start}{key}:"));
                after(value, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                match is_block(item) {
                    true => block(item, indent + 2, &mut inner),
                    false => inner = format!("{start}  {}\n", scalar(item)),
                }
                text.push_str(&format!("{start}- {}", &inner[indent + 2..]));
            }
        }
        other => text.push_str(&format!("{start}{}\n", scalar(other))),
    }
}

/// Prints what stands behind a key.
fn after(value: &Value, indent: usize, text: &mut String) {
    match is_block(value) {
        true => {
            text.push('\n');
            block(value, indent, text);
        }
        false => text.push_str(&format!(" {}\n", scalar(value))),
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(pairs) => !pairs.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

/// Prints a value in a line; in quotes, as JSON has it, unless it can only be read as a text.
fn scalar(value: &Value) -> String {
    const WORDS: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = |text: &str| {
        let is_safe = |c: char| c.is_ascii_alphanumeric() || "./_=@+-:".contains(c);
        let is_flag =
            text.starts_with("--") && text[2..].starts_with(|c: char| c.is_ascii_lowercase());
        let begins = is_flag || text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
        let is_word = WORDS.contains(&text.to_lowercase().as_str());
        begins && text.chars().all(is_safe) && !text.ends_with(':') && !is_word
    };
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn documents() {
        let document = json!({
            "a": {"b": 1, "list": ["--x=git://h/a", "yes", "1.0", "a: b", "#", "", "-", "k:", "plain"]},
            "empty": {}, "none": [], "objects": [{"k": "v", "more": {"z": true}}, {"k": ["w"]}],
        });
        expect![[r##"
            a:
              b: 1
              list:
                - --x=git://h/a
                - "yes"
                - "1.0"
                - "a: b"
                - "#"
                - ""
                - "-"
                - "k:"
                - plain
            empty: {}
            none: []
            objects:
              - k: v
                more:
                  z: true
              - k:
                  - w
        "##]]
        .assert_eq(&print(&document));
    }
}
