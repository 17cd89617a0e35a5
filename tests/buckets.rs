//! Build contexts from the object storage of Amazon, Google and Azure.

use std::sync::atomic::{AtomicUsize, Ordering};

use executor::cloud::{Surroundings, azure};
use executor::net::{Environment, Net, Secret};
use reqsign::azure::{ServiceSasResource, ServiceSharedAccessSignature};
use reqsign::time::Timestamp;
use tar::EntryType;

use crate::support::cloud_server::{CloudServer, installed};
use crate::support::crafted::{self, Member};
use crate::support::internet::relay;
use crate::support::sandbox::Finished;
use crate::support::{Internet, Reply, Sandbox, Web, requires};

/// Returns an archive whose image holds the text.
fn archive(text: &str) -> Vec<u8> {
    let file = |name, content| Member {
        kind: EntryType::Regular,
        name,
        link: "",
        content,
    };
    crafted::gzip(&crafted::tar_of(&[
        file("Dockerfile", b"FROM scratch\nCOPY message /\n"),
        file("message", text.as_bytes()),
    ]))
}

struct Case {
    t: Sandbox,
}

impl Case {
    fn new<V: ToString>(variables: &[(&str, V)]) -> Self {
        let mut t = Sandbox::new();
        t.env("AWS_EC2_METADATA_DISABLED", "true");
        t.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1");
        t.env("NO_PROXY", t.registry.host());
        for (name, value) in variables {
            t.env(name, value.to_string());
        }
        Self { t }
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let tag = self.t.tag("app");
        let mut all = vec![
            "--log-format=text",
            "--verbosity=debug",
            "--destination",
            &tag,
        ];
        all.extend(arguments);
        let finished = self.t.executor(all);
        let log = format!("{}{}", finished.stdout, finished.stderr);
        for secret in ["hidden", "Signature=", "Bearer ", "SharedKey "] {
            assert!(!log.contains(secret), "{secret} in {log}");
        }
        finished
    }

    /// Builds the context and returns what its message says.
    #[track_caller]
    fn message(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeded();
        crate::support::Image::pull(&self.t.registry, &self.t.tag("app")).text("message")
    }
}

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKID"),
    ("AWS_SECRET_ACCESS_KEY", "hidden"),
];

#[test]
fn amazon_redirects_to_the_buckets_region() {
    let internet = Internet::new(|host, _| match host {
        "bucket.s3.eu-central-1.amazonaws.com" => Reply::ok(archive("of the region")),
        "bucket.s3.us-east-1.amazonaws.com" => {
            Reply::new(301).header("x-amz-bucket-region", "eu-central-1")
        }
        "lying.s3.us-east-1.amazonaws.com" => {
            Reply::new(301).header("x-amz-bucket-region", "evil.example/")
        }
        _ => Reply::ok("<Error><Code>NoSuchKey</Code></Error>"),
    });
    let mut case = Case::new(&internet.variables());
    for (name, value) in KEYS {
        case.t.env(name, value);
    }
    let message = case.message(&["--context=s3://bucket/dir/a b.tar.gz"]);
    assert_eq!(message, "of the region");
    let (host, request) = internet.seen().pop().unwrap();
    assert_eq!(host, "bucket.s3.eu-central-1.amazonaws.com");
    assert_eq!(request.target, "/dir/a%20b.tar.gz");
    assert!(request.headers["authorization"].contains("/eu-central-1/s3/aws4_request"));
    case.run(&["--context=s3://lying/x"])
        .failed(1, "https://lying.s3.us-east-1.amazonaws.com/x answered 301");
    assert!(!internet.hosts().iter().any(|host| host.contains("evil")));
}

#[test]
fn who_has_no_identity_is_told_what_would_be_one() {
    let refusing = Web::new(|_| Reply::new(403));
    let mut case = Case::new(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", refusing.url("/role"))]);
    let variable = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
    case.t.env(variable, refusing.url(""));
    for (context, told) in [
        ("s3://bucket/x", "help: set AWS_ACCESS_KEY_ID and "),
        (
            "https://account.blob.core.windows.net/c/x",
            "help: AZURE_STORAGE_ACCESS_KEY environment variable is not set",
        ),
    ] {
        case.run(&["--context", context])
            .failed(1, "there is nothing to authenticate with")
            .failed(1, told);
    }
    // why something is tried again is told, too
    let context = "--context=http://127.0.0.1:1/x.tar";
    case.run(&[context])
        .failed(
            1,
            "due to GET http://127.0.0.1:1/x.tar failed: Connection refused",
        )
        .failed(1, "help: check its name and port");
}

#[test]
fn a_broken_download_is_signed_anew() {
    let body = archive(&"0123456789".repeat(10_000));
    let count = AtomicUsize::new(0);
    let internet = Internet::new(move |_, request| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let tagged = |reply: Reply| reply.header("ETag", "\"a\"");
        match request.headers.get("range") {
            None => tagged(Reply {
                cut: Some(100),
                ..Reply::ok(body.clone())
            }),
            Some(range) => {
                assert!(number > 0);
                let start = range.strip_prefix("bytes=").unwrap().trim_end_matches('-');
                let rest = &body[start.parse().unwrap()..];
                let shown = format!("bytes {start}-{}/{}", body.len() - 1, body.len());
                tagged(Reply {
                    status: 206,
                    ..Reply::ok(rest)
                })
                .header("Content-Range", shown)
            }
        }
    });
    let mut case = Case::new(&internet.variables());
    for (name, value) in KEYS {
        case.t.env(name, value);
    }
    case.t.env("AZURE_STORAGE_ACCESS_KEY", "aGlkZGVuIGtleQ==");
    for context in ["s3://bucket/x", "https://account.blob.core.windows.net/c/b"] {
        let context = format!("--context={context}");
        assert_eq!(case.message(&[&context]).len(), 100_000);
        let seen = internet.seen();
        let signed: Vec<&str> = seen[seen.len() - 2..]
            .iter()
            .map(|(_, request)| &*request.headers["authorization"])
            .collect();
        match context.contains("blob") {
            // the range is part of what Azure's key signs
            true => assert_ne!(signed[0], signed[1]),
            false => assert!(signed[1].starts_with("AWS4-HMAC-SHA256 Credential=AKID/")),
        }
    }
}

/// Starts an Amazon that knows one user, who may read, and whose bucket holds an archive. Returns the user's keys.
fn amazon_with_user() -> (CloudServer, [(&'static str, String); 2]) {
    let amazon = CloudServer::amazon(5);
    let iam = |form: &str| {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            (
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=x",
            ),
        ];
        let body = format!("{form}&Version=2010-05-08&UserName=builder");
        let reply = amazon.ask("POST", "iam.amazonaws.com", "/", &headers, body);
        String::from_utf8(reply.body).unwrap()
    };
    amazon.ask("PUT", "bucket.s3.amazonaws.com", "/", &[], "");
    amazon.ask(
        "PUT",
        "bucket.s3.amazonaws.com",
        "/dir/a%20b.tgz",
        &[],
        archive("of S3"),
    );
    iam("Action=CreateUser");
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:GetObject","ecr:GetAuthorizationToken"],"Resource":"*"}]}"#;
    let policy: String = url::form_urlencoded::byte_serialize(policy.as_bytes()).collect();
    iam(&format!(
        "Action=PutUserPolicy&PolicyName=read&PolicyDocument={policy}"
    ));
    let answer = iam("Action=CreateAccessKey");
    let field = |name: &str| {
        let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
        rest.split('<').next().unwrap().to_owned()
    };
    let keys = [
        ("AWS_ACCESS_KEY_ID", field("AccessKeyId")),
        ("AWS_SECRET_ACCESS_KEY", field("SecretAccessKey")),
    ];
    (amazon, keys)
}

#[test]
fn amazon_checks_signatures() {
    requires!(installed(), "needs the servers that .ci/test installs");
    let (amazon, keys) = amazon_with_user();
    let context = "--context=s3://bucket/dir/a b.tgz";
    let with = |more: &[(&'static str, String)]| {
        let mut case = Case::new(&keys);
        for (name, value) in more {
            case.t.env(name, value);
        }
        case
    };
    let endpoint = ("S3_ENDPOINT", format!("http://{}", amazon.address));
    let by_path = with(&[endpoint.clone(), ("S3_FORCE_PATH_STYLE", "true".into())]);
    assert_eq!(by_path.message(&[context]), "of S3");
    // the profile may say where the server is
    let config = by_path.t.path("aws-config");
    let text = format!("[default]\nendpoint_url = http://{}\n", amazon.address);
    fs_err::write(&config, text).unwrap();
    let config = ("AWS_CONFIG_FILE", config.display().to_string());
    let by_profile = with(std::slice::from_ref(&config));
    assert_eq!(by_profile.message(&[context]), "of S3");
    let missing = by_path.run(&["--context=s3://bucket/none"]);
    missing
        .failed(1, "answered 404 (NoSuchKey)")
        .failed(1, "help: look for the bucket's and the object's name");
    let wrong = with(&[endpoint, ("AWS_SECRET_ACCESS_KEY", "hidden-wrong".into())]);
    wrong
        .run(&[context])
        .failed(1, "answered 403 (SignatureDoesNotMatch)")
        .failed(1, "help: the secret key does not belong to");
    // by Amazon's own names
    let address = amazon.address.clone();
    let internet = Internet::new(move |host, request| match host.contains(".dkr.") {
        true => Reply::new(401).header("WWW-Authenticate", "Basic realm=\"ecr\""),
        false => relay(&address, request),
    });
    let mut named = with(&internet.variables());
    named.t.env(config.0, config.1);
    named.t.env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_eq!(named.message(&[context]), "of S3");
    let hosts = internet.hosts();
    assert_eq!(hosts, ["bucket.s3.us-east-1.amazonaws.com"]);
    // and its registry's password, with which the registry is then asked
    named.t.dockerfile("FROM scratch\nENV A=1\n");
    let destination = "--destination=123456789012.dkr.ecr.eu-west-1.amazonaws.com/app";
    let finished = named
        .t
        .build([destination])
        .failed(1, "error checking push permissions");
    assert!(finished.stderr.contains("(credentials: ecr)"), "{finished}");
    let asked = "api.ecr.eu-west-1.amazonaws.com".to_owned();
    assert!(internet.hosts().contains(&asked));
}

#[test]
fn googles_storage() {
    requires!(installed(), "needs the servers that .ci/test installs");
    let google = CloudServer::google("bucket");
    for (name, text) in [
        ("context.tar.gz", "default"),
        ("dir/a b.tgz", "of a directory"),
    ] {
        let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let target = format!(
            "/upload/storage/v1/b/bucket/o?uploadType=media&name={}",
            name.replace('+', "%20")
        );
        let headers = [("content-type", "application/gzip")];
        google.ask(
            "POST",
            "storage.googleapis.com",
            &target,
            &headers,
            archive(text),
        );
    }
    let case = Case::new(&[("STORAGE_EMULATOR_HOST", &google.address)]);
    assert_eq!(case.message(&["--context=gs://bucket"]), "default");
    assert_eq!(case.message(&["--bucket=bucket"]), "default");
    assert_eq!(case.message(&["-b", "bucket", "--context="]), "default");
    assert_eq!(
        case.message(&["-c", "gs://bucket/dir/a b.tgz"]),
        "of a directory"
    );
    let finished = case
        .run(&["-c", "gs://bucket/none"])
        .failed(1, "answered 404");
    // an emulator wants no credentials
    assert!(!finished.stderr.contains("credentials"), "{finished}");

    let metadata =
        Web::with(r#"{"access_token":"hidden","expires_in":3599,"token_type":"Bearer"}"#);
    let address = google.address.clone();
    let internet = Internet::new(move |host, request| {
        let wanted = Some("Bearer hidden".to_owned());
        match host == "storage.googleapis.com"
            && request.headers.get("authorization") == wanted.as_ref()
        {
            true => relay(&address, request),
            false => Reply::new(401),
        }
    });
    let mut case = Case::new(&internet.variables());
    case.t
        .env("GCE_METADATA_HOST", metadata.url("").replace("http://", ""));
    assert_eq!(case.message(&["--context=gs://bucket"]), "default");
    assert!(metadata.seen()[0].target.ends_with("devstorage.read_only"));
}

const ACCOUNT: &str = "devstoreaccount1";
/// Known to everybody: Azurite's.
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Sends a request that is signed with the account's key.
fn put(azure: &CloudServer, target: &str, headers: &[(&str, &str)], body: Vec<u8>) {
    let net = Net::new(executor::net::Options { http1_only: true }).unwrap();
    let at = Surroundings::new(&net, &Environment::default());
    let host = format!("{ACCOUNT}.blob.core.windows.net");
    let mut request =
        http::Request::put(format!("http://{host}{target}")).header("x-ms-version", "2021-12-02");
    if !body.is_empty() {
        request = request.header("content-length", body.len());
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    let key = Secret::new(ACCOUNT_KEY);
    net.block_on(azure::sign(&at, ACCOUNT, &key, &mut parts))
        .unwrap();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
    let headers: Vec<_> = headers.collect();
    azure.ask("PUT", &host, target, &headers, body);
}

#[test]
fn azures_storage() {
    requires!(installed(), "needs the servers that .ci/test installs");
    let azure = CloudServer::azure();
    put(&azure, "/private?restype=container", &[], Vec::new());
    put(
        &azure,
        "/public?restype=container",
        &[("x-ms-blob-public-access", "blob")],
        Vec::new(),
    );
    let blob = [("x-ms-blob-type", "BlockBlob")];
    put(&azure, "/private/dir/a.tgz", &blob, archive("private"));
    put(&azure, "/public/a.tgz", &blob, archive("public"));
    let expiry = Timestamp::now() + std::time::Duration::from_secs(3600);
    let resource = ServiceSasResource::Blob {
        container: "private".into(),
        blob: "dir/a.tgz".into(),
    };
    let signature = ServiceSharedAccessSignature::new(
        ACCOUNT.into(),
        ACCOUNT_KEY.into(),
        resource,
        "r".into(),
        expiry,
    );
    let signature = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(signature.token().unwrap())
        .finish();

    let address = azure.address.clone();
    let internet = Internet::new(move |_, request| relay(&address, request));
    let with = |name: &str, value: &str| {
        let mut case = Case::new(&internet.variables());
        case.t.env("IDENTITY_ENDPOINT", "");
        case.t.env(name, value);
        case
    };
    let url = format!("https://{ACCOUNT}.blob.core.windows.net");
    let private = format!("--context={url}/private/dir/a.tgz");
    let public = format!("--context={url}/public/a.tgz");
    let with_key = with("AZURE_STORAGE_ACCESS_KEY", ACCOUNT_KEY);
    assert_eq!(with_key.message(&[&private]), "private");
    let with_newline = with("AZURE_STORAGE_ACCESS_KEY", &format!("{ACCOUNT_KEY}\n"));
    assert_eq!(with_newline.message(&[&private]), "private");
    with("AZURE_STORAGE_ACCESS_KEY", "hidden-key")
        .run(&[&private])
        .failed(1, "AZURE_STORAGE_ACCESS_KEY is no key");
    with_key
        .run(&[&format!("{private}.none")])
        .failed(1, "answered 404 (BlobNotFound)");
    let wrong = with("AZURE_STORAGE_ACCESS_KEY", "aGlkZGVuIGtleQ==");
    wrong
        .run(&[&private])
        .failed(1, "answered 403 (AuthorizationFailure)")
        .failed(
            1,
            "help: AZURE_STORAGE_ACCESS_KEY must be a key of that account",
        );
    let none = with("AZURE_CLIENT_ID", "");
    let signed = format!("{private}?{signature}");
    assert_eq!(none.message(&[&signed]), "private");
    let by_variable = with("AZURE_STORAGE_SAS_TOKEN", &format!("?{signature}"));
    assert_eq!(by_variable.message(&[&private]), "private");

    // nobody in particular: the machine's service says that it has no identity
    let nobody = Web::new(|_| Reply::new(404));
    let case = with("AZURE_POD_IDENTITY_AUTHORITY_HOST", &nobody.url(""));
    assert_eq!(case.message(&[&public]), "public");
    let finished = case.run(&[&private]);
    finished.failed(
        1,
        "AZURE_STORAGE_ACCESS_KEY environment variable is not set",
    );
}

#[test]
fn azure_takes_an_identitys_token() {
    let machine = Web::with(r#"{"access_token":"hidden","expires_in":"3600"}"#);
    let internet = Internet::new(|host, request| {
        assert_eq!(host, "account.blob.core.usgovcloudapi.net");
        assert_eq!(request.headers["x-ms-version"], "2021-12-02");
        match request.headers["authorization"] == "Bearer hidden" {
            true => Reply::ok(archive("by identity")),
            false => Reply::new(403),
        }
    });
    let mut case = Case::new(&internet.variables());
    case.t
        .env("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.url(""));
    let context = "--context=https://account.blob.core.usgovcloudapi.net/c/b";
    assert_eq!(case.message(&[context]), "by identity");
    assert!(
        machine.seen()[0]
            .target
            .contains("resource=https%3A%2F%2Fstorage.azure.com")
    );
}
