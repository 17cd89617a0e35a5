//! What a registry says is wrong.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::credentials;

/// Who was asked for what; the URL is redacted.
#[derive(Debug, Clone)]
pub struct RequestLine {
    pub registry: String,
    pub repository: String,
    pub method: Method,
    pub url: String,
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "registry `{}`", self.registry)?;
        if !self.repository.is_empty() {
            write!(f, ", repository `{}`", self.repository)?;
        }
        write!(f, ": {} {}", self.method, self.url)
    }
}

/// An answer with a status that is no success.
#[derive(Debug)]
pub struct Answer {
    pub request: RequestLine,
    pub status: StatusCode,
    pub codes: Vec<Code>,
    /// Where the credentials of the request came from.
    pub credential: String,
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.request, self.status)?;
        for code in &self.codes {
            write!(f, ": {code}")?;
        }
        write!(f, " (credentials: {})", self.credential)
    }
}

/// One error of the distribution protocol's error document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    pub code: String,
    pub message: String,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.message.as_str()) {
            (code, "") => f.write_str(code),
            ("", message) => f.write_str(message),
            (code, message) => write!(f, "{code}: {message}"),
        }
    }
}

impl Code {
    /// Reads an error document, also those of token servers (RFC 6749, and Docker's own); any other text is shortened and becomes
    /// a message. Members that are missing, or of another kind than they should be, count as empty.
    pub(super) fn parse(body: &[u8]) -> Vec<Self> {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let listed = document["errors"].as_array().into_iter().flatten();
        let listed = listed.map(|error| Self::of(error, ["code"], ["message"]));
        let alone = Self::of(
            &document,
            ["error", "details"],
            ["error_description", "message"],
        );
        let says_something = |code: &Self| !code.code.is_empty() || !code.message.is_empty();
        let found: Vec<Self> = listed.chain([alone]).filter(says_something).collect();
        if !found.is_empty() {
            return found;
        }
        let text = String::from_utf8_lossy(body);
        match shortened(text.trim().lines().next().unwrap_or_default()) {
            text if text.is_empty() || text.starts_with('<') => Vec::new(),
            message => vec![Self {
                code: String::new(),
                message,
            }],
        }
    }

    fn of<const C: usize, const M: usize>(
        object: &Value,
        codes: [&str; C],
        messages: [&str; M],
    ) -> Self {
        let text = |names: &[&str]| {
            let mut found = names.iter().map(|name| match &object[*name] {
                Value::String(text) => shortened(text),
                Value::Number(number) => number.to_string(),
                _ => String::new(),
            });
            found.find(|text| !text.is_empty())
        };
        Self {
            code: text(&codes).unwrap_or_default(),
            message: text(&messages).unwrap_or_default(),
        }
    }
}

/// Returns what is shown of a text from elsewhere: one line, which cannot steer a terminal.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 300;
    let line = text.trim().replace(char::is_control, " ");
    line.chars().take(LONGEST).collect()
}

impl Answer {
    /// Returns what the user can do about it, if anything.
    pub(super) fn help(&self) -> Option<String> {
        let registry = &self.request.registry;
        match self.status.as_u16() {
            401 | 403 if self.credential == credentials::ANONYMOUS => Some(format!(
                "no credentials were found for `{registry}`; if the repository is private, log in (`executor login {registry}`) or mount a Docker `config.json` where DOCKER_CONFIG points"
            )),
            401 | 403 => Some(format!(
                "check that the credentials from {} are valid for `{}`",
                self.credential, self.request.repository
            )),
            404 => Some("check registry, repository and tag; some registries need a repository to be created first, or answer so without credentials".to_owned()),
            413 => Some("the registry, or a proxy before it, limits the size of an upload".to_owned()),
            429 => Some(match self.retry_after {
                Some(wait) => format!(
                    "the registry limits requests and asks to wait {} seconds; credentials or --registry-mirror may help",
                    wait.as_secs()
                ),
                None => "the registry limits requests; credentials or --registry-mirror may help".to_owned(),
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_documents_become_codes() {
        let code = |code: &str, message: &str| Code {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[(&str, Vec<Code>)] = &[
            (r#"{"errors":[{"code":"DENIED","message":"no","detail":[1]}]}"#, vec![code("DENIED", "no")]),
            (r#"{"errors":[{"code":"A"},{"code":"B"}]}"#,                     vec![code("A", ""), code("B", "")]),
            (r#"{"details":"incorrect username or password"}"#,               vec![code("incorrect username or password", "")]),
            (r#"{"error":"invalid_grant","error_description":"expired"}"#,    vec![code("invalid_grant", "expired")]),
            (r#"{"errors":[{"code":429,"message":null}]}"#,                   vec![code("429", "")]),
            (r#"{"errors":[{"status":404}]}"#,                                vec![code("", r#"{"errors":[{"status":404}]}"#)]),
            (r#"{"errors":[{"code":"X","message":"a\r\n\u001b[2Jb"}]}"#,      vec![code("X", "a   [2Jb")]),
            (r#"{"errors":[],"other":1}"#,                                    vec![code("", r#"{"errors":[],"other":1}"#)]),
            ("upstream gone\nmore",                                           vec![code("", "upstream gone")]),
            ("<html><body>Bad gateway",                                       vec![]),
            ("",                                                              vec![]),
        ];
        for (body, want) in cases {
            assert_eq!(Code::parse(body.as_bytes()), *want, "{body}");
        }
    }
}
