//! What stays where it is while the image's files are in the root, decided before anything moves. Pure.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};

use super::journal::path_as_text;
use super::mounts::Mount;
use crate::layer::LayerPath;

/// What the kernel provides and every command needs.
const SYSTEM: [&str; 3] = ["proc", "sys", "dev"];

/// Where orchestrators mount credentials of the container itself, which are none of a command's business.
const SECRETS: [&str; 2] = ["run/secrets", "var/run/secrets"];

/// What a runtime mounts into every container; nobody needs to be told.
const EXPECTED: [&str; 4] = [
    "etc/resolv.conf",
    "etc/hosts",
    "etc/hostname",
    "run/.containerenv",
];

/// The parts of the container that stay.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Paths that stay visible with all they contain; none lies below another. Sorted.
    pub(super) kept: Vec<Kept>,
    /// Directories above kept paths, the root first: they stay, their other entries change. Sorted.
    pub(super) pinned: Vec<LayerPath>,
    /// Mounts to be hidden that lie inside a kept path and so cannot be.
    pub(super) exposed: Vec<LayerPath>,
}

/// A path that stays, and the number of the mount that makes it stay, if one does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(with = "path_as_text")]
    pub(super) path: LayerPath,
    pub(super) mount: Option<u64>,
}

/// What a plan is made of.
pub(super) struct Request<'a> {
    pub(super) mounts: &'a [Mount],
    /// The work directory, which must stay.
    pub(super) work: &'a LayerPath,
    /// Paths of the container that the user wants to see.
    pub(super) keep: &'a [LayerPath],
    /// Mounts at or below these are to be hidden.
    pub(super) hide: &'a [LayerPath],
    /// Paths that turned out not to be movable.
    pub(super) immovable: &'a BTreeSet<LayerPath>,
}

/// Tells whether there is something at a path and whether it is a directory.
pub(super) type Look<'a> = &'a dyn Fn(&LayerPath) -> io::Result<Option<bool>>;

/// Decides what stays of the container, given what both sides have at the paths in question.
pub(super) fn plan(
    request: &Request<'_>,
    container: Look<'_>,
    image: Look<'_>,
) -> io::Result<Plan> {
    let mut kept = Vec::new();
    let system = SYSTEM.iter().map(LayerPath::clean);
    for path in system.chain([request.work.clone()]) {
        if container(&path)?.is_some() {
            kept.push(path);
        }
    }
    for path in request.keep.iter().chain(request.immovable) {
        if !path.is_root() && container(path)?.is_some() && all_dirs(path, container)? {
            kept.push(path.clone());
        }
    }
    let mut hidden = Vec::new();
    for mount in request.mounts {
        let unwanted = request.hide.iter().any(|hide| mount.path.starts_with(hide))
            || is_secret(&mount.path)
            || runs_through_a_file(&mount.path, image)?;
        if unwanted && !request.immovable.contains(&mount.path) {
            hidden.push(mount.path.clone());
        } else {
            kept.push(mount.path.clone());
        }
    }
    // What lies inside a mount can only stay together with it.
    let holding = |mount: &LayerPath| kept.iter().any(|k| k != mount && k.starts_with(mount));
    let holders: Vec<LayerPath> = hidden.iter().filter(|m| holding(m)).cloned().collect();
    kept.extend(holders);

    kept.sort();
    kept.dedup();
    let mut topmost: Vec<LayerPath> = Vec::new();
    for path in kept {
        if !topmost.last().is_some_and(|last| path.starts_with(last)) {
            topmost.push(path);
        }
    }
    let mut pinned: BTreeSet<LayerPath> = topmost.iter().flat_map(LayerPath::ancestors).collect();
    pinned.insert(LayerPath::root());
    let exposed = hidden
        .into_iter()
        .filter(|mount| topmost.iter().any(|k| mount.starts_with(k)));
    Ok(Plan {
        pinned: pinned.into_iter().collect(),
        exposed: exposed.collect(),
        kept: topmost.into_iter().map(|p| kept_at(p, request)).collect(),
    })
}

fn kept_at(path: LayerPath, request: &Request<'_>) -> Kept {
    let mount = request.mounts.iter().rfind(|mount| mount.path == path);
    Kept {
        mount: mount.map(|mount| mount.id),
        path,
    }
}

fn all_dirs(path: &LayerPath, look: Look<'_>) -> io::Result<bool> {
    for ancestor in path.ancestors() {
        if look(&ancestor)? != Some(true) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells whether the image has a file or link where the container has a directory above `path`.
fn runs_through_a_file(path: &LayerPath, image: Look<'_>) -> io::Result<bool> {
    for ancestor in path.ancestors() {
        match image(&ancestor)? {
            Some(true) => {}
            Some(false) => return Ok(true),
            None => return Ok(false),
        }
    }
    Ok(false)
}

fn is_secret(path: &LayerPath) -> bool {
    let mut secrets = SECRETS.iter().map(LayerPath::clean);
    secrets.any(|secret| path.starts_with(&secret))
}

impl Plan {
    pub(super) fn keeps(&self, path: &LayerPath) -> bool {
        self.kept.iter().any(|kept| kept.path == *path)
    }

    pub(super) fn pins(&self, path: &LayerPath) -> bool {
        self.pinned.binary_search(path).is_ok()
    }

    /// Returns the kept path that covers `path`, if any.
    pub(super) fn covering(&self, path: &LayerPath) -> Option<&LayerPath> {
        let mut kept = self.kept.iter().map(|kept| &kept.path);
        kept.find(|kept| path.starts_with(kept))
    }

    /// Returns the kept paths that a user may not expect to find in a container built from the image.
    pub(super) fn volumes(&self) -> Vec<LayerPath> {
        let kept = self.kept.iter().filter(|kept| kept.mount.is_some());
        let paths = kept.map(|kept| &kept.path);
        paths.filter(|path| !is_expected(path)).cloned().collect()
    }
}

/// Tells whether a path is one of those that every container has on top of its image.
pub(super) fn is_expected(path: &LayerPath) -> bool {
    let mut expected = EXPECTED.iter().map(LayerPath::clean);
    let mut system = SYSTEM.iter().map(LayerPath::clean);
    system.any(|dir| path.starts_with(&dir)) || expected.any(|file| file == *path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plans for mounts; `image` lists the image's directories (with a slash at the end) and files.
    fn check(mounts: &[&str], image: &[&str], immovable: &[&str]) -> String {
        let paths = |list: &[&str]| list.iter().map(LayerPath::clean).collect::<Vec<_>>();
        let mounts: Vec<Mount> = (10..)
            .zip(paths(mounts))
            .map(|(id, path)| Mount { id, path })
            .collect();
        let request = Request {
            mounts: &mounts,
            work: &LayerPath::clean(".executor"),
            keep: &paths(&["keep/me"]),
            hide: &paths(&["kaniko"]),
            immovable: &paths(immovable).into_iter().collect(),
        };
        let image_has = |path: &LayerPath| {
            let found = image.iter().find(|i| LayerPath::clean(i) == *path);
            Ok(found.map(|i| i.ends_with('/')))
        };
        let plan = plan(&request, &|_| Ok(Some(true)), &image_has).unwrap();
        let kept = plan.kept.iter().map(|k| match k.mount {
            Some(id) => format!("{}={id}", k.path),
            None => k.path.to_string(),
        });
        format!(
            "{} | {} | {}",
            kept.collect::<Vec<_>>().join(" "),
            text(&plan.pinned),
            text(&plan.exposed)
        )
    }

    fn text(paths: &[LayerPath]) -> String {
        let paths: Vec<String> = paths.iter().map(LayerPath::to_string).collect();
        paths.join(" ")
    }

    #[test]
    fn what_a_runtime_brings_is_expected() {
        for (path, want) in [
            ("proc/sys", true),
            ("etc/hosts", true),
            ("run/.containerenv", true),
            ("run/other", false),
        ] {
            assert_eq!(is_expected(&LayerPath::clean(path)), want, "{path}");
        }
    }

    #[test]
    fn what_stays() {
        type Paths = &'static [&'static str];
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[(Paths, Paths, Paths, &str)] = &[
            // mounts, image, immovable -> kept | pinned | exposed
            (&[], &[], &[],
                "/.executor /dev /keep/me /proc /sys | / /keep | "),
            (&["proc", "dev/pts", "root/.m2", "workspace"], &[], &[],
                "/.executor /dev /keep/me /proc=10 /root/.m2=12 /sys /workspace=13 | / /keep /root | "),
            // A token goes, together with the directory it is in.
            (&["var/run/secrets/kubernetes.io/serviceaccount"], &[], &[],
                "/.executor /dev /keep/me /proc /sys | / /keep | "),
            // The same where it cannot.
            (&["run", "run/secrets/x"], &[], &[],
                "/.executor /dev /keep/me /proc /run=10 /sys | / /keep | /run/secrets/x"),
            (&["kaniko/.docker/config.json"], &[], &["kaniko/.docker/config.json"],
                "/.executor /dev /kaniko/.docker/config.json=10 /keep/me /proc /sys | / /kaniko /kaniko/.docker /keep | "),
            // The image's /srv is a link, so nothing can stay below it.
            (&["srv/data"], &["srv"], &[],
                "/.executor /dev /keep/me /proc /sys | / /keep | "),
            (&["srv/data"], &["srv/"], &[],
                "/.executor /dev /keep/me /proc /srv/data=10 /sys | / /keep /srv | "),
            // A mount over another's directory.
            (&["keep"], &["keep"], &[],
                "/.executor /dev /keep=10 /proc /sys | / | "),
        ];
        for (mounts, image, immovable, want) in cases {
            assert_eq!(check(mounts, image, immovable), *want, "{mounts:?}");
        }
    }
}
