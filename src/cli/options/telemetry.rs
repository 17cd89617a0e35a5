//! Where what is known about a build is told to.

use std::path::PathBuf;

use reqwest::header::HeaderName;
use url::Url;

use super::Given;
use crate::cli::{Error, value};
use crate::net::Secret;
use crate::net::percent::decoded;
use crate::net::redact::redacted;

/// A file about the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub path: PathBuf,
    pub format: ReportFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportFormat {
    Json,
    Html,
}

/// A collector of traces.
#[derive(Clone, PartialEq, Eq)]
pub struct Telemetry {
    /// May hold a password.
    pub url: Url,
    /// The trace has nothing of what stands in the Dockerfile.
    pub omit_dockerfile: bool,
    /// Sent along; they may be what the collector knows us by.
    pub headers: Vec<(HeaderName, Secret)>,
    /// Said of the build as a whole.
    pub attributes: Vec<(String, String)>,
    /// Letters of a value that are sent.
    pub value_limit: usize,
}

/// Longer values of attributes are cut off, unless something else is asked for.
const VALUE_LIMIT: usize = 64 << 10;

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("url", &redacted(&self.url))
            .field("omit_dockerfile", &self.omit_dockerfile)
            .finish_non_exhaustive()
    }
}

/// Returns the collector of `KANIKO_TELEMETRY_ENDPOINT`. A build does not fail for one that cannot be meant.
///
/// # Spec
/// Compat spec 3.1, 3.2; OpenTelemetry's environment variables.
pub fn telemetry(given: Given<'_>) -> Option<Telemetry> {
    let text = given.variable("KANIKO_TELEMETRY_ENDPOINT")?;
    let url = text.parse::<Url>().ok();
    let Some(mut url) = url.filter(|url| ["http", "https"].contains(&url.scheme())) else {
        tracing::warn!(
            "KANIKO_TELEMETRY_ENDPOINT is not heeded: it must begin with http:// or https://"
        );
        return None;
    };
    if url.path() == "/" {
        url.set_path("/v1/traces");
    }
    let omit = given.variable("KANIKO_TELEMETRY_OMIT_DOCKERFILE");
    let pairs = |name| given.variable(name).map(pairs).unwrap_or_default();
    let mut attributes = pairs("OTEL_RESOURCE_ATTRIBUTES");
    if let Some(name) = given.variable("OTEL_SERVICE_NAME") {
        attributes.retain(|(key, _)| key != SERVICE);
        attributes.push((SERVICE.to_owned(), name.to_owned()));
    }
    let limit = |name| {
        let text = given.variable(name)?;
        let limit = text.trim().parse::<usize>();
        if limit.is_err() {
            tracing::warn!("{name} is not heeded: `{text}` is no length");
        }
        limit.ok()
    };
    let own = limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT");
    let limit = own.or_else(|| limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"));
    Some(Telemetry {
        url,
        omit_dockerfile: omit.is_some_and(|text| value::parse_bool(text) == Ok(true)),
        headers: headers(pairs("OTEL_EXPORTER_OTLP_HEADERS")),
        attributes,
        value_limit: limit.unwrap_or(VALUE_LIMIT),
    })
}

/// The attribute that says what made a trace.
const SERVICE: &str = "service.name";

/// Reads `name=value,name=value` with values as in URLs; what has no `=` is none.
fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.trim().to_owned(), decoded(value.trim())))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

fn headers(pairs: Vec<(String, String)>) -> Vec<(HeaderName, Secret)> {
    let header = |(name, value): (String, String)| match name.parse() {
        Ok(name) => Some((name, Secret::new(value))),
        Err(_) => {
            tracing::warn!("a name in OTEL_EXPORTER_OTLP_HEADERS is none of a header");
            None
        }
    };
    pairs.into_iter().filter_map(header).collect()
}

/// Returns the files that `--report` names.
pub fn reports(given: Given<'_>) -> Result<Vec<Report>, Error> {
    let report = |text: &String| {
        let format = match text.rsplit_once('.') {
            Some((_, "json")) => ReportFormat::Json,
            Some((_, "html")) => ReportFormat::Html,
            _ => return Err(Error::Report(text.clone())),
        };
        Ok(Report {
            path: given.absolute(text),
            format,
        })
    };
    given.values.list("report").iter().map(report).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_pairs() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",                    ""),
            ("a=b",                 "a:b"),
            (" a = b%20c , d=e=f ", "a:b c d:e=f"),
            ("a,=b,c=",             "c:"),
        ];
        for (text, want) in cases {
            let found = pairs(text);
            let found: Vec<String> = found.iter().map(|(n, v)| format!("{n}:{v}")).collect();
            assert_eq!(found.join(" "), want, "{text}");
        }
    }
}
