//! Where the Docker config file is.

use std::path::PathBuf;

use fs_err as fs;

use crate::causes;
use crate::net::Environment;

use super::Error;
use super::config::ConfigFile;

/// Finds and reads the config file; there may be none.
///
/// Docker's own file comes first: in `$DOCKER_CONFIG`, then in `$KANIKO_DIR/.docker` and `$HOME/.docker`, because images set the first
/// variable whether or not anything is mounted there. Then Podman's.
pub(super) fn find(environment: &Environment) -> Result<Option<ConfigFile>, Error> {
    let beside = docker_dirs_beside(environment);
    for path in places(environment) {
        let is_beside = path
            .parent()
            .is_some_and(|dir| beside.contains(&dir.to_owned()));
        match fs::read_to_string(&path) {
            Ok(text) => {
                let origin = format!("file:{}", path.display());
                match ConfigFile::parse(&text, &origin) {
                    Err(error) if is_beside => tracing::warn!(
                        "Looking for no credentials in what DOCKER_CONFIG does not name: {}",
                        causes::in_one_line(&error)
                    ),
                    parsed => return parsed.map(Some),
                }
            }
            Err(error) if is_absent(&error) => {}
            // As for a program that asks whether the file is there first: in a home that belongs to somebody else it is not.
            Err(error) if path.symlink_metadata().is_err() => {
                tracing::warn!("Looking for no credentials in a directory that is closed: {error}");
            }
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(None)
}

fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory)
}

fn places(environment: &Environment) -> Vec<PathBuf> {
    let (docker, podman) = (docker_dirs(environment), podman_dirs(environment));
    let docker = docker.into_iter().map(|dir| dir.join("config.json"));
    let podman = podman.into_iter().map(|dir| dir.join("auth.json"));
    docker.chain(auth_file(environment)).chain(podman).collect()
}

/// Returns where users mount credentials: the directories in which they are looked for, and the one file that has a name of its own.
pub fn mount_points(environment: &Environment) -> Vec<PathBuf> {
    let dirs = docker_dirs(environment).into_iter();
    let dirs = dirs.chain(podman_dirs(environment));
    dirs.chain(auth_file(environment)).collect()
}

fn docker_dirs(environment: &Environment) -> Vec<PathBuf> {
    let below = |name| variable(environment, name).map(|dir| dir.join(".docker"));
    let given = variable(environment, "DOCKER_CONFIG");
    let dirs = [given, below("KANIKO_DIR"), below("HOME")];
    dirs.into_iter().flatten().collect()
}

/// Returns those directories of Docker's in which kaniko would not look: it may not matter what lies there.
fn docker_dirs_beside(environment: &Environment) -> Vec<PathBuf> {
    let mut dirs = docker_dirs(environment);
    match variable(environment, "DOCKER_CONFIG") {
        Some(given) => {
            dirs.retain(|dir| *dir != given);
            dirs
        }
        None => Vec::new(),
    }
}

fn auth_file(environment: &Environment) -> Option<PathBuf> {
    variable(environment, "REGISTRY_AUTH_FILE")
}

fn podman_dirs(environment: &Environment) -> Vec<PathBuf> {
    let in_home = || variable(environment, "HOME").map(|home| home.join(".config"));
    let config = variable(environment, "XDG_CONFIG_HOME").or_else(in_home);
    let dirs = [variable(environment, "XDG_RUNTIME_DIR"), config];
    let dirs = dirs.into_iter().flatten();
    dirs.map(|dir| dir.join("containers")).collect()
}

fn variable(environment: &Environment, name: &str) -> Option<PathBuf> {
    environment.get(name).map(PathBuf::from)
}

/// Returns the path of Docker's own config file, which `login` writes.
pub(super) fn docker(environment: &Environment) -> Option<PathBuf> {
    let in_home = || variable(environment, "HOME").map(|home| home.join(".docker"));
    let directory = variable(environment, "DOCKER_CONFIG").or_else(in_home);
    directory.map(|directory| directory.join("config.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variables, and the file that is found with them.
    type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

    #[test]
    fn only_what_is_named_must_be_readable() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for place in ["docker", "home/.docker"] {
            fs::create_dir_all(root.join(place)).unwrap();
            fs::write(root.join(place).join("config.json"), "{").unwrap();
        }
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[(&str, &str)], bool); 4] = [
            (&[("DOCKER_CONFIG", "docker"), ("HOME", "home")],       false),
            (&[("DOCKER_CONFIG", "none"), ("HOME", "home")],         true),
            (&[("HOME", "home")],                                    false),
            (&[("DOCKER_CONFIG", "home/.docker"), ("HOME", "home")], false),
        ];
        for (variables, is_fine) in cases {
            let absolute = |value: &str| root.join(value).display().to_string();
            let variables = variables.iter();
            let variables = variables.map(|(k, v)| ((*k).to_owned(), absolute(v)));
            let found = find(&Environment(variables.clone().collect()));
            assert_eq!(found.is_ok(), is_fine, "{variables:?}");
        }
    }

    #[test]
    fn the_first_file_that_exists_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in [
            "docker/config.json",
            "home/.docker/config.json",
            "kaniko/.docker/config.json",
            "auth.json",
            "run/containers/auth.json",
            "bare/.config/containers/auth.json",
        ] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{}").unwrap();
        }
        fs::create_dir_all(root.join("k8s/config.json")).unwrap(); // a directory is no file
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[Case] = &[
            (&[],                                               None),
            (&[("DOCKER_CONFIG", "docker"), ("HOME", "home")],  Some("docker/config.json")),
            (&[("HOME", "home")],                               Some("home/.docker/config.json")),
            (&[("DOCKER_CONFIG", "none"), ("HOME", "home")],    Some("home/.docker/config.json")),
            (&[("DOCKER_CONFIG", "k8s"), ("HOME", "home"), ("REGISTRY_AUTH_FILE", "auth.json")], Some("home/.docker/config.json")),
            (&[("DOCKER_CONFIG", "none"), ("KANIKO_DIR", "kaniko"), ("HOME", "home")], Some("kaniko/.docker/config.json")),
            (&[("DOCKER_CONFIG", "docker"), ("KANIKO_DIR", "kaniko")], Some("docker/config.json")),
            (&[("DOCKER_CONFIG", "docker"), ("HOME", "none")],  Some("docker/config.json")),
            (&[("HOME", "bare")],                               Some("bare/.config/containers/auth.json")),
            (&[("DOCKER_CONFIG", "none"), ("REGISTRY_AUTH_FILE", "auth.json")], Some("auth.json")),
            (&[("XDG_RUNTIME_DIR", "run")],                     Some("run/containers/auth.json")),
            (&[("DOCKER_CONFIG", "k8s")],                       None),
        ];
        for (variables, want) in cases {
            let absolute = |value: &str| root.join(value).display().to_string();
            let variables = variables.iter();
            let variables: Vec<_> = variables
                .map(|(k, v)| ((*k).to_owned(), absolute(v)))
                .collect();
            let environment = Environment(variables.iter().cloned().collect());
            let found = find(&environment).unwrap().map(|config| config.origin);
            let want = want.map(|path| format!("file:{}", absolute(path)));
            assert_eq!(found, want, "{variables:?}");
        }
    }
}
