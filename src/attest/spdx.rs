//! The packages of an image as an SPDX document.
//!
//! # Spec
//! SPDX 2.3, in its JSON form.

use std::fmt::Write;

use serde_json::{Value, json};

use super::scan::Inventory;
use crate::image::{Descriptor, Digest};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const UNSAID: &str = "NOASSERTION";

/// What the document is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// As a package URL, if the image has a name.
    pub purl: Option<&'a str>,
    pub manifest: &'a Descriptor,
    /// When the document is made, as RFC 3339.
    pub created: &'a str,
}

/// Lists what was found in an image. The same image at the same time makes the same document.
pub fn document(inventory: &Inventory, subject: Subject<'_>) -> Value {
    let digest = &subject.manifest.digest;
    let mut references = Vec::new();
    if let Some(purl) = subject.purl {
        references.push(reference(purl));
    }
    let mut packages = vec![json!({
        "SPDXID": IMAGE,
        "name": digest.to_string(),
        "versionInfo": digest.to_string(),
        "downloadLocation": UNSAID,
        "filesAnalyzed": false,
        "checksums": [{ "algorithm": "SHA256", "checksumValue": digest.hex() }],
        "licenseConcluded": UNSAID,
        "licenseDeclared": UNSAID,
        "copyrightText": UNSAID,
        "primaryPackagePurpose": "CONTAINER",
        "externalRefs": references,
    })];
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", IMAGE)];
    for (package, paths) in &inventory.packages {
        let purl = package.purl();
        let id = id(&package.name, &purl);
        let paths: Vec<String> = paths.iter().map(ToString::to_string).collect();
        let mut item = json!({
            "SPDXID": id,
            "name": package.full_name(),
            "downloadLocation": UNSAID,
            "filesAnalyzed": false,
            "licenseConcluded": UNSAID,
            "licenseDeclared": UNSAID,
            "copyrightText": UNSAID,
            "sourceInfo": format!("found in {}", paths.join(", ")),
            "externalRefs": [reference(&purl)],
        });
        if !package.version.is_empty() {
            item["versionInfo"] = package.version.clone().into();
        }
        if !package.license.is_empty() {
            // an expression of SPDX only by chance, so it is no declared license
            item["licenseComments"] = format!("the package says: {}", package.license).into();
        }
        packages.push(item);
        relationships.push(relationship(IMAGE, "CONTAINS", &id));
    }
    let mut information = json!({
        "created": subject.created,
        "creators": [format!("Tool: executor-{}", env!("CARGO_PKG_VERSION"))],
    });
    if !inventory.unread.is_empty() {
        let mut comment = String::from("These files could not be read:");
        for (path, reason) in &inventory.unread {
            let _ = write!(comment, " {path} ({reason});");
        }
        information["comment"] = comment.trim_end_matches(';').into();
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": digest.to_string(),
        "creationInfo": information,
        "packages": packages,
        "relationships": relationships,
    });
    let content = Digest::of(document.to_string().as_bytes());
    let namespace = format!(
        "https://spdx.org/spdxdocs/sha256-{}-{}",
        digest.hex(),
        content.hex()
    );
    document["documentNamespace"] = namespace.into();
    document
}

/// Makes an identifier of letters, digits, dots and hyphens that no other package of the document has.
fn id(name: &str, purl: &str) -> String {
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let hash = Digest::of(purl.as_bytes());
    format!("SPDXRef-Package-{name}-{}", &hash.hex()[..16])
}

fn reference(purl: &str) -> Value {
    json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl,
    })
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}
