//! Commands in place, in real containers: nothing of the container may be different afterwards, whatever happened.
//!
//! In the container runs this test binary once more, as the [`driver`]; what it reports is compared here.

mod driver;
pub mod listing;

use std::path::{Path, PathBuf};
use std::process::Output;

use executor::execute::run::in_place::WORK_DIR;
use tempfile::TempDir;

use crate::support::container::{self, Capabilities, Container};
use crate::support::{requires, tool};

/// A container's image, an image to be built on, and volumes.
struct Setup {
    dir: TempDir,
    container: PathBuf,
}

/// Where volumes are mounted, and what users mount there.
const VOLUMES: [(&str, &str, bool); 7] = [
    ("context", "/workspace", true),
    ("cache", "/cache", false),
    ("m2", "/root/.m2", false),
    ("secret", "/secret", true),
    (
        "token",
        "/var/run/secrets/kubernetes.io/serviceaccount",
        true,
    ),
    ("resolv.conf", "/etc/resolv.conf", false),
    ("config.json", "/kaniko/.docker/config.json", true),
];

impl Setup {
    /// A container that has a shell and little else.
    fn scratch() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let container = dir.path().join("scratch");
        let busybox = |root: &Path| {
            fs_err::create_dir_all(root.join("bin")).unwrap();
            fs_err::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
            let names = "sh ls cat mv mkdir rm touch sleep kill find sed true stat ln env grep chmod id test setsid";
            for name in names.split(' ') {
                std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
            }
        };
        busybox(&container);
        let setup = Self { dir, container };
        setup.write("scratch/kaniko/executor", "a program\n");
        setup.write("scratch/kaniko/ssl/certs/ca.crt", "roots\n");
        setup.write("scratch/usr/share/notes", "more\n");
        setup.write("scratch/opt/one", "with a second name\n");
        setup.volumes();
        busybox(&setup.path("image"));
        setup.image();
        setup
    }

    /// A container made from somebody else's image, of which nothing can be renamed at first: the unpacked image that
    /// `IN_PLACE_IMAGE` names, or one of our own making.
    fn foreign() -> Self {
        let mut setup = Self::scratch();
        if let Some(image) = std::env::var_os("IN_PLACE_IMAGE") {
            setup.container = image.into();
            return setup;
        }
        for dir in 0..40 {
            let dir = format!("scratch/usr/lib/{}/{dir}", dir % 7);
            for file in 0..4 {
                setup.write(&format!("{dir}/file{file}"), &dir);
            }
            let dir = setup.path(&dir);
            fs_err::hard_link(dir.join("file0"), dir.join("again")).unwrap();
            std::os::unix::fs::symlink("file1", dir.join("link")).unwrap();
        }
        let root = setup.path("scratch");
        fs_err::create_dir_all(root.join("run/lock")).unwrap();
        fs_err::create_dir_all(root.join("var")).unwrap();
        std::os::unix::fs::symlink("/run", root.join("var/run")).unwrap();
        setup.write("scratch/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
        let path = |path: &str| root.join(path).to_str().unwrap().to_owned();
        tool("mkfifo", [path("run/fifo")]);
        tool(
            "chown",
            ["12:34".into(), path("usr/lib/1"), path("usr/lib/2/2/file1")],
        );
        tool("chmod", ["6751".into(), path("usr/lib/3/3/file3")]);
        tool("chmod", ["2775".into(), path("usr/lib/1")]);
        tool(
            "setfattr",
            ["-n", "user.note", "-v", "text", &path("usr/lib/4")],
        );
        tool("setcap", ["cap_net_raw+ep", &path("usr/lib/5/5/file2")]);
        tool(
            "touch",
            [
                "-d",
                "1999-12-31T23:59:59.123456789Z",
                &path("usr/lib/6"),
                &path("run"),
            ],
        );
        setup
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn volumes(&self) {
        for dir in ["context", "cache", "m2", "secret", "token"] {
            self.write(&format!("volumes/{dir}/in-{dir}"), "a volume's\n");
        }
        for file in ["resolv.conf", "config.json"] {
            self.write(&format!("volumes/{file}"), "a volume's\n");
        }
    }

    /// Nobody may touch what is in a volume.
    fn check_volumes(&self) {
        for dir in ["context", "cache", "m2", "secret", "token"] {
            let file = self.path(&format!("volumes/{dir}/in-{dir}"));
            assert_eq!(fs_err::read_to_string(file).unwrap(), "a volume's\n");
        }
    }

    /// The image to be built on, with paths that the container has too, and some that its mounts cover.
    fn image(&self) {
        for file in [
            "etc/passwd",
            "etc/conf.d/x",
            "kaniko/own",
            "workspace/covered",
            "run/own",
            "root/.profile",
            "opt/tool",
        ] {
            self.write(&format!("image/{file}"), "the image's\n");
        }
        let image = self.path("image");
        fs_err::create_dir_all(image.join("var")).unwrap();
        fs_err::create_dir_all(image.join("tmp")).unwrap();
        std::os::unix::fs::symlink("/run", image.join("var/run")).unwrap();
        std::os::unix::fs::symlink("resolv.systemd", image.join("etc/resolv.conf")).unwrap();
        fs_err::hard_link(image.join("opt/tool"), image.join("opt/tool2")).unwrap();
        tool("chmod", ["1777", image.join("tmp").to_str().unwrap()]);
        tool("chmod", ["711", image.join("root").to_str().unwrap()]);
    }

    fn container(&self) -> Container<'_> {
        let mut container = Container::new(&self.container);
        for (name, target, read_only) in VOLUMES {
            container.volume(&self.path("volumes").join(name), target, read_only);
        }
        container.volume(&self.path("image"), "/harness/image", true);
        let own = std::env::current_exe().unwrap();
        container.volume(&own, "/harness/driver", true);
        container
    }

    /// Runs the driver; returns what it printed.
    fn drive(&self, mut container: Container<'_>, role: &str, command: &str) -> String {
        container.env.push((driver::ROLE, role.into()));
        container.env.push((driver::COMMAND, command.into()));
        let output = container.run(["/harness/driver", "--exact", driver::TEST, "--nocapture"]);
        report(&output)
    }
}

/// Returns what the driver reported, without what the test runner says around it.
fn report(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text
        .lines()
        .filter_map(|line| line.split_once(driver::MARK));
    let lines: Vec<&str> = lines.map(|(_, line)| line).collect();
    assert!(
        output.status.success(),
        "{}\n{}\n{text}\n{}",
        output.status,
        lines.join("\n"),
        String::from_utf8_lossy(&output.stderr)
    );
    lines.join("\n")
}

#[test]
fn what_a_command_sees_and_leaves() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::scratch();
    let command = "
        test \"$(cat /etc/passwd)\" = \"the image's\" || echo passwd
        test \"$(cat /kaniko/own)\" = \"the image's\" || echo kaniko
        test -e /kaniko/executor && echo executor is there
        test -e /kaniko/.docker/config.json && echo config.json is there
        test -L /var/run || echo var/run is no link
        test -e /run/own || echo run
        test -e /run/secrets && echo secrets are there
        test \"$(cat /etc/resolv.conf)\" = \"a volume's\" || echo resolv.conf
        test -e /workspace/in-context || echo workspace
        test -e /root/.m2/in-m2 && test -e /root/.profile || echo root
        test \"$(stat -c %a /root)\" = 711 || echo mode of root
        test -e /proc/self/exe && test -c /dev/null || echo proc
        sleep 1000 &
        touch /made /etc/made /cache/made; rm /opt/tool2; chmod 700 /etc
        ";
    let mut reports = Vec::new();
    for capabilities in [Capabilities::Docker, Capabilities::CriO, Capabilities::None] {
        let mut container = setup.container();
        container.capabilities = capabilities;
        reports.push(setup.drive(container, "run", command));
    }
    assert!(reports.iter().all(|report| *report == reports[0]));
    expect_test::expect![[r#"
        warning: commands do not see the image's `/workspace`, because it is mounted over in this container
        warning: commands see this container's mounts at `/cache`, `/harness/driver`, `/harness/image`, `/root/.m2`, `/secret`, `/workspace`, which are not part of the image
        the container is as it was
        refreshed: /etc/passwd /root/.profile
        changed in the image: - / - etc/ - opt/ - opt/tool - opt/tool2 + / + etc/ + etc/made + made + opt/ + opt/tool"#]]
    .assert_eq(&reports[0]);
}

#[test]
fn directories_with_mounts_may_be_renamed() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::scratch();
    let cases = [
        "mv /etc /etc.old",
        "mv /etc /etc.old; mkdir /etc; touch /etc/fresh",
        "mkdir -p /y/z; mv /root /y/z/root2; mv /etc /y",
        "mv /etc /e; mv /root /etc; mv /e /root",
        "mv /etc /root/etc",
        "mkdir /old; mv /bin/busybox /b; for d in /* /.[a-z]*; do /b mv $d /old/; done; /b mv /old/bin /bin; /b mv /b /bin/busybox",
    ];
    for command in cases {
        let report = setup.drive(setup.container(), "run", command);
        assert!(
            report.contains("the container is as it was"),
            "{command}: {report}"
        );
        assert!(!report.contains("error"), "{command}: {report}");
    }
    let report = setup.drive(setup.container(), "run", cases[1]);
    let changed = report.lines().last().unwrap();
    expect_test::expect!["changed in the image: - / - etc/ - etc/conf.d/ - etc/conf.d/x - etc/passwd - etc/resolv.conf + / + etc/ + etc/fresh + etc.old/ + etc.old/conf.d/ + etc.old/conf.d/x + etc.old/passwd + etc.old/resolv.conf"].assert_eq(changed);
}

#[test]
fn killed_at_every_step() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::scratch();
    for capabilities in [Capabilities::Docker, Capabilities::CriO] {
        let mut container = setup.container();
        container.capabilities = capabilities;
        container.tmpfs = vec!["/tmp"];
        let report = setup.drive(container, "torture", "mv /etc /etc.old; mkdir /etc");
        assert!(report.ends_with("the container is as it was"), "{report}");
        setup.check_volumes();
    }
}

#[test]
fn killed_in_a_foreign_image() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::foreign();
    for overlay in ["redirect_dir=off", "redirect_dir=on,metacopy=on"] {
        let mut container = setup.container();
        container.overlay = overlay;
        container.env.push((driver::FOREIGN, "1".into()));
        let report = setup.drive(container, "torture", "mv /root /root2");
        assert!(report.ends_with("the container is as it was"), "{report}");
        setup.check_volumes();
    }
}

#[test]
fn what_cannot_be_hidden_is_named() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::scratch();
    // A directory of the image with a secret in it cannot be renamed; a mount inside a mount goes nowhere.
    setup.write("scratch/kaniko/.docker/other", "");
    let mut container = setup.container();
    container.tmpfs = vec!["/run"];
    container.volume(&setup.path("volumes/token"), "/run/secrets/token", true);
    let report = setup.drive(
        container,
        "run",
        "test -e /kaniko/own && ls /kaniko/.docker /run/secrets >/ls",
    );
    expect_test::expect![[r#"
        warning: commands do not see the image's `/run`, because it is mounted over in this container
        warning: commands do not see the image's `/workspace`, because it is mounted over in this container
        warning: commands see this container's `/kaniko/.docker/config.json`, which cannot be moved out of their way
        warning: commands see this container's `/run/secrets/token`, which cannot be moved out of their way
        warning: commands see this container's mounts at `/cache`, `/harness/driver`, `/harness/image`, `/root/.m2`, `/run`, `/secret`, `/workspace`, which are not part of the image
        the container is as it was
        refreshed: /etc/passwd /kaniko/own /root/.profile
        changed in the image: - / + / + ls"#]].assert_eq(&report);
}

#[test]
fn whether_it_is_possible() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let setup = Setup::scratch();
    let check = |change: &dyn Fn(&mut Container<'_>), want: &str| {
        let mut container = setup.container();
        change(&mut container);
        assert_eq!(setup.drive(container, "trial", ""), want);
    };
    check(&|_| (), "possible");
    check(&|c| c.capabilities = Capabilities::None, "possible");
    check(
        &|c| c.read_only = true,
        "Read-only file system (os error 30)",
    );
    check(
        &|c| c.user = (1000, 1000),
        "Permission denied (os error 13)",
    );
    let cache = setup.path("volumes/cache");
    let volume = |c: &mut Container<'_>| c.volume(&cache, WORK_DIR, false);
    check(&volume, "Invalid cross-device link (os error 18)");
}
