//! `executor cache-mount`: caches of `RUN` mounts carried from one machine to another.

use crate::support::{Sandbox, meeting, requires};

/// Builds with two caches, which count how often they were seen, and returns what the image says.
fn build(t: &Sandbox, cache: &str) -> String {
    fs_err::create_dir_all(t.path(cache)).unwrap();
    t.dockerfile(&format!(
        "FROM {}\nRUN --mount=type=cache,id=one,target=/c,uid=7,mode=0750 --mount=type=cache,target=/d \\\n    \
         echo x >> /c/n; chmod 4711 /c/n; echo y >> /d/n; stat -c %a,%u /c /c/n > /out; cat /c/n /d/n >> /out\n",
        t.base()
    ));
    let image = t.build_and_pull("app", [format!("--cache-dir={}", t.path(cache).display())]);
    image.text("out").replace('\n', " ")
}

#[test]
fn there_and_back() {
    requires!(root);
    let t = Sandbox::new();
    let path = |name: &str| t.path(name).display().to_string();
    assert_eq!(build(&t, "first"), "750,7 4711,0 x y ");
    let reference = t.tag("caches:v1");
    let places = [
        path("layout"),
        format!("oci:{}", path("other")),
        path("caches.tar"),
        reference,
    ];
    for (number, place) in places.iter().enumerate() {
        let carry = |args: &[String]| {
            let words = args.iter().map(String::as_str);
            t.executor(["cache-mount"].into_iter().chain(words))
        };
        let from = format!("--cache-dir={}", path("first"));
        carry(&["export".into(), from, format!("--to={place}")]).succeeded();
        // each machine has its own directory
        let cache = format!("machine-{number}");
        fs_err::create_dir(t.path(&cache)).unwrap();
        let into = format!("--cache-dir={}", path(&cache));
        let import = ["import".into(), into, format!("--from={place}")];
        carry(&import).succeeded();
        // twice, as the second replaces the first
        let finished = carry(&import).succeeded();
        assert!(
            finished.stderr.contains("Importing the cache one"),
            "{finished}"
        );
        assert_eq!(build(&t, &cache), "750,7 4711,0 x x y y ", "{place}");
        let left: Vec<_> = fs_err::read_dir(t.path(&cache)).unwrap().collect();
        assert_eq!(left.len(), 1, "only the caches are left: {left:?}");
    }
}

#[test]
fn a_directory_that_is_not_there() {
    let t = Sandbox::new();
    let cache = t.path("none").display().to_string();
    let words = [
        "cache-mount",
        "import",
        "--from=oci:x",
        "--cache-dir",
        &cache,
    ];
    t.executor(words).failed(
        1,
        &format!("there is no directory `{cache}`\nhelp: mount a volume there"),
    );
}

#[test]
fn an_import_is_a_pull() {
    let t = Sandbox::new();
    fs_err::create_dir_all(t.path("cache/mounts")).unwrap();
    let cache = format!("--cache-dir={}", t.path("cache").display());
    let to = format!("--to={}", t.tag("caches:v1"));
    t.executor(["cache-mount", "export", &cache, &to])
        .succeeded();
    let from = "--from=registry.invalid/caches:v1";
    let map = format!("--registry-map=registry.invalid={}", t.registry.host());
    t.executor(["cache-mount", "import", &cache, from, &map])
        .succeeded();
}

#[test]
fn some_of_them() {
    requires!(root);
    let t = Sandbox::new();
    let path = |name: &str| t.path(name).display().to_string();
    build(&t, "first");
    let (from, to) = (
        format!("--cache-dir={}", path("first")),
        format!("--to={}", path("layout")),
    );
    t.executor(["cache-mount", "export", &from, &to, "--id=/d"])
        .succeeded();
    fs_err::create_dir(t.path("second")).unwrap();
    let (into, back) = (
        format!("--cache-dir={}", path("second")),
        format!("--from={}", path("layout")),
    );
    t.executor(["cache-mount", "import", &into, &back])
        .succeeded();
    assert_eq!(build(&t, "second"), "750,7 4711,0 x y y ");
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[&str], &str); 6] = [
        (&["import", &into, &back, "--id=one"], "Error: there is no cache called `one`"),
        (&["export", &from, &to, "--id=none"],  "there is no cache called `none`"),
        (&["export", &from],                    "say where the caches go with --to"),
        (&["import", &from, &to],               "say where the caches come from with --from"),
        (&["carry", &to],                       "unknown command \"carry\""),
        (&[],                                   "executor cache-mount export, or import"),
    ];
    for (args, message) in cases {
        let args = ["cache-mount"].iter().chain(args);
        t.executor(args).failed(1, message);
    }
    // an image that is none of caches
    let image = format!("--oci-layout-path={}", path("image"));
    t.dockerfile("FROM scratch\nCOPY Dockerfile /\n");
    t.build(["--no-push", &image]).succeeded();
    let back = format!("--from={}", path("image"));
    t.executor(["cache-mount", "import", &into, &back])
        .failed(1, "holds no caches");
}

/// What `sharing=private` makes beside a cache that is in use, and a name that would be a whiteout in a layer.
#[test]
fn private_directories_and_odd_names() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let dir = t.path("first");
    fs_err::create_dir_all(&dir).unwrap();
    // two stages at a time, each of which waits for the other inside its command
    let stage = |name: &str, other: &str| {
        format!(
            "FROM {base} AS {name}\nRUN --mount=type=cache,id=meet,target=/meet --mount=type=cache,id=one,sharing=private,target=/c \\\n    \
             touch /meet/{name}; {}; echo {name} > /c/.wh.{name}; echo x > /c/x\n",
            meeting::wait_for(&format!("/meet/{other}"))
        )
    };
    let text = stage("a", "b") + &stage("b", "a");
    t.dockerfile(&format!(
        "{text}FROM scratch\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n"
    ));
    let cache = format!("--cache-dir={}", dir.display());
    t.build(["--no-push", "--jobs=2", &cache]).succeeded();
    let layout = t.path("layout").display().to_string();
    t.executor(["cache-mount", "export", &cache, &format!("--to={layout}")])
        .succeeded();
    fs_err::create_dir(t.path("second")).unwrap();
    let into = format!("--cache-dir={}", t.path("second").display());
    t.executor(["cache-mount", "import", &into, &format!("--from={layout}")])
        .succeeded();
    let files = |cache: &str| {
        let walk = walkdir::WalkDir::new(t.path(cache).join("mounts")).sort_by_file_name();
        let paths = walk.into_iter().map(|entry| entry.unwrap().into_path());
        let shown = paths.map(|path| {
            path.strip_prefix(t.path(cache))
                .unwrap()
                .display()
                .to_string()
        });
        shown
            .filter(|path| path.contains("/content/"))
            .collect::<Vec<_>>()
    };
    let (first, second) = (files("first"), files("second"));
    assert_eq!(first, second);
    for end in ["/0/content/x", "/1/content/x"] {
        assert!(first.iter().any(|path| path.ends_with(end)), "{first:?}");
    }
    let whiteouts = first.iter().filter(|path| path.contains("/.wh."));
    assert_eq!(whiteouts.count(), 2, "{first:?}");
}
