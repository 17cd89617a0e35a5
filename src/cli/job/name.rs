//! Names of Jobs and tags. Pure.

use crate::cli::Error;
use crate::cli::options::Options;
use crate::cli::values::Values;
use crate::image::{Digest, Platform};

/// What Kubernetes allows a name to have.
const LIMIT: usize = 63;
/// What a registry allows a tag to have.
const TAG_LIMIT: usize = 128;
/// Ends the name of the Job that makes the index.
pub const INDEX: &str = "-index";

/// Returns the name asked for, else one that is the same for the same arguments; `longest` still fits behind it.
pub fn of(
    values: &Values,
    options: &Options,
    args: &[String],
    longest: &str,
) -> Result<String, Error> {
    let room = match longest {
        "" => LIMIT,
        suffix => LIMIT - suffix.len().max(INDEX.len()),
    };
    match values.non_empty("job-name") {
        Some(name) => checked(name, room),
        None => Ok(made(options, args, room)),
    }
}

fn made(options: &Options, args: &[String], room: usize) -> String {
    const APP_LIMIT: usize = 40;
    let digest = Digest::of(args.join("\0").as_bytes());
    let hash = &digest.hex()[..8];
    let around = "build--".len() + hash.len();
    let destination = options.output.destinations.first();
    let repository = destination.map_or(String::new(), |d| d.reference.name());
    let app = repository.rsplit('/').next().unwrap_or_default();
    let app = words(app);
    let app = &app[..app.len().min(APP_LIMIT).min(room.saturating_sub(around))];
    match app.trim_matches('-') {
        "" => format!("build-{hash}"),
        app => format!("build-{app}-{hash}"),
    }
}

/// Returns a text in lower case with nothing but letters, digits and hyphens.
fn words(text: &str) -> String {
    text.to_lowercase()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn checked(name: &str, room: usize) -> Result<String, Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_edge = |c: char| c != '-';
    let is_name = name.chars().all(fits) && name.starts_with(is_edge) && name.ends_with(is_edge);
    match is_name && name.len() <= room {
        true => Ok(name.to_owned()),
        false if is_name && name.len() <= LIMIT => Err(Error::Combination(
            "--job-name is too long: what is put behind it for each platform has no room in a name of Kubernetes",
        )),
        false => Err(Error::Combination(
            "--job-name is not a name in Kubernetes: lower-case letters, digits and hyphens, 63 at most",
        )),
    }
}

/// Returns the end of a Job's name for a platform.
pub fn suffix(platform: &Platform) -> String {
    let os = match platform.os.as_str() {
        "linux" => String::new(),
        other => format!("-{}", words(other)),
    };
    let variant = match platform.variant.as_str() {
        "" => String::new(),
        variant => format!("-{}", words(variant)),
    };
    format!("{os}-{}{variant}", words(&platform.architecture))
}

/// Returns a tag with an end that it keeps, however long it is.
pub fn tag(tag: &str, end: &str) -> String {
    let tag = match tag {
        "" => "latest",
        tag => tag,
    };
    let room = TAG_LIMIT.saturating_sub(end.len());
    format!("{}{end}", &tag[..tag.len().min(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_names() {
        for (platform, want) in [
            ("linux/amd64", "-amd64"),
            ("linux/arm64/v8", "-arm64"),
            ("linux/arm/v7", "-arm-v7"),
            ("windows/amd64", "-windows-amd64"),
        ] {
            assert_eq!(suffix(&platform.parse().unwrap()), want, "{platform}");
        }
    }

    #[test]
    fn tags_keep_their_end() {
        assert_eq!(tag("1.0", "-0a-arm64"), "1.0-0a-arm64");
        assert_eq!(tag("", "-0a-arm64"), "latest-0a-arm64");
        let long = tag(&"x".repeat(128), "-0a-arm64");
        assert_eq!(long.len(), 128);
        assert!(long.ends_with("x-0a-arm64"));
    }
}
