//! The place in which a test builds: a context, a kaniko dir, a registry, an empty environment.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::{Image, Registry, base, listing};

/// A context directory with everything around it; all of it goes with the value.
pub struct Sandbox {
    dir: TempDir,
    pub registry: Registry,
    env: Vec<(OsString, OsString)>,
}

/// What a run of the executor left behind.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    /// Makes a sandbox with a plain registry.
    pub fn new() -> Self {
        Self::with(Registry::plain())
    }

    pub fn with(registry: Registry) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["context", "kaniko", "home"] {
            fs_err::create_dir(dir.path().join(name)).unwrap();
        }
        Self {
            dir,
            registry,
            env: Vec::new(),
        }
    }

    /// Sets a variable for later runs.
    pub fn env(&mut self, key: &str, value: impl Into<OsString>) {
        self.env.push((key.into(), value.into()));
    }

    /// Returns a path outside the context.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn context(&self) -> PathBuf {
        self.path("context")
    }

    /// Writes a file of the context, with its directories.
    pub fn file(&self, path: &str, mode: u32, content: impl AsRef<[u8]>) {
        let path = self.context().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(&path, content).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub fn dockerfile(&self, text: &str) {
        self.file("Dockerfile", 0o644, text);
    }

    /// Returns a reference in the sandbox's registry.
    pub fn tag(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host())
    }

    /// Pushes the base image and returns its reference.
    pub fn base(&self) -> String {
        base::push(&self.registry)
    }

    /// Runs the executor with nothing but `args`.
    pub fn executor<S: AsRef<std::ffi::OsStr>>(
        &self,
        args: impl IntoIterator<Item = S>,
    ) -> Finished {
        self.command(args).output().unwrap().into()
    }

    /// Returns the command that [`Sandbox::executor`] runs.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_executor"));
        command
            .args(args)
            .current_dir(self.path("home"))
            .env_clear()
            .env("HOME", self.path("home"))
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("KANIKO_DIR", self.path("kaniko"))
            .envs(std::env::vars_os().filter(|(name, _)| name == "EXECUTOR_SHORTCUTS"))
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null());
        command
    }

    /// Runs a build of the context; arguments are added to `--context`, and to `--jobs` if `EXECUTOR_JOBS` asks for a number of them.
    pub fn build<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Finished {
        let mut all: Vec<OsString> = vec![
            "--context".into(),
            self.context().into(),
            "--log-format=text".into(),
        ];
        if let Ok(jobs) = std::env::var("EXECUTOR_JOBS") {
            all.push(format!("--jobs={jobs}").into());
        }
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self.executor(all)
    }

    /// Builds a context that is elsewhere and pushes it as `app`; nothing stays in the kaniko dir.
    pub fn build_from(&self, context: &str, args: &[&str]) -> Finished {
        let tag = self.tag("app");
        let all = [
            "--log-format=text",
            "--context",
            context,
            "--destination",
            &tag,
        ];
        let finished = self.executor(all.iter().chain(args));
        assert_eq!(self.kaniko_dir(), "", "nothing left in the kaniko dir");
        finished
    }

    /// Pulls what was pushed as `app`.
    pub fn pull(&self) -> Image {
        Image::pull(&self.registry, &self.tag("app"))
    }

    /// Builds the context, pushes it as `name` and pulls it back.
    pub fn build_and_pull<S: AsRef<std::ffi::OsStr>>(
        &self,
        name: &str,
        args: impl IntoIterator<Item = S>,
    ) -> Image {
        let tag = self.tag(name);
        let mut all: Vec<OsString> = vec!["--destination".into(), tag.clone().into()];
        all.extend(args.into_iter().map(|a| a.as_ref().to_owned()));
        self.build(all).succeeded();
        Image::pull(&self.registry, &tag)
    }

    /// Lists the kaniko dir, which a finished build leaves as it was.
    pub fn kaniko_dir(&self) -> String {
        listing::tree(&self.path("kaniko"), listing::Detail::default())
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// Panics with everything that was printed unless the run succeeded.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Panics with everything that was printed unless the run ended with `code` and told `message`.
    #[track_caller]
    pub fn failed(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert!(
            self.stderr.contains(message),
            "`{message}` is missing in\n{self}"
        );
        self
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit status {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.code, self.stdout, self.stderr
        )
    }
}
