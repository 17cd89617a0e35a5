//! What is missing, refused, full or killed: all that the user is told of it, to the letter, and that nothing is left of the build.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use expect_test::{Expect, expect};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::regressions::noise;
use crate::support::{Finished, Registry, Sandbox, requires};

/// Builds a Dockerfile that must fail, with every kind of output asked for; returns what is printed beside the log.
#[track_caller]
fn refused(t: &Sandbox, dockerfile: &str, args: &[&str]) -> Finished {
    t.dockerfile(dockerfile);
    let outputs = ["digest", "image.tar", "layout"].map(|name| t.path("out").join(name));
    fs_err::create_dir_all(t.path("out")).unwrap();
    let mut all = vec![
        format!("--destination={}", t.tag("app")),
        format!("--digest-file={}", outputs[0].display()),
        format!("--tar-path={}", outputs[1].display()),
        format!("--oci-layout-path={}", outputs[2].display()),
    ];
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    let finished = t.build(all);
    assert!(finished.code.is_some_and(|code| code != 0), "{finished}");
    let left = fs_err::read_dir(t.path("out")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?} is left\n{finished}");
    assert_eq!(t.registry.tags("app"), [""; 0], "no tag of a failed build");
    finished
}

/// What was printed beside the log, with the names of this run taken out.
fn told(t: &Sandbox, finished: &Finished) -> String {
    let lines = finished.stderr.lines();
    let lines = lines.filter(|line| !line.starts_with("time="));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap().to_owned();
    let text = parts.fold(first, |text, part| text + "DIGEST" + &part[64..]);
    let text = text.replace(t.path("").to_str().unwrap(), "DIR/");
    text.replace(&t.registry.host(), "REGISTRY")
}

#[track_caller]
fn check(t: &Sandbox, dockerfile: &str, args: &[&str], want: Expect) {
    let finished = refused(t, dockerfile, args);
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
    want.assert_eq(&told(t, &finished));
}

#[test]
fn things_that_are_missing() {
    let t = Sandbox::new();
    let scratch = "FROM scratch\nCOPY Dockerfile /\n";
    check(
        &t,
        scratch,
        &["--context=/no/such/context"],
        expect![[r#"
        Error: error resolving source context: cannot open the directory `/no/such/context`
          caused by: No such file or directory (os error 2)
        help: pass the directory with `--context`, or mount it at that path
    "#]],
    );
    check(
        &t,
        scratch,
        &["--dockerfile=No.Dockerfile"],
        expect![[r#"
        Error: error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile
        help: there is none at `DIR/home/No.Dockerfile`, `DIR/context/No.Dockerfile`
    "#]],
    );
    check(
        &t,
        scratch,
        &["--target=nosuch"],
        expect![[r#"
            error building image: target stage "nosuch" could not be found
            help: there are the stages stage-0
        "#]],
    );
    let missing = t.tag("missing:1");
    check(
        &t,
        &format!("FROM {missing}\nRUN true\n"),
        &[],
        expect![[r#"
            error building image: cannot get the image `REGISTRY/missing:1`
              caused by: registry `REGISTRY`, repository `missing`: GET http://REGISTRY/v2/missing/manifests/1 answered 404 Not Found: MANIFEST_UNKNOWN: manifest unknown (credentials: anonymous)
                --> Dockerfile:1:6
               > 1 | FROM REGISTRY/missing:1
                   |      ^^^^^^^^^^^^^^^^^^^^^^^^^
                 2 | RUN true
            help: check registry, repository and tag; some registries need a repository to be created first, or answer so without credentials
        "#]],
    );
    check(
        &t,
        "FROM scratch\nWORKDIR /w\nCOPY nosuch.txt ./\n",
        &[],
        expect![[r#"
            error building image: stage `stage-0` failed
              caused by: COPY failed
              caused by: failed to calculate checksum of ref build context: "/nosuch.txt": not found
                --> Dockerfile:3:6
                 2 | WORKDIR /w
               > 3 | COPY nosuch.txt ./
                   |      ^^^^^^^^^^
            help: sources are looked for in the build context, which `--context` names
        "#]],
    );
    check(
        &t,
        "FROM scratch AS a\nFROM scratch\nCOPY --from=a /nosuch /\n",
        &[],
        expect![[r#"
            error building image: stage `stage-1` failed
              caused by: COPY failed
              caused by: failed to calculate checksum of ref a: "/nosuch": not found
                --> Dockerfile:3:16
                 2 | FROM scratch
               > 3 | COPY --from=a /nosuch /
                   |                ^^^^^^
            help: sources are looked for in the files of `a`
        "#]],
    );
    check(
        &t,
        "FROM scratch\nCOPY --from=4 / /\n",
        &[],
        expect![[r#"
            error building image: invalid stage index 4
                --> Dockerfile:2:6
                 1 | FROM scratch
               > 2 | COPY --from=4 / /
                   |      ^^^^^^^^
            help: stages are counted from 0, and a name is safer than a number
        "#]],
    );
    check(
        &t,
        "FROM scratch\nCOPY --chown=nosuch Dockerfile /\n",
        &[],
        expect![[r#"
            error building image: invalid user index for --chown=nosuch
                --> Dockerfile:2:6
                 1 | FROM scratch
               > 2 | COPY --chown=nosuch Dockerfile /
                   |      ^^^^^^^^^^^^^^
            help: names are looked up in the stage's /etc/passwd, which a scratch stage and --link do not have; use numeric ids
        "#]],
    );
}

#[test]
fn a_stage_whose_name_is_mistyped() {
    let t = Sandbox::new();
    let map = format!("--registry-map=index.docker.io={}", t.registry.host());
    let args = [&*map, "--skip-default-registry-fallback"];
    check(
        &t,
        "FROM scratch AS builder\nCOPY Dockerfile /\nFROM scratch\nCOPY --from=buidler / /\n",
        &args,
        expect![[r#"
            error building image: stage `stage-1` failed
              caused by: COPY failed
              caused by: cannot get the image `index.docker.io/library/buidler:latest`
              caused by: image not found on any configured mapped registries for index.docker.io/library/buidler:latest
              caused by: registry `REGISTRY`, repository `library/buidler`: GET http://REGISTRY/v2/library/buidler/manifests/latest answered 404 Not Found: MANIFEST_UNKNOWN: manifest unknown (credentials: anonymous)
                --> Dockerfile:4:8
                 3 | FROM scratch
               > 4 | COPY --from=buidler / /
                   |        ^^^^^
            help: is the stage `builder` meant? if not: check registry, repository and tag; some registries need a repository to be created first, or answer so without credentials
        "#]],
    );
    check(
        &t,
        "FROM scratch AS builder\nCOPY Dockerfile /\nFROM buidler\n",
        &args,
        expect![[r#"
            error building image: cannot get the image `index.docker.io/library/buidler:latest`
              caused by: image not found on any configured mapped registries for index.docker.io/library/buidler:latest
              caused by: registry `REGISTRY`, repository `library/buidler`: GET http://REGISTRY/v2/library/buidler/manifests/latest answered 404 Not Found: MANIFEST_UNKNOWN: manifest unknown (credentials: anonymous)
                --> Dockerfile:3:6
                 2 | COPY Dockerfile /
               > 3 | FROM buidler
                   |      ^^^^^^^
            help: is the stage `builder` meant? if not: check registry, repository and tag; some registries need a repository to be created first, or answer so without credentials
        "#]],
    );
}

#[test]
fn a_stage_is_not_meant_by_what_it_starts_from() {
    let t = Sandbox::new();
    let map = format!("--registry-map=index.docker.io={}", t.registry.host());
    for text in [
        "FROM node AS nodejs\n",
        "FROM node:20 AS nodejs\nFROM scratch\nCOPY --from=nodejs / /\n",
        "FROM scratch AS nodejs\nFROM node:20\n",
    ] {
        t.dockerfile(text);
        let finished = t.build(["--no-push", &*map, "--skip-default-registry-fallback"]);
        let finished = finished.failed(1, "cannot get the image");
        assert!(!finished.stderr.contains("is the stage"), "{finished}");
    }
}

#[test]
fn secrets_that_are_not_there() {
    let t = Sandbox::new();
    let scratch = "FROM scratch\nCOPY Dockerfile /\n";
    check(
        &t,
        scratch,
        &["--secret=id=token,src=/no/such"],
        expect![[r#"
            error building image: copying secret /no/such: No such file or directory (os error 2)
            help: `src=` names a file of this container: mount it there
        "#]],
    );
    check(
        &t,
        scratch,
        &["--secret=id=token,env=NO_SUCH"],
        expect![[r#"
            error building image: environment variable for secret "token" not set: NO_SUCH
            help: give the executor the variable NO_SUCH, or name another one with `env=`
        "#]],
    );
}

#[test]
fn what_is_not_in_the_context_is_told_before_anything_runs() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.file("there/a", 0o644, "");
    let missing = [
        "COPY there nosuch* missing /w/",
        "COPY --parents there/./missing /w/",
        "ADD missing/* /w/",
    ];
    for copy in missing {
        let text =
            format!("# syntax=docker/dockerfile:1-labs\nFROM {base}\nRUN echo it runs\n{copy}\n");
        let finished = refused(&t, &text, &[]);
        assert!(
            finished.stderr.contains("missing\": not found"),
            "{finished}"
        );
        assert!(finished.stderr.contains("--> Dockerfile:4:"), "{finished}");
        assert!(!finished.stdout.contains("it runs"), "{finished}");
    }
}

#[test]
fn commands_that_fail() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let run = |command: &str| {
        format!("FROM {base} AS first\nRUN {command}\n").replace("REGISTRY", &t.registry.host())
    };
    check(
        &t,
        &run("exit 42"),
        &[],
        expect![[r#"
            error building image: stage `first` failed
              caused by: RUN failed
              caused by: process "/bin/sh -c exit 42" did not complete successfully: exit code: 42
                --> Dockerfile:2:1
                 1 | FROM REGISTRY/base:latest AS first
               > 2 | RUN exit 42
                   | ^^^
            help: what the command printed stands above
        "#]],
    );
    check(
        &t,
        &run("kill -9 $$"),
        &[],
        expect![[r#"
            error building image: stage `first` failed
              caused by: RUN failed
              caused by: process "/bin/sh -c kill -9 $$" did not complete successfully: killed by signal 9 (SIGKILL)
                --> Dockerfile:2:1
                 1 | FROM REGISTRY/base:latest AS first
               > 2 | RUN kill -9 $$
                   | ^^^
            help: the kernel may have killed it for want of memory; raise the container's memory limit
        "#]],
    );
    check(
        &t,
        &run("[\"/no/such/program\"]"),
        &[],
        expect![[r#"
            error building image: stage `first` failed
              caused by: RUN failed
              caused by: process "/no/such/program" did not start: `/no/such/program` does not exist in the image
              caused by: No such file or directory (os error 2)
                --> Dockerfile:2:1
                 1 | FROM REGISTRY/base:latest AS first
               > 2 | RUN ["/no/such/program"]
                   | ^^^
            help: install it in the image or copy it there; a stage from scratch has no shell
        "#]],
    );
    let user = format!("FROM {base}\nUSER nosuch\nRUN true\n");
    check(
        &t,
        &user,
        &[],
        expect![[r#"
            error building image: stage `stage-0` failed
              caused by: RUN failed
              caused by: no user `nosuch` in the image's `/etc/passwd`
                --> Dockerfile:3:1
                 2 | USER nosuch
               > 3 | RUN true
                   | ^^^
            help: create the user in an earlier RUN, or use its number, which needs no entry
        "#]],
    );
}

#[test]
fn registries_that_cannot_be_used() {
    let t = Sandbox::with(Registry::basic_auth());
    let scratch = "FROM scratch\nCOPY Dockerfile /\n";
    check(
        &t,
        scratch,
        &[],
        expect![[r#"
            error checking push permissions: checking push permission for "REGISTRY/app:latest"
              caused by: registry `REGISTRY`, repository `app`: POST http://REGISTRY/v2/app/blobs/uploads/ answered 401 Unauthorized: UNAUTHORIZED: authentication required (credentials: anonymous)
            help: no credentials were found for `REGISTRY`; if the repository is private, log in (`executor login REGISTRY`) or mount a Docker `config.json` where DOCKER_CONFIG points
        "#]],
    );
    let skip = "--skip-push-permission-check";
    t.dockerfile(scratch);
    let finished = t.build(["--destination", &t.tag("app"), skip]);
    assert_eq!(finished.code, Some(1), "{finished}");
    assert_eq!(t.registry.tags("app"), [""; 0]);
    let kept = told(&t, &finished);
    let kept = kept.split("the image is kept").next().unwrap().to_owned();
    expect![[r#"
        error pushing image: failed to push to destination REGISTRY/app
          caused by: registry `REGISTRY`, repository `app`: POST http://REGISTRY/v2/app/blobs/uploads/ answered 401 Unauthorized: UNAUTHORIZED: authentication required (credentials: anonymous)
        help: no credentials were found for `REGISTRY`; if the repository is private, log in (`executor login REGISTRY`) or mount a Docker `config.json` where DOCKER_CONFIG points; "#]].assert_eq(&kept);
    fs_err::remove_dir_all(t.path("kaniko/unpushed")).unwrap();
    check(
        &t,
        &format!("FROM {}/base\n", t.registry.host()),
        &[skip],
        expect![[r#"
            error building image: cannot get the image `REGISTRY/base:latest`
              caused by: registry `REGISTRY`, repository `base`: GET http://REGISTRY/v2/base/manifests/latest answered 401 Unauthorized: UNAUTHORIZED: authentication required (credentials: anonymous)
                --> Dockerfile:1:6
               > 1 | FROM REGISTRY/base
                   |      ^^^^^^^^^^^^^^^^^^^^
            help: no credentials were found for `REGISTRY`; if the repository is private, log in (`executor login REGISTRY`) or mount a Docker `config.json` where DOCKER_CONFIG points
        "#]],
    );
    check(
        &t,
        "FROM 127.0.0.1:1/base\n",
        &[skip, "--image-download-retry=0"],
        expect![[r#"
            error building image: cannot get the image `127.0.0.1:1/base:latest`
              caused by: registry `127.0.0.1:1`: GET https://127.0.0.1:1/v2/ failed
              caused by: error sending request
              caused by: client error (Connect)
              caused by: tcp connect error
              caused by: Connection refused (os error 111)
                --> Dockerfile:1:6
               > 1 | FROM 127.0.0.1:1/base
                   |      ^^^^^^^^^^^^^^^^
            help: check its name and port, and whether it can be reached from here; HTTPS_PROXY and HTTP_PROXY name a proxy
        "#]],
    );
    check(
        &t,
        scratch,
        &["--destination=127.0.0.1:1/app"],
        expect![[r#"
            error checking push permissions: checking push permission for "127.0.0.1:1/app:latest"
              caused by: registry `127.0.0.1:1`: GET https://127.0.0.1:1/v2/ failed
              caused by: error sending request
              caused by: client error (Connect)
              caused by: tcp connect error
              caused by: Connection refused (os error 111)
            help: check its name and port, and whether it can be reached from here; HTTPS_PROXY and HTTP_PROXY name a proxy
        "#]],
    );
}

#[test]
fn disks_that_cannot_be_written() {
    requires!(root);
    let t = Sandbox::new();
    let scratch = "FROM scratch\nCOPY Dockerfile /\n";
    let on = |dir: &str, flags, options| {
        let dir = t.path(dir);
        fs_err::create_dir_all(&dir).unwrap();
        mount("tmpfs", &dir, "tmpfs", flags, options).unwrap();
        dir
    };
    let kaniko = on("kaniko", MountFlags::RDONLY, None);
    let read_only = refused(&t, scratch, &[]);
    unmount(&kaniko, UnmountFlags::DETACH).unwrap();
    expect![[r#"
        error building image: cannot use the work directory `DIR/kaniko`
          caused by: Read-only file system (os error 30)
        help: choose a writable directory with `--kaniko-dir` or KANIKO_DIR
    "#]]
    .assert_eq(&told(&t, &read_only));

    let out = on("out", MountFlags::RDONLY, None);
    let read_only = refused(&t, scratch, &[]);
    unmount(&out, UnmountFlags::DETACH).unwrap();
    assert!(!read_only.stderr.contains("Building stage"), "{read_only}");
    expect![[r#"
        error writing image: cannot write to `DIR/out`
          caused by: Read-only file system (os error 30)
        help: the file system is read-only: choose another one
    "#]]
    .assert_eq(&told(&t, &read_only));

    // Room for the checks beforehand, and for nothing else.
    let out = on("out", MountFlags::empty(), Some(c"size=16k"));
    t.file("noise", 0o644, noise(64 << 10));
    let full = refused(&t, "FROM scratch\nCOPY noise /\n", &["--no-push"]);
    unmount(&out, UnmountFlags::DETACH).unwrap();
    assert_eq!(t.kaniko_dir(), "", "nothing left in the kaniko dir");
    expect![[r#"
        error writing image: cannot write the OCI layout `DIR/out/layout`
          caused by: cannot copy the layer DIGEST
          caused by: No space left on device (os error 28)
        help: the disk is full: make room, or choose another one
    "#]]
    .assert_eq(&told(&t, &full));
}

/// Few open files stop a build somewhere, and then it ends as any other.
#[test]
fn open_files_that_run_out() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nCOPY Dockerfile /a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/\nRUN mkdir -p /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20\n"
    ));
    let mut explained = 0;
    for limit in 10..60 {
        let digest = t.path("digest");
        let inner = t.command([
            "--context".as_ref(),
            t.context().as_os_str(),
            "--no-push".as_ref(),
            "--log-format=text".as_ref(),
            "--digest-file".as_ref(),
            digest.as_os_str(),
        ]);
        let mut command = std::process::Command::new("prlimit");
        command
            .arg(format!("--nofile={limit}"))
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(t.path("home"));
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(t.kaniko_dir(), "", "limit {limit}: {stderr}");
        assert!(!stderr.contains("panicked"), "limit {limit}: {stderr}");
        assert_eq!(
            digest.exists(),
            output.status.success(),
            "limit {limit}: {stderr}"
        );
        if output.status.success() {
            fs_err::remove_file(&digest).unwrap();
        } else {
            assert_eq!(output.status.code(), Some(1), "limit {limit}: {stderr}");
            assert!(stderr.contains("os error 24"), "limit {limit}: {stderr}");
            explained += u32::from(stderr.contains("help: allow more open files"));
        }
    }
    assert!(explained > 3, "{explained}");
}

#[test]
fn arguments_that_are_no_text() {
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\n");
    let args = [
        OsStr::new("--no-push"),
        OsStr::new("--context"),
        OsStr::from_bytes(b"/a\xff"),
    ];
    let finished = t.executor(args);
    assert_eq!(finished.code, Some(1));
    expect![[r#"
        Error: invalid argument "/a\xff" for "--context" flag: it is not UTF-8
    "#]]
    .assert_eq(&finished.stderr);
}

/// As in `executor -f <(generate)`, and a pipe with a name whose writer comes later.
#[test]
fn dockerfiles_from_pipes() {
    let t = Sandbox::new();
    t.file("f", 0o644, "x");
    let tag = t.tag("app");
    let pipe = t.path("pipe");
    let executor = env!("CARGO_BIN_EXE_executor");
    let context = t.context();
    let context = context.to_str().unwrap();
    let pipe = pipe.to_str().unwrap();
    for script in [
        r#"exec "$0" -c "$1" -d "$2" -f <(sleep 0.2; printf 'FROM scratch\nCOPY f /\n')"#,
        r#"printf 'FROM scratch\nCOPY f /\n' | "$0" -c "$1" -d "$2" -f /dev/stdin"#,
        r#"mkfifo "$3"; (sleep 0.3; printf 'FROM scratch\nCOPY f /\n' >"$3") & "$0" -c "$1" -d "$2" -f "$3""#,
    ] {
        let mut command = std::process::Command::new("bash");
        command.args(["-c", script, executor, context, &tag, pipe]);
        command.env("KANIKO_DIR", t.path("kaniko"));
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {stderr}");
    }
}
