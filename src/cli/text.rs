//! Arguments as text: those that are none are refused, since what replaced their bytes would mean something else.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use super::{Error, Mistake};
use crate::log::go_quote_bytes;

/// Takes the arguments of the process, the program's name included.
///
/// # Errors
/// [`Error::NotText`] for the first one that is not UTF-8, with the flag it belongs to.
pub fn texts(args: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Mistake> {
    let mut texts: Vec<String> = Vec::new();
    for arg in args {
        match arg.into_string() {
            Ok(text) => texts.push(text),
            Err(arg) => {
                let last = texts.last().map_or("", String::as_str);
                return Err(not_text(arg.as_bytes(), last).into());
            }
        }
    }
    Ok(texts)
}

fn not_text(arg: &[u8], before: &str) -> Error {
    let end = arg.iter().position(|byte| *byte == b'=');
    let (flag, value) = match end {
        Some(end) if arg.starts_with(b"-") => {
            (std::str::from_utf8(&arg[..end]).ok(), &arg[end + 1..])
        }
        _ if arg.starts_with(b"-") => (None, arg),
        _ => {
            let is_flag = before.starts_with('-') && !before.contains('=');
            (Some(before).filter(|_| is_flag), arg)
        }
    };
    Error::NotText {
        value: go_quote_bytes(value),
        flag: flag.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn what_is_no_text_is_named() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[&[u8]], &str); 5] = [
            (&[b"--context=/a\xff"],             r#"invalid argument "/a\xff" for "--context" flag: it is not UTF-8"#),
            (&[b"--context", b"/\xc3/b"],        r#"invalid argument "/\xc3/b" for "--context" flag: it is not UTF-8"#),
            (&[b"-d", b"a", b"-c", b"\xff"],     r#"invalid argument "\xff" for "-c" flag: it is not UTF-8"#),
            (&[b"--cache=true", b"\xffx"],       r#"invalid argument "\xffx": it is not UTF-8"#),
            (&[b"--\xff=x"],                     r#"invalid argument "x": it is not UTF-8"#),
        ];
        for (args, want) in cases {
            let args = args.iter().map(|arg| OsString::from_vec(arg.to_vec()));
            assert_eq!(texts(args).unwrap_err().error.to_string(), want);
        }
        let fine = ["executor", "é"].map(OsString::from);
        assert_eq!(texts(fine).unwrap(), ["executor", "é"]);
    }
}
