//! One line of comma-separated fields, as `--mount` and `--output` have it.

/// Splits a line into fields; a field may be in double quotes, in which `""` stands for one.
pub fn fields(line: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err("stray double quote");
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => return Ok(fields),
            None => return Err("text after a closing double quote"),
        }
    }
}

/// Reads to the closing quote; returns the field and what follows.
fn quoted_field(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('"').ok_or("unclosed double quote")?;
        field.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, after)),
        }
    }
}

/// Writes a field so that [`fields`] reads it back.
pub(super) fn field(text: &str) -> String {
    match text.contains([',', '"']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        #[rustfmt::skip]
        let cases: [(&str, Result<&[&str], &str>); 9] = [
            ("type=cache,target=/a",    Ok(&["type=cache", "target=/a"])),
            ("type=bind,\"target=/a,b\",ro", Ok(&["type=bind", "target=/a,b", "ro"])),
            ("\"a\"\"b\"",              Ok(&["a\"b"])),
            ("",                        Ok(&[""])),
            ("a,,b",                    Ok(&["a", "", "b"])),
            ("a,",                      Ok(&["a", ""])),
            ("a\"b",                    Err("stray double quote")),
            ("\"a",                     Err("unclosed double quote")),
            ("\"a\"b",                  Err("text after a closing double quote")),
        ];
        for (line, want) in cases {
            let want = want.map(|w| w.iter().map(|s| s.to_string()).collect());
            assert_eq!(fields(line), want, "{line}");
        }
    }

    #[test]
    fn fields_are_read_back() {
        for text in ["a", "a,b", "a\"b", "\"", ""] {
            assert_eq!(fields(&field(text)).unwrap(), [text]);
        }
    }
}
