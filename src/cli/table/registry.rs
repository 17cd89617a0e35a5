//! Flags about registries.

use super::State::Works;
use super::{Flag, flag};
use crate::cli::value::Kind::*;

/// For whatever is asked of a registry.
#[rustfmt::skip] // a table keeps its columns
pub const FLAGS: &[Flag] = &[
    flag("credential-helpers", ' ', List,    "", Works, "Built-in credential helpers to use: env, google, ecr, acr, gitlab; none if empty; repeatable"),
    flag("insecure-registry", ' ', List,     "", Works, "Registry to be used over plain HTTP; repeatable"),
    flag("registry-certificate", ' ', KeyValue, "", Works, "Certificate authority for a registry as host=FILE; repeatable"),
    flag("registry-client-cert", ' ', KeyValue, "", Works, "Client certificate for a registry as host=CERT,KEY; repeatable"),
    flag("skip-tls-verify",   ' ', Bool,     "false", Works, "Do not verify certificates"),
    flag("skip-tls-verify-registry", ' ', List, "", Works, "Registry whose certificate is not verified; repeatable"),
];

/// For who pulls.
#[rustfmt::skip] // a table keeps its columns
pub const PULLING: &[Flag] = &[
    flag("image-download-retry", ' ', Int,   "0", Works, "Extra attempts for a base image's manifest"),
    flag("insecure-pull",     ' ', Bool,     "false", Works, "Pull over plain HTTP"),
    flag("skip-tls-verify-pull", ' ', Bool,  "false", Works, "Do not verify certificates when pulling"),
];

/// For who may take an image from elsewhere than its name says.
#[rustfmt::skip] // a table keeps its columns
pub const MAPPED: &[Flag] = &[
    flag("registry-map",      ' ', KeyValues, "", Works, "Registry to use in another's place as host=other[/prefix][;…]; repeatable"),
    flag("registry-mirror",   ' ', List,     "", Works, "Mirror of Docker Hub as host[/prefix]; repeatable"),
    flag("skip-default-registry-fallback", ' ', Bool, "false", Works, "Do not ask the original registry if its mirrors fail"),
];

/// For who changes something in a registry.
#[rustfmt::skip] // a table keeps its columns
pub const WRITING: &[Flag] = &[
    flag("insecure",          ' ', Bool,     "false", Works, "Push over plain HTTP"),
    flag("push-retry",        ' ', Int,      "0", Works, "Extra attempts for each destination"),
];

/// For who pushes images.
#[rustfmt::skip] // a table keeps its columns
pub const PUSHING: &[Flag] = &[
    flag("push-ignore-immutable-tag-errors", ' ', Bool, "false", Works, "Count a push as done if the tag exists and is immutable"),
    flag("skip-push-permission-check", ' ', Bool, "false", Works, "Do not check before the build that the push is permitted"),
];

#[rustfmt::skip] // a table keeps its columns
pub const LOGIN: &[Flag] = &[
    flag("password",          'p', Text,     "", Works, "Password"),
    flag("password-stdin",    ' ', Bool,     "false", Works, "Read the password from standard input"),
    flag("username",          'u', Text,     "", Works, "User name"),
];
