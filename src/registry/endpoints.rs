//! Where an image is looked for: mirrors and maps of registries, then the registry itself.

use crate::image::ImageRef;
use crate::image::reference::DOCKER_HUB;

use super::Error;

/// The table of `--registry-map` and `--registry-mirror`: for a registry, the places that stand in for it, in order.
///
/// # Spec
/// compat spec 6.4. Unlike there, the key `docker.io` means Docker Hub too, and `https://` before a place is harmless.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    entries: Vec<(String, Place)>,
    /// Fails rather than ask the original registry, if it has an entry (`--skip-default-registry-fallback`).
    pub skip_default_registry_fallback: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: String,
    prefix: String, // empty, or a path without slashes at its ends
}

/// One reference to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) image: ImageRef,
    pub(super) mapped: bool,
}

const MAP: &str = "map";

impl Endpoints {
    /// Adds the entries of one `--registry-map` value, `orig=new[/prefix][;orig2=new2…]`; an empty text adds none.
    ///
    /// # Errors
    /// [`Error::Map`] with the part that is no such pair.
    pub fn add_map(&mut self, text: &str) -> Result<(), Error> {
        for pair in text.split(';').filter(|pair| !pair.trim().is_empty()) {
            let (original, place) = pair.split_once('=').ok_or_else(|| Error::Map {
                what: MAP,
                text: pair.to_owned(),
                reason: "expected `registry=replacement[/prefix]`",
            })?;
            self.add(original, place, MAP)?;
        }
        Ok(())
    }

    /// Adds one `--registry-mirror` value, `host[:port][/prefix]`, which stands in for Docker Hub.
    ///
    /// # Errors
    /// [`Error::Map`] if it is no such place.
    pub fn add_mirror(&mut self, text: &str) -> Result<(), Error> {
        if text.trim().is_empty() {
            return Ok(());
        }
        self.add(DOCKER_HUB, text, "mirror")
    }

    fn add(&mut self, original: &str, place: &str, what: &'static str) -> Result<(), Error> {
        let error = |reason| Error::Map {
            what,
            text: place.to_owned(),
            reason,
        };
        let original = match original.trim() {
            "docker.io" | "registry-1.docker.io" => DOCKER_HUB,
            other => other,
        };
        let bare = place.trim().trim_end_matches('/');
        if bare.starts_with("http://") {
            return Err(error(
                "write it without `http://`; plain HTTP is allowed by `--insecure-registry`",
            ));
        }
        let bare = bare.strip_prefix("https://").unwrap_or(bare);
        if bare.contains("://") {
            return Err(error("expected `host[:port][/prefix]`"));
        }
        let (host, prefix) = bare.split_once('/').unwrap_or((bare, ""));
        if original.is_empty() || host.is_empty() {
            return Err(error("the registry is empty"));
        }
        let host = match host {
            "docker.io" => DOCKER_HUB,
            other => other,
        };
        let place = Place {
            host: host.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
        };
        // the same syntax check that the image names made from it would fail later
        place
            .apply("x")
            .parse::<ImageRef>()
            .map_err(|_| error("expected `host[:port][/prefix]`"))?;
        self.entries.push((original.to_owned(), place));
        Ok(())
    }

    /// Returns the references to try for an image, in order; the image itself last, unless that is forbidden.
    pub(super) fn candidates(&self, image: &ImageRef) -> Vec<Candidate> {
        let places = self
            .entries
            .iter()
            .filter(|(original, _)| *original == image.registry);
        let mut candidates: Vec<_> = places
            .map(|(_, place)| Candidate {
                image: ImageRef {
                    registry: place.host.clone(),
                    repository: place.repository(&image.repository),
                    ..image.clone()
                },
                mapped: true,
            })
            .collect();
        if candidates.is_empty() || !self.skip_default_registry_fallback {
            candidates.push(Candidate {
                image: image.clone(),
                mapped: false,
            });
        }
        candidates
    }
}

impl Place {
    fn repository(&self, repository: &str) -> String {
        match self.prefix.as_str() {
            "" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        }
    }

    fn apply(&self, repository: &str) -> String {
        format!("{}/{}", self.host, self.repository(repository))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(maps: &[&str], mirrors: &[&str], skip: bool, image: &str, want: &[&str]) {
        let mut endpoints = Endpoints {
            skip_default_registry_fallback: skip,
            ..Endpoints::default()
        };
        for map in maps {
            endpoints.add_map(map).unwrap();
        }
        for mirror in mirrors {
            endpoints.add_mirror(mirror).unwrap();
        }
        let candidates = endpoints.candidates(&image.parse().unwrap());
        let got: Vec<_> = candidates.iter().map(|c| c.image.to_string()).collect();
        assert_eq!(got, want, "{maps:?} {mirrors:?}");
    }

    /// Maps, mirrors, whether the registry itself is skipped, an image, and what is tried for it.
    type Case<'a> = (&'a [&'a str], &'a [&'a str], bool, &'a str, &'a [&'a str]);

    #[test]
    fn maps_come_before_mirrors_and_the_registry_last() {
        const HUB: &str = "index.docker.io/library/a:latest";
        #[rustfmt::skip] // a table keeps its columns
        let cases: &[Case] = &[
            (&[],                                &[],            true,  "a",       &[HUB]),
            (&["index.docker.io=m.io"],          &["n.io/p/q"],  false, "a",       &["m.io/library/a:latest", "n.io/p/q/library/a:latest", HUB]),
            (&["docker.io=m.io;q.io=r.io/x/"],   &[],            true,  "a",       &["m.io/library/a:latest"]),
            (&["docker.io=m.io;q.io=r.io/x/"],   &[],            false, "q.io/b:1", &["r.io/x/b:1", "q.io/b:1"]),
            (&["docker.io=https://m.io:5000/p"], &[],            true,  "a",       &["m.io:5000/p/library/a:latest"]),
            (&["", "q.io=r"],                    &[""],          false, "q.io/b:1", &["r/b:1", "q.io/b:1"]),
            (&["q.io=r.io"],                     &[],            true,  "a",       &[HUB]),
        ];
        for (maps, mirrors, skip, image, want) in cases {
            check(maps, mirrors, *skip, image, want);
        }
    }

    #[test]
    fn broken_maps_are_refused() {
        for text in [
            "a.io",
            "=b.io",
            "a.io=",
            "a.io=http://b.io",
            "a.io=b.io/Up",
            "a.io=ftp://b",
        ] {
            assert!(Endpoints::default().add_map(text).is_err(), "{text}");
        }
    }
}
