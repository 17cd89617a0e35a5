//! Builds of cases: by the executor on this machine, and in a container, many one after another.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::case::Case;
use super::{files, servers};
use crate::support::container::{Capabilities, Container};
use crate::support::{Registry, Web, base, tool};

/// `SOURCE_DATE_EPOCH` of every build that does not ask for moments, so that equal builds give equal digests.
pub const EPOCH: &str = "1000000000";

/// A directory with the work directory of each case, and a registry with the base images.
pub struct Place {
    pub registry: Registry,
    /// Diff ids of the layers of base images.
    pub known: Vec<String>,
    _web: Web,
    dir: TempDir,
}

/// How a build ended.
pub struct Outcome {
    pub status: i32,
    pub log: String,
    /// Empty if there is none.
    pub digest: String,
}

impl Place {
    /// Makes everything that the cases want, and fills in where it is.
    pub fn new(cases: &mut [Case]) -> Self {
        let registry = Registry::plain();
        let known = super::bases::push(&registry);
        let dir = tempfile::Builder::new()
            .prefix("conformance-")
            .tempdir()
            .unwrap();
        let place = Self {
            _web: servers::serve(dir.path(), cases),
            registry,
            known,
            dir,
        };
        if cases.iter().any(|case| case.wants("oci-layout:")) {
            place.make_layout();
        }
        for case in &*cases {
            let context = place.work(case).join("context");
            fs_err::create_dir_all(&context).unwrap();
            files::make(&context, &case.context, &case.dockerfile);
            let beside = place.work(case).join("beside");
            fs_err::create_dir_all(&beside).unwrap();
            files::make(&beside, &case.beside, &case.dockerfile);
            fs_err::write(place.work(case).join("Dockerfile"), &case.dockerfile).unwrap();
            for isolation in ["namespaces", "in-place", "buildah"] {
                let out = place.path("out").join(isolation).join(&case.name);
                fs_err::create_dir_all(&out).unwrap();
                if isolation != "buildah" {
                    fs_err::create_dir(out.join("output")).unwrap();
                }
            }
        }
        place
    }

    /// Makes an OCI layout of the image `parent`.
    fn make_layout(&self) {
        let from = format!("docker://{}/library/parent", self.registry.host());
        let to = format!("oci:{}:v1", self.path("layout").display());
        tool(
            "skopeo",
            ["copy", "--quiet", "--src-tls-verify=false", &from, &to],
        );
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Returns the directory with the Dockerfile, the context and what is beside it.
    pub fn work(&self, case: &Case) -> PathBuf {
        self.path("work").join(&case.name)
    }

    /// Returns the directory in which the builds of a case leave what they made.
    pub fn out(&self, case: &Case, isolation: &str) -> PathBuf {
        self.path("out").join(isolation).join(&case.name)
    }

    /// Returns the executor's arguments, for a work directory in `work/CASE` and outputs in `out/OUT/CASE`.
    fn args(&self, case: &Case, isolation: &str, out: &str) -> Vec<String> {
        let with_layout = out == "namespaces" || case.expected.moments.is_some();
        let out = format!("../../out/{out}/{}", case.name);
        let mut args = vec![
            "--context=context".to_owned(),
            "--no-push".into(),
            "--log-format=text".into(),
            "--skip-default-registry-fallback".into(),
            format!("--registry-mirror={}", self.registry.host()),
            format!("--isolation={isolation}"),
            format!("--digest-file={out}/digest"),
        ];
        if with_layout {
            args.push(format!("--oci-layout-path={out}/layout"));
        }
        if !case.args.iter().any(|arg| arg.starts_with("--dockerfile")) {
            args.push("--dockerfile=Dockerfile".into());
        }
        args.extend(
            case.args
                .iter()
                .map(|arg| arg.replace("[OUT]", &format!("{out}/output"))),
        );
        args
    }

    /// Builds a case on this machine.
    pub fn on_the_host(&self, case: &Case) -> Outcome {
        self.on_the_host_into("namespaces", case, &[])
    }

    /// Builds a case on this machine with further arguments; what comes out goes to `out/OUT/CASE`.
    pub fn on_the_host_into(&self, out: &str, case: &Case, more: &[String]) -> Outcome {
        let args = self.args(case, "namespaces", out);
        let out = self.out(case, out);
        let kaniko = out.join("kaniko");
        fs_err::create_dir_all(&kaniko).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_executor"))
            .args(args)
            .args(more)
            .current_dir(self.work(case))
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &out)
            .env("KANIKO_DIR", &kaniko)
            .envs(epoch(case).map(|epoch| ("SOURCE_DATE_EPOCH", epoch)))
            .output()
            .unwrap();
        let mut log = String::from_utf8_lossy(&output.stderr).into_owned();
        log += &String::from_utf8_lossy(&output.stdout);
        Outcome {
            status: output.status.code().unwrap_or(-1),
            log,
            digest: fs_err::read_to_string(out.join("digest")).unwrap_or_default(),
        }
    }

    /// Builds cases in one container, one after another.
    pub fn in_a_container<'c>(&self, cases: &[&'c Case]) -> Vec<(&'c Case, Outcome)> {
        let image = tempfile::tempdir_in(self.dir.path()).unwrap();
        container_image(image.path());
        let mut script = String::new();
        for case in cases {
            let args: Vec<String> = self
                .args(case, "in-place", "in-place")
                .iter()
                .map(|arg| quote(arg))
                .collect();
            let (name, args) = (&case.name, args.join(" "));
            let out = format!("/cases/out/in-place/{name}");
            let epoch =
                epoch(case).map_or(String::new(), |epoch| format!("SOURCE_DATE_EPOCH={epoch} "));
            script += &format!(
                "cd /cases/work/{name}; {epoch}/kaniko/executor {args} >{out}/log 2>&1; echo $? >{out}/status\n"
            );
        }
        let name = image.path().file_name().unwrap().to_str().unwrap();
        fs_err::write(self.path(&format!("{name}.sh")), script).unwrap();
        let mut container = Container::new(image.path());
        container.capabilities = Capabilities::Docker;
        container.volume(self.dir.path(), "/cases", false);
        // As every runtime has them.
        for file in ["hosts", "resolv.conf"] {
            let own = self.path(&format!("{name}.{file}"));
            fs_err::write(&own, "127.0.0.1 localhost\n").unwrap();
            container.volume(&own, &format!("/etc/{file}"), false);
        }
        let output = container.run(["/busybox/busybox", "sh", &format!("/cases/{name}.sh")]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}\n{told}", output.status);
        let read = |case: &Case, name: &str| {
            let bytes = fs_err::read(self.out(case, "in-place").join(name));
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        };
        let outcome = |case: &Case| Outcome {
            status: read(case, "status").trim().parse().unwrap_or(-1),
            log: read(case, "log"),
            digest: read(case, "digest"),
        };
        cases.iter().map(|case| (*case, outcome(case))).collect()
    }
}

/// Returns the fixed time of a case's builds, if they have one.
fn epoch(case: &Case) -> Option<&'static str> {
    case.expected.moments.is_none().then_some(EPOCH)
}

/// Makes an image with the executor and a shell that starts it.
fn container_image(root: &Path) {
    for dir in ["kaniko", "busybox", "tmp", "etc"] {
        fs_err::create_dir(root.join(dir)).unwrap();
    }
    fs_err::copy(env!("CARGO_BIN_EXE_executor"), root.join("kaniko/executor")).unwrap();
    fs_err::copy(base::busybox(), root.join("busybox/busybox")).unwrap();
}

/// Quotes a word for a shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
