//! A real registry (Debian's docker-registry) on a loopback port that the system chose for it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::sockets;

/// User and password of registries that ask for them.
pub const USER: &str = "tester";
pub const PASSWORD: &str = "s3cret-pass";

/// A running registry; it ends with the value.
pub struct Registry {
    process: Child,
    port: u16,
    dir: TempDir,
    tls: bool,
    auth: Auth,
}

/// What a registry is like.
#[derive(Default)]
struct Kind {
    tls: bool,
    auth: Auth,
    client_certificates: bool,
    mirror_of: Option<String>,
}

/// What a registry asks for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Auth {
    #[default]
    Nothing,
    Basic,
    Token,
}

impl Registry {
    /// Starts a registry over plain HTTP that asks for nothing.
    pub fn plain() -> Self {
        Self::start(Kind::default())
    }

    /// Starts a registry over plain HTTP with basic authentication.
    pub fn basic_auth() -> Self {
        Self::start(Kind {
            auth: Auth::Basic,
            ..Kind::default()
        })
    }

    /// Starts a registry over TLS with a private CA and basic authentication.
    pub fn tls() -> Self {
        Self::start(Kind {
            tls: true,
            auth: Auth::Basic,
            ..Kind::default()
        })
    }

    /// Starts a registry over TLS that serves only who has a certificate of its CA.
    pub fn mutual_tls() -> Self {
        Self::start(Kind {
            tls: true,
            client_certificates: true,
            ..Kind::default()
        })
    }

    /// Starts a registry that fetches from another what it does not have.
    pub fn mirror_of(origin: &Self) -> Self {
        Self::start(Kind {
            mirror_of: Some(format!("http://{}", origin.host())),
            ..Kind::default()
        })
    }

    /// Starts a registry over plain HTTP that wants tokens from a token server, which asks for the password.
    pub fn token_auth() -> Self {
        Self::start(Kind {
            auth: Auth::Token,
            ..Kind::default()
        })
    }

    fn start(kind: Kind) -> Self {
        let Kind { tls, auth, .. } = kind;
        let dir = tempfile::tempdir().unwrap();
        let mut config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\nhttp:\n  addr: 127.0.0.1:0\n",
            dir.path().join("data").display()
        );
        if tls {
            write_certificates(dir.path());
            let at = dir.path().display();
            config += &format!("  tls: {{certificate: {at}/server.pem, key: {at}/server.key");
            if kind.client_certificates {
                config += &format!(", clientcas: [{at}/ca.pem]");
            }
            config += "}\n";
        }
        if let Some(origin) = &kind.mirror_of {
            config += &format!("proxy: {{remoteurl: \"{origin}\"}}\n");
        }
        if auth == Auth::Basic {
            let line = super::tool("htpasswd", ["-Bbn", USER, PASSWORD]);
            fs_err::write(dir.path().join("htpasswd"), line).unwrap();
            config += &format!(
                "auth:\n  htpasswd: {{realm: test, path: {}/htpasswd}}\n",
                dir.path().display()
            );
        }
        if auth == Auth::Token {
            config += &super::token::start(&dir.path().join("token.pem"));
        }
        let file = dir.path().join("config.yml");
        fs_err::write(&file, config).unwrap();
        let log = fs_err::File::create(dir.path().join("log")).unwrap();
        let requests = fs_err::File::create(dir.path().join("requests")).unwrap();
        let mut process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::from(requests.into_file()))
            .stderr(Stdio::from(log.into_file()))
            .spawn()
            .expect("the tests need Debian's package docker-registry");
        let port = sockets::wait_for_port(&mut process);
        Self {
            process,
            port,
            dir,
            tls,
            auth,
        }
    }

    /// Returns `127.0.0.1:port`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the file that holds the private CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Returns a certificate of the CA for a client, and its key.
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let file = |name| self.dir.path().join(name);
        (file("client.pem"), file("client.key"))
    }

    /// Returns what was asked, a line a request, with protocol, status and user agent.
    pub fn access_log(&self) -> Vec<String> {
        // A line may be written after the end of the answer, but before the end of its connection.
        sockets::wait_for_silence(&self.process);
        let text = fs_err::read_to_string(self.dir.path().join("requests")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the text of a Docker `config.json` that logs in here.
    pub fn docker_config(&self) -> String {
        use base64::Engine;
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
        format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, self.host())
    }

    /// Returns skopeo's options for this registry, as its source (`src`) or destination (`dest`).
    pub fn skopeo_options(&self, side: &str) -> Vec<String> {
        let mut options = vec![format!("--{side}-tls-verify=false")];
        if self.auth != Auth::Nothing {
            options.push(format!("--{side}-creds={USER}:{PASSWORD}"));
        }
        options
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Returns the requests that were answered so far, as `GET /v2/`, without those that only ask for a challenge.
    pub fn requests(&self) -> Vec<String> {
        let lines = self.access_log();
        let request = |line: &String| {
            let request = line.split('"').nth(1)?;
            Some(request.rsplit_once(' ')?.0.to_owned())
        };
        let requests = lines.iter().filter_map(request);
        requests.filter(|request| request != "GET /v2/").collect()
    }

    /// Changes a stored blob behind the registry's back.
    pub fn tamper(&self, digest: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.blob(digest);
        let mut bytes = fs_err::read(&file).unwrap();
        change(&mut bytes);
        fs_err::write(file, bytes).unwrap();
    }

    /// Returns the file in which the bytes of a blob are.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blobs = self.dir.path().join("data/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Returns the tags of a repository, from the registry's own storage.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let tags = self
            .dir
            .path()
            .join("data/docker/registry/v2/repositories")
            .join(repository)
            .join("_manifests/tags");
        let Ok(entries) = fs_err::read_dir(tags) else {
            return Vec::new();
        };
        entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Writes `ca.pem`, `server.pem` and `server.key` for 127.0.0.1, and `client.pem` and `client.key` for who asks it.
pub fn write_certificates(dir: &Path) {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    fs_err::write(dir.join("ca.pem"), ca_certificate.pem()).unwrap();
    fs_err::write(dir.join("server.pem"), server.pem()).unwrap();
    fs_err::write(dir.join("server.key"), key.serialize_pem()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut client = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let client = client.signed_by(&key, &issuer).unwrap();
    fs_err::write(dir.join("client.pem"), client.pem()).unwrap();
    fs_err::write(dir.join("client.key"), key.serialize_pem()).unwrap();
}
