//! What a repository holds, and taking it away.

use std::collections::BTreeSet;

use reqwest::header::{CONTENT_LENGTH, HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use crate::image::{Digest, ImageRef};

use super::Error;
use super::auth::Scope;
use super::client::{Client, Request, Target};

#[derive(Deserialize)]
struct Tags {
    /// Some registries say `null` for none.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

/// What one page of tags may have.
const PAGE_LIMIT: u64 = 8 << 20;
/// What a whole list may have.
const LIST_LIMIT: u64 = 256 << 20;
const PAGES: usize = 10_000;
/// Tags a page; registries may give fewer.
const PAGE_TAGS: u32 = 1000;

/// The pages that were read: a list may have many, but each once, and not more than anybody could use.
#[derive(Default)]
struct Pages {
    followed: BTreeSet<String>,
    size: u64,
}

impl Pages {
    /// Goes on to the page at a path, after one of so many bytes.
    fn turn(&mut self, path: &str, size: usize) -> Result<(), &'static str> {
        self.size += size as u64;
        if !self.followed.insert(path.to_owned()) {
            return Err("a page names one that came before as the next");
        }
        match self.followed.len() > PAGES || self.size > LIST_LIMIT {
            true => Err("its pages have no end"),
            false => Ok(()),
        }
    }
}

impl Client {
    /// Lists the tags of a repository; one that is not there has none.
    ///
    /// # Spec
    /// distribution-spec v1.1, "Listing Tags".
    pub async fn tags(&self, repository: &ImageRef) -> Result<Vec<String>, Error> {
        let name = &repository.repository;
        let mut target = Target::Path(format!("/v2/{name}/tags/list?n={PAGE_TAGS}"));
        let mut tags = Vec::new();
        let mut pages = Pages::default();
        loop {
            let scope = Scope::pull(name);
            let request = Request::new(&repository.registry, scope, Method::GET, target);
            let retry = self.0.options.retry;
            let is_whole = |bytes: &[u8]| bytes.trim_ascii_end().ends_with(b"}");
            let answer = self.fetch(&request, retry, PAGE_LIMIT, is_whole).await;
            let (headers, bytes) = match answer {
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(tags),
                result => result?,
            };
            let page: Tags = serde_json::from_slice(&bytes).map_err(|source| Error::Document {
                reference: repository.name(),
                what: "list of tags",
                source,
            })?;
            let page = page.tags.unwrap_or_default();
            let is_last = page.is_empty();
            tags.extend(page);
            let Some(path) = next(&headers).filter(|_| !is_last) else {
                return Ok(tags);
            };
            let turned = pages.turn(&path, bytes.len());
            turned.map_err(|reason| Error::EndlessList {
                repository: repository.name(),
                reason,
            })?;
            target = Target::Path(path);
        }
    }

    /// Deletes a manifest and the tags that point to it; false if it is not there. Its blobs are the registry's to collect.
    pub async fn delete_manifest(
        &self,
        repository: &ImageRef,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let name = &repository.repository;
        let target = Target::Path(format!("/v2/{name}/manifests/{digest}"));
        let scope = Scope::delete(name);
        let request = Request::new(&repository.registry, scope, Method::DELETE, target)
            .header(CONTENT_LENGTH, "0");
        match self.send(&request).await {
            Ok(_) => Ok(true),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns the path of the next page, of this registry whatever host is named.
fn next(headers: &HeaderMap) -> Option<String> {
    let link = headers.get(LINK)?.to_str().ok()?;
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !parameters.replace('"', "").contains("rel=next") {
        return None;
    }
    match target.split_once("://") {
        Some((_, rest)) => Some(rest[rest.find('/')?..].to_owned()),
        None if target.starts_with('/') => Some(target.to_owned()),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing::{Reply, Scripted, client, net};

    #[test]
    fn a_list_that_goes_round_in_circles_ends() {
        let page = |next: &str| {
            let link = format!("</v2/a/tags/list?page={next}>; rel=\"next\"");
            Reply::new(200)
                .header("Link", link)
                .body(r#"{"tags":["t"]}"#)
        };
        let server = Scripted::start(move |request, _| match request.path.split_once("page=") {
            Some((_, "1")) => page("2"),
            Some(_) => page("1"),
            None if request.path == "/v2/" => Reply::new(200),
            None => page("1"),
        });
        let net = net();
        let repository = server.image("a");
        let error = net
            .block_on(client(&net, &[]).tags(&repository))
            .unwrap_err();
        let told = error.to_string();
        assert!(told.contains("names one that came before"), "{told}");
        assert!(told.contains(&repository.name()), "{told}");
        assert!(error.help().is_some());
        assert_eq!(server.lines().len(), 3);
    }

    #[test]
    fn pages_have_an_end() {
        let turns = |size: usize| {
            let mut pages = Pages::default();
            (0..)
                .take_while(|page: &u32| pages.turn(&page.to_string(), size).is_ok())
                .count()
        };
        assert_eq!(turns(100), PAGES);
        assert_eq!(turns(16 << 20), 16);
    }

    #[test]
    fn where_the_next_page_is() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("</v2/a/tags/list?last=x&n=2>; rel=\"next\"",           Some("/v2/a/tags/list?last=x&n=2")),
            ("<https://h.example/v2/a/tags/list?n=2>; rel=next",     Some("/v2/a/tags/list?n=2")),
            ("</v2/a/tags/list>; rel=\"prev\"",                      None),
            ("<relative>; rel=\"next\"",                             None),
            ("nonsense",                                             None),
        ];
        for (link, want) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(LINK, link.parse().unwrap());
            assert_eq!(next(&headers).as_deref(), want, "{link}");
        }
    }
}
