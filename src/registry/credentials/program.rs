//! Credential helper programs: `docker-credential-<name>`.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::net::{Environment, Secret};

use super::{Credential, Error};

const LIMIT: Duration = Duration::from_secs(60);
const OUTPUT_LIMIT: u64 = 1 << 20;
/// The name that marks an identity token instead of a password.
const TOKEN_USER: &str = "<token>";
/// What helpers write on standard output when they have no credential; the protocol has nothing better.
const ABSENT: &[&str] = &[
    "credentials not found in native keychain",
    "no credentials server URL",
    "no credentials username",
];

#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// Asks a helper for the credential of `key`; `None` if it has none.
///
/// # Errors
/// A helper that is missing, fails or does not answer in time is an error: the user has named it.
pub(super) async fn get(
    name: &str,
    key: &str,
    environment: &Environment,
) -> Result<Option<Credential>, Error> {
    let run = run(name, "get", key.as_bytes(), environment, LIMIT).await?;
    if !run.success {
        let text = String::from_utf8_lossy(&run.stdout);
        if ABSENT.iter().any(|phrase| text.trim().starts_with(phrase)) {
            return Ok(None);
        }
        return Err(run.failed());
    }
    let program = run.program;
    let found: Found =
        serde_json::from_slice(&run.stdout).map_err(|_| Error::Answer { program })?;
    if found.secret.is_empty() {
        return Ok(None);
    }
    let secret = Secret::new(found.secret);
    Ok(Some(match found.username.as_str() {
        TOKEN_USER => Credential::Identity {
            username: found.username,
            token: secret,
        },
        _ => Credential::Basic {
            username: found.username,
            password: secret,
        },
    }))
}

/// Has a helper keep (`store`) or drop (`erase`) a credential.
pub(super) async fn change(
    name: &str,
    action: &str,
    input: &[u8],
    environment: &Environment,
) -> Result<(), Error> {
    let run = run(name, action, input, environment, LIMIT).await?;
    if run.success {
        Ok(())
    } else {
        Err(run.failed())
    }
}

struct Run {
    program: String,
    success: bool,
    status: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Run {
    /// Standard output is not shown: it may be the secret.
    fn failed(self) -> Error {
        let text = String::from_utf8_lossy(&self.stderr);
        let message = text.trim().lines().last().unwrap_or("it says nothing");
        Error::Failed {
            program: self.program,
            status: self.status,
            message: message.chars().take(300).collect(),
        }
    }
}

async fn run(
    name: &str,
    action: &str,
    input: &[u8],
    environment: &Environment,
    limit: Duration,
) -> Result<Run, Error> {
    let program = format!("docker-credential-{name}");
    if name.contains('/') {
        return Err(Error::NoProgram { program });
    }
    let mut command = Command::new(&program);
    command
        .arg(action)
        .env_clear()
        .envs(&environment.0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::NoProgram { program });
        }
        Err(source) => return Err(Error::Run { program, source }),
    };
    // dropping the child, when time is over, kills it
    match tokio::time::timeout(limit, talk(child, input)).await {
        Err(_) => Err(Error::Timeout { program, limit }),
        Ok(Err(source)) => Err(Error::Run { program, source }),
        Ok(Ok((status, stdout, stderr))) => Ok(Run {
            program,
            success: status.success(),
            status: status.to_string(),
            stdout,
            stderr,
        }),
    }
}

async fn talk(
    mut child: Child,
    input: &[u8],
) -> io::Result<(std::process::ExitStatus, Vec<u8>, Vec<u8>)> {
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped").take(OUTPUT_LIMIT);
    let mut stderr = child.stderr.take().expect("it is piped").take(OUTPUT_LIMIT);
    let write = async move {
        // a helper that does not read its input may still answer
        if let Err(error) = stdin.write_all(input).await {
            tracing::debug!(%error, "a credential helper did not read its input");
        }
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let ((), out_read, err_read) = tokio::join!(
        write,
        stdout.read_to_end(&mut out),
        stderr.read_to_end(&mut err)
    );
    out_read?;
    err_read?;
    Ok((child.wait().await?, out, err))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Net, Options};
    use crate::registry::testing;

    fn net() -> Net {
        Net::new(Options { http1_only: false }).unwrap()
    }

    /// Makes an environment in which `docker-credential-test` is this shell script.
    fn helper(script: &str) -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("docker-credential-test");
        testing::script(&path, script);
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        (dir, Environment([("PATH".to_owned(), path)].into()))
    }

    fn get_from(script: &str) -> Result<Option<Credential>, Error> {
        let (_dir, environment) = helper(script);
        net().block_on(get("test", "r.io", &environment))
    }

    #[test]
    fn a_helper_answers_on_standard_output() {
        let script =
            r#"read key; printf '{"ServerURL":"%s","Username":"%s","Secret":"s"}' "$key" "$key""#;
        let want = Credential::Basic {
            username: "r.io".to_owned(),
            password: Secret::new("s"),
        };
        assert_eq!(get_from(script).unwrap(), Some(want));
        let script = r#"cat >/dev/null; echo '{"Username":"<token>","Secret":"s"}'"#;
        let want = Credential::Identity {
            username: TOKEN_USER.to_owned(),
            token: Secret::new("s"),
        };
        assert_eq!(get_from(script).unwrap(), Some(want));
    }

    #[test]
    fn absence_is_no_failure() {
        let absent = "echo 'credentials not found in native keychain'; exit 1";
        assert_eq!(get_from(absent).unwrap(), None);
        let failure = get_from("echo top-secret; echo locked >&2; exit 3").unwrap_err();
        let text = failure.to_string();
        assert!(
            text.contains("locked") && !text.contains("top-secret"),
            "{text}"
        );
        assert!(matches!(
            get_from("echo no json"),
            Err(Error::Answer { .. })
        ));
    }

    #[test]
    fn a_missing_helper_and_a_slow_one_are_told_apart() {
        let (_dir, environment) = helper("exec sleep 600");
        let net = net();
        let missing = net.block_on(get("none-such", "r.io", &environment));
        assert!(matches!(missing, Err(Error::NoProgram { .. })));
        let slow = run("test", "get", b"", &environment, Duration::from_millis(50));
        assert!(matches!(net.block_on(slow), Err(Error::Timeout { .. })));
    }
}
