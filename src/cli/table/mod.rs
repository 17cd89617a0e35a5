//! Every flag, as a table: how it is spelled, what values it takes, and what it does today.

mod build;
mod cache_mount;
mod job;
mod output;
mod prune;
mod registry;
mod warm;

use super::value::Kind;

/// One flag.
#[derive(Debug)]
pub struct Flag {
    pub name: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    /// The value where the flag is not given, in the flag's own spelling.
    pub default: &'static str,
    pub state: State,
    pub help: &'static str,
}

/// What giving a flag leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Works,
    /// Works, but is not listed in the help.
    Hidden,
    /// Nothing to do, for the reason given; a line at level debug says it.
    Holds(&'static str),
    /// Another spelling of the flag named.
    Alias(&'static str),
    /// Another spelling of the flag named, with the notice printed when it is used.
    Deprecated(&'static str, &'static str),
}

/// Makes one row of a table; a blank stands for "no short form".
const fn flag(
    name: &'static str,
    short: char,
    kind: Kind,
    default: &'static str,
    state: State,
    help: &'static str,
) -> Flag {
    let short = if short == ' ' { None } else { Some(short) };
    Flag {
        name,
        short,
        kind,
        default,
        state,
        help,
    }
}

impl Flag {
    /// Returns the name under which values are kept.
    pub fn canonical(&self) -> &'static str {
        match self.state {
            State::Alias(name) | State::Deprecated(name, _) => name,
            _ => self.name,
        }
    }

    pub fn is_listed(&self) -> bool {
        matches!(self.state, State::Works | State::Holds(_))
    }
}

/// The flags of a build.
pub const EXECUTOR: &[&[Flag]] = &[
    build::FLAGS,
    output::FLAGS,
    output::PUSHED,
    registry::FLAGS,
    registry::PULLING,
    registry::MAPPED,
    registry::WRITING,
    registry::PUSHING,
];
/// The flags of `executor push`.
pub const PUSH: &[&[Flag]] = &[
    output::PUSHED,
    registry::FLAGS,
    registry::PULLING,
    registry::MAPPED,
    registry::WRITING,
    registry::PUSHING,
];
/// The flags of `executor index create`, which takes images from under their own names.
pub const INDEX: &[&[Flag]] = &[
    output::JOINED,
    output::PUSHED,
    registry::FLAGS,
    registry::PULLING,
    registry::WRITING,
    registry::PUSHING,
];
/// The flags of `executor warm`.
pub const WARM: &[&[Flag]] = &[
    warm::FLAGS,
    registry::FLAGS,
    registry::PULLING,
    registry::MAPPED,
];
/// The flags of `executor cache prune`.
pub const PRUNE: &[&[Flag]] = &[prune::FLAGS, registry::FLAGS, registry::WRITING];
/// The flags of `executor cache-mount`.
pub const CACHE_MOUNT: &[&[Flag]] = &[
    cache_mount::FLAGS,
    registry::FLAGS,
    registry::PULLING,
    registry::MAPPED,
    registry::WRITING,
];
/// The flags of `executor job`.
pub const JOB: &[&[Flag]] = &[
    job::FLAGS,
    build::FLAGS,
    output::FLAGS,
    output::PUSHED,
    registry::FLAGS,
    registry::PULLING,
    registry::MAPPED,
    registry::WRITING,
    registry::PUSHING,
];
/// Those of them that are about where the image goes.
pub const PUSHED_ONLY: &[Flag] = output::PUSHED;
/// Those of them that are not about the build.
pub const JOB_ONLY: &[Flag] = job::FLAGS;
/// The flags of `executor login`.
pub const LOGIN: &[&[Flag]] = &[registry::LOGIN];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_make_sense() {
        for table in [EXECUTOR, PUSH, INDEX, JOB, LOGIN, WARM, PRUNE, CACHE_MOUNT] {
            let flags: Vec<&Flag> = table.iter().copied().flatten().collect();
            let mut spellings = BTreeSet::new();
            for flag in &flags {
                let short = flag.short.map(|short| short.to_string());
                for spelling in [Some(flag.name.to_owned()), short].into_iter().flatten() {
                    assert!(spellings.insert(spelling), "{} twice", flag.name);
                }
                let known = flags.iter().any(|other| other.name == flag.canonical());
                assert!(known, "{} stands for nothing", flag.name);
                if !flag.default.is_empty() {
                    flag.kind.check(flag.default).unwrap();
                }
            }
        }
    }

    #[test]
    fn every_flag_of_kaniko_is_here() {
        let kaniko = "annotation bucket build-arg cache cache-copy-layers cache-dir cache-repo cache-run-layers cache-ttl cleanup \
            compressed-caching compression compression-level context context-sub-path credential-helpers custom-platform \
            customPlatform destination digest-file dockerfile dryrun force force-build-metadata git ignore-path ignore-var-run \
            image-download-retry image-format image-fs-extract-retry image-name-tag-with-digest-file \
            image-name-with-digest-file insecure insecure-pull insecure-registry kaniko-dir label log-format log-timestamp \
            materialize no-push no-push-cache oci-layout-path pre-cleanup preserve-context push-ignore-immutable-tag-errors \
            push-retry registry-certificate registry-client-cert registry-map registry-mirror reproducible secret \
            single-snapshot skip-default-registry-fallback skip-push-permission-check skip-tls-verify skip-tls-verify-pull \
            skip-tls-verify-registry skip-unused-stages snapshot-mode snapshotMode tar-path tarPath target use-new-run verbosity \
            whitelist-var-run";
        let ours = EXECUTOR.iter().copied().flatten().map(|flag| flag.name);
        let ours: BTreeSet<&str> = ours.collect();
        for name in kaniko.split_whitespace() {
            assert!(ours.contains(name), "{name}");
        }
    }
}
