//! Amazon's object storage, and others that speak its protocol.

use std::sync::Arc;

use reqsign::SigningCredential;
use tokio::sync::Mutex;
use url::Url;

use super::{Error, Provider, get, refused, signing};
use crate::cloud::{Surroundings, aws};
use crate::net::percent::encoded;
use crate::net::{Download, Environment, Sign};

const MISSING: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE with its files, or give the pod, task or instance a role";
/// What says in which region a bucket really is.
const REGION_HEADER: &str = "x-amz-bucket-region";

/// Asks for an object, in the bucket's own region if that is another one.
pub(super) fn open(at: &Surroundings, bucket: &str, key: &str) -> Result<Download, Error> {
    let net = at.net();
    let found = net.block_on(aws::region(at))?;
    let mut region = found.unwrap_or_else(|| aws::DEFAULT_REGION.to_owned());
    let keys = net.block_on(aws::credential(at, &region));
    let keys = keys.map_err(Error::no_proof(MISSING))?;
    let missing = keys.is_none().then_some(MISSING);
    let elsewhere = net.block_on(aws::profile_endpoint(at))?;
    let mut is_moved = false;
    loop {
        let url = url(at.environment(), elsewhere.as_ref(), bucket, key, &region)?;
        let sign = keys.clone().map(|keys| sign(at, keys, &region));
        let download = net.get(&get(url.clone(), sign))?;
        if download.status == 200 {
            return Ok(download);
        }
        let own = download.headers.get(REGION_HEADER);
        let own = own.and_then(|own| own.to_str().ok());
        match own.filter(|own| !is_moved && *own != region && aws::is_region(own)) {
            Some(own) => {
                tracing::debug!("the bucket {bucket} is in {own}, not in {region}");
                region = own.to_owned();
                is_moved = true;
            }
            None => return Err(refused(Provider::Amazon, &url, download, missing)),
        }
    }
}

/// Returns what signs requests; keys that end are had anew.
fn sign(at: &Surroundings, keys: aws::Credential, region: &str) -> Sign {
    let (at, region) = (at.clone(), region.to_owned());
    let keys = Arc::new(Mutex::new(keys));
    signing(move |mut parts| {
        let (at, region, keys) = (at.clone(), region.clone(), Arc::clone(&keys));
        async move {
            let mut keys = keys.lock().await;
            if !keys.is_valid()
                && let Some(fresh) = aws::credential(&at, &region).await?
            {
                *keys = fresh;
            }
            aws::sign(&at, &keys, "s3", &region, &mut parts).await?;
            Ok(parts)
        }
    })
}

/// Returns an object's URL, with the server that variables name, else the profile (`elsewhere`), else Amazon's: the bucket stands in the host's name, unless it cannot, or shall not.
fn url(
    environment: &Environment,
    elsewhere: Option<&Url>,
    bucket: &str,
    key: &str,
    region: &str,
) -> Result<Url, Error> {
    const VARIABLE: &str = "S3_ENDPOINT";
    let (mut url, by_path) = match environment.get(VARIABLE) {
        Some(value) => {
            let full = match value.contains("://") {
                true => value.to_owned(),
                false => format!("https://{value}"),
            };
            let url: Option<Url> = full.parse().ok();
            let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let url = url.ok_or_else(|| Error::Endpoint {
                variable: VARIABLE,
                value: value.to_owned(),
            })?;
            let by_path = environment.get("S3_FORCE_PATH_STYLE");
            (
                url,
                by_path.is_some_and(|text| text.eq_ignore_ascii_case("true")),
            )
        }
        None => match aws::configured_endpoint(environment, "AWS_ENDPOINT_URL_S3")?
            .or_else(|| elsewhere.cloned())
        {
            Some(url) => (url, false),
            None => {
                let host = format!("https://s3.{region}{}", aws::suffix(region));
                let url = Some(host).filter(|_| aws::is_region(region));
                let url = url.and_then(|url| url.parse().ok());
                let url = url.ok_or_else(|| Error::Endpoint {
                    variable: "AWS_REGION",
                    value: region.to_owned(),
                })?;
                (url, false)
            }
        },
    };
    let mut path = url.path().trim_end_matches('/').to_owned();
    if by_path || aws::has_numeric_host(&url) || !is_label(bucket) {
        path.push_str(&format!("/{}", encoded(bucket)));
    } else {
        let host = url.host_str().unwrap_or_default();
        let host = format!("{bucket}.{host}");
        url.set_host(Some(&host)).map_err(|_| Error::Endpoint {
            variable: VARIABLE,
            value: host.clone(),
        })?;
    }
    for part in key.split('/') {
        path.push_str(&format!("/{}", encoded(part)));
    }
    url.set_path(&path);
    url.set_query(None);
    Ok(url)
}

/// Tells whether a bucket's name is one part of a host name; with a dot in it no certificate would match.
fn is_label(bucket: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(allowed)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    #[test]
    fn urls() {
        let endpoint = |value| ("S3_ENDPOINT", value);
        let by_path = ("S3_FORCE_PATH_STYLE", "TRUE");
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[Pair], &str, &str, &str); 11] = [
            (&[],                                              "bucket", "eu-west-1",  "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/c%2Bd%3F"),
            (&[],                                              "bucket", "cn-north-1", "https://bucket.s3.cn-north-1.amazonaws.com.cn/a%20b/c%2Bd%3F"),
            (&[],                                              "a.b.c",  "eu-west-1",  "https://s3.eu-west-1.amazonaws.com/a.b.c/a%20b/c%2Bd%3F"),
            (&[],                                              "Bucket_", "eu-west-1", "https://s3.eu-west-1.amazonaws.com/Bucket_/a%20b/c%2Bd%3F"),
            (&[by_path],                                       "bucket", "eu-west-1",  "https://bucket.s3.eu-west-1.amazonaws.com/a%20b/c%2Bd%3F"),
            (&[endpoint("https://minio.example:9000/x/")],     "bucket", "eu-west-1",  "https://bucket.minio.example:9000/x/a%20b/c%2Bd%3F"),
            (&[endpoint("minio.example"), by_path],            "bucket", "eu-west-1",  "https://minio.example/bucket/a%20b/c%2Bd%3F"),
            (&[endpoint("http://10.0.0.1:9000")],              "bucket", "eu-west-1",  "http://10.0.0.1:9000/bucket/a%20b/c%2Bd%3F"),
            (&[("AWS_ENDPOINT_URL_S3", "http://minio")],       "bucket", "eu-west-1",  "http://bucket.minio/a%20b/c%2Bd%3F"),
            (&[endpoint("ftp://x")],                           "bucket", "eu-west-1",  "S3_ENDPOINT cannot be used: `ftp://x`"),
            (&[],                                              "bucket", "e/u",        "AWS_REGION cannot be used: `e/u`"),
        ];
        for (variables, bucket, region, want) in cases {
            let variables = variables.iter();
            let environment = Environment(
                variables
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            );
            let url = url(&environment, None, bucket, "a b/c+d?", region);
            let url = url.map_or_else(|error| error.to_string(), |url| url.to_string());
            assert_eq!(url, want);
        }
    }
}
