//! What is told about a build once it is over: reports in files, and a trace to a collector.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::causes;
use crate::cli::options::{Options, Report, ReportFormat, Telemetry};
use crate::log::timeline::Timeline;
use crate::log::{page, trace};
use crate::net::Net;
use crate::output;
use crate::output::file::OutputFile;

/// The reports of one build; they are made once.
pub struct Reports {
    files: Vec<Report>,
    telemetry: Option<Telemetry>,
    net: Net,
    timeline: Timeline,
    are_made: Mutex<bool>,
}

impl Reports {
    pub fn new(options: &Options, net: &Net, timeline: &Timeline) -> Self {
        Self {
            files: options.output.reports.clone(),
            // a dry run has no effects
            telemetry: options.telemetry.clone().filter(|_| !options.build.dry_run),
            net: net.clone(),
            timeline: timeline.clone(),
            are_made: Mutex::new(false),
        }
    }

    /// Makes the reports, unless another thread has; then waits until it is done.
    ///
    /// A collector that does not take the trace is a warning: the build does not depend on it.
    ///
    /// # Errors
    /// The first file that cannot be written; the others are there.
    pub fn make(&self, error: Option<String>) -> Result<(), output::Error> {
        let are_made = self.are_made.lock();
        let mut are_made = are_made.unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *are_made, true) {
            return Ok(());
        }
        if let Some(error) = error {
            self.timeline.failed(error);
        }
        let record = self.timeline.record();
        if let Some(telemetry) = &self.telemetry {
            let options = trace::Options {
                omit_dockerfile: telemetry.omit_dockerfile,
                trace_id: fastrand::u128(1..),
                attributes: &telemetry.attributes,
                value_limit: telemetry.value_limit,
            };
            let body = trace::export(&record, options).to_string();
            if let Err(error) =
                self.net
                    .post_json(&telemetry.url, &telemetry.headers, body.into_bytes())
            {
                let error = causes::in_one_line(&error);
                tracing::warn!("cannot send the trace: {error}");
            }
        }
        let written = self.files.iter().map(|report| {
            let text = match report.format {
                ReportFormat::Json => record.document(),
                ReportFormat::Html => page::page(&record),
            };
            OutputFile::write(Path::new(&report.path), text.as_bytes())
        });
        written.collect::<Vec<_>>().into_iter().collect()
    }
}
