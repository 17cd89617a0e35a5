//! Flags about the image that comes out and where it goes.

use super::State::{Holds, Works};
use super::{Flag, flag};
use crate::cli::value::Kind::*;

#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("annotation",        ' ', Annotation, "", Works, "Annotation of the image manifest as key=value, or with manifest:, index:, manifest-descriptor: or index-descriptor: in front of another document; repeatable"),
    flag("attest",            ' ', Attest,   "", Works, "Statement about the image, as type=sbom or type=provenance with the options of those flags; repeatable"),
    flag("compressed-caching", ' ', Bool,    "true", Holds("layers are streamed and never kept in memory"), "Holds by design: layers are never kept in memory"),
    flag("compression",       ' ', Choice(&["gzip", "zstd"]), "", Works, "Compression of new layers: gzip or zstd"),
    flag("compression-level", ' ', Int,      "-1", Works, "Compression level; 5 for gzip and 3 for zstd if not above 0"),
    flag("image-format",      ' ', Choice(&["docker", "oci"]), "", Works, "Media types of the image: docker or oci; default is the base image's"),
    flag("no-push",           ' ', Bool,     "false", Works, "Do not push the image"),
    flag("oci-layout-path",   ' ', Text,     "", Works, "Directory for the image as an OCI layout"),
    flag("output",            'o', List,     "", Works, "Where else the image or its files go: type=local|tar|oci|docker,dest=PATH, with - for standard output, or type=registry,name=IMAGE; repeatable"),
    flag("provenance",        ' ', Provenance, "", Works, "Attach how the image was made, with options such as mode=min, mode=max, builder-id=URI"),
    flag("report",            ' ', List,     "", Works, "File for a report of the build, as FILE.json or FILE.html; repeatable"),
    flag("sbom",              ' ', Sbom,     "", Works, "Attach a list of the packages in the image"),
    flag("tar-path",          ' ', Text,     "", Works, "File for the image as a docker-save tarball"),
];

/// Of a build and of `executor push` alike.
#[rustfmt::skip] // a table keeps its columns
pub const PUSHED: &[Flag] = &[
    flag("destination",       'd', List,     "", Works, "Where to push the image, as repository[:tag]; repeatable"),
    flag("digest-file",       ' ', Text,     "", Works, "File for the image's digest"),
    flag("image-name-tag-with-digest-file", ' ', Text, "", Works, "File for the image's names with tag and digest"),
    flag("image-name-with-digest-file", ' ', Text, "", Works, "File for the image's names with digest"),
];

/// Of `executor index create`.
#[rustfmt::skip] // a table keeps its columns
pub const JOINED: &[Flag] = &[
    flag("wait",              ' ', Limit,    "0s", Works, "How long to wait for images that are not there yet, such as 2h"),
];
