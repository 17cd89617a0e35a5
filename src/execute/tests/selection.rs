//! Language spec 3.8: `--exclude` and `--parents`.

use super::*;

const TREE: &str = "a/x.txt a/b/y.txt a/b/c/z.go";

#[test]
fn parents_keep_their_paths() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // instruction                          after, below /d
        ("a/x.txt /d/",                         "a/ a/x.txt"),
        ("a/b /d",                              "a/ a/b/ a/b/c/ a/b/c/z.go a/b/y.txt"),
        ("a/./b/y.txt /d/",                     "b/ b/y.txt"),
        ("./a/b/./c /d/",                       "c/ c/z.go"),
        ("a/**/*.txt /d/",                      "a/ a/b/ a/b/y.txt a/x.txt"),
        ("**/*.go /d/",                         "a/ a/b/ a/b/c/ a/b/c/z.go"),
        ("a/*.txt /d/",                         "a/ a/x.txt"),
        ("nosuch/*.q /d/",                      ""),
        (". /d",                                ""),
        ("./ /d",                               ""),
        ("a/x.txt a/b/y.txt /d",                "a/ a/b/ a/b/y.txt a/x.txt"),
        ("a/./. /d",                            ""),
        ("--exclude=**/*.go a /d",              "a/ a/b/ a/b/c/ a/b/y.txt a/x.txt"),
    ];
    for (arguments, want) in cases {
        let bed = Bed::new().source(TREE);
        let after = bed.after(&format!("COPY --parents {arguments}"));
        let below: Vec<_> = after
            .split(' ')
            .skip(1)
            .map(|path| path.trim_start_matches("/d/"))
            .collect();
        assert_eq!(below.join(" "), want, "{arguments}: {after}");
        assert!(after.starts_with("/d/"), "{after}");
    }
}

#[test]
fn parents_and_links() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY --parents nosuch /d/",     "error: failed to calculate checksum of ref build context: \"/nosuch\": not found"),
        ("COPY --parents l/x.txt /d/",    "error: failed to calculate checksum of ref build context: \"/l/x.txt\": not found"),
        ("COPY --parents l /d/",          "/d/ /d/l->a"),
        ("COPY --parents no/./x /d/",     "error: failed to calculate checksum of ref build context: \"/no\": not found"),
        ("COPY --parents l/./x.txt /d/",  "/d/ /d/x.txt"),
        ("COPY --parents *l* /d/",        "/d/ /d/l->a"),
    ];
    for (instruction, after) in cases {
        let bed = Bed::new().source(TREE).source("l->a");
        assert_eq!(bed.after(instruction), after, "{instruction}");
    }
}

#[test]
fn directories_on_the_way_of_parents() {
    let bed = Bed {
        owners: Owners::Kept,
        ..Bed::new()
    };
    let mut above = dir("a", 0o711);
    (above.uid, above.gid) = (3, 4);
    bed.source.put(&above, "");
    bed.source.put(&dir("a/b", 0o750), "");
    bed.source.put(&file("a/b/f", 0o600, 0), "");
    bed.stage.put(&dir("d/a", 0o777), "");
    let listing = bed.listing("COPY --parents a/b/f /d");
    assert_eq!(
        listing,
        "d 0755 0:0 /d\nd 0711 0:0 /d/a\nd 0750 0:0 /d/a/b\nf 0600 0:0 /d/a/b/f 0\n"
    );
    assert_eq!(bed.mtime("d/a/b"), NOW);
    let fresh = bed.listing("COPY --parents a/b/f /e");
    assert!(fresh.contains("d 0711 3:4 /e/a\n"), "{fresh}");
}

#[test]
fn excluded_files() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY --exclude=*.go src /d/",                    "/d/ /d/p/ /d/p/b.go /d/p/c.md"),
        ("COPY --exclude=**/*.go src /d/",                 "/d/ /d/p/ /d/p/c.md"),
        ("COPY --exclude=** src /d/",                      "/d/"),
        ("COPY --exclude=p --exclude=!p/b.go src /d/",     "/d/ /d/a.go /d/p/ /d/p/b.go"),
        ("COPY --exclude=*.md *.* /d/",                    "/d/ /d/README.md"),
        ("COPY --exclude=*.md README.md /d/",              "/d/ /d/README.md"),
        ("COPY --exclude=p s* /d/",                        "/d/ /d/a.go"),
        ("COPY --exclude=src . /d/",                       "/d/ /d/README.md"),
    ];
    for (instruction, after) in cases {
        let bed = Bed::new().source("README.md src/a.go src/p/b.go src/p/c.md");
        assert_eq!(bed.after(instruction), after, "{instruction}");
    }
}
