//! Texts without what is secret in them, as far as names and places tell.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::check::names_secret;

const HIDDEN: &str = "***";
/// What stands between words, beside white space; `&` is part of URLs.
const SEPARATORS: &str = "\"'`;|()<>,";
/// A shorter value is too likely to be part of something else.
const SHORTEST: usize = 4;

/// The values of build args whose names say that they are secret.
#[derive(Debug, Clone, Default)]
pub struct Concealed(BTreeSet<String>);

impl Concealed {
    pub fn of(build_args: &BTreeMap<String, String>) -> Self {
        let secret = build_args.iter().filter(|(name, _)| is_secret(name));
        Self(secret.map(|(_, value)| value.clone()).collect())
    }

    /// Tells whether nothing had to be hidden.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value of a name, unless that is secret.
    pub fn value(&self, name: &str, value: &str) -> String {
        match is_secret(name) {
            true => HIDDEN.to_owned(),
            false => self.text(value),
        }
    }

    /// Returns a text without logins in URLs and headers, without values of URLs' queries, and without what is set for a secret's name.
    pub fn text(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = "";
        while !rest.is_empty() {
            let (word, after) = split(rest, true);
            rest = after;
            match word.split_once('=') {
                Some((name, _)) if is_secret(name) => {
                    shown.push_str(&format!("{name}={HIDDEN}"));
                    rest = after_value(after, word.ends_with('='));
                }
                _ if announces_login(before) && !word.is_empty() => shown.push_str(HIDDEN),
                _ => shown.push_str(&url(word)),
            }
            // `ENV NAME value`
            if before.eq_ignore_ascii_case("ENV") && !word.contains('=') && is_secret(word) {
                let end = rest.find('\n').unwrap_or(rest.len());
                shown.push_str(&format!(" {HIDDEN}"));
                rest = &rest[end..];
            }
            before = word;
            let (between, after) = split(rest, false);
            shown.push_str(between);
            rest = after;
        }
        let values = self.0.iter().filter(|value| value.len() >= SHORTEST);
        let mut values: Vec<&str> = values.map(String::as_str).collect();
        // one that begins with another would keep its end
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values
            .into_iter()
            .fold(shown, |text, value| text.replace(value, HIDDEN))
    }
}

/// Splits off what comes before the next separator, or before what is none.
fn split(text: &str, is_word: bool) -> (&str, &str) {
    let ends = |c: char| (c.is_whitespace() || SEPARATORS.contains(c)) == is_word;
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Tells whether what follows a word in a header is a login.
fn announces_login(word: &str) -> bool {
    ["bearer", "basic"].contains(&&*word.to_lowercase())
}

/// Passes over the rest of a value that is in quotes.
fn after_value(after: &str, is_open: bool) -> &str {
    let quote = after
        .chars()
        .next()
        .filter(|c| is_open && "\"'".contains(*c));
    let Some(quote) = quote else {
        return after;
    };
    let inside = &after[1..];
    match inside.find(quote) {
        Some(end) => &inside[end + 1..],
        None => "",
    }
}

/// Tells whether a name of a variable, an option or a header is that of a secret.
fn is_secret(name: &str) -> bool {
    const FURTHER: [&str; 5] = ["authorization", "cookie", "jwt", "pass", "passphrase"];
    let name = name
        .trim_start_matches('-')
        .replace(['-', '.'], "_")
        .to_lowercase();
    names_secret(&name) || name.split('_').any(|part| FURTHER.contains(&part))
}

/// Returns a word without the login and the query's values of the URL that it may be or end in.
fn url(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let rest = match rest[..authority].rfind('@') {
        Some(at) => &rest[at + 1..],
        None => rest,
    };
    let (address, fragment) = match rest.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (rest, String::new()),
    };
    let address = match address.split_once('?') {
        Some((address, _)) => format!("{address}?{HIDDEN}"),
        None => address.to_owned(),
    };
    format!("{scheme}://{address}{fragment}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden() {
        let args = [("API_KEY", "s3cr3t"), ("API_TOKEN", "s3cr3t-longer")];
        let args = args.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let concealed = Concealed::of(&args.into());
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://u:pw@h/a.git#main",            "https://h/a.git#main"),
            ("https://h/a?sig=x&b=1",                "https://h/a?***"),
            ("ADD https://tok@h/x /x",               "ADD https://h/x /x"),
            ("ENV PASSWORD=a B=c",                   "ENV PASSWORD=*** B=c"),
            ("ENV PASSWORD=\"a b\" B=c",             "ENV PASSWORD=*** B=c"),
            ("RUN x --auth-token=abc; y",            "RUN x --auth-token=***; y"),
            ("RUN echo s3cr3t > /f",                 "RUN echo *** > /f"),
            ("RUN echo s3cr3t-longer > /f",          "RUN echo *** > /f"),
            ("ARG VERSION=1\nARG PUBLIC_KEY=k",      "ARG VERSION=1\nARG PUBLIC_KEY=k"),
            ("ENV MY_TOKEN a b\nENV C d",             "ENV MY_TOKEN ***\nENV C d"),
            ("curl -H 'Authorization: Bearer abc' h", "curl -H 'Authorization: Bearer ***' h"),
            ("git@h:a/b.git",                        "git@h:a/b.git"),
            ("é=ü https://h/ü",                      "é=ü https://h/ü"),
        ];
        for (text, want) in cases {
            assert_eq!(concealed.text(text), want, "{text}");
        }
    }
}
