//! Where what is known about a build is told to.

use std::path::PathBuf;

use url::Url;

use super::Given;
use crate::cli::{Error, value};
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
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("url", &redacted(&self.url))
            .field("omit_dockerfile", &self.omit_dockerfile)
            .finish()
    }
}

/// Returns the collector of `KANIKO_TELEMETRY_ENDPOINT`. A build does not fail for one that cannot be meant.
///
/// # Spec
/// Compat spec 3.1.
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
    Some(Telemetry {
        url,
        omit_dockerfile: omit.is_some_and(|text| value::parse_bool(text) == Ok(true)),
    })
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
