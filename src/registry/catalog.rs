//! What a repository holds, and taking it away.

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
/// Tags a page; registries may give fewer.
const PAGE_TAGS: u32 = 1000;

impl Client {
    /// Lists the tags of a repository; one that is not there has none.
    ///
    /// # Spec
    /// distribution-spec v1.1, "Listing Tags".
    pub async fn tags(&self, repository: &ImageRef) -> Result<Vec<String>, Error> {
        let name = &repository.repository;
        let mut target = Target::Path(format!("/v2/{name}/tags/list?n={PAGE_TAGS}"));
        let mut tags = Vec::new();
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
            match next(&headers).filter(|_| !is_last) {
                Some(path) => target = Target::Path(path),
                None => return Ok(tags),
            }
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
