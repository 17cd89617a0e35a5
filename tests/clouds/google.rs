//! Google's registries.

use serde_json::json;

use super::{Helper, form, json};
use crate::support::{Internet, Reply, Web, tool};

#[test]
fn googles_registries() {
    let internet = Internet::new(|host, request| match host {
        "oauth2.googleapis.com" => json(&json!({"access_token": "of-account", "expires_in": 3600})),
        "sts.googleapis.com" if form(request)["subject_token"] == "of-cluster" => {
            json(&json!({"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"}))
        }
        "iamcredentials.googleapis.com"
            if request.headers["authorization"] == "Bearer federated" =>
        {
            json(&json!({"accessToken": "impersonated", "expireTime": "2999-01-01T00:00:00Z"}))
        }
        _ => Reply::new(403),
    });
    let metadata = Web::new(|request| {
        let path = request.target.split('?').next().unwrap();
        match (
            path,
            request.headers.get("metadata-flavor").map(String::as_str),
        ) {
            ("/computeMetadata/v1/instance/service-accounts/default/token", Some("Google")) => {
                json(
                    &json!({"access_token": "of-machine", "expires_in": 3599, "token_type": "Bearer"}),
                )
            }
            _ => Reply::new(404),
        }
    });
    let key = tool(
        "openssl",
        [
            "genpkey",
            "-quiet",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            "rsa_keygen_bits:2048",
        ],
    );
    let files = Helper::new(&internet);
    let account = files.file(
        "account.json",
        &json!({
            "type": "service_account", "client_email": "a@b.iam.gserviceaccount.com", "private_key": key,
            "private_key_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
        })
        .to_string(),
    );
    let subject = files.file("subject", "of-cluster");
    let mut federation = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/projects/1/x",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": subject},
    });
    let federated = files.file("federated.json", &federation.to_string());
    federation["service_account_impersonation_url"] =
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b.iam.gserviceaccount.com:generateAccessToken".into();
    let impersonated = files.file("impersonated.json", &federation.to_string());
    let metadata_host = metadata.url("").replace("http://", "");
    const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (vec![(FILE, account)],                      "of-account"),
        (vec![(FILE, federated)],                    "federated"),
        (vec![(FILE, impersonated)],                 "impersonated"),
        (vec![("GCE_METADATA_HOST", metadata_host)], "of-machine"),
    ];
    for (variables, want) in cases {
        let mut helper = Helper::new(&internet);
        helper.set(&variables);
        let (user, password) = helper.get("gcr", "europe-docker.pkg.dev");
        assert_eq!((&*user, &*password), ("_token", want));
    }
    let seen = metadata.seen();
    assert!(
        seen[0].target.contains("cloud-platform"),
        "{}",
        seen[0].target
    );
    // a broken file is a failure, and says so
    let mut helper = Helper::new(&internet);
    let broken = helper.file("broken.json", "{\"type\":\"hidden\"}");
    helper.set(&[(FILE, broken)]);
    let finished = helper.run("gcr", "get", "gcr.io");
    assert_eq!(finished.code, Some(1));
    assert!(finished.stdout.contains("broken.json"), "{finished}");
}
