//! What `--context`, `--bucket` and `--context-sub-path` say. Pure.

use std::path::PathBuf;

use url::Url;

use super::bucket::Object;
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
    /// A tar in a cloud's object storage.
    Object(Object),
}

impl Location {
    /// Reads the options; for a bare path as well as for `dir://` the sub-path counts.
    pub fn of(options: &Options) -> Result<Self, Error> {
        let of_bucket = match &*options.bucket {
            "" => None,
            url if url.contains("://") => Some(url.to_owned()),
            name => Some(format!("gs://{name}")),
        };
        let location = Some(&*options.location).filter(|location| !location.is_empty());
        let location = location.or(of_bucket.as_deref()).ok_or(Error::NoLocation)?;
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
            ("s3", path) => Object::s3(path).map(Self::Object),
            ("gs", path) => Object::google(path).map(Self::Object),
            _ => Err(Error::UnknownScheme),
        }
    }
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
    if let Some(object) = Object::azure(&url) {
        return Ok(Location::Object(object));
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
            ("https://a.blob.core.windows.net/c/b", "", "", "object https://a.blob.core.windows.net/c/b"),
            ("https://a.blob.core.windows.net.evil.example/c/b", "", "", "web https://a.blob.core.windows.net.evil.example/c/b"),
            ("http://a.blob.core.windows.net/c/b", "", "",  "web http://a.blob.core.windows.net/c/b"),
            ("s3://b/k/l",        "",     "",       "object s3://b/k/l"),
            ("s3://b",            "",     "",       "object s3://b/context.tar.gz"),
            ("gs://b/",           "",     "",       "object gs://b/context.tar.gz"),
            ("gs:///k",           "",     "",       "error resolving source context: the value of --context names no bucket"),
            ("s3://b/a/../k",     "",     "",       "error resolving source context: the value of --context is not a URL"),
            ("git://host/x#main", "",     "",       "git git://host/x#main"),
            ("ssh://git@h/x#v1",  "",     "",       "git ssh://git@h/x#v1"),
            ("git@h:o/x.git#v1:d", "",    "",       "git git@h:o/x.git#v1:d"),
            ("./git@h:x",         "",     "",       "./git@h:x"),
            ("tar://stdin",       "",     "",       "stdin"),
            ("tar:///a/b.tar",    "",     "x",      "tar /a/b.tar"),
            ("tar://b.tar",       "",     "",       "tar b.tar"),
            ("/workspace/",       "b",    "",       "/workspace/"),
            ("",                  "b",    "",       "object gs://b/context.tar.gz"),
            ("",                  "s3://b/k", "",   "object s3://b/k"),
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
                Ok(Location::Object(object)) => format!("object {object}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(got, want, "{location} {bucket} {sub_path}");
        }
    }
}
