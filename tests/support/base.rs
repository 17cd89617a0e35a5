//! The base image of the tests: Debian's static busybox, put together by umoci and pushed by skopeo, so that none of our code made it.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{Registry, tool};

/// Pushes the base image to a registry as `base:latest` and returns its reference.
pub fn push(registry: &Registry) -> String {
    push_layout(registry, "base", layout())
}

/// Pushes the base image with what a container of the executor has, too: `/kaniko`, `/workspace`, and `/var/run` as a link.
pub fn push_like_a_container(registry: &Registry) -> String {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    let layout = LAYOUT.get_or_init(|| {
        make(|root| {
            fill(root);
            for file in ["kaniko/own", "kaniko/executor", "workspace/own", "run/own"] {
                fs_err::create_dir_all(root.join(file).parent().unwrap()).unwrap();
                fs_err::write(root.join(file), "the image's\n").unwrap();
            }
            symlink("/run", root.join("var/run")).unwrap();
        })
    });
    push_layout(registry, "like-a-container", layout)
}

fn push_layout(registry: &Registry, name: &str, layout: &Path) -> String {
    let reference = format!("{}/{name}:latest", registry.host());
    let source = format!("oci:{}:base", layout.display());
    let mut args = vec!["copy".to_owned(), "--quiet".to_owned()];
    args.extend(registry.skopeo_options("dest"));
    args.extend([source, format!("docker://{reference}")]);
    tool("skopeo", args);
    reference
}

/// Returns an OCI layout that holds the image as `base`, made once a test run.
pub fn layout() -> &'static Path {
    static LAYOUT: OnceLock<PathBuf> = OnceLock::new();
    LAYOUT.get_or_init(|| make(fill))
}

fn make(fill: impl Fn(&Path)) -> PathBuf {
    let dir = tempfile::Builder::new()
        .prefix("base-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap()
        .keep();
    let layout = dir.join("layout");
    let (name, image) = (
        layout.display().to_string(),
        format!("{}:base", layout.display()),
    );
    tool("umoci", ["init", "--layout", &name]);
    tool("umoci", ["new", "--image", &image]);
    let bundle = dir.join("bundle");
    tool(
        "umoci",
        ["unpack", "--image", &image, bundle.to_str().unwrap()],
    );
    fill(&bundle.join("rootfs"));
    tool(
        "umoci",
        ["repack", "--image", &image, bundle.to_str().unwrap()],
    );
    tool(
        "umoci",
        [
            "config",
            "--image",
            &image,
            "--config.env",
            "PATH=/bin:/usr/bin",
            "--config.cmd",
            "/bin/sh",
        ],
    );
    layout
}

/// Makes a small system: busybox with its applets, users, and the directories that programs expect.
pub fn fill(root: &Path) {
    for dir in ["bin", "etc", "root", "usr/bin", "var/lib", "home/app"] {
        fs_err::create_dir_all(root.join(dir)).unwrap();
    }
    for (dir, mode) in [("root", 0o700), ("tmp", 0o1777)] {
        fs_err::create_dir_all(root.join(dir)).unwrap();
        fs_err::set_permissions(root.join(dir), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    fs_err::copy(busybox(), root.join("bin/busybox")).unwrap();
    for applet in tool("busybox", ["--list"])
        .lines()
        .filter(|a| *a != "busybox")
    {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n";
    fs_err::write(root.join("etc/passwd"), passwd).unwrap();
    fs_err::write(
        root.join("etc/group"),
        "root:x:0:\napp:x:1001:\nextra:x:1002:app\n",
    )
    .unwrap();
    rustix::fs::chown(
        root.join("home/app"),
        Some(rustix::fs::Uid::from_raw(1000)),
        Some(rustix::fs::Gid::from_raw(1001)),
    )
    .unwrap();
}

/// Returns the machine's static busybox.
pub fn busybox() -> &'static Path {
    let places = ["/usr/bin/busybox", "/bin/busybox"].map(Path::new);
    let found = places.into_iter().find(|path| path.exists());
    found.expect("the tests need Debian's package busybox-static")
}
