//! What `--context`, `--bucket` and `--context-sub-path` say. Pure.

use std::path::PathBuf;

use url::Url;

use super::git::is_scp;
use super::{Error, Options};

/// Where the files of a context are to be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine, sub-path included.
    Directory(PathBuf),
    /// A tar of this machine.
    File(PathBuf),
    Stdin,
    /// A tar on a server.
    Web(Url),
    /// A git repository, as typed.
    Git(String),
}

/// Schemes that kaniko knows and we do not open yet.
const LATER: [&str; 2] = ["gs", "s3"];
/// What the hosts of Azure's object storage are called.
const AZURE: [&str; 4] = [
    ".blob.core.windows.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
    ".blob.core.usgovcloudapi.net",
];

impl Location {
    /// Reads the options; for a bare path as well as for `dir://` the sub-path counts.
    pub fn of(options: &Options) -> Result<Self, Error> {
        if !options.bucket.is_empty() {
            return Err(later("--bucket".into()));
        }
        let location = &*options.location;
        if location.is_empty() {
            return Err(Error::NoLocation);
        }
        if is_scp(location) {
            return Ok(Self::Git(location.to_owned()));
        }
        let Some((scheme, rest)) = location.split_once("://") else {
            return Ok(Self::Directory(below(location, &options.sub_path)));
        };
        // What follows a second `://` is dropped, as kaniko does.
        let path = rest.split("://").next().unwrap_or(rest);
        match (scheme, path) {
            ("dir", _) => Ok(Self::Directory(below(path, &options.sub_path))),
            ("tar", "stdin") => Ok(Self::Stdin),
            ("tar", _) => Ok(Self::File(path.into())),
            ("http" | "https", _) => web(location),
            ("git" | "ssh", _) => Ok(Self::Git(location.to_owned())),
            (scheme, _) if LATER.contains(&scheme) => Err(later(format!("--context {scheme}://"))),
            _ => Err(Error::UnknownScheme),
        }
    }
}

fn later(option: String) -> Error {
    Error::NotSupportedYet { option }
}

fn below(path: &str, sub_path: &str) -> PathBuf {
    let mut path = PathBuf::from(path);
    let below = sub_path.trim_start_matches('/');
    if !below.is_empty() {
        path.push(below);
    }
    path
}

fn web(location: &str) -> Result<Location, Error> {
    let url: Url = location.parse().map_err(|_| Error::NoUrl)?;
    let host = url.host_str().unwrap_or_default();
    if AZURE.iter().any(|suffix| host.ends_with(suffix)) {
        return Err(later("--context of Azure's object storage".into()));
    }
    if url.path().ends_with(".git") {
        return Ok(Location::Git(location.to_owned()));
    }
    Ok(Location::Web(url))
}

#[cfg(test)]
mod tests {
    use super::super::GitOptions;
    use super::*;

    #[test]
    fn locations() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // context            bucket  sub-path  result
            ("/workspace/",       "",     "",       "/workspace/"),
            ("/workspace/",       "",     "/a/b",   "/workspace/a/b"),
            ("src",               "",     "a",      "src/a"),
            ("dir:///workspace",  "",     "",       "/workspace"),
            ("dir://workspace",   "",     "x",      "workspace/x"),
            ("dir:///a://b",      "",     "",       "/a"),
            ("",                  "",     "",       "error resolving source context: please specify a path to the build context with the --context flag or a bucket with the --bucket flag"),
            ("ftp://host/x",      "",     "",       "error resolving source context: unknown build context prefix provided, please use one of the following: gs://, dir://, tar://, s3://, git://, https://"),
            ("http://host/x.tgz", "",     "",       "web http://host/x.tgz"),
            ("https://h/x?a=b",   "",     "a",      "web https://h/x?a=b"),
            ("https://",          "",     "",       "error resolving source context: the value of --context is not a URL"),
            ("https://h/a.git#b", "",     "",       "git https://h/a.git#b"),
            ("https://a.blob.core.windows.net/c/b", "", "", "error resolving source context: not supported yet: --context of Azure's object storage"),
            ("s3://b/k",          "",     "",       "error resolving source context: not supported yet: --context s3://"),
            ("git://host/x#main", "",     "",       "git git://host/x#main"),
            ("ssh://git@h/x#v1",  "",     "",       "git ssh://git@h/x#v1"),
            ("git@h:o/x.git#v1:d", "",    "",       "git git@h:o/x.git#v1:d"),
            ("./git@h:x",         "",     "",       "./git@h:x"),
            ("tar://stdin",       "",     "",       "stdin"),
            ("tar:///a/b.tar",    "",     "x",      "tar /a/b.tar"),
            ("tar://b.tar",       "",     "",       "tar b.tar"),
            ("/workspace/",       "b",    "",       "error resolving source context: not supported yet: --bucket"),
        ];
        for (location, bucket, sub_path, want) in cases {
            let options = Options {
                location: location.into(),
                bucket: bucket.into(),
                sub_path: sub_path.into(),
                dockerfile: None,
                git: GitOptions::default(),
            };
            let got = match Location::of(&options) {
                Ok(Location::Directory(path)) => path.display().to_string(),
                Ok(Location::File(path)) => format!("tar {}", path.display()),
                Ok(Location::Stdin) => "stdin".to_owned(),
                Ok(Location::Web(url)) => format!("web {url}"),
                Ok(Location::Git(text)) => format!("git {text}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(got, want, "{location} {bucket} {sub_path}");
        }
    }
}
