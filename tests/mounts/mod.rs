//! `RUN --mount`, with what a command sees of it written into the image: on this machine, where RUN has namespaces, and in a
//! container, where it runs in place, with one result.

mod bind;
mod cache;
mod secrets;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use expect_test::{Expect, expect};
use tempfile::TempDir;

use crate::support::container::{self, Container};
use crate::support::{Finished, Image, Registry, base, requires, tool};

const EPOCH: &str = "1000000000";
const TOKEN: &str = "hunter2-is-a-secret";

/// A context, a registry, and a directory for each way to build.
struct Bench {
    registry: Registry,
    base: String,
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let registry = Registry::plain();
        let dir = tempfile::tempdir().unwrap();
        for name in ["context/dir", "kaniko", "image/kaniko", "upper", "cache"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        let bench = Self {
            base: base::push(&registry),
            registry,
            dir,
        };
        fs_err::set_permissions(bench.path("context"), PermissionsExt::from_mode(0o700)).unwrap();
        bench.write("context/app.txt", "app\n");
        bench.write("context/ignored.txt", "not for the build\n");
        bench.write("context/dir/deep.txt", "deep\n");
        bench.write(
            "context/.dockerignore",
            "ignored.txt\nDockerfile\n.dockerignore\n",
        );
        bench.write("file-secret", TOKEN);
        let executor = bench.path("image/kaniko/executor");
        fs_err::copy(env!("CARGO_BIN_EXE_executor"), executor).unwrap();
        let _agent = UnixListener::bind(bench.path("agent")).unwrap();
        let key = bench.path("key").display().to_string();
        tool("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", &key]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    fn dockerfile(&self, text: &str) {
        let text = text.replace("BASE", &self.base);
        self.write("context/Dockerfile", &text);
    }

    fn args(&self, context: &Path, name: &str, more: &[&str]) -> Vec<String> {
        let args = ["--log-format=text", "--destination"].map(str::to_owned);
        let tag = format!("{}/{name}", self.registry.host());
        let own = ["--context".to_owned(), context.display().to_string()];
        let more = more.iter().map(|arg| arg.to_string());
        args.into_iter()
            .chain([tag])
            .chain(own)
            .chain(more)
            .collect()
    }

    /// Builds on this machine; `AT` in arguments is where secrets and the agent are.
    fn on_host(&self, more: &[&str]) -> Finished {
        let here = self.dir.path().display().to_string();
        let more: Vec<String> = more.iter().map(|arg| arg.replace("AT", &here)).collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_executor"))
            .args(self.args(&self.path("context"), "host", &more))
            .current_dir(self.path("cache"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KANIKO_DIR", self.path("kaniko"))
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .env("TOKEN", TOKEN)
            .output();
        output.unwrap().into()
    }

    /// Builds in a container that permits nothing but renaming; its root stays from call to call.
    fn in_place(&self, more: &[&str]) -> Finished {
        let image = self.path("image");
        let mut container = self.container(&image);
        container.upper = Some(self.path("upper/upper"));
        self.in_container(&container, more)
    }

    fn container<'a>(&self, image: &'a Path) -> Container<'a> {
        let mut container = Container::new(image);
        container.volume(&self.path("context"), "/workspace", true);
        container.volume(&self.path("agent"), "/outside/agent", false);
        container.volume(&self.path("key"), "/outside/key", true);
        container.volume(&self.path("file-secret"), "/outside/file-secret", true);
        container.env.push(("SOURCE_DATE_EPOCH", EPOCH.to_owned()));
        container.env.push(("TOKEN", TOKEN.to_owned()));
        container
    }

    fn in_container(&self, container: &Container<'_>, more: &[&str]) -> Finished {
        let more: Vec<String> = more
            .iter()
            .map(|arg| arg.replace("AT", "/outside"))
            .collect();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let args = self.args(Path::new("/workspace"), "container", &more);
        let args = ["/kaniko/executor".to_owned()].into_iter().chain(args);
        container.run(args).into()
    }

    fn image(&self, name: &str) -> Image {
        Image::pull(&self.registry, &format!("{}/{name}", self.registry.host()))
    }

    /// Builds in both ways and returns the image, which must be the same.
    #[track_caller]
    fn both(&self, dockerfile: &str, more: &[&str]) -> Image {
        self.dockerfile(dockerfile);
        let host = self.on_host(more).succeeded();
        let image = self.image("host");
        if container::possible() {
            let inside = self.in_place(more).succeeded();
            assert!(inside.stderr.contains("in-place"), "{inside}");
            let other = self.image("container");
            assert_eq!(image.manifest, other.manifest, "{host}\n{inside}");
            for finished in [&host, &inside] {
                assert!(!finished.stderr.contains(TOKEN), "{finished}");
            }
        }
        image
    }

    /// Builds in both ways, and neither may succeed.
    #[track_caller]
    fn neither(&self, dockerfile: &str, more: &[&str], code: i32, message: &str) {
        self.dockerfile(dockerfile);
        self.on_host(more).failed(code, message);
        if container::possible() {
            self.in_place(more).failed(code, message);
        }
        assert_eq!(self.registry.tags("host"), [""; 0]);
    }
}

/// Builds one RUN after others, whose output goes to `/out`, and compares that and what else is in its layer.
#[track_caller]
fn check(bench: &Bench, before: &str, run: &str, args: &[&str], want: Expect) {
    let dockerfile = format!("{before}\nRUN {run}\n");
    let image = bench.both(&dockerfile, args);
    let out = image.text("out");
    let last = image.layer_count() - 1;
    let layer: Vec<String> = image
        .layer(last)
        .lines()
        .map(|line| line.rsplit(' ').next().unwrap().to_owned())
        .filter(|name| name != "out")
        .collect();
    want.assert_eq(&format!("{out}layer: {}\n", layer.join(" ")));
}

const STAGES: &str = "FROM BASE AS b\n\
    RUN mkdir -p /o/d && echo file > /o/f && echo g > /o/d/g && chown 5:6 /o/f && chmod 640 /o/f && ln -s f /o/l && chmod 711 /o\n\
    FROM BASE\nWORKDIR /w\nARG V=expanded";

#[test]
fn tmpfs() {
    requires!(root);
    let bench = Bench::new();
    let run = "--mount=type=tmpfs,target=/t,size=64m --mount=type=tmpfs,target=/var/lib stat -c %a /t > /out && ls -A /t /var/lib | grep -v : >> /out; touch /t/x /var/lib/y";
    let want = expect![[r#"
        1777

        layer: 
    "#]];
    check(&bench, STAGES, run, &[], want);
    bench.dockerfile(
        "FROM BASE\nRUN --mount=type=tmpfs,target=/t,size=64m grep ' /t ' /proc/mounts > /out\n",
    );
    bench.on_host(&[]).succeeded();
    let mounted = bench.image("host").text("out");
    assert!(mounted.contains("size=65536k"), "{mounted}");
    if container::possible() {
        bench.dockerfile("FROM BASE\nRUN --mount=type=tmpfs,target=/t,size=64m true\n");
        let finished = bench.in_place(&[]).succeeded();
        assert!(
            finished
                .stderr
                .contains("the size of the tmpfs at /t is not limited"),
            "{finished}"
        );
    }
}

#[test]
fn mounts_that_change_nothing_leave_an_empty_layer() {
    requires!(root);
    let bench = Bench::new();
    let image = bench.both(
        "FROM BASE\nRUN --mount=target=/deep/er/s --mount=type=cache,target=/var/lib/c --mount=type=tmpfs,target=/home/app/t --mount=type=secret,id=t \
         --mount=type=ssh --mount=from=BASE,source=/etc/passwd,target=/etc/new true\n",
        &["--secret=id=t,env=TOKEN", "--ssh=default=AT/agent"],
    );
    assert_eq!(image.layer(image.layer_count() - 1), "");
}

#[test]
fn chroot_says_that_it_cannot() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let bench = Bench::new();
    bench.dockerfile("FROM BASE\nRUN --mount=type=cache,target=/c true\n");
    let image = bench.path("image");
    let container = bench.container(&image);
    bench
        .in_container(&container, &["--isolation=chroot"])
        .failed(
            1,
            "`--mount=type=cache` needs namespaces or running in place",
        );
    bench
        .in_container(&container, &["--isolation=in-place"])
        .succeeded();
    bench.dockerfile("FROM BASE\nRUN --network=none true\n");
    bench
        .in_container(&container, &["--isolation=in-place"])
        .failed(1, "`--network=none` needs namespaces");
}

#[test]
fn networks() {
    requires!(root);
    let bench = Bench::new();
    bench.dockerfile(
        "FROM BASE\nRUN --network=none cut -d: -f1 /proc/net/dev | tail -n +3 | tr -d ' ' > /none\n\
         RUN --network=host readlink /proc/self/ns/net > /host\nRUN --network=default readlink /proc/self/ns/net > /default\n",
    );
    bench.on_host(&[]).succeeded();
    let image = bench.image("host");
    assert_eq!(image.text("none"), "lo\n");
    assert_eq!(image.text("host"), image.text("default"));
}
