//! Where Amazon's services are: hosts by region and partition, and other places that variables name.

use url::{Host, Url};

use crate::cloud::Error;
use crate::net::Environment;

/// Returns where a service is really to be asked: at the place that a variable names for it, if one does.
///
/// # Errors
/// [`Error::Variable`] if the variable names no place.
pub fn at_configured_endpoint(environment: &Environment, url: Url) -> Result<Url, Error> {
    let variable = url.host_str().and_then(endpoint_variable);
    let endpoint = variable.map(|variable| configured_endpoint(environment, variable));
    let Some(mut moved) = endpoint.transpose()?.flatten() else {
        return Ok(url);
    };
    moved.set_path(url.path());
    moved.set_query(url.query());
    Ok(moved)
}

/// Returns the URL that `variable`, which is about one service, or `AWS_ENDPOINT_URL` names.
///
/// # Errors
/// [`Error::Variable`] if it names no place: keys must not go to Amazon in its stead.
pub fn configured_endpoint(
    environment: &Environment,
    variable: &'static str,
) -> Result<Option<Url>, Error> {
    if ignores_configured(environment) {
        return Ok(None);
    }
    let mut set = [variable, "AWS_ENDPOINT_URL"]
        .into_iter()
        .filter_map(|name| Some((name, environment.get(name)?)));
    let Some((variable, value)) = set.next() else {
        return Ok(None);
    };
    place(variable, value).map(Some)
}

/// Tells whether places that are configured for services are not to be heeded.
pub(super) fn ignores_configured(environment: &Environment) -> bool {
    environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
}

/// Reads where a service is, as `variable` says it.
pub(super) fn place(variable: &'static str, value: &str) -> Result<Url, Error> {
    let url = value.parse().ok();
    let url = url.filter(|url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let value = value.to_owned();
    url.ok_or(Error::Variable { variable, value })
}

/// Returns the variable that may name another place for a service, by the host it is reached at.
fn endpoint_variable(host: &str) -> Option<&'static str> {
    if !SUFFIXES.iter().any(|suffix| host.ends_with(suffix)) {
        return None;
    }
    let mut labels = host.split('.');
    match (labels.next()?, labels.next()?) {
        ("sts", _) => Some("AWS_ENDPOINT_URL_STS"),
        ("api", "ecr") | ("ecr" | "ecr-fips", _) => Some("AWS_ENDPOINT_URL_ECR"),
        ("api", "ecr-public") => Some("AWS_ENDPOINT_URL_ECR_PUBLIC"),
        _ => None,
    }
}

/// What the hosts of Amazon's services end with, by partition.
const SUFFIXES: [&str; 8] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".sc2s.sgov.gov",
    ".c2s.ic.gov",
    ".cloud.adc-e.uk",
    ".csp.hci.ic.gov",
    ".api.aws",
];

/// Returns what the hosts of a region's services end with.
pub fn suffix(region: &str) -> &'static str {
    let by_prefix = [
        ("cn-", ".amazonaws.com.cn"),
        ("eusc-", ".amazonaws.eu"),
        ("us-isob-", ".sc2s.sgov.gov"),
        ("us-iso-", ".c2s.ic.gov"),
        ("eu-isoe-", ".cloud.adc-e.uk"),
        ("us-isof-", ".csp.hci.ic.gov"),
    ];
    let mut found = by_prefix.iter();
    let found = found.find(|(prefix, _)| region.starts_with(prefix));
    found.map_or(".amazonaws.com", |(_, suffix)| suffix)
}

/// Tells whether a text may stand for a region in a host name.
pub fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.len() >= 3 && text.bytes().all(allowed) && !text.starts_with('-') && !text.ends_with('-')
}

/// Tells whether a URL's host is a number, before which no bucket's name can stand.
pub fn has_numeric_host(url: &Url) -> bool {
    matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (&'static str, &'static str);

    #[test]
    fn endpoints_of_services_can_be_moved() {
        let environment = |pairs: &[Pair]| {
            let pairs = pairs.iter();
            Environment(
                pairs
                    .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                    .collect(),
            )
        };
        let all = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        let sts = ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2/");
        let (bare, none) = (
            ("AWS_ENDPOINT_URL", "localhost:4566"),
            ("AWS_ENDPOINT_URL_STS", "there"),
        );
        let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&[Pair], &str, &str); 8] = [
            (&[],            "https://sts.eu-west-1.amazonaws.com/",     "https://sts.eu-west-1.amazonaws.com/"),
            (&[all],         "https://sts.eu-west-1.amazonaws.com/?a=b", "http://127.0.0.1:1/?a=b"),
            (&[all, sts],    "https://sts.amazonaws.com/",               "http://127.0.0.1:2/"),
            (&[all, sts],    "https://api.ecr.cn-north-1.amazonaws.com.cn/", "http://127.0.0.1:1/"),
            (&[all, ignore], "https://sts.amazonaws.com/",               "https://sts.amazonaws.com/"),
            (&[all],         "https://sts.amazonaws.com.evil.example/",  "https://sts.amazonaws.com.evil.example/"),
            (&[bare],        "https://sts.amazonaws.com/",               "AWS_ENDPOINT_URL has no meaning: `localhost:4566`"),
            (&[all, none],   "https://sts.amazonaws.com/",               "AWS_ENDPOINT_URL_STS has no meaning: `there`"),
        ];
        for (variables, url, want) in cases {
            let moved = at_configured_endpoint(&environment(variables), url.parse().unwrap());
            let got = moved.map_or_else(|error| error.to_string(), String::from);
            assert_eq!(got, want, "{variables:?} {url}");
        }
    }
}
