//! Writing the Docker config file: `executor login`, and its opposite.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use fs_err as fs;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::image::reference::DOCKER_HUB;
use crate::net::{Environment, Net, Secret};

use super::config::{ConfigFile, HUB_KEY, normal};
use super::{Error, discover, program};

/// Where a credential was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// In this file, readable by whoever reads the file.
    File(PathBuf),
    /// With this helper program.
    Helper(String),
}

/// Keeps a password for a registry, with the configured helper program if there is one, else in the config file.
///
/// The registry is not contacted. Every name of Docker Hub is filed under the key that Docker uses.
///
/// # Errors
/// [`Error::NoHome`] if there is no place for the file; else what the file or the helper said.
pub fn login(
    net: &Net,
    environment: &Environment,
    registry: &str,
    username: &str,
    password: &Secret,
) -> Result<Stored, Error> {
    let (path, mut document, config) = open(environment)?;
    let (scope, key) = names(registry);
    if let Some(name) = config.keeper(scope) {
        let input = json!({"ServerURL": key, "Username": username, "Secret": password.reveal()});
        let input = input.to_string();
        net.block_on(program::change(
            &name,
            "store",
            input.as_bytes(),
            environment,
        ))?;
        return Ok(Stored::Helper(name));
    }
    let pair = format!("{username}:{}", password.reveal());
    let auth = base64::engine::general_purpose::STANDARD.encode(pair);
    let auths = document.entry("auths").or_insert(Value::Null);
    if !auths.is_object() {
        *auths = json!({});
    }
    let entries = auths.as_object_mut().expect("made one above");
    entries.retain(|other, _| normal(other) != Some(scope)); // older spellings would answer too
    entries.insert(key.to_owned(), json!({ "auth": auth }));
    write(&path, &document)?;
    Ok(Stored::File(path))
}

/// Drops what is kept for a registry; tells whether there was anything in the file.
///
/// # Errors
/// As for [`login`].
pub fn logout(net: &Net, environment: &Environment, registry: &str) -> Result<bool, Error> {
    let (path, mut document, config) = open(environment)?;
    let (scope, key) = names(registry);
    if let Some(name) = config.keeper(scope) {
        net.block_on(program::change(&name, "erase", key.as_bytes(), environment))?;
    }
    let Some(entries) = document.get_mut("auths").and_then(Value::as_object_mut) else {
        return Ok(false);
    };
    let before = entries.len();
    entries.retain(|other, _| normal(other) != Some(scope));
    if entries.len() == before {
        return Ok(false);
    }
    write(&path, &document)?;
    Ok(true)
}

/// Returns what a registry is looked up by, and the key under which it is written.
fn names(registry: &str) -> (&str, &str) {
    match normal(registry) {
        Some(DOCKER_HUB) => (DOCKER_HUB, HUB_KEY),
        Some(scope) => (scope, scope),
        None => (registry, registry),
    }
}

fn open(environment: &Environment) -> Result<(PathBuf, Map<String, Value>, ConfigFile), Error> {
    let path = discover::docker(environment).ok_or(Error::NoHome)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(Error::Read { path, source }),
    };
    let origin = format!("file:{}", path.display());
    let config = ConfigFile::parse(&text, &origin)?;
    let document = match text.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| Error::Config {
            origin,
            source: error.into(),
        })?,
    };
    Ok((path, document, config))
}

/// Writes the file aside and moves it into place, so that it is never half there; mode 0600 in a directory of 0700.
fn write(path: &Path, document: &Map<String, Value>) -> Result<(), Error> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    document
        .serialize(&mut serializer)
        .expect("JSON values serialise to memory");
    text.push(b'\n');
    // a symbolic link stays one
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    replace(path, &text).map_err(|source| Error::Write {
        path: path.clone(),
        source,
    })
}

fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().expect("the file has a directory");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let mut aside = tempfile::NamedTempFile::new_in(directory)?; // mode 0600
    aside.write_all(text)?;
    if aside.persist(path).is_ok() {
        return Ok(());
    }
    // a file that is a mount point can only be written in place
    let mut file = fs::File::create(path)?;
    file.write_all(text)?;
    file.set_permissions(PermissionsExt::from_mode(0o600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::testing;

    struct Home(tempfile::TempDir, Net);

    impl Home {
        fn new(config: Option<&str>) -> Self {
            let net = Net::new(crate::net::Options { http1_only: false }).unwrap();
            let home = Self(tempfile::tempdir().unwrap(), net);
            if let Some(config) = config {
                fs::create_dir(home.file().parent().unwrap()).unwrap();
                fs::write(home.file(), config).unwrap();
            }
            home
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("docker/config.json")
        }

        fn environment(&self) -> Environment {
            let bin = format!("{}:/usr/bin:/bin", self.0.path().display());
            let directory = self.0.path().join("docker").display().to_string();
            let pairs = [("DOCKER_CONFIG", directory), ("PATH", bin)];
            Environment(pairs.map(|(k, v)| (k.to_owned(), v)).into())
        }

        fn login(&self, registry: &str) -> Stored {
            let password = Secret::new("p");
            login(&self.1, &self.environment(), registry, "u", &password).unwrap()
        }

        fn text(&self) -> String {
            fs::read_to_string(self.file()).unwrap()
        }
    }

    #[test]
    fn login_writes_a_private_file_and_keeps_the_rest() {
        let home = Home::new(None);
        assert_eq!(home.login("r.io:5000"), Stored::File(home.file()));
        let want =
            "{\n\t\"auths\": {\n\t\t\"r.io:5000\": {\n\t\t\t\"auth\": \"dTpw\"\n\t\t}\n\t}\n}\n";
        assert_eq!(home.text(), want);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.file()), 0o600);
        assert_eq!(mode(home.file().parent().unwrap()), 0o700);

        let home = Home::new(Some(
            r#"{"proxies":{"x":1},"auths":{"a.io":{"auth":"YTpi"}}}"#,
        ));
        home.login("r.io");
        let value: Value = serde_json::from_str(&home.text()).unwrap();
        let want =
            json!({"proxies":{"x":1},"auths":{"a.io":{"auth":"YTpi"},"r.io":{"auth":"dTpw"}}});
        assert_eq!(value, want);
    }

    #[test]
    fn every_name_of_docker_hub_is_one_entry() {
        let home = Home::new(Some(r#"{"auths":{"docker.io":{"auth":"b2xkOnA="}}}"#));
        for name in ["docker.io", "index.docker.io", HUB_KEY] {
            home.login(name);
            let value: Value = serde_json::from_str(&home.text()).unwrap();
            assert_eq!(value, json!({"auths":{HUB_KEY:{"auth":"dTpw"}}}), "{name}");
        }
    }

    #[test]
    fn logout_forgets() {
        let home = Home::new(None);
        home.login("r.io");
        let environment = home.environment();
        assert!(logout(&home.1, &environment, "https://r.io").unwrap());
        assert!(!logout(&home.1, &environment, "r.io").unwrap());
        assert!(!home.text().contains("dTpw"));
    }

    #[test]
    fn a_configured_helper_keeps_the_password() {
        let home = Home::new(Some(r#"{"credsStore":"keep"}"#));
        let helper = home.0.path().join("docker-credential-keep");
        let kept = home.0.path().join("kept");
        let script = format!("echo $1 >> {0}; cat >> {0}", kept.display());
        testing::script(&helper, &script);
        assert_eq!(home.login("docker.io"), Stored::Helper("keep".to_owned()));
        let input = fs::read_to_string(kept).unwrap();
        assert_eq!(
            input,
            format!("store\n{{\"Secret\":\"p\",\"ServerURL\":\"{HUB_KEY}\",\"Username\":\"u\"}}")
        );
        assert!(!home.text().contains("auths"));
    }
}
