//! Amazon ECR, private and public: a signed question for a password that holds for twelve hours.

use std::time::Instant;

use base64::Engine;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cloud::{Error, Surroundings, aws};
use crate::net::Secret;

use super::Credential;
use super::provider::is_label;

/// Where the passwords of a registry are to be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    host: String,
    region: String,
    public: bool,
}

/// A password is not used any more after this time.
const LIFE: std::time::Duration = std::time::Duration::from_secs(11 * 3600);
/// What registries in either protocol of the internet end with, and the hosts that give passwords for them.
const DUAL_STACK: [(&str, &str); 2] = [
    (".on.aws", ".api.aws"),
    (
        ".on.amazonwebservices.com.cn",
        ".api.amazonwebservices.com.cn",
    ),
];

impl Endpoint {
    /// Returns the endpoint for a registry's host, which must be exactly what Amazon calls its registries.
    pub(super) fn of(host: &str) -> Option<Self> {
        if matches!(host, "public.ecr.aws" | "ecr-public.aws.com") {
            return Some(Self {
                host: format!("api.ecr-public.{}.amazonaws.com", aws::DEFAULT_REGION),
                region: aws::DEFAULT_REGION.to_owned(),
                public: true,
            });
        }
        let (account, rest) = host.split_once('.')?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (prefix, rest) = [
            ("ecr-fips", "dkr.ecr-fips."),
            ("api.ecr", "dkr.ecr."),
            ("ecr-fips", "dkr-ecr-fips."),
            ("ecr", "dkr-ecr."),
        ]
        .iter()
        .find_map(|(prefix, start)| Some((*prefix, rest.strip_prefix(start)?)))?;
        let region = rest.split('.').next().filter(|text| is_label(text))?;
        let suffix = &rest[region.len()..];
        let suffix = match host.contains(".dkr-ecr") {
            true => {
                let mut known = DUAL_STACK.iter();
                known.find(|(registries, _)| suffix == *registries)?.1
            }
            false => Some(aws::suffix(region)).filter(|known| suffix == *known)?,
        };
        aws::is_region(region).then(|| Self {
            host: format!("{prefix}.{region}{suffix}"),
            region: region.to_owned(),
            public: false,
        })
    }

    /// Asks for a password; `None` if we have no keys.
    pub(super) async fn credential(
        &self,
        at: &Surroundings,
    ) -> Result<Option<(Credential, Instant)>, Error> {
        const BODY: &[u8] = b"{}";
        let Some(keys) = aws::credential(at, &self.region).await? else {
            return Ok(None);
        };
        let (service, target) = match self.public {
            true => ("ecr-public", "SpencerFrontendService"),
            false => ("ecr", "AmazonEC2ContainerRegistry_V20150921"),
        };
        let hash: String = Sha256::digest(BODY)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let url = format!("https://{}/", self.host);
        let request = http::Request::post(&url)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("{target}.GetAuthorizationToken"))
            .header("x-amz-content-sha256", hash)
            .body(())
            .expect("its parts are valid");
        let (mut parts, ()) = request.into_parts();
        aws::sign(at, &keys, service, &self.region, &mut parts).await?;
        let request = http::Request::from_parts(parts, Bytes::from_static(BODY));
        let answer = at.send(request).await?;
        if !answer.status().is_success() {
            return Err(Error::Status {
                method: "POST".into(),
                url,
                status: answer.status().as_u16(),
                message: reason(answer.body()),
            });
        }
        let credential = read(answer.body()).ok_or(Error::Answer {
            url,
            expected: "the JSON of a password",
        })?;
        Ok(Some((credential, Instant::now() + LIFE)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    authorization_data: Data,
}

/// A list from private registries, a single one from the public registry.
#[derive(Deserialize)]
#[serde(untagged)]
enum Data {
    Several(Vec<Authorization>),
    One(Authorization),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
}

/// Reads an answer: base64 of `user:password`.
fn read(body: &[u8]) -> Option<Credential> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = match answer.authorization_data {
        Data::Several(several) => several.into_iter().next()?,
        Data::One(one) => one,
    };
    let engine = base64::engine::general_purpose::STANDARD;
    let pair = engine.decode(token.authorization_token.trim()).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    let (username, password) = pair.split_once(':')?;
    HeaderValue::from_str(password).ok()?;
    Some(Credential::Basic {
        username: username.to_owned(),
        password: Secret::new(password),
    })
}

/// Returns Amazon's name for what is wrong, and its sentence if there is one.
fn reason(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = value["__type"].as_str().unwrap_or_default();
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let said = value["message"].as_str().or(value["Message"].as_str());
    let line = match said {
        Some(said) => format!("{kind}: {said}"),
        None => kind.to_owned(),
    };
    // what follows the first line repeats the request
    let line = line.lines().next().unwrap_or_default();
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_passwords_are_asked_for() {
        let account = "123456789012";
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("dkr.ecr.us-east-1.amazonaws.com",          "api.ecr.us-east-1.amazonaws.com"),
            ("dkr.ecr-fips.us-east-2.amazonaws.com",     "ecr-fips.us-east-2.amazonaws.com"),
            ("dkr.ecr.cn-north-1.amazonaws.com.cn",      "api.ecr.cn-north-1.amazonaws.com.cn"),
            ("dkr-ecr.eu-west-1.on.aws",                 "ecr.eu-west-1.api.aws"),
            ("dkr-ecr-fips.us-west-1.on.aws",            "ecr-fips.us-west-1.api.aws"),
        ];
        for (registry, want) in cases {
            let endpoint = Endpoint::of(&format!("{account}.{registry}")).unwrap();
            assert_eq!(endpoint.host, want);
            assert!(!endpoint.public);
        }
        let public = Endpoint::of("public.ecr.aws").unwrap();
        assert_eq!(public.host, "api.ecr-public.us-east-1.amazonaws.com");
        assert!(public.public);
    }

    #[test]
    fn answers() {
        let user = |body: &str| match read(body.as_bytes()) {
            Some(Credential::Basic { username, password }) => {
                format!("{username} {}", password.reveal())
            }
            _ => String::new(),
        };
        let token = "QVdTOnBhc3M6d29yZA==";
        let private = format!(r#"{{"authorizationData":[{{"authorizationToken":"{token}"}}]}}"#);
        assert_eq!(user(&private), "AWS pass:word");
        let public = format!(r#"{{"authorizationData":{{"authorizationToken":"{token}"}}}}"#);
        assert_eq!(user(&public), "AWS pass:word");
        for wrong in [r#"{"authorizationData":[]}"#, "{}", "x"] {
            assert_eq!(user(wrong), "", "{wrong}");
        }
        let error = br#"{"__type":"com.amazon#AccessDenied","message":"no\nsigned: x"}"#;
        assert_eq!(reason(error), "AccessDenied: no");
    }
}
