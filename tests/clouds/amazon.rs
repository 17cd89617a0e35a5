//! Amazon ECR, and where its keys come from.

use base64::Engine;
use serde_json::json;

use super::{Helper, form, json};
use crate::support::web::Request;
use crate::support::{Internet, Reply, Sandbox, Web};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";
const PASSWORD: &str = "hidden-password";

/// Plays STS and ECR; the access key of a role is its name.
fn amazon(host: &str, request: &Request) -> Reply {
    if host.starts_with("sts.") {
        let form = form(request);
        let action = form["Action"].as_str().unwrap().to_owned();
        let role = form["RoleArn"].as_str().unwrap();
        let role = role.rsplit('/').next().unwrap();
        if role == "forbidden" {
            let error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
            return Reply {
                body: error.into(),
                ..Reply::new(403)
            };
        }
        return Reply::ok(format!(
            "<{action}Response><{action}Result><Credentials><AccessKeyId>{role:X<20}</AccessKeyId>\
             <SecretAccessKey>secret</SecretAccessKey><SessionToken>session-{role}</SessionToken>\
             <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></{action}Result></{action}Response>"
        ));
    }
    let token = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{PASSWORD}"));
    let authorization = json!({ "authorizationToken": token, "expiresAt": 1.7e9 });
    match host.contains("public") {
        true => json(&json!({ "authorizationData": authorization })),
        false => json(&json!({ "authorizationData": [authorization] })),
    }
}

/// Returns the scope that a request to ECR was signed for: key, region, service.
fn signer(request: &Request) -> String {
    let header = &request.headers["authorization"];
    let (_, rest) = header.split_once("Credential=").unwrap();
    let scope: Vec<&str> = rest.split(',').next().unwrap().split('/').collect();
    // a key has at least 16 characters
    let key = scope[0].trim_end_matches('X');
    format!("{key} {} {}", scope[2], scope[3])
}

#[test]
fn amazons_registries() {
    let internet = Internet::new(amazon);
    let mut helper = Helper::new(&internet);
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-west-2"),
    ];
    helper.set(&keys);
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (ECR,                                               "api.ecr.eu-west-1.amazonaws.com",          "AKID eu-west-1 ecr"),
        ("123456789012.dkr.ecr-fips.us-east-1.amazonaws.com", "ecr-fips.us-east-1.amazonaws.com",       "AKID us-east-1 ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn",     "AKID cn-north-1 ecr"),
        ("public.ecr.aws",                                  "api.ecr-public.us-east-1.amazonaws.com",   "AKID us-east-1 ecr-public"),
        ("https://public.ecr.aws",                          "api.ecr-public.us-east-1.amazonaws.com",   "AKID us-east-1 ecr-public"),
    ];
    for (registry, want, scope) in cases {
        let (user, password) = helper.get("ecr-login", registry);
        assert_eq!((&*user, &*password), ("AWS", PASSWORD));
        let (host, request) = internet.seen().pop().unwrap();
        assert_eq!(host, want);
        assert_eq!(signer(&request), scope);
        assert_eq!(request.body, b"{}");
        let signed = &request.headers["authorization"];
        assert!(
            signed.contains("x-amz-content-sha256;x-amz-date;x-amz-target"),
            "{signed}"
        );
        let target = &request.headers["x-amz-target"];
        assert!(target.ends_with(".GetAuthorizationToken"), "{target}");
    }
}

#[test]
fn where_amazons_keys_come_from() {
    let internet = Internet::new(amazon);
    let service = Web::new(|request| {
        let keys = |name: &str| {
            json(&json!({
                "Code": "Success", "AccessKeyId": name, "SecretAccessKey": "secret",
                "Token": "session", "Expiration": "2999-01-01T00:00:00Z",
            }))
        };
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        match (&*request.method, &*request.target) {
            ("PUT", "/latest/api/token") => Reply::ok("instance-token"),
            _ if header("x-aws-ec2-metadata-token") == Some("instance-token") => {
                match &*request.target {
                    "/latest/meta-data/iam/security-credentials/" => Reply::ok("role"),
                    _ => keys("INSTANCE"),
                }
            }
            ("GET", "/pod") if header("authorization") == Some("pod-token") => keys("POD"),
            _ => Reply::new(401),
        }
    });
    let base = Helper::new(&internet);
    let token = base.file("token", "web-token\n");
    let pod_token = base.file("pod-token", "pod-token");
    let config = base.file(
        "config",
        "[profile static]\naws_access_key_id = STATIC\naws_secret_access_key = secret\n\
         [profile chained]\nrole_arn = arn:aws:iam::123456789012:role/second\nsource_profile = first\n\
         [profile first]\nrole_arn = arn:aws:iam::123456789012:role/First\nsource_profile = static\n\
         [profile web]\nrole_arn = arn:aws:iam::123456789012:role/OfProfile\nweb_identity_token_file = $TOKEN\n\
         [profile instance]\nrole_arn = arn:aws:iam::123456789012:role/OnTop\ncredential_source = Ec2InstanceMetadata\n\
         [profile process]\ncredential_process = /bin/cat $PROCESS\n\
         [profile looped]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = looped2\n\
         [profile looped2]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = looped\n\
         [profile bare]\nregion = eu-west-1\n",
    );
    let process = base.file(
        "process",
        r#"{"Version":1,"AccessKeyId":"PROCESS","SecretAccessKey":"s"}"#,
    );
    let text = fs_err::read_to_string(&config).unwrap();
    let text = text.replace("$TOKEN", &token).replace("$PROCESS", &process);
    fs_err::write(&config, text).unwrap();
    let profile = |name: &'static str| {
        vec![
            ("AWS_CONFIG_FILE", config.clone()),
            ("AWS_PROFILE", name.to_owned()),
        ]
    };
    let role = |name: &str| format!("arn:aws:iam::123456789012:role/{name}");
    let web_identity = |name: &str| {
        vec![
            ("AWS_ROLE_ARN", role(name)),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.clone()),
        ]
    };
    let imds = vec![
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url("")),
        ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
    ];
    let pod = vec![
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url("/pod")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", pod_token.clone()),
    ];
    let evil = vec![(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "http://evil.example/pod".to_owned(),
    )];
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (profile("static"),          "STATIC"),
        (profile("chained"),         "second"),
        (profile("web"),             "OfProfile"),
        ([profile("instance"), imds.clone()].concat(), "OnTop"),
        (profile("process"),         "PROCESS"),
        (web_identity("irsa"),       "irsa"),
        (pod.clone(),                "POD"),
        ([profile("bare"), pod.clone()].concat(), "POD"),
        ([pod, imds.clone()].concat(), "POD"),
        (imds,                       "INSTANCE"),
        (profile("looped"),          "error: refers to itself"),
        (profile("missing"),         "error: the AWS profile `missing` does not exist"),
        (web_identity("forbidden"),  "error: AccessDenied: not you"),
        (evil,                       "error: to which credentials are not sent"),
        (vec![],                     "error: credentials not found in native keychain"),
    ];
    for (variables, want) in cases {
        let mut helper = Helper::new(&internet);
        helper.set(&variables);
        match want.strip_prefix("error: ") {
            Some(message) => {
                let finished = helper.run("ecr-login", "get", ECR);
                assert_eq!(finished.code, Some(1), "{want}");
                assert!(finished.stdout.contains(message), "{want}: {finished}");
                assert!(!finished.stdout.contains("web-token"), "{finished}");
            }
            None => {
                helper.get("ecr-login", ECR);
                let (_, request) = internet.seen().pop().unwrap();
                assert_eq!(signer(&request), format!("{want} eu-west-1 ecr"));
            }
        }
    }
    let web = internet.seen();
    let web = web
        .iter()
        .find(|(_, request)| form(request)["RoleArn"] == role("irsa"));
    let (host, request) = web.unwrap();
    assert_eq!(host, "sts.eu-west-1.amazonaws.com");
    assert_eq!(form(request)["WebIdentityToken"], "web-token");
    assert!(
        internet
            .hosts()
            .iter()
            .all(|host| host.ends_with(".amazonaws.com"))
    );
}

/// Plays ECR, and a registry that takes whatever whoever has its password pushes.
fn ecr_with_registry(host: &str, request: &Request) -> Reply {
    if host != ECR {
        return amazon(host, request);
    }
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("AWS:{PASSWORD}"));
    if request.headers.get("authorization") != Some(&format!("Basic {wanted}")) {
        return Reply::new(401).header("WWW-Authenticate", "Basic realm=\"ecr\"");
    }
    match (&*request.method, &*request.target) {
        ("GET", "/v2/") => Reply::ok("{}"),
        ("POST", _) => Reply::new(202).header("Location", "/v2/app/blobs/uploads/1"),
        ("PATCH", target) => Reply::new(202).header("Location", target),
        ("PUT", _) => Reply::new(201),
        ("DELETE", _) => Reply::new(204),
        _ => Reply::new(404),
    }
}

#[test]
fn a_build_pushes_to_amazon_as_its_environment_says() {
    let digest_of_key = |internet: &Internet| {
        let asked = internet.seen();
        let asked = asked.iter().filter(|(host, _)| host.starts_with("api.ecr"));
        asked
            .map(|(_, request)| signer(request))
            .collect::<Vec<_>>()
    };
    for config in [r#"{}"#, r#"{"credsStore":"ecr-login"}"#] {
        let internet = Internet::new(ecr_with_registry);
        let mut t = Sandbox::new();
        for (name, value) in internet.variables() {
            t.env(name, value);
        }
        for (name, value) in [
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-secret"),
            ("DOCKER_CONFIG", &t.path("home").display().to_string()),
        ] {
            t.env(name, value);
        }
        fs_err::write(t.path("home/config.json"), config).unwrap();
        t.dockerfile("FROM scratch\nENV A=1\nCOPY Dockerfile /\n");
        let destination = format!("{ECR}/app:1");
        let finished = t
            .build(["--destination", &destination, "--verbosity=debug"])
            .succeeded();
        assert!(!finished.stderr.contains("hidden"), "{finished}");
        assert_eq!(
            digest_of_key(&internet),
            ["AKID eu-west-1 ecr"],
            "asked once"
        );
        let manifest = internet.seen().into_iter().any(|(host, request)| {
            host == ECR && request.method == "PUT" && request.target == "/v2/app/manifests/1"
        });
        assert!(manifest);
        // switched off, nobody is asked
        if config == "{}" {
            let arguments = ["--destination", &destination, "--credential-helpers=env"];
            t.build(arguments)
                .failed(1, "error checking push permissions");
            assert_eq!(digest_of_key(&internet).len(), 1);
        }
    }
}
