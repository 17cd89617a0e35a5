//! From what the command line says to what each part of the program is told.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Error;
use crate::build::{self, ImageOptions, IsolationOptions, MountOptions, SnapshotOptions};
use crate::causes;
use crate::cli::env;
use crate::cli::options::{self, KanikoDir};
use crate::context;
use crate::dockerfile::Platforms;
use crate::execute::IgnorePaths;
use crate::execute::mount::{Agents, Secrets};
use crate::image::Platform;
use crate::layer::LayerPath;
use crate::net::Environment;
use crate::output::annotations::Level;
use crate::plan;
use crate::registry::credentials::{self, Credentials};
use crate::store::{SharedStore, shared};

/// Returns the variables of this process.
pub fn environment() -> Environment {
    env::Environment::of_process().credentials()
}

/// Reads the credentials of this process, before any command of a Dockerfile could. A kaniko directory may have some, too.
pub fn credentials(asked: &options::Registry, kaniko_dir: Option<&Path>) -> Arc<Credentials> {
    let mut environment = environment();
    if let Some(dir) = kaniko_dir.and_then(Path::to_str) {
        environment.0.insert("KANIKO_DIR".into(), dir.into());
    }
    let helpers = asked.credential_helpers.clone();
    Arc::new(Credentials::load(credentials::Options {
        environment,
        helpers,
    }))
}

/// Returns which of the places where registry credentials are looked for may be mounts: all but what the work in `current_dir` lies in.
fn mounted_credentials(current_dir: &Path, places: Vec<PathBuf>) -> Vec<LayerPath> {
    let clean = |path: &Path| LayerPath::clean(path.as_os_str().as_encoded_bytes());
    let here = clean(current_dir);
    places
        .into_iter()
        .map(|place| clean(&current_dir.join(place)))
        .filter(|place| !here.starts_with(place))
        .collect()
}

/// Opens the store that builds share. One that cannot be had costs a warning: a build does without.
pub fn store(asked: Option<shared::Options>) -> Option<SharedStore> {
    SharedStore::open(asked?).unwrap_or_else(|error| {
        let error = causes::in_one_line(&error);
        tracing::warn!("cannot use --cache-dir: {error}");
        None
    })
}

/// Returns where a context is fetched to.
pub fn context_place(asked: &options::Options) -> context::Place {
    match &asked.kaniko_dir {
        KanikoDir::At(dir) => context::Place::Shared(dir.join("context")),
        KanikoDir::Temporary => context::Place::Fresh(build::temporary_parent().into()),
    }
}

/// Returns the directory for files on their way to an output; it need not be there.
pub fn scratch(asked: &options::Options) -> PathBuf {
    match &asked.kaniko_dir {
        KanikoDir::At(dir) => dir.clone(),
        KanikoDir::Temporary => build::temporary_parent().into(),
    }
}

/// Reads the secrets and takes hold of the agents, before any command of a Dockerfile could.
pub fn mounts(asked: &options::Options) -> Result<MountOptions, Error> {
    let given = &asked.build;
    let secrets = Secrets::load(&given.secrets, |name| std::env::var_os(name));
    let agents = Agents::open(&given.agents, given.ssh_auth_sock.clone());
    Ok(MountOptions {
        secrets: secrets.map_err(Error::Secrets)?,
        agents: agents.map_err(Error::Agents)?,
        cache_dir: given.cache_dir.clone(),
    })
}

/// Returns how the image for a platform is built; for this machine, if none was asked for.
pub fn build(
    asked: &options::Options,
    mounts: MountOptions,
    platform: Option<&Platform>,
    context_time: Option<i64>,
) -> build::Options {
    let given = &asked.build;
    let host = Platform::host();
    let target = platform.cloned().unwrap_or_else(|| host.clone());
    let output = &asked.output;
    // Docker's manifest lists have neither statements nor annotations
    let needs_oci = asked.features.oci_scratch_base
        || output.attestations.is_wanted()
        || output.annotations.are_beyond_manifests();
    build::Options {
        git: asked.context.git.clone(),
        plan: plan::Options {
            targets: given.targets.clone(),
            every_stage: given.check && given.targets.is_empty(),
            build_args: given.args.clone(),
            platforms: Platforms {
                build: host,
                target: target.clone(),
            },
            platform_is_explicit: platform.is_some(),
            source_date_epoch: given.source_date_epoch,
            contexts: given.contexts.clone(),
            context_time,
            // asked for when the Dockerfile is known
            epoch_time: None,
        },
        work_dir: match &asked.kaniko_dir {
            KanikoDir::At(dir) => Some(dir.clone()),
            KanikoDir::Temporary => None,
        },
        jobs: given.jobs.or((!given.shortcuts).then_some(1)),
        shortcuts: given.shortcuts,
        isolation: IsolationOptions {
            requested: given.isolation,
            force: given.force,
            allow_insecure: given.allow_insecure,
            hide: mounted_credentials(
                &asked.current_dir,
                credentials::mount_points(&environment()),
            ),
        },
        mounts,
        no_cache_filter: given.no_cache_filter.clone(),
        snapshot: SnapshotOptions {
            single: given.single_snapshot,
            read_everything: given.full_snapshots,
            ignore: IgnorePaths::new(&given.ignore_paths),
            compression: asked.output.compression,
            level: asked
                .output
                .compression_level
                .and_then(|level| u32::try_from(level).ok())
                .filter(|level| *level > 0),
            threads: (!given.shortcuts).then_some(1),
        },
        image: ImageOptions {
            family: asked
                .output
                .format
                .or(needs_oci.then_some(crate::image::Family::Oci)),
            labels: given.labels.clone(),
            annotations: output.annotations.of(Level::Manifest, Some(&target)),
            reproducible: given.reproducible,
        },
        pin_sources: output.attestations.provenance.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_hidden() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // place              hidden
            ("/root/.docker",     "/root/.docker"),
            ("/a/../b/./c/",      "/b/c"),
            (".docker",           "/work/deep/.docker"),
            ("../other",          "/work/other"),
            // what the work lies in
            ("/",                 ""),
            ("/work",             ""),
            ("..",                ""),
            ("../..",             ""),
            ("/work/deep",        ""),
        ];
        for (place, want) in cases {
            let hidden = mounted_credentials(Path::new("/work/deep"), vec![place.into()]);
            let hidden: Vec<String> = hidden.iter().map(ToString::to_string).collect();
            assert_eq!(hidden.concat(), want, "{place}");
        }
    }
}
