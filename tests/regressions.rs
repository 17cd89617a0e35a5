//! What once went wrong: each test failed before its repair.

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::support::container::{self, Capabilities, Container};
use crate::support::{Image, Sandbox, requires};

/// The checks that need the ignore file were made by nobody.
#[test]
fn a_copy_of_what_is_ignored_is_a_finding() {
    let t = Sandbox::new();
    t.file("secret/key", 0o600, "x");
    t.file(".dockerignore", 0o644, "secret\n");
    t.dockerfile("FROM scratch\nCOPY secre[t] /\n");
    let finished = t.build(["--no-push"]).succeeded();
    assert!(!finished.stderr.contains("CopyIgnoredFile"), "{finished}");
    t.dockerfile("# check=error=true\nFROM scratch\nCOPY secret/key /\n");
    let finished = t
        .build(["--no-push"])
        .failed(1, "lint violation found for rules: CopyIgnoredFile");
    assert!(
        finished
            .stderr
            .contains("CopyIgnoredFile: `secret/key` is excluded by the ignore file (line 3)"),
        "{finished}"
    );
}

/// A disk without room for a layer ended the build without a word on what to do.
#[test]
fn a_full_disk_is_told_with_a_way_out() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let large = t.tag("large");
    t.file("noise", 0o644, noise(2 << 20));
    t.dockerfile("FROM scratch\nCOPY noise /\n");
    t.build(["-d", &large]).succeeded();
    let disk = t.path("kaniko");
    mount(
        "tmpfs",
        &disk,
        "tmpfs",
        MountFlags::empty(),
        Some(c"size=1500k"),
    )
    .unwrap();
    t.dockerfile(&format!("FROM {base}\nRUN true\n"));
    let base_too_large = t.build(["--no-push"]);
    t.dockerfile("FROM scratch\nCOPY noise /\n");
    let layer_too_large = t.build(["--no-push"]);
    t.dockerfile(&format!("FROM {large}\nRUN true\n"));
    let blob_too_large = t.build(["--no-push"]);
    let left = t.kaniko_dir();
    unmount(&disk, UnmountFlags::DETACH).unwrap();
    blob_too_large.failed(
        1,
        "` has 2.1 MB of compressed layers, and there are 1.5 MB left on the disk of `",
    );
    base_too_large.failed(1, "`--kaniko-dir` can point to a larger disk");
    layer_too_large.failed(1, "help: the disk is full");
    assert_eq!(left, "", "nothing left in the kaniko dir");
}

/// Bytes that do not compress.
pub fn noise(size: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    next.take(size).collect()
}

/// A home that belongs to somebody else was an error, and a missing right to write id maps an input/output error.
#[test]
fn a_user_in_the_home_of_root_builds() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::new();
    let base = t.base();
    let image = t.path("image");
    for dir in ["root", "kaniko", "tmp"] {
        fs_err::create_dir_all(image.join(dir)).unwrap();
    }
    let mode = |bits| rustix::fs::Mode::from_raw_mode(bits);
    rustix::fs::chmod(image.join("root"), mode(0o700)).unwrap();
    rustix::fs::chmod(image.join("kaniko"), mode(0o777)).unwrap();
    fs_err::copy(
        env!("CARGO_BIN_EXE_executor"),
        image.join("kaniko/executor"),
    )
    .unwrap();
    let mut container = Container::new(&image);
    container.user = (1000, 1000);
    container.capabilities = Capabilities::None;
    let context = t.context();
    container.volume(&context, "/workspace", true);
    let run = || {
        let output = container.run(["/kaniko/executor", "--no-push", "--log-format=text"]);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    t.file("file", 0o644, "x");
    t.dockerfile(&format!("FROM {base}\nCOPY --chown=5:6 file /\n"));
    let (code, stderr) = run();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(
        stderr.contains("Building with the ids of one user"),
        "{stderr}"
    );
    t.dockerfile(&format!("FROM {base}\nRUN true\n"));
    let (code, stderr) = run();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!stderr.contains("Input/output error"), "{stderr}");
}

/// A user who has subordinate ids could not use them.
#[test]
fn a_user_with_subordinate_ids_runs_commands() {
    requires!(root);
    let mut t = Sandbox::new();
    let base = t.base();
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    t.dockerfile(&format!(
        "FROM {base}\nUSER app\nRUN id -u >/tmp/id\nUSER 70:71\nRUN id -g >/tmp/other\n"
    ));
    let want = t.build_and_pull("root", [""; 0]);
    let ids = t.path("ids");
    fs_err::write(&ids, "65534:300000:65536\n").unwrap();
    for dir in ["kaniko", "home"] {
        let nobody = (
            rustix::fs::Uid::from_raw(65534),
            rustix::fs::Gid::from_raw(65534),
        );
        rustix::fs::chown(t.path(dir), Some(nobody.0), Some(nobody.1)).unwrap();
    }
    let dir = t.context().parent().unwrap().to_owned();
    rustix::fs::chmod(&dir, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
    let tag = t.tag("user");
    let executor = t.command([
        "--context",
        t.context().to_str().unwrap(),
        "--destination",
        &tag,
    ]);
    let mut command = std::process::Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .arg(&ids)
        .arg(executor.get_program())
        .args(executor.get_args())
        .env_clear()
        .current_dir(t.path("home"));
    for (name, value) in executor.get_envs() {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let image = Image::pull(&t.registry, &tag);
    assert_eq!(image.digest, want.digest, "{stderr}");
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
}

/// The baseline went with the first RUN, and with it the stage's only layer.
#[test]
fn a_single_snapshot_holds_what_commands_did() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("file", 0o644, "x");
    t.dockerfile(&format!(
        "FROM {base} AS one\nWORKDIR /srv\nCOPY file .\nRUN echo a >/a\nENV A=1\nFROM one\nRUN rm /a && echo b >/b\nCMD [\"x\"]\n"
    ));
    let image = t.build_and_pull("single", ["--single-snapshot"]);
    assert_eq!(image.layer_count(), 3, "the base's and one of each stage");
    assert!(image.layer(1).contains("srv/file"));
    let last = image.layer(2);
    assert!(last.contains(" b") && last.contains(".wh.a"), "{last}");
}
