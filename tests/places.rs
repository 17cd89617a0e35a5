//! Forms in which pipelines call the executor, beside those of the README.

use tar::EntryType;

use crate::images::{Unpacked, succeeded};
use crate::support::container::{self, Capabilities};
use crate::support::{Finished, Image, Registry, Sandbox, requires};

/// A Dockerfile that executes nothing, with owners, modes and stages.
const NOTHING_RUNS: &str = "\
FROM BASE AS first
WORKDIR /srv/data
COPY --chown=7:8 --chmod=4755 tree ./tree/
USER app
COPY message message
FROM BASE
ENV LEVEL=1
LABEL made=here
COPY --from=first --chown=app:extra /srv /srv
COPY --from=first /etc/passwd /etc/copy
ADD archive.tar /unpacked/
WORKDIR /home/app/work
USER 1000:1001
CMD [\"/bin/sh\"]
";

fn context(t: &Sandbox, text: &str) {
    t.file("tree/deep/file", 0o644, "deep\n");
    t.file("message", 0o644, "hello\n");
    t.file("archive.tar", 0o644, archive());
    t.dockerfile(&text.replace("BASE", &t.base()));
}

/// Returns a tar with what an ordinary user cannot put on a disk: other owners, a device, and a program with capabilities.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind, path: &str, mode, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(5);
        header.set_mtime(0);
        header.set_size(size);
        header
    };
    let mut append = |mut header: tar::Header, content: &[u8]| {
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    append(header(EntryType::Directory, "deep/", 0o755, 0), b"");
    append(header(EntryType::Regular, "deep/file", 0o644, 5), b"deep\n");
    let mut null = header(EntryType::Char, "deep/null", 0o666, 0);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    append(null, b"");
    // version 2, in force, CAP_NET_RAW
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let xattr = ("SCHILY.xattr.security.capability", &capability[..]);
    archive.append_pax_extensions([xattr]).unwrap();
    let mut ping = header(EntryType::Regular, "deep/ping", 0o755, 1);
    ping.set_cksum();
    archive.append(&ping, &b"x"[..]).unwrap();
    archive.into_inner().unwrap()
}

/// Runs the executor's image as the `restricted` profile of pods demands, with one directory to write to.
fn restricted(t: &Sandbox, args: &[String]) -> Finished {
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    container.user = (1000, 1000);
    container.capabilities = Capabilities::None;
    container.no_new_privileges = true;
    container.read_only = true;
    container.volume(&t.context(), "/workspace", true);
    container.tmpfs.push("/work");
    container.env.push(("KANIKO_DIR", "/work/kaniko".into()));
    container
        .env
        .push(("SOURCE_DATE_EPOCH", "1000000000".into()));
    container.run(executor.command(args)).into()
}

#[test]
fn the_restricted_profile_gives_the_same_image() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let mut t = Sandbox::new();
    context(&t, NOTHING_RUNS);
    t.env("SOURCE_DATE_EPOCH", "1000000000");
    let by_root = t.build_and_pull("root", [""; 0]);
    let destination = format!("--destination={}", t.tag("restricted"));
    restricted(&t, &[destination]).succeeded();
    let image = Image::pull(&t.registry, &t.tag("restricted"));
    let layers: Vec<String> = (0..by_root.layer_count())
        .map(|n| by_root.layer(n))
        .collect();
    for (number, layer) in layers.iter().enumerate() {
        assert_eq!(image.layer(number), *layer);
    }
    assert!(layers.concat().contains("deep/null"), "{layers:?}");
    assert_eq!(image.digest, by_root.digest);
}

#[test]
fn the_restricted_profile_refuses_a_run_before_any_work() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::new();
    context(&t, "FROM BASE\nCOPY message /\nRUN true\n");
    let destination = format!("--destination={}", t.tag("restricted"));
    let finished = restricted(&t, &[destination]).failed(1, "RUN cannot be isolated here");
    for told in [
        "namespaces",
        "in-place",
        "chroot",
        "Operation not permitted",
    ] {
        assert!(
            finished.stderr.contains(told),
            "`{told}` is missing in\n{finished}"
        );
    }
    assert!(!finished.stderr.contains("COPY message"), "{finished}");
    assert_eq!(t.registry.tags("restricted"), [""; 0]);
}

#[test]
fn an_empty_argument_is_none() {
    let t = Sandbox::new();
    context(&t, "FROM scratch\nCOPY message /\n");
    let (tag, context) = (t.tag("app"), t.context());
    let context = context.to_str().unwrap();
    // `"$UNSET"` between the others
    let args = [
        "",
        "--context",
        context,
        "",
        "-d",
        &tag,
        "--dockerfile",
        "",
        "",
    ];
    t.executor(args).succeeded();
    assert_eq!(Image::pull(&t.registry, &tag).text("message"), "hello\n");
    t.executor([" ", "--context", context, "-d", &tag])
        .failed(1, "unknown command \" \" for \"executor\"");
}

#[test]
fn values_apart_from_their_flags() {
    let t = Sandbox::new();
    context(&t, "FROM scratch\nARG A\nCOPY message /\nLABEL a=$A\n");
    let tag = t.tag("app");
    let context = t.context();
    let args = [
        "-f",
        "Dockerfile",
        "-c",
        context.to_str().unwrap(),
        "-d",
        &tag,
        "-v",
        "warn",
        "-b",
        "",
    ];
    let finished = t.executor(args).succeeded();
    assert_eq!(finished.stderr, "");
    let args = [
        "-cdir://CONTEXT",
        "-fDockerfile",
        "-vdebug",
        "--build-arg",
        "A=b c",
        "-d",
    ];
    let args = args.map(|arg| arg.replace("CONTEXT", context.to_str().unwrap()));
    t.executor(args.iter().chain([&tag])).succeeded();
    let image = Image::pull(&t.registry, &tag);
    assert_eq!(image.config["config"]["Labels"]["a"], "b c");
}

#[test]
fn a_script_with_two_builds_in_one_container() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::new();
    context(
        &t,
        "FROM BASE\nRUN echo $0 > /own && test ! -e /message\nCOPY message /\n",
    );
    let debug = Unpacked::of("debug");
    let mut container = debug.container();
    container.volume(&t.context(), "/a b/project", true);
    let script = "set -e\ncd '/a b'\nfor i in 1 2; do /kaniko/executor -c 'dir:///a b/project' -d \"$TAG:$i\"; done\ntest ! -e /own";
    container.env.push(("TAG", t.tag("app")));
    succeeded(&container.run(["sh", "-c", script]));
    for number in ["1", "2"] {
        let image = Image::pull(&t.registry, &t.tag(&format!("app:{number}")));
        assert_eq!(image.text("own"), "/bin/sh\n");
    }
}

#[test]
fn credentials_are_hidden_wherever_they_are_mounted() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::with(Registry::basic_auth());
    let config = t.path("config.json");
    fs_err::write(&config, t.registry.docker_config()).unwrap();
    let executor = Unpacked::of("executor");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("/kaniko/.docker/config.json",  ("", "")),
        ("/kaniko/.docker/config.json",  ("KANIKO_DIR", "/other")),
        ("/other/.docker/config.json",   ("KANIKO_DIR", "/other")),
        ("/root/.docker/config.json",    ("", "")),
        ("/secret/login/config.json",    ("DOCKER_CONFIG", "/secret/login")),
        ("/secret/auth.json",            ("REGISTRY_AUTH_FILE", "/secret/auth.json")),
    ];
    for (mounted, (name, value)) in cases {
        context(&t, &format!("FROM BASE\nRUN test ! -e {mounted}\n"));
        let mut container = executor.container();
        container.volume(&t.context(), "/workspace", true);
        container.volume(&config, mounted, true);
        if !name.is_empty() {
            container.env.retain(|(other, _)| *other != name);
            container.env.push((name, value.to_owned()));
        }
        let destination = format!("--destination={}", t.tag("app"));
        let finished: Finished = container.run(executor.command(&[destination])).into();
        assert_eq!(finished.code, Some(0), "{mounted} {value}\n{finished}");
    }
}

/// As in `npm run build` in the mounted workspace, and a COPY of what came of it.
#[test]
fn a_command_in_place_may_make_what_is_copied() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::new();
    context(
        &t,
        "FROM BASE\nRUN echo made >/workspace/made\nCOPY made /\nRUN grep made /made\n",
    );
    let executor = Unpacked::of("executor");
    let mut container = executor.container();
    container.volume(&t.context(), "/workspace", false);
    let destination = format!("--destination={}", t.tag("app"));
    let finished: Finished = container.run(executor.command(&[destination])).into();
    assert_eq!(finished.code, Some(0), "{finished}");
    let warning = "\"/made\": not found, unless a command makes it (line 3)";
    assert!(finished.stderr.contains(warning), "{finished}");
}

#[test]
fn paths_that_cannot_be_written_are_told_before_any_work() {
    let t = Sandbox::new();
    context(&t, "FROM scratch\nCOPY message /\n");
    let dir = t.path("a directory");
    fs_err::create_dir(&dir).unwrap();
    let file = t.path("file");
    fs_err::write(&file, "").unwrap();
    let missing = t.path("missing/image.tar");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("--digest-file",                  &dir),
        ("--image-name-with-digest-file",  &dir),
        ("--tar-path",                     &dir),
        ("--tar-path",                     &missing),
        ("--oci-layout-path",              &file),
    ];
    for (flag, path) in cases {
        let destination = format!("--destination={}", t.tag("app"));
        let argument = format!("{flag}={}", path.display());
        let finished = t.build([destination, argument]);
        let finished = finished.failed(1, "error writing image: cannot ");
        assert!(!finished.stderr.contains("COPY message"), "{finished}");
        assert_eq!(t.registry.tags("app"), [""; 0], "{flag}");
    }
}

#[test]
fn contexts_and_dockerfiles_of_the_wrong_kind() {
    let t = Sandbox::new();
    context(&t, "FROM scratch\nCOPY message /\n");
    let archive = t.context().join("archive.tar");
    let archive = archive.to_str().unwrap();
    let refused = t.executor(["--no-push", "--context", archive]);
    refused.failed(1, &format!("an archive is given as `tar://{archive}`"));
    t.build(["--no-push", "--cache", "--cache-repo=oci:"])
        .failed(1, "invalid --cache-repo `oci:`: it names no directory");
    let refused = t.build(["--no-push", "--dockerfile", "tree"]);
    refused.failed(1, "`--dockerfile` names a file, such as");
    fs_err::create_dir(t.context().join(".dockerignore")).unwrap();
    let refused = t.build(["--no-push"]).failed(1, "/.dockerignore`");
    assert!(!refused.stderr.contains("--dockerfile"), "{refused}");
}
