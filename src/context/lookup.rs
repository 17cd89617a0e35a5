//! Finding the Dockerfile and the ignore file that belongs to it.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use url::Url;

use super::text_file::{SIZE_LIMIT, read};
use super::{DockerfileText, Error, Means};
use crate::net::redact::redacted;
use crate::net::{Get, Net};

/// Finds and reads the Dockerfile: the path as given, else below the context. An absolute path that does not exist is tried
/// below the context too; `dockerfile` is only tried where no name was given.
pub fn dockerfile(
    given: Option<&str>,
    context: &Path,
    means: Means<'_>,
) -> Result<DockerfileText, Error> {
    let name = given.unwrap_or("Dockerfile");
    if is_url(name)
        && let Ok(url) = name.parse()
    {
        return fetch(url, means.net);
    }
    let current_dir = means.current_dir;
    let below = |name: &str| context.join(name.trim_start_matches('/'));
    let mut tried = vec![current_dir.join(name), below(name)];
    if given.is_none() {
        tried.push(below("dockerfile"));
    }
    tried.dedup();
    let Some(path) = tried.iter().find(|path| exists(path)) else {
        return Err(Error::NoDockerfile { tried });
    };
    Ok(DockerfileText::new(path.clone(), read(path)?))
}

fn is_url(name: &str) -> bool {
    name.starts_with("http://") || name.starts_with("https://")
}

/// Fetches a Dockerfile from a server.
fn fetch(url: Url, net: &Net) -> Result<DockerfileText, Error> {
    let shown = redacted(&url);
    let download = net
        .get(&Get::new(url))
        .map_err(|source| Error::FetchDockerfile { source })?;
    if download.status.as_u16() >= 400 {
        let status = download.status;
        return Err(Error::DockerfileStatus { url: shown, status });
    }
    let mut text = Vec::new();
    let read = download
        .decoded()
        .take(SIZE_LIMIT + 1)
        .read_to_end(&mut text);
    match read {
        Err(source) => Err(Error::DockerfileContent { url: shown, source }),
        Ok(size) if size as u64 > SIZE_LIMIT => Err(Error::DockerfileSize {
            url: shown,
            limit: SIZE_LIMIT,
        }),
        Ok(_) => Ok(DockerfileText::new(shown.into(), text)),
    }
}

/// Finds and reads the ignore file: the one named after the Dockerfile and next to it, even an empty one, else the context's. A
/// Dockerfile from a server has none of its own.
pub fn ignore_file(dockerfile: &Path, context: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, Error> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    let own = Some(PathBuf::from(own)).filter(|own| !is_url(&own.to_string_lossy()));
    for path in own.into_iter().chain([context.join(".dockerignore")]) {
        if let Some(text) = read_if_there(&path)? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

/// Reads a file unless there is none.
pub fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    exists(path).then(|| read(path)).transpose()
}

/// Tells whether something is there; a dangling symlink is.
fn exists(path: &Path) -> bool {
    match fs_err::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => {
            let absent = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            !absent.contains(&error.kind())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{GitOptions, Means, Options, Place, open};
    use crate::interrupt::Interrupt;
    use crate::layer::LayerPath;
    use crate::net::{self, Net};

    /// Path and content.
    type File = (&'static str, &'static str);

    /// Lays out `files`, opens, and says what was found, relative to the sandbox.
    fn check(files: &[File], location: &str, given: Option<&str>) -> String {
        let sandbox = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = sandbox.path().join(path);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, content).unwrap();
        }
        let inside = |text: &str| text.replace("$T", sandbox.path().to_str().unwrap());
        let options = Options {
            location: inside(location),
            bucket: String::new(),
            sub_path: String::new(),
            dockerfile: given.map(inside),
            git: GitOptions::default(),
        };
        let means = Means {
            current_dir: &sandbox.path().join("cwd"),
            place: &Place::Fresh(sandbox.path().into()),
            net: &Net::new(net::Options { http1_only: false }).unwrap(),
            environment: &net::Environment::default(),
            interrupt: &Interrupt::new(),
        };
        let found = match open(&options, means) {
            Ok((context, dockerfile)) => {
                let hidden = ["a", "b"]
                    .into_iter()
                    .filter(|path| context.ignore.excludes(&LayerPath::clean(path)));
                let hidden = hidden.collect::<Vec<_>>().join(" ");
                format!(
                    "{} {:?} [{hidden}]",
                    dockerfile.path.display(),
                    dockerfile.text
                )
            }
            Err(error) => match error.help() {
                Some(help) => format!("{error}; {help}"),
                None => error.to_string(),
            },
        };
        found.replace(sandbox.path().to_str().unwrap(), "$T")
    }

    #[test]
    fn where_the_dockerfile_is() {
        let cwd = ("cwd/Dockerfile", "cwd");
        let upper = ("ctx/Dockerfile", "ctx");
        let lower = ("ctx/dockerfile", "low");
        let deep = ("ctx/docker/app", "app");
        let other = ("else/Dockerfile", "else");
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[File], &str, Option<&str>, &str); 8] = [
            (&[cwd, upper],          "$T/ctx",       None,                        r#"$T/cwd/Dockerfile "cwd" []"#),
            (&[upper, lower],        "../ctx",       None,                        r#"$T/cwd/../ctx/Dockerfile "ctx" []"#),
            (&[lower],               "dir://$T/ctx", None,                        r#"$T/ctx/dockerfile "low" []"#),
            (&[lower],               "$T/ctx",       Some("Dockerfile"),          "error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile; there is none at `$T/cwd/Dockerfile`, `$T/ctx/Dockerfile`"),
            (&[upper, deep],         "$T/ctx",       Some("docker/app"),          r#"$T/ctx/docker/app "app" []"#),
            (&[upper, deep],         "$T/ctx",       Some("/docker/app"),         r#"$T/ctx/docker/app "app" []"#),
            (&[upper, other],        "$T/ctx",       Some("$T/else/Dockerfile"),  r#"$T/else/Dockerfile "else" []"#),
            (&[other],               "$T/ctx",       None,                        "error resolving source context: cannot open the directory `$T/ctx`; pass the directory with `--context`, or mount it at that path"),
        ];
        for (files, location, given, want) in cases {
            let files: Vec<_> = files.iter().copied().chain([("cwd/x", "")]).collect();
            assert_eq!(check(&files, location, given), want, "{location} {given:?}");
        }
    }

    #[test]
    fn which_ignore_file_counts() {
        let file = ("ctx/app", "");
        let general = ("ctx/.dockerignore", "a");
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[File], &str); 5] = [
            (&[],                                            "[]"),
            (&[general],                                     "[a]"),
            (&[general, ("ctx/app.dockerignore", "b")],      "[b]"),
            (&[general, ("ctx/app.dockerignore", "")],       "[]"),
            (&[("ctx/.dockerignore", "!")],                  "cannot parse line 1 of `$T/ctx/.dockerignore`; `[` begins a set of characters, `\\` makes the next character an ordinary one, and `!` needs a pattern behind it"),
        ];
        for (files, want) in cases {
            let files: Vec<_> = files.iter().copied().chain([file]).collect();
            let found = check(&files, "$T/ctx", Some("app"));
            assert_eq!(found.trim_start_matches("$T/ctx/app \"\" "), want);
        }
    }
}
