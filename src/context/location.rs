//! What `--context`, `--bucket` and `--context-sub-path` say. Pure.

use std::path::PathBuf;

use super::{Error, Options};

/// Where the files of a context are to be had.
#[derive(Debug, PartialEq, Eq)]
pub enum Location {
    /// A directory of this machine, sub-path included.
    Directory(PathBuf),
}

/// Schemes that kaniko knows and we do not open yet.
const REMOTE: [&str; 5] = ["gs://", "tar://", "s3://", "git://", "https://"];

impl Location {
    /// Reads the options; for a bare path as well as for `dir://` the sub-path counts.
    pub fn of(options: &Options) -> Result<Self, Error> {
        if !options.bucket.is_empty() {
            let option = "--bucket".into();
            return Err(Error::NotSupportedYet { option });
        }
        let location = &*options.location;
        if location.is_empty() {
            return Err(Error::NoLocation);
        }
        let path = match location.split_once("://") {
            None => location,
            // What follows a second `://` is dropped, as kaniko does.
            Some(("dir", rest)) => rest.split("://").next().unwrap_or(rest),
            Some(_) => {
                let remote = REMOTE.iter().find(|scheme| location.starts_with(**scheme));
                let option = |scheme| format!("--context {scheme}");
                return Err(
                    remote.map_or(Error::UnknownScheme, |scheme| Error::NotSupportedYet {
                        option: option(scheme),
                    }),
                );
            }
        };
        let mut path = PathBuf::from(path);
        let below = options.sub_path.trim_start_matches('/');
        if !below.is_empty() {
            path.push(below);
        }
        Ok(Self::Directory(path))
    }
}

#[cfg(test)]
mod tests {
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
            ("http://host/x",     "",     "",       "error resolving source context: unknown build context prefix provided, please use one of the following: gs://, dir://, tar://, s3://, git://, https://"),
            ("git://host/x#main", "",     "",       "error resolving source context: not supported yet: --context git://"),
            ("tar://stdin",       "",     "",       "error resolving source context: not supported yet: --context tar://"),
            ("/workspace/",       "b",    "",       "error resolving source context: not supported yet: --bucket"),
        ];
        for (location, bucket, sub_path, want) in cases {
            let options = Options {
                location: location.into(),
                bucket: bucket.into(),
                sub_path: sub_path.into(),
                dockerfile: None,
            };
            let got = match Location::of(&options) {
                Ok(Location::Directory(path)) => path.display().to_string(),
                Err(error) => error.to_string(),
            };
            assert_eq!(got, want, "{location} {bucket} {sub_path}");
        }
    }
}
