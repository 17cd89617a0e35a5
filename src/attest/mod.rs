//! Statements about a finished image: the packages in it (SBOM), and how it was made (provenance).
//!
//! They are attached as BuildKit attaches them: for each image a manifest with its statements, beside it in an index. What
//! does not know of them passes them over, because their platform is `unknown/unknown`.

pub mod packages;
mod purl;
mod scan;
mod spdx;

mod conceal;
pub mod provenance;

mod statement;

use tracing::{info, warn};

use crate::image::{Descriptor, Digest, ImageRef, Platform};
use crate::layer;
use crate::output::{BoxError, BuiltImage};

pub use provenance::{Invocation, Material, Materials, Mode, Request};
pub use purl::of_image;
use statement::Predicate;

const SPDX: &str = "https://spdx.dev/Document";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

/// What is stated about images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--sbom`
    pub sbom: bool,
    /// `--provenance`
    pub provenance: Option<provenance::Options>,
}

impl Options {
    pub fn is_wanted(&self) -> bool {
        self.sbom || self.provenance.is_some()
    }
}

/// What kept statements from being made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open the layer {digest} to look for packages")]
    Blob { digest: Digest, source: BoxError },
    #[error("cannot look for packages in the layer {digest}")]
    Layer {
        digest: Digest,
        source: layer::Error,
    },
}

/// All that statements about one image are made of.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub request: &'a Request,
    pub materials: &'a Materials,
    pub invocation: &'a Invocation,
    pub platform: &'a Platform,
    /// The names it is pushed by.
    pub names: &'a [ImageRef],
}

/// A manifest with statements, and the descriptor by which the index points to it.
pub type Attestation = (BuiltImage, Descriptor);

/// Makes the statements that are wanted about an image; `None` if none are.
///
/// # Errors
/// That a layer cannot be read. A file in it that cannot be understood is a warning, and named in the SBOM.
pub fn attest(
    image: &BuiltImage,
    options: &Options,
    facts: Facts<'_>,
) -> Result<Option<Attestation>, Error> {
    let names = facts.names.iter();
    let names: Vec<String> = names
        .map(|name| of_image(name, Some(facts.platform)))
        .collect();
    let mut predicates = Vec::new();
    if options.sbom {
        let inventory = scan::scan(image)?;
        match inventory.packages.len() {
            1 => info!("Found 1 package in the image"),
            count => info!("Found {count} packages in the image"),
        }
        for (path, reason) in &inventory.unread {
            warn!("the SBOM lacks what {path} tells: {reason}");
        }
        let subject = spdx::Subject {
            purl: names.first().map(String::as_str),
            manifest: &image.descriptor(),
            created: &facts.invocation.finished,
        };
        predicates.push(Predicate {
            kind: SPDX,
            content: spdx::document(&inventory, subject),
        });
    }
    if let Some(options) = &options.provenance {
        let Facts {
            request,
            materials,
            invocation,
            ..
        } = facts;
        predicates.push(Predicate {
            kind: PROVENANCE,
            content: provenance::predicate(options, request, materials, invocation),
        });
    }
    if predicates.is_empty() {
        return Ok(None);
    }
    let attestation = statement::manifest(&image.digest, &names, &predicates);
    let descriptor = statement::descriptor(&attestation, &image.digest);
    Ok(Some((attestation, descriptor)))
}
