//! `FF_KANIKO_*`: the feature flags of kaniko, most of which have no second way here.

use super::env::Environment;
use super::value::parse_bool;

const PREFIX: &str = "FF_KANIKO_";

/// What a value other than ours leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    /// Both values work, or neither shows in the image.
    Either,
    /// We always do what this value says.
    Always(bool),
}
use Here::{Always, Either};

/// Name without prefix, kaniko's default, what we do.
#[rustfmt::skip] // a table keeps its columns
const FEATURES: &[(&str, bool, Here)] = &[
    ("BUILDKIT_ARG_ENV_PRECEDENCE",       true,  Always(true)),
    ("CACHE_LOOKAHEAD",                   false, Either),
    ("CACHE_PROBE_AFTER_MISS",            false, Either),
    ("CHOWN_ON_IMPLICIT_DIRS",            false, Always(true)),
    ("CLEAN_KANIKO_DIR",                  true,  Either),
    ("COPY_AS_ROOT",                      false, Always(true)),
    ("COPY_CHMOD_ON_IMPLICIT_DIRS",       false, Always(true)),
    ("CROSS_REPO_MOUNT",                  false, Either),
    ("DEPRECATE_INTER_STAGE_RESTORE",     true,  Either),
    ("DISABLE_HTTP2",                     false, Either),
    ("EXPAND_HEREDOC",                    false, Always(true)),
    ("HASH_DIR_FRAMING",                  false, Either),
    ("IGNORE_CACHED_MANIFEST",            false, Either),
    ("INFER_CROSS_STAGE_CACHE_KEY",       false, Either),
    ("NO_PROPAGATE_ANNOTATIONS",          true,  Always(true)),
    ("OCI_SCRATCH_BASE",                  false, Either),
    ("OCI_WARMER",                        true,  Either),
    ("PATH_SCOPED_REGISTRY_AUTH",         false, Either),
    ("PRECOMPILE_DOCKERIGNORE",           false, Either),
    ("PRESERVE_HARDLINKS",                true,  Always(true)),
    ("PRESERVE_MOUNTED_PATHS",            true,  Either),
    ("RELATIVE_LINK_TARGETS",             true,  Always(true)),
    ("REPRODUCIBLE_PRESERVE_BASE_LAYERS", false, Always(true)),
    ("RESOLVE_CACHE_KEY",                 false, Either),
    ("ROLLING_CACHE_KEY",                 false, Either),
    ("RUN_HONOR_GROUP",                   false, Always(true)),
    ("RUN_MOUNT_BIND",                    true,  Always(true)),
    ("RUN_VIA_TINI",                      false, Always(true)),
    ("SCOPED_DOCKERIGNORE",               false, Always(true)),
    ("SECUREJOIN_EXTRACTION",             true,  Always(true)),
    ("SHARED_BASE_CACHE",                 false, Either),
    ("SKIP_CACHED_STAGES",                false, Either),
    ("SKIP_RELABEL_RECOMPRESS",           false, Either),
    ("SKIP_WRITE_WHITEOUTS",              false, Always(true)),
    ("UNTAR_SKIP_ROOT",                   false, Always(true)),
    ("VOLUME_SKIP_MKDIR",                 true,  Always(true)),
    ("WARMER_CACHE_LOCK",                 true,  Either),
];

/// The flags that do something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// Registries are spoken to in HTTP/1.1 only.
    pub disable_http2: bool,
    /// `FROM scratch` gives OCI media types instead of Docker's.
    pub oci_scratch_base: bool,
}

/// A line to be logged when the program starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Info(String),
    Warning(String),
}

/// Reads the flags.
///
/// # Spec
/// Compat spec 3.3.
pub fn read(env: &Environment) -> (Features, Vec<Notice>) {
    let set = |name: &str| {
        let text = env.value(&format!("{PREFIX}{name}"))?;
        parse_bool(text).ok()
    };
    let names = |chosen: &dyn Fn(&(&str, bool, Here)) -> bool| {
        let chosen = FEATURES.iter().filter(|feature| chosen(feature));
        let names: Vec<String> = chosen.map(|(name, ..)| format!("{PREFIX}{name}")).collect();
        names.join(", ")
    };
    let known = |name: &str| FEATURES.iter().any(|(known, ..)| *known == name);
    let unknown = env.with_prefix(PREFIX).filter(|(name, _)| !known(name));
    let unknown: Vec<String> = unknown.map(|(name, _)| format!("{PREFIX}{name}")).collect();

    let info = |text: &str, names: String| Notice::Info(format!("{text}: {names}"));
    let warning = |text: &str, names: String| Notice::Warning(format!("{text}: {names}"));
    #[rustfmt::skip] // a table keeps its columns
    let notices = [
        info("active feature flags", names(&|(name, default, _)| set(name).unwrap_or(*default))),
        info("feature flags set that are on by default", names(&|(name, default, _)| *default && set(name) == Some(true))),
        warning("feature flags explicitly disabled, please create an issue for your use-case", names(&|(name, default, _)| *default && set(name) == Some(false))),
        warning("unknown feature flags set but not recognised by this version of kaniko", unknown.join(", ")),
        warning("feature flags without effect, the executor always behaves as if they were set to the opposite", names(&|(name, _, here)| matches!(here, Always(ours) if set(name) == Some(!ours)))),
    ];
    let says_something = |notice: &Notice| {
        let (Notice::Info(text) | Notice::Warning(text)) = notice;
        !text.ends_with(": ")
    };
    let features = Features {
        disable_http2: set("DISABLE_HTTP2").unwrap_or(false) || is_turned_off_for_go(env),
        oci_scratch_base: set("OCI_SCRATCH_BASE").unwrap_or(false),
    };
    (
        features,
        notices.into_iter().filter(says_something).collect(),
    )
}

/// Tells whether HTTP/2 is turned off as for programs in Go, which users of kaniko have done where it was slow.
fn is_turned_off_for_go(env: &Environment) -> bool {
    let settings = env.get("GODEBUG").unwrap_or_default();
    settings
        .split(',')
        .any(|setting| setting.trim() == "http2client=0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(pairs: &[(&str, &str)], want: Expect) -> Features {
        let (features, notices) = read(&pairs.iter().copied().collect());
        let lines = notices.iter().map(|notice| match notice {
            Notice::Info(text) => format!("info {text}\n"),
            Notice::Warning(text) => format!("warning {text}\n"),
        });
        want.assert_eq(&lines.collect::<String>());
        features
    }

    #[test]
    fn lines_at_the_start() {
        check(
            &[],
            expect![[r#"
            info active feature flags: FF_KANIKO_BUILDKIT_ARG_ENV_PRECEDENCE, FF_KANIKO_CLEAN_KANIKO_DIR, FF_KANIKO_DEPRECATE_INTER_STAGE_RESTORE, FF_KANIKO_NO_PROPAGATE_ANNOTATIONS, FF_KANIKO_OCI_WARMER, FF_KANIKO_PRESERVE_HARDLINKS, FF_KANIKO_PRESERVE_MOUNTED_PATHS, FF_KANIKO_RELATIVE_LINK_TARGETS, FF_KANIKO_RUN_MOUNT_BIND, FF_KANIKO_SECUREJOIN_EXTRACTION, FF_KANIKO_VOLUME_SKIP_MKDIR, FF_KANIKO_WARMER_CACHE_LOCK
        "#]],
        );
        let features = check(
            &[
                ("FF_KANIKO_OCI_SCRATCH_BASE", "1"),
                ("FF_KANIKO_DISABLE_HTTP2", "perhaps"),
                ("FF_KANIKO_RUN_MOUNT_BIND", "true"),
                ("FF_KANIKO_VOLUME_SKIP_MKDIR", "false"),
                ("FF_KANIKO_COPY_AS_ROOT", "f"),
                ("FF_KANIKO_NEXT", "x"),
            ],
            expect![[r#"
                info active feature flags: FF_KANIKO_BUILDKIT_ARG_ENV_PRECEDENCE, FF_KANIKO_CLEAN_KANIKO_DIR, FF_KANIKO_DEPRECATE_INTER_STAGE_RESTORE, FF_KANIKO_NO_PROPAGATE_ANNOTATIONS, FF_KANIKO_OCI_SCRATCH_BASE, FF_KANIKO_OCI_WARMER, FF_KANIKO_PRESERVE_HARDLINKS, FF_KANIKO_PRESERVE_MOUNTED_PATHS, FF_KANIKO_RELATIVE_LINK_TARGETS, FF_KANIKO_RUN_MOUNT_BIND, FF_KANIKO_SECUREJOIN_EXTRACTION, FF_KANIKO_WARMER_CACHE_LOCK
                info feature flags set that are on by default: FF_KANIKO_RUN_MOUNT_BIND
                warning feature flags explicitly disabled, please create an issue for your use-case: FF_KANIKO_VOLUME_SKIP_MKDIR
                warning unknown feature flags set but not recognised by this version of kaniko: FF_KANIKO_NEXT
                warning feature flags without effect, the executor always behaves as if they were set to the opposite: FF_KANIKO_COPY_AS_ROOT, FF_KANIKO_VOLUME_SKIP_MKDIR
            "#]],
        );
        assert!(features.oci_scratch_base && !features.disable_http2);
    }

    #[test]
    fn http2_can_be_turned_off_in_two_ways() {
        for (name, value, want) in [
            ("GODEBUG", "netdns=go, http2client=0", true),
            ("GODEBUG", "http2client=1", false),
            ("FF_KANIKO_DISABLE_HTTP2", "true", true),
        ] {
            let (features, _) = read(&[(name, value)].into_iter().collect());
            assert_eq!(features.disable_http2, want, "{name}={value}");
        }
    }
}
