//! What can be done about an answer that is not the object.

/// Whose storage answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    Amazon,
    Google,
    Azure,
}

use Provider::{Amazon, Azure, Google};

/// Says what to do about an answer's status and the word that came with it; `missing` is what would have authenticated us, where nothing did.
pub(super) fn advice(
    provider: Provider,
    status: u16,
    code: &str,
    missing: Option<&str>,
) -> Option<String> {
    let next = next_step(provider, status, code);
    let missing = missing.filter(|_| matches!(status, 400..=409));
    let missing = missing.map(|missing| format!("it was asked for without credentials: {missing}"));
    match (missing, next) {
        // without credentials there is nothing wrong with them
        (Some(missing), _) if status != 404 => Some(missing),
        (Some(missing), Some(next)) => Some(format!("{next}; {missing}")),
        (missing, next) => missing.or(next.map(str::to_owned)),
    }
}

fn next_step(provider: Provider, status: u16, code: &str) -> Option<&'static str> {
    Some(match (provider, code) {
        (Amazon, "ExpiredToken" | "InvalidToken" | "TokenRefreshRequired") => {
            "AWS_SESSION_TOKEN has ended, or belongs to other keys: renew it together with the keys, or leave it out where the keys need none"
        }
        (Amazon, "InvalidAccessKeyId") => {
            "nobody has that access key there: look where the keys come from (AWS_ACCESS_KEY_ID, else the profile, else the role), and whether S3_ENDPOINT is the server they are for"
        }
        (Amazon, "SignatureDoesNotMatch") => {
            "the secret key does not belong to the access key: look at AWS_SECRET_ACCESS_KEY, or what stands in the profile"
        }
        (Amazon, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException") => {
            "set AWS_REGION to the bucket's region"
        }
        (Amazon, "RequestTimeTooSkewed") => "look whether the clock is right here",
        _ => match (provider, status) {
            (Amazon, 301 | 307) => "set AWS_REGION to the bucket's region",
            (Amazon, 404) => {
                "look for the bucket's and the object's name; without a name the object is `context.tar.gz`, and S3_ENDPOINT names another server than Amazon's"
            }
            (Amazon, 401 | 403) => {
                "whoever the keys belong to needs the right `s3:GetObject` on the object, and `s3:ListBucket` to be told that it is not there"
            }
            (Google, 404) => {
                "look for the bucket's and the object's name; without a name the object is `context.tar.gz`"
            }
            (Google, 401 | 403) => {
                "the account needs the right `storage.objects.get` on the bucket, as the role Storage Object Viewer gives it"
            }
            (Azure, 400 | 404) => {
                "a context in Azure's storage is `https://ACCOUNT.blob.core.windows.net/CONTAINER/BLOB`: look for the names in it"
            }
            (Azure, 401 | 403) => {
                "AZURE_STORAGE_ACCESS_KEY must be a key of that account, a shared access signature must be for that blob and not have ended, and an identity needs a role such as Storage Blob Data Reader"
            }
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do() {
        let missing = Some("set KEY");
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            (Amazon, 404, "NoSuchKey",             None,    "look for the bucket's and"),
            (Amazon, 404, "NoSuchBucket",          missing, "look for the bucket's and"),
            (Amazon, 400, "ExpiredToken",          None,    "AWS_SESSION_TOKEN has ended"),
            (Amazon, 403, "InvalidAccessKeyId",    None,    "nobody has that access key"),
            (Amazon, 403, "SignatureDoesNotMatch", None,    "the secret key does not"),
            (Amazon, 403, "AccessDenied",          None,    "whoever the keys belong to"),
            (Amazon, 403, "AccessDenied",          missing, "it was asked for without credentials: set KEY"),
            (Amazon, 301, "PermanentRedirect",     None,    "set AWS_REGION"),
            (Amazon, 500, "InternalError",         missing, ""),
            (Google, 404, "notFound",              None,    "look for the bucket's and"),
            (Google, 401, "required",              missing, "it was asked for without credentials: set KEY"),
            (Google, 403, "forbidden",             None,    "the account needs"),
            (Azure,  404, "BlobNotFound",          None,    "a context in Azure's storage is"),
            (Azure,  403, "AuthorizationFailure",  None,    "AZURE_STORAGE_ACCESS_KEY must be"),
            (Azure,  409, "PublicAccessNotPermitted", missing, "it was asked for without credentials: set KEY"),
        ];
        for (provider, status, code, missing, want) in cases {
            let told = advice(provider, status, code, missing).unwrap_or_default();
            assert!(told.starts_with(want), "{code}: {told}");
            assert_eq!(told.is_empty(), want.is_empty(), "{code}: {told}");
        }
        let both = advice(Azure, 404, "ResourceNotFound", missing).unwrap();
        assert!(both.ends_with("; it was asked for without credentials: set KEY"));
    }
}
