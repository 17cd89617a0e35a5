//! `RUN --mount`, with what a command sees of it written into the image: on this machine, where RUN has namespaces, and in a
//! container, where it runs in place, with one result.

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
            .output()
            .unwrap();
        finished(&output)
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
        finished(&container.run(args))
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

fn finished(output: &std::process::Output) -> Finished {
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
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
fn bind() {
    requires!(root);
    let bench = Bench::new();
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &[], want);
    check(
        "--mount=target=/s (cd /s && find . | sort && stat -c '%a %u:%g %n' . app.txt) > /out",
        expect![[r#"
            .
            ./app.txt
            ./dir
            ./dir/deep.txt
            755 0:0 .
            644 0:0 app.txt
            layer: 
        "#]],
    );
    check(
        "--mount=type=bind ls > /out",
        expect![[r#"
            app.txt
            dir
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o/f,target=/not/there/f stat -c '%a %u:%g' /not/there/f > /out && cat /not/there/f >> /out",
        expect![[r#"
            640 5:6
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=B,src=o,dst=/etc (cd /etc && stat -c '%a' . && find . | sort && cat l) > /out",
        expect![[r#"
            711
            .
            ./d
            ./d/g
            ./f
            ./l
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o/l,target=rel cat rel > /out && cat /w/rel >> /out",
        expect![[r#"
            file
            file
            layer: 
        "#]],
    );
    check(
        "--mount=from=BASE,source=/etc,target=/etc2 --mount=from=scratch,target=/empty cmp /etc/passwd /etc2/passwd && ls -A /empty > /out && echo same >> /out",
        expect![[r#"
            same
            layer: 
        "#]],
    );
    check(
        "--mount=target=/s,rw --mount=from=b,target=/b,readwrite rm /s/app.txt /b/o/f && echo new > /s/dir/deep.txt && cat /s/dir/deep.txt > /out",
        expect![[r#"
            new
            layer: 
        "#]],
    );
    check(
        "--mount=from=b,source=/o,target=/b --mount=target=/s cat /s/app.txt /s/dir/deep.txt /b/f > /out",
        expect![[r#"
            app
            deep
            file
            layer: 
        "#]],
    );
}

#[test]
fn through_links_of_the_image() {
    requires!(root);
    let bench = Bench::new();
    let before = "FROM BASE\nRUN mkdir /t && ln -s /t /var/link && ln -s ../../../up /etc/out";
    let run = "--mount=target=/var/link/s --mount=type=tmpfs,target=/etc/out cat /t/s/app.txt > /out && touch /up/x && ls / | grep -c up >> /out";
    let want = expect![[r#"
        app
        1
        layer: 
    "#]];
    check(&bench, before, run, &[], want);
}

#[test]
fn read_only_in_namespaces() {
    requires!(root);
    let bench = Bench::new();
    bench.dockerfile(&format!(
        "{STAGES}\nRUN --mount=target=/s --mount=from=b,target=/b,source=/o --mount=type=cache,target=/c,ro --mount=type=secret,id=t \
         for f in /s/new /b/new /c/new /run/secrets/t; do (echo x > $f) 2>&1 | sed 's/.*: //' >> /out; done\n"
    ));
    bench.on_host(&["--secret=id=t,env=TOKEN"]).succeeded();
    let want = "Read-only file system\n".repeat(4);
    assert_eq!(bench.image("host").text("out"), want);
}

#[test]
fn cache() {
    requires!(root);
    let bench = Bench::new();
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &[], want);
    check(
        "--mount=type=cache,target=/c/$V --mount=type=cache,target=m,mode=0700,uid=7,gid=8 stat -c '%a %u:%g' /c/expanded m > /out; touch /c/expanded/x m/y",
        expect![[r#"
            755 0:0
            700 7:8
            layer: 
        "#]],
    );
    // Everything that follows finds what the first left.
    check(
        "--mount=type=cache,target=/c/../c/$V ls /c/expanded > /out",
        expect![[r#"
            x
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/other,id=m ls /other > /out",
        expect![[r#"
            y
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/w/m ls -A /w/m > /out",
        expect![[r#"
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/1,id=m,sharing=private --mount=type=cache,target=/2,id=m,sharing=locked touch /1/z && ls /2 > /out",
        expect![[r#"
            y
            z
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/o,uid=3 stat -c '%a %u:%g' /f /f/f > /out && ls /f >> /out && touch /f/added",
        expect![[r#"
            711 0:0
            640 5:6
            d
            f
            l
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/o ls /f > /out",
        expect![[r#"
            added
            d
            f
            l
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/f,from=b,source=/none,uid=3 stat -c '%a %u:%g' /f > /out && ls -A /f >> /out",
        expect![[r#"
            755 3:0
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/a --mount=target=/a/s --mount=type=tmpfs,target=/a/s2/deep cat /a/s/app.txt > /out && touch /a/s2/deep/x",
        expect![[r#"
            app
            layer: 
        "#]],
    );
    check(
        "--mount=type=cache,target=/a find /a > /out",
        expect![[r#"
            /a
            layer: 
        "#]],
    );
}

#[test]
fn caches_in_the_cache_dir() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let bench = Bench::new();
    bench.dockerfile(
        "FROM BASE\nUSER app\nRUN --mount=type=cache,target=/var/c,uid=1000 --mount=type=cache,target=/var/c/../c2,uid=1000 echo x >> /var/c/x && cp /var/c/x /tmp/out\n",
    );
    let image = bench.path("image");
    let mut container = bench.container(&image);
    container.volume(&bench.path("cache"), "/cache", false);
    for want in ["x\n", "x\nx\n"] {
        // A new container each time, as in a cluster.
        bench.in_container(&container, &[]).succeeded();
        assert_eq!(bench.image("container").text("tmp/out"), want);
    }
    assert!(bench.path("cache/mounts").is_dir());
}

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
fn secrets() {
    requires!(root);
    let bench = Bench::new();
    let args = [
        "--secret=id=a/b.txt,env=TOKEN",
        "--secret=id=file,src=AT/file-secret",
    ];
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &args, want);
    check(
        "--mount=type=secret,id=a/b.txt --mount=type=secret,source=file --mount=type=secret,target=/x/file --mount=type=secret,id=file,target=rel,mode=0444,uid=5 \
         for f in /run/secrets/b.txt /run/secrets/file /x/file /rel; do stat -c '%a %u:%g %s' $f; done > /out && test \"$(cat /x/file)\" = \"$(cat /run/secrets/b.txt)\"",
        expect![[r#"
            400 0:0 19
            400 0:0 19
            400 0:0 19
            444 5:0 19
            layer: 
        "#]],
    );
    check(
        "--mount=type=secret,id=file,env=T --mount=type=secret,id=missing,env=M --mount=type=secret,id=file,env=U,target=/u \
         test ${#T} = 19 && test \"$(cat /u)\" = \"$U\" && test ! -e /run/secrets && echo \"${M-unset}\" > /out",
        expect![[r#"

            layer: 
        "#]],
    );
    check(
        "--mount=type=secret,id=missing test ! -e /run && echo none > /out",
        expect![[r#"
            none
            layer: 
        "#]],
    );
    let image = bench.image("host");
    let (config, tree) = (format!("{:?}", image.config), image.unpack());
    assert!(!config.contains(TOKEN));
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.unwrap();
        if entry.file_type().is_file() {
            let bytes = fs_err::read(entry.path()).unwrap();
            let found = bytes
                .windows(TOKEN.len())
                .any(|part| part == TOKEN.as_bytes());
            assert!(!found, "{}", entry.path().display());
        }
    }
    assert!(!bench.path("kaniko/secrets").exists() && !bench.path("kaniko/lent").exists());
    assert!(!bench.path("upper/upper/.executor/secrets").exists());
}

#[test]
fn what_is_required_and_missing() {
    requires!(root);
    let bench = Bench::new();
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&str, &[&str], i32, &str); 8] = [
        ("--mount=type=secret,id=X,required true",        &[],                           1, "secret X: not found"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,env=NO"],     1, "environment variable for secret \"X\" not set: NO"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,src=/no/x"],  1, "copying secret /no/x: No such file"),
        ("--mount=type=secret,id=X true",                 &["--secret=id=X,src=/no/x", "--secret=id=X"], 1, "duplicate secret id \"X\""),
        ("--mount=type=ssh,required true",                &[],                           1, "no SSH agent \"default\" is forwarded"),
        ("--mount=type=ssh true",                         &["--ssh=default"],            1, "make sure SSH_AUTH_SOCK is set"),
        ("--mount=source=/none,target=/n true",           &[],                           1, "\"/none\": not found"),
        ("--mount=source=ignored.txt,target=/n true",     &[],                           1, "\"/ignored.txt\": not found"),
    ];
    for (run, args, code, message) in cases {
        bench.neither(&format!("FROM BASE\nRUN {run}\n"), args, code, message);
    }
    bench.neither(
        "FROM BASE\nRUN --mount=type=cache,target=/c --mount=target=/s exit 7\n",
        &[],
        7,
        "exit code: 7",
    );
}

#[test]
fn ssh() {
    requires!(root);
    let bench = Bench::new();
    let args = ["--ssh=default=AT/agent", "--ssh=other=AT/key"];
    let check = |run: &str, want: Expect| check(&bench, STAGES, run, &args, want);
    check(
        "--mount=type=ssh --mount=type=ssh,id=other,uid=5,gid=6,mode=0666 --mount=type=ssh,id=missing \
         echo $SSH_AUTH_SOCK > /out; for f in /run/buildkit/*; do test -S $f && stat -c '%n %a %u:%g' $f >> /out; done",
        expect![[r#"
            /run/buildkit/ssh_agent.0
            /run/buildkit/ssh_agent.0 600 0:0
            /run/buildkit/ssh_agent.1 666 5:6
            layer: 
        "#]],
    );
    check(
        "--mount=type=ssh,target=/a/sock,required SSH=$SSH_AUTH_SOCK; echo $SSH > /out",
        expect![[r#"
            /a/sock
            layer: 
        "#]],
    );
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
