//! What a manifest must not show: whoever may read Jobs, or the repository in which it is kept, would read credentials.

use url::Url;

use crate::cli::Error;
use crate::cli::values::Values;
use crate::net::redact::redacted;

/// The variable that has the context's address where it comes from a Secret.
pub const VARIABLE: &str = "EXECUTOR_CONTEXT";
/// The key of that Secret.
pub const KEY: &str = "context";

/// Checks that no address has credentials in it, except the context's if a Secret has that.
///
/// # Errors
/// [`Error::Exposed`] with the flag, and [`Error::Combination`] if a Secret has a context that was not given.
pub fn check(values: &Values) -> Result<(), Error> {
    let from_secret = values.non_empty("context-secret").is_some();
    if from_secret
        && values
            .non_empty("context")
            .is_none_or(|_| !values.is_given("context"))
    {
        return Err(Error::Combination(
            "--context-secret names the Secret that has the value of --context, which is to be given too: it is checked here and not shown",
        ));
    }
    for (flag, value) in values.given() {
        let is_hidden = flag == "context" && from_secret;
        let address = match flag {
            "build-context" => value.split_once('=').map_or(value, |(_, address)| address),
            _ => value,
        };
        if !is_hidden && has_credentials(address) {
            return Err(Error::Exposed { flag });
        }
    }
    Ok(())
}

/// Tells whether a text is a URL with a user or a password, or with a parameter that a log would not show.
fn has_credentials(text: &str) -> bool {
    let Ok(url) = text.parse::<Url>() else {
        return false;
    };
    match url.scheme() {
        // the user of ssh is none of the secrets
        "ssh" => url.password().is_some(),
        "http" | "https" | "git" => {
            let has_user = !url.username().is_empty() || url.password().is_some();
            has_user || redacted(&url).contains("=***")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("https://h/a.git#main",             false),
            ("https://token@h/a.git",            true),
            ("git://me:pw@h/a",                  true),
            ("https://h/a.tgz?X-Amz-Signature=1", true),
            ("https://h/a.tgz?sig=1",            true),
            ("https://h/a.tgz?digest=x",         false),
            ("ssh://git@h/a.git",                false),
            ("ssh://git:pw@h/a.git",             true),
            ("git@h:a.git",                      false),
            ("s3://b/k",                         false),
            ("registry.example.com/a:1",         false),
            ("/var/run/me@x",                    false),
        ];
        for (text, want) in cases {
            assert_eq!(has_credentials(text), want, "{text}");
        }
    }
}
