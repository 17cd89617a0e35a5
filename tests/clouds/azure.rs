//! Azure's registries.

use serde_json::json;

use super::{Helper, form, json, query};
use crate::support::web::Request;
use crate::support::{Internet, Reply, Web};

/// Plays Azure's directories and registries.
fn azure(host: &str, request: &Request) -> Reply {
    let form = form(request);
    let text = |key: &str| form[key].as_str().unwrap_or_default().to_owned();
    match host {
        "mine.azurecr.io" | "mine.azurecr.us" | "mine.azurecr.cn" | "strict.azurecr.io" => {
            assert_eq!(request.target, "/oauth2/exchange");
            assert_eq!(text("service"), host);
            let token = text("access_token");
            match host.starts_with("strict") && !token.contains("containerregistry") {
                true => Reply::new(401),
                false => json(&json!({"refresh_token": format!("refresh {token}")})),
            }
        }
        _ if host.starts_with("login.") => {
            assert_eq!(request.target, "/tenant/oauth2/v2.0/token");
            let proof = match text("client_secret").as_str() {
                "wrong" => {
                    let error = json!({"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret.\r\nTrace ID: x"});
                    return Reply {
                        status: 401,
                        ..json(&error)
                    };
                }
                "" => text("client_assertion"),
                secret => secret.to_owned(),
            };
            let token = format!("{host} {} {proof}", text("scope"));
            json(&json!({"access_token": token, "expires_in": 3600}))
        }
        _ => Reply::new(404),
    }
}

#[test]
fn azures_registries() {
    let internet = Internet::new(azure);
    let machine = Web::new(|request| {
        assert!(
            request
                .target
                .starts_with("/metadata/identity/oauth2/token?")
        );
        assert_eq!(request.headers["metadata"], "true");
        let query: Vec<String> = query(request).into_iter().map(|(_, value)| value).collect();
        json(
            &json!({"access_token": query.join(" "), "expires_in": "3600", "expires_on": "9999999999"}),
        )
    });
    let app = Web::new(|request| {
        let secret = &request.headers["x-identity-header"];
        json(&json!({"access_token": secret, "expires_on": 9_999_999_999_u64}))
    });
    let assertion = Helper::new(&internet).file("assertion", "of-cluster\n");
    let directory = vec![
        ("AZURE_CLIENT_ID", "client".to_owned()),
        ("AZURE_TENANT_ID", "tenant".to_owned()),
    ];
    let with = |name, value: &str| [directory.clone(), vec![(name, value.to_owned())]].concat();
    let secret = with("AZURE_CLIENT_SECRET", "s3cret");
    let helper = Helper::new(&internet);
    let federated = helper.file("assertion", "of-cluster\n");
    drop(assertion);
    let machine_host = ("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url(""));
    let app_service = vec![
        ("IDENTITY_ENDPOINT", app.url("/msi")),
        ("IDENTITY_HEADER", "app".to_owned()),
    ];
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("mine.azurecr.io",   secret.clone(),                              "login.microsoftonline.com https://management.azure.com/.default s3cret"),
        ("strict.azurecr.io", secret.clone(),                              "login.microsoftonline.com https://containerregistry.azure.net/.default s3cret"),
        ("mine.azurecr.us",   secret.clone(),                              "login.microsoftonline.us https://management.usgovcloudapi.net/.default s3cret"),
        ("mine.azurecr.cn",   secret,                                      "login.chinacloudapi.cn https://management.chinacloudapi.cn/.default s3cret"),
        ("mine.azurecr.io",   with("AZURE_FEDERATED_TOKEN_FILE", &federated), "login.microsoftonline.com https://management.azure.com/.default of-cluster"),
        ("mine.azurecr.io",   with("AZURE_FEDERATED_TOKEN", "direct"),     "login.microsoftonline.com https://management.azure.com/.default direct"),
        ("mine.azurecr.io",   vec![machine_host.clone()],                  "2018-02-01 https://management.azure.com"),
        ("mine.azurecr.io",   vec![machine_host, ("AZURE_CLIENT_ID", "id".to_owned())], "2018-02-01 https://management.azure.com id"),
        ("mine.azurecr.io",   app_service,                                 "app"),
    ];
    for (registry, variables, want) in cases {
        let mut helper = Helper::new(&internet);
        helper.set(&variables);
        let (user, password) = helper.get("acr-env", registry);
        assert_eq!(
            (&*user, &*password),
            ("<token>", &*format!("refresh {want}")),
            "{registry}"
        );
    }
    #[rustfmt::skip] // a table keeps its columns
    let failures = [
        (with("AZURE_CLIENT_SECRET", "wrong"),            "AADSTS7000215: Invalid client secret.\n"),
        (with("AZURE_CLIENT_CERTIFICATE_PATH", "/x"),     "AZURE_CLIENT_CERTIFICATE_PATH is set"),
        (vec![("AZURE_ENVIRONMENT", "nowhere".into())],   "AZURE_ENVIRONMENT has no meaning: `nowhere`"),
        ([with("AZURE_CLIENT_SECRET", "s"), vec![("AZURE_AUTHORITY_HOST", "http://login.evil".into())]].concat(), "to which credentials are not sent"),
    ];
    for (variables, message) in failures {
        let mut helper = Helper::new(&internet);
        helper.set(&variables);
        let finished = helper.run("acr-env", "get", "mine.azurecr.io");
        assert_eq!(finished.code, Some(1), "{message}");
        assert!(finished.stdout.contains(message), "{message}: {finished}");
    }
    assert!(!internet.hosts().contains(&"login.evil".to_owned()));
}
