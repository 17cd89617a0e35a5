//! `--check`: what is told of a Dockerfile that is not built.

use super::making::print;
use super::{Error, Findings};
use crate::build::Checked;
use crate::context::DockerfileText;
use crate::dockerfile::check;
use crate::report::Excerpt;

/// Prints what the checks found, with the lines, and how many findings there are.
pub fn report(checked: &Checked, dockerfile: &DockerfileText) -> Result<(), Error> {
    let file_name = dockerfile.path.file_name().and_then(|name| name.to_str());
    for finding in &checked.findings {
        let excerpt = Excerpt {
            file_name: file_name.unwrap_or("Dockerfile"),
            text: &dockerfile.text,
            span: finding.span,
            word: None,
        };
        print(&format!("{finding}\n{}\n", excerpt.render()));
    }
    let violation = check::violation(&checked.findings);
    Err(Error::Findings(match (checked.findings.len(), violation) {
        (0, _) | (_, None) => {
            print("Check complete, no warnings have been found.\n");
            return Ok(());
        }
        (_, Some(text)) if checked.are_errors => Findings::Violation(text),
        (1, _) => Findings::One,
        (count, _) => Findings::Several(count),
    }))
}
