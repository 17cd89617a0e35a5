//! Logging in to the registries of Amazon, Google and Azure, against their token services as a test plays them.

mod amazon;
mod azure;
mod google;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::sandbox::Finished;
use crate::support::web::Request;
use crate::support::{Internet, Reply, Sandbox, fed};

/// A sandbox without a way out, and the executor under the name of a credential helper.
struct Helper {
    t: Sandbox,
    variables: Vec<(String, String)>,
}

impl Helper {
    fn new(internet: &Internet) -> Self {
        let mut helper = Self {
            t: Sandbox::new(),
            variables: Vec::new(),
        };
        helper.set(&internet.variables().map(|(name, value)| (name, value)));
        helper.set(&[("AWS_EC2_METADATA_DISABLED", "true")]);
        helper
    }

    fn set<V: ToString>(&mut self, variables: &[(&str, V)]) {
        let variables = variables.iter();
        self.variables
            .extend(variables.map(|(name, value)| ((*name).to_owned(), value.to_string())));
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.t.path(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn link(&self, name: &str) -> PathBuf {
        let link = self.t.path(&format!("docker-credential-{name}"));
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_executor"), &link).unwrap();
        }
        link
    }

    fn run(&self, name: &str, action: &str, registry: &str) -> Finished {
        let mut command = std::process::Command::new(self.link(name));
        command
            .arg(action)
            .env_clear()
            .env("HOME", self.t.path("home"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        fed(&mut command, registry.as_bytes()).into()
    }

    /// Returns user and password.
    #[track_caller]
    fn get(&self, name: &str, registry: &str) -> (String, String) {
        let finished = self.run(name, "get", registry).succeeded();
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert_eq!(answer["ServerURL"], registry);
        let text = |key: &str| answer[key].as_str().unwrap().to_owned();
        (text("Username"), text("Secret"))
    }
}

/// Returns the fields of a form.
fn form(request: &Request) -> Value {
    let pairs = url::form_urlencoded::parse(&request.body).into_owned();
    let pairs = pairs.chain(query(request));
    Value::Object(pairs.map(|(name, value)| (name, value.into())).collect())
}

fn query(request: &Request) -> Vec<(String, String)> {
    let (_, query) = request.target.split_once('?').unwrap_or_default();
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.into_owned().collect()
}

fn json(value: &Value) -> Reply {
    Reply::ok(value.to_string())
}

#[test]
fn nobody_else_is_told_anything() {
    let internet = Internet::new(|_, _| Reply::new(500));
    let mut helper = Helper::new(&internet);
    helper.set(&[
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
        ("AZURE_CLIENT_SECRET", "secret"),
        ("GCE_METADATA_HOST", "127.0.0.1:1"),
    ]);
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("ecr-login", "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example"),
        ("ecr-login", "x.dkr.ecr.us-east-1.amazonaws.com"),
        ("ecr-login", "https://index.docker.io/v1/"),
        ("gcr",       "gcr.io.evil.example"),
        ("gcr",       "evil.example/gcr.io"),
        ("gcloud",    "evil.example#.gcr.io"),
        ("acr-env",   "mine.azurecr.io.evil.example"),
        ("acr-env",   "mine.azurecr.io@evil.example"),
        ("acr-env",   "mcr.microsoft.com"),
    ];
    for (name, registry) in cases {
        let finished = helper.run(name, "get", registry);
        let finished = finished.failed(1, "");
        assert_eq!(
            finished.stdout, "credentials not found in native keychain\n",
            "{registry}"
        );
    }
    assert_eq!(internet.hosts(), [""; 0]);
    helper.run("gcr", "store", "gcr.io").failed(1, "");
    assert_eq!(helper.run("gcr", "list", "").succeeded().stdout, "{}\n");
}
