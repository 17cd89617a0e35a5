//! The same build in every place it has to work in, with one result.
//!
//! Every input is newer than `SOURCE_DATE_EPOCH` and every command deterministic, so the image's digest must not depend on how
//! commands are isolated.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use expect_test::expect;
use tempfile::TempDir;

use crate::in_place::listing::{self, Without};
use crate::support::container::{self, Capabilities, Container, Seccomp};
use crate::support::{Registry, Sandbox, base, requires, tool};

const EPOCH: &str = "1000000000";

/// A context, a registry that has the base, and a directory for what a build writes.
struct Place {
    registry: Registry,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let registry = Registry::plain();
        let dir = tempfile::tempdir().unwrap();
        for name in ["context", "out", "image/kaniko"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        let base = base::push_like_a_container(&registry);
        let place = Self { registry, dir };
        place.write("context/app.txt", "app\n");
        place.write("context/Dockerfile", &dockerfile(&base));
        fs_err::copy(
            env!("CARGO_BIN_EXE_executor"),
            place.path("image/kaniko/executor"),
        )
        .unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path(name), text).unwrap();
    }

    /// Returns a container of an image that holds nothing but the executor, with the context and an output volume.
    fn container<'a>(&self, image: &'a Path) -> Container<'a> {
        let mut container = Container::new(image);
        container.volume(&self.path("context"), "/workspace", true);
        container.volume(&self.path("out"), "/results", false);
        container.env.push(("SOURCE_DATE_EPOCH", EPOCH.to_owned()));
        container
    }

    /// Builds in a container and returns the digest.
    fn digest(&self, container: &Container<'_>, isolation: &str) -> String {
        let output = container.run(
            ["/kaniko/executor".to_owned()]
                .into_iter()
                .chain(self.args()),
        );
        self.check(&output, isolation)
    }

    fn args(&self) -> Vec<String> {
        let tag = format!("{}/app", self.registry.host());
        let args = [
            "--context=dir:///workspace",
            "--digest-file=/results/digest",
            "--log-format=text",
            "--destination",
            &tag,
        ];
        args.map(str::to_owned).into()
    }

    fn check(&self, output: &Output, isolation: &str) -> String {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{}\n{stderr}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(
            stderr.contains(isolation),
            "`{isolation}` is missing in\n{stderr}"
        );
        fs_err::read_to_string(self.path("out/digest")).unwrap()
    }
}

/// Two stages on a base that has `/kaniko`, `/workspace` and `/var/run` itself; commands move and replace what the container
/// has mounts in.
fn dockerfile(base: &str) -> String {
    format!(
        "FROM {base} AS builder\nCOPY app.txt /src/\nRUN mkdir -p /out/deep && cp /src/app.txt /out/deep/ && ln -s app.txt /out/deep/link && chmod 4711 /out/deep/app.txt\n\
         FROM {base}\nCOPY --from=builder /out /opt\nRUN mv /etc /etc.old && mv /etc.old /etc && rm -rf /var/lib && echo done > /etc/stamp\n\
         RUN mv /etc /etc.old && mkdir /etc && cp /etc.old/passwd /etc.old/group /etc/\n\
         WORKDIR /home/app\nUSER app\nRUN id -u > who && mkfifo pipe && ln who twin\nUSER root\n\
         RUN chown -R 0:0 /bin && rm -f /etc/group && cat /kaniko/own /var/run/own > /kaniko/file && rm /kaniko/executor\n"
    )
}

/// What the same build gives on this machine, without a container.
fn on_the_host(place: &Place, work: &str) -> String {
    let mut t = Sandbox::new();
    t.env("SOURCE_DATE_EPOCH", EPOCH);
    t.env("KANIKO_DIR", place.path(work));
    let (context, digest) = (place.path("context"), place.path("out/host"));
    let tag = format!("{}/host", place.registry.host());
    let args = [
        "--context",
        context.to_str().unwrap(),
        "--digest-file",
        digest.to_str().unwrap(),
        "--destination",
        &tag,
    ];
    t.executor(args).succeeded();
    fs_err::read_to_string(digest).unwrap()
}

/// What it gives to a user of this machine who has subordinate ids.
fn as_a_user(place: &Place) -> String {
    let (kaniko, digest) = (place.path("user-kaniko"), place.path("user-out"));
    for dir in [&kaniko, &digest] {
        fs_err::create_dir(dir).unwrap();
        give_to_nobody(dir);
    }
    rustix::fs::chmod(place.dir.path(), rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    let ids = place.path("ids");
    fs_err::write(&ids, "65534:300000:65536\n").unwrap();
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(&ids)
        .arg(env!("CARGO_BIN_EXE_executor"))
        .arg("--context")
        .arg(place.path("context"))
        .arg("--digest-file")
        .arg(digest.join("digest"))
        .args(["--destination", &format!("{}/user", place.registry.host())])
        .arg("--log-format=text")
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", &kaniko)
        .env("KANIKO_DIR", &kaniko)
        .env("SOURCE_DATE_EPOCH", EPOCH)
        .current_dir(&kaniko)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("namespaces: mount"), "{stderr}");
    fs_err::read_to_string(digest.join("digest")).unwrap()
}

fn give_to_nobody(path: &Path) {
    let id = 65534;
    let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
    rustix::fs::chown(path, Some(uid), Some(gid)).unwrap();
}

#[test]
fn one_digest_in_every_container() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let image = place.path("image");
    let mut digests = BTreeSet::from([on_the_host(&place, "kaniko"), as_a_user(&place)]);
    for capabilities in [Capabilities::Docker, Capabilities::CriO] {
        let mut container = place.container(&image);
        container.capabilities = capabilities;
        digests.insert(place.digest(&container, "in-place"));
    }
    let mut permitting = place.container(&image);
    permitting.seccomp = Seccomp::Unconfined;
    digests.insert(place.digest(&permitting, "namespaces"));
    permitting.capabilities = Capabilities::CriO;
    digests.insert(place.digest(&permitting, "namespaces"));
    assert_eq!(digests.len(), 1, "{digests:?}");
}

#[test]
fn volumes_stay_out_of_the_way() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let image = place.path("image");
    for dir in ["cache", "m2", "token"] {
        fs_err::create_dir(place.path(dir)).unwrap();
        place.write(&format!("{dir}/content"), "content of a volume\n");
    }
    place.write("secret", "a key\n");
    let want = on_the_host(&place, "kaniko");
    let mut container = place.container(&image);
    container.volume(&place.path("cache"), "/cache", false);
    container.volume(&place.path("m2"), "/root/.m2", false);
    container.volume(&place.path("secret"), "/secret", true);
    container.volume(
        &place.path("token"),
        "/var/run/secrets/kubernetes.io/serviceaccount",
        true,
    );
    container.volume(Path::new("/etc/resolv.conf"), "/etc/resolv.conf", true);
    let output = container.run(
        ["/kaniko/executor".to_owned()]
            .into_iter()
            .chain(place.args()),
    );
    assert_eq!(place.check(&output, "in-place"), want);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let told = "commands see this container's mounts at `/cache`, `/results`, `/root/.m2`, `/secret`, `/workspace`, which are not part of the image";
    assert!(stderr.contains(told), "`{told}` is missing in\n{stderr}");
    for dir in ["cache", "m2", "token"] {
        assert_eq!(
            fs_err::read_to_string(place.path(dir).join("content")).unwrap(),
            "content of a volume\n"
        );
    }
}

#[test]
fn a_second_build_in_the_same_container_starts_clean() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let image = place.path("image");
    with_shell(&image);
    let want = on_the_host(&place, "kaniko");
    let args = place.args().join(" ");
    let script = format!(
        "/kaniko/executor {args} && cp /results/digest /results/first && /kaniko/executor {args}"
    );
    let output = place
        .container(&image)
        .run(["/busybox/busybox", "sh", "-c", &script]);
    assert_eq!(place.check(&output, "in-place"), want);
    assert_eq!(
        fs_err::read_to_string(place.path("out/first")).unwrap(),
        want
    );
}

/// Lists all that a container's owner could notice, but for the root itself, whose time moves with the work directory in it.
fn listed(container: &Container<'_>, links: bool) -> Vec<String> {
    container.look(|root| {
        let mounts = container.volumes.iter().map(|volume| &*volume.target);
        let mounts = mounts.chain(["/proc", "/dev", "/sys"]);
        let without = Without {
            paths: mounts.map(|target| root.join(&target[1..])).collect(),
            links,
        };
        listing::tree(root, &without).split_off(1)
    })
}

#[test]
fn a_foreign_image_is_intact_afterwards() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let want = on_the_host(&place, "kaniko");
    let debian = debian();
    let mut container = place.container(debian);
    container.volume(
        Path::new(env!("CARGO_BIN_EXE_executor")),
        "/usr/local/bin/executor",
        true,
    );
    container.upper = Some(place.path("upper"));
    assert!(container.run(["/bin/true"]).status.success());
    // Copying up breaks hard links.
    let before = listed(&container, true);
    let output = container.run(["executor".to_owned()].into_iter().chain(place.args()));
    assert_eq!(place.check(&output, "in-place"), want);
    let changed = listing::difference(&before, &listed(&container, true));
    assert!(changed.is_empty(), "{changed:#?}");
    assert!(before.len() > 5_000, "the listing has the whole image");
    assert!(
        before
            .iter()
            .any(|line| line.contains("security.capability="))
    );
}

/// However a command ends, and however the executor is told to, the container is as it was and nothing is written.
#[test]
fn a_failure_leaves_the_container_as_it_was() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let image = place.path("image");
    with_shell(&image);
    let base = base::push_like_a_container(&place.registry);
    let build = format!(
        "/kaniko/executor {} --tar-path=/results/tar",
        place.args().join(" ")
    );
    let stopped = format!(
        "mkfifo /results/started; {build} & read line </results/started; kill -TERM $!; wait $!"
    );
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // command                                                       script     status  message
        ("rm -rf /etc /root /opt; exit 7",                               &build,    7,      "exit code: 7"),
        ("mv /etc /var/etc; kill -9 $$",                                 &build,    255,    "memory"),
        ("mv /root /r; echo >/results/started; sleep 1000",              &stopped,  143,    "SIGTERM"),
    ];
    for (command, script, status, message) in cases {
        place.write(
            "context/Dockerfile",
            &format!("FROM {base}\nRUN {command}\n"),
        );
        let mut container = place.container(&image);
        container.upper = Some(place.path("upper"));
        container.volume(Path::new("/etc/resolv.conf"), "/etc/resolv.conf", true);
        container.volume(Path::new("/etc/hosts"), "/root/.m2/hosts", true);
        assert!(container.run(["/bin/sh", "-c", ":"]).status.success());
        let before = listed(&container, false);
        let output = container.run(["/bin/sh", "-c", script]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{command}: {stderr}");
        assert!(stderr.contains(message), "{command}: {stderr}");
        let changed = listing::difference(&before, &listed(&container, false));
        assert!(changed.is_empty(), "{command}: {changed:#?}");
        assert_eq!(place.registry.tags("app"), [""; 0], "{command}");
        for file in ["digest", "tar"] {
            assert!(!place.path("out").join(file).exists(), "{command}: {file}");
        }
    }
}

#[test]
fn nobody_without_rights_is_refused_before_any_work() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let place = Place::new();
    let image = place.path("image");
    let mut container = place.container(&image);
    container.user = (1000, 1000);
    container.capabilities = Capabilities::None;
    container.no_new_privileges = true;
    container
        .env
        .push(("KANIKO_DIR", "/results/kaniko".to_owned()));
    rustix::fs::chmod(place.path("out"), rustix::fs::Mode::from_raw_mode(0o777)).unwrap();
    let output = container.run(
        ["/kaniko/executor".to_owned()]
            .into_iter()
            .chain(place.args()),
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let (log, report): (Vec<&str>, Vec<&str>) =
        stderr.lines().partition(|line| line.starts_with("time="));
    expect![[r#"
        error building image: cannot isolate commands
          caused by: RUN cannot be isolated here: namespaces: cannot unshare the pid namespace (Operation not permitted (os error 1)); namespaces with a user namespace: cannot unshare a user namespace (Operation not permitted (os error 1)); namespaces with shifted ids: cannot unshare a user namespace (Operation not permitted (os error 1)); in-place: only root can move the files of `/` (Operation not permitted (os error 1)); chroot: cannot chroot (Operation not permitted (os error 1))
        help: a seccomp profile that permits unshare and mount, or root with a writable `/` or CAP_SYS_CHROOT, is enough"#]].assert_eq(&report.join("\n"));
    let log = log.join("\n");
    assert!(!log.contains("Unpacking"), "{log}");
    assert!(!place.path("out/digest").exists());
}

/// Puts a static busybox into an image, as the debug image has it.
fn with_shell(image: &Path) {
    fs_err::create_dir_all(image.join("busybox")).unwrap();
    fs_err::copy(base::busybox(), image.join("busybox/busybox")).unwrap();
    for applet in ["sh", "cp", "sleep", "kill"] {
        std::os::unix::fs::symlink("busybox", image.join("busybox").join(applet)).unwrap();
    }
    fs_err::create_dir_all(image.join("bin")).unwrap();
    for applet in ["sh", "cp"] {
        std::os::unix::fs::symlink("/busybox/busybox", image.join("bin").join(applet)).unwrap();
    }
}

/// Returns the root of a small Debian, made once a machine.
fn debian() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian");
        if !root.join("etc/debian_version").exists() {
            let made = tempfile::Builder::new()
                .prefix("debian-")
                .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
                .unwrap();
            let path = made.path().join("root");
            tool(
                "mmdebstrap",
                [
                    "--quiet",
                    "--variant=minbase",
                    "--include=uidmap",
                    "bookworm",
                    path.to_str().unwrap(),
                ],
            );
            fs_err::rename(&path, &root).unwrap();
        }
        // `cap_net_raw+ep`, as programs such as ping have it.
        let capability = [
            1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        let flags = rustix::fs::XattrFlags::empty();
        let program = root.join("usr/bin/newuidmap");
        rustix::fs::setxattr(&program, "security.capability", &capability, flags).unwrap();
        root
    })
}
