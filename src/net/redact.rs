//! URLs as logs and errors may show them.

use url::Url;

/// Returns a URL without user information, and with the values of its query hidden but for harmless ones.
///
/// ```
/// use executor::net::redact::redacted;
/// let url = "https://me:pw@host/v2/?scope=repository:a:pull&X-Amz-Signature=1".parse().unwrap();
/// assert_eq!(redacted(&url), "https://host/v2/?scope=repository:a:pull&X-Amz-Signature=***");
/// ```
pub fn redacted(url: &Url) -> String {
    let mut text = format!("{}://", url.scheme());
    text.push_str(url.host_str().unwrap_or_default());
    if let Some(port) = url.port() {
        text.push_str(&format!(":{port}"));
    }
    text.push_str(url.path());
    let mut separator = '?';
    for (name, value) in url.query_pairs() {
        let value = if SHOWN.contains(&name.as_ref()) {
            &value
        } else {
            "***"
        };
        text.push_str(&format!("{separator}{name}={value}"));
        separator = '&';
    }
    text
}

/// Returns what is shown of a text that should be a URL; of one that is none, but has a scheme, no more than that.
///
/// ```
/// use executor::net::redact::shown;
/// assert_eq!(shown("https://me:pw@host/a?sig=1"), "https://host/a?sig=***");
/// assert_eq!(shown("https://me:pw@host:port/a"), "https://***");
/// assert_eq!(shown("git@host:a/b"), "git@host:a/b");
/// ```
pub fn shown(text: &str) -> String {
    match (text.parse(), text.split_once("://")) {
        (Ok(url), _) => redacted(&url),
        (Err(_), Some((scheme, _))) => format!("{scheme}://***"),
        (Err(_), None) => text.to_owned(),
    }
}

/// Query parameters of the distribution protocol that hold no secret.
const SHOWN: &[&str] = &["digest", "from", "mount", "n", "ns", "scope", "service"];
