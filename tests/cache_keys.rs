//! What the layers of a Dockerfile depend on, and what not: one edit at a time, and the keys that a dry run names afterwards.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support::Sandbox;

const TEXT: &str = "FROM BASE AS one\nCOPY dir /dir\nRUN make\n\
    FROM BASE\nARG V=1\nENV E=1\nWORKDIR /w\nCOPY --chmod=644 a link /x/\n\
    RUN --mount=type=bind,source=mounted,target=/m --mount=type=secret,id=s use\n\
    ADD --chown=1:2 <<EOF /text\nbody\nEOF\n\
    COPY --link --from=one /dir/f /f\nLABEL l=1\nENV UNUSED=1\n";

/// What the steps with a layer are called here, in order.
const STEPS: [&str; 7] = ["dir", "make", "w", "a", "use", "text", "from-one"];

struct Keys {
    t: Sandbox,
    base: String,
}

/// One edit: the Dockerfile's text, the context, or an option.
enum Edit<'e> {
    Text(&'e str, &'e str),
    Files(&'e dyn Fn(&Path)),
    Args(&'e [&'e str]),
}

impl Keys {
    /// Puts everything in its first state.
    fn new() -> Self {
        let t = Sandbox::new();
        let base = t.base();
        let keys = Self { t, base };
        keys.restore();
        keys
    }

    fn restore(&self) {
        let context = self.t.context();
        fs_err::remove_dir_all(&context).unwrap();
        fs_err::create_dir(&context).unwrap();
        for file in [
            "dir/f",
            "dir/g",
            "a",
            "target",
            "mounted/m",
            "unrelated",
            "ignored",
        ] {
            self.t.file(file, 0o644, format!("{file}\n"));
        }
        fs_err::os::unix::fs::symlink("target", context.join("link")).unwrap();
        self.t
            .file(".dockerignore", 0o644, "ignored\n**/ignored-too\n");
        self.write(TEXT);
    }

    fn write(&self, text: &str) {
        self.t.dockerfile(&text.replace("BASE", &self.base));
    }

    /// Returns the keys of the steps with a layer.
    fn now(&self, more: &[&str]) -> Vec<String> {
        let repository = format!("--cache-repo=oci:{}", self.t.path("cache").display());
        let args = [
            "--dryrun",
            "--no-push",
            "--cache",
            "--cache-copy-layers",
            &repository,
        ];
        let plan = self.t.build(args.iter().chain(more)).succeeded();
        let lines = plan.stdout.lines();
        let entries = lines.filter_map(|line| line.trim().strip_prefix("CACHE MISS: oci:"));
        let keys = entries.map(|entry| entry.split(':').nth(1).unwrap().to_owned());
        let keys: Vec<String> = keys.collect();
        assert_eq!(keys.len(), STEPS.len(), "{plan}");
        keys
    }

    /// Returns the steps whose keys are others after an edit.
    fn changed(&self, before: &[String], edit: &Edit<'_>) -> String {
        self.restore();
        let mut more = &[][..];
        match edit {
            Edit::Text(old, new) => {
                assert!(TEXT.contains(old), "{old}");
                self.write(&TEXT.replacen(old, new, 1));
            }
            Edit::Files(change) => change(&self.t.context()),
            Edit::Args(args) => more = args,
        }
        let now = self.now(more);
        let steps = STEPS.iter().enumerate();
        let changed = steps.filter(|(index, _)| before[*index] != now[*index]);
        let names: Vec<&str> = changed.map(|(_, name)| *name).collect();
        names.join(" ")
    }
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let file = fs_err::File::open(path).unwrap();
    file.into_file().set_modified(time).unwrap();
}

fn write(path: &Path, text: &str) {
    fs_err::write(path, text).unwrap();
}

#[test]
fn each_edit_changes_what_depends_on_it_and_nothing_else() {
    use Edit::{Args, Files, Text};
    let keys = Keys::new();
    let before = keys.now(&[]);
    assert_eq!(keys.now(&[]), before, "the clock is in no key");
    let all = "dir make w a use text from-one";
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // edit                                                             changed
        (Text("make", "make all"),                                          "make from-one"),
        (Text("dir /dir", "dir /other"),                                    "dir make from-one"),
        (Text("ARG V=1", "ARG V=2"),                                        "use text"),
        (Text("ARG V=1\n", ""),                                             "use text"),
        (Args(&["--build-arg=V=2"]),                                        "use text"),
        (Text("ENV E=1", "ENV E=2"),                                        "use text"),
        (Text("ENV E=1", "ENV E=1\nUSER app"),                              "w a use text"),
        (Text("ENV E=1", "ENV E=1\nSHELL [\"/bin/ash\", \"-c\"]"),          "use text"),
        (Text("/w", "/v"),                                                  "w a use text from-one"),
        (Text("644", "600"),                                                "a use text"),
        (Text("a link", "link a"),                                          "a use text"),
        (Text("COPY --chmod", "COPY --chown=1 --chmod"),                    "a use text"),
        (Text("COPY --chmod", "COPY --exclude=x --chmod"),                  "a use text"),
        (Text("source=mounted", "source=mounted/m"),                        "use text"),
        (Text("target=/m", "target=/n"),                                    "use text"),
        (Text("target=/m", "target=/m,rw"),                                 "use text"),
        (Text("id=s", "id=t"),                                              "use text"),
        (Text("id=s", "id=s,required"),                                     "use text"),
        (Text("id=s use", "id=s --network=none use"),                       "use text"),
        (Text("body", "another"),                                           "text"),
        (Text("1:2", "1:3"),                                                "text"),
        (Text("--link --from", "--from"),                                   "from-one"),
        (Text("--from=one /dir/f", "--from=one /dir/g"),                    "from-one"),
        (Text("FROM BASE AS one", "FROM scratch AS one"),                   "dir make from-one"),
        (Args(&["--compression=zstd", "--image-format=oci"]),               all),
        (Args(&["--compression-level=1"]),                                  all),
        (Args(&["--ignore-path=/x"]),                                       all),
        (Args(&["--reproducible"]),                                         all),
        (Args(&["--custom-platform=linux/arm64"]),                          all),
        (Files(&|c| write(&c.join("dir/f"), "x")),                          "dir make from-one"),
        (Files(&|c| write(&c.join("dir/h"), "")),                           "dir make from-one"),
        (Files(&|c| set_mode(&c.join("dir/f"), 0o755)),                     "dir make from-one"),
        (Files(&|c| fs_err::rename(c.join("dir/f"), c.join("dir/e")).unwrap()), "dir make from-one"),
        (Files(&|c| {
            fs_err::remove_file(c.join("dir/g")).unwrap();
            fs_err::hard_link(c.join("dir/f"), c.join("dir/g")).unwrap();
        }),                                                                 "dir make from-one"),
        (Files(&|c| write(&c.join("target"), "x")),                         "a use text"),
        (Files(&|c| write(&c.join("mounted/m"), "x")),                      "use text"),
        (Files(&|c| write(&c.join(".dockerignore"), "dir/f")),              "dir make from-one"),
        // what is in no key
        (Text("LABEL l=1", "LABEL l=2\nLABEL m=1"),                         ""),
        (Text("ENV UNUSED=1", "ENV UNUSED=2"),                              ""),
        (Text("ENV UNUSED=1", "CMD [\"x\"]\nEXPOSE 1\nVOLUME /v"),          ""),
        (Text("FROM BASE AS one", "ARG GLOBAL=1\nFROM BASE AS one"),        ""),
        (Text("RUN make", "# said\nRUN \\\n  make"),                           ""),
        (Text("COPY --chmod", "COPY --link --chmod"),                       ""), // LINK-2
        (Args(&["--label=l=2"]),                                            ""),
        (Args(&["--build-arg=HTTP_PROXY=http://p.example"]),                ""),
        (Args(&["--image-format=oci"]),                                     ""),
        (Files(&|c| write(&c.join("unrelated"), "x")),                      ""),
        (Files(&|c| write(&c.join("ignored"), "x")),                        ""),
        (Files(&|c| write(&c.join("dir/ignored-too"), "x")),                ""),
        (Files(&|c| set_time(&c.join("dir/f"), 5)),                         ""),
        (Files(&|c| set_time(&c.join("dir"), 5)),                           ""),
    ];
    for (number, (edit, want)) in cases.iter().enumerate() {
        assert_eq!(keys.changed(&before, edit), *want, "case {number}");
    }
}

#[test]
fn labels_of_the_base_are_in_no_key_and_its_files_are() {
    let keys = Keys::new();
    let before = keys.now(&[]);
    let t = &keys.t;
    let moved = |text: &str| {
        keys.restore();
        t.dockerfile(&format!("FROM {}\n{text}\n", keys.base));
        t.build(["--destination", &keys.base]).succeeded();
        keys.restore();
        keys.now(&[])
    };
    assert_eq!(moved("LABEL l=1\nCMD [\"x\"]"), before);
    let moved = moved("COPY a /moved");
    assert!(moved.iter().zip(&before).all(|(now, before)| now != before));
}

/// With `SOURCE_DATE_EPOCH` a copy keeps the times that are before it, so that they make another layer; later ones do not.
#[test]
fn times_count_where_the_layer_shows_them() {
    let mut keys = Keys::new();
    keys.t.env("SOURCE_DATE_EPOCH", "1000000000");
    let before = keys.now(&[]);
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("dir/f",     2_000_000_000, ""),
        ("dir/f",     1_000_000_000, ""),
        ("dir/f",     999_999_999,   "dir make from-one"),
        ("dir",       5,             "dir make from-one"),
        ("target",    5,             "a use text"),
        ("mounted/m", 5,             ""),
        ("unrelated", 5,             ""),
    ];
    for (path, seconds, want) in cases {
        let edit = Edit::Files(&|context: &Path| set_time(&context.join(path), seconds));
        assert_eq!(keys.changed(&before, &edit), want, "{path} {seconds}");
    }
}
