//! Language spec 3.5, 3.8 to 3.11: what is decided before anything is copied.

use super::{Action, Case, Chmod, CopySource, CopyStep, GitReference, GitSource, Source, Unpack};

fn step(instruction: &str) -> CopyStep {
    let text = format!("FROM x AS b\nFROM x\nENV V=value\nWORKDIR /w\n{instruction}");
    let plan = Case::new().plan(&text).unwrap();
    let steps = &plan.stages[plan.target].steps;
    match &steps.last().unwrap().action {
        Action::Copy(step) => step.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn words_are_expanded() {
    let copy =
        step("COPY --from=b --chown=$V:1 --chmod=u+x --link --exclude=$V --parents a$V/ /d/$V/");
    assert_eq!(copy.from, Source::Stage(0));
    assert_eq!(copy.sources, [CopySource::Path("avalue/".to_owned())]);
    assert_eq!(copy.destination, "/d/value/");
    assert_eq!(copy.working_dir, "/w");
    assert_eq!(copy.chown.as_deref(), Some("value:1"));
    assert_eq!(copy.chmod, Some(Chmod::Symbolic("u+x".to_owned())));
    // LINK-2
    assert!(!copy.link);
    assert!(copy.parents);
    assert_eq!(copy.exclude, ["$V"]);
}

#[test]
fn empty_flags_are_absent() {
    let copy = step("COPY --from= --chown= --chmod=$NOPE --link a b");
    assert_eq!(
        (copy.from, copy.chown, copy.chmod, copy.link),
        (Source::Context, None, None, true)
    );
}

#[test]
fn inline_files_come_last() {
    let copy = step("COPY <<A <<\"B\" c /d/\nv=$V \\$V \"q\" 'q'\nA\nv=$V\nB");
    let inline = |name: &str, content: &str| CopySource::Inline {
        name: name.to_owned(),
        content: content.into(),
    };
    assert_eq!(
        copy.sources,
        [
            CopySource::Path("c".to_owned()),
            inline("A", "v=value $V \"q\" 'q'\n"),
            inline("B", "v=$V\n"),
        ]
    );
}

#[test]
fn add_has_more_kinds_of_sources() {
    let hex = "0".repeat(64);
    let add = step(&format!("ADD --checksum=sha256:{hex} http://h/a /d"));
    let url = CopySource::Url {
        url: "http://h/a".to_owned(),
        checksum: Some(format!("sha256:{hex}")),
    };
    assert_eq!((add.sources, add.unpack), (vec![url], Unpack::Local));
    let add = step("ADD --keep-git-dir --unpack --checksum=abc https://h/a.git#main /d");
    let git = CopySource::Git(GitSource {
        url: "https://h/a.git#main".to_owned(),
        repository: "https://h/a.git".to_owned(),
        reference: GitReference::Any("main".to_owned()),
        sub_directory: String::new(),
        commit: Some("abc".to_owned()),
        by_commit: false,
        keep_git_dir: true,
        submodules: true,
        commit_time: false,
    });
    assert_eq!((add.sources, add.unpack), (vec![git], Unpack::Always));
    assert_eq!(step("ADD --unpack=false a /d").unpack, Unpack::Never);
}

#[test]
fn errors() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("COPY http://h/a /",                      "source can't be a URL for COPY"),
        ("COPY https://h/a.git /",                 "source can't be a git ref for COPY"),
        ("COPY git@h.io:a/b /",                    "source can't be a git ref for COPY"),
        ("COPY --chmod=77777 a b",                 "invalid chmod parameter: '77777'. it should be octal string and between 0 and 07777"),
        ("COPY --chmod=8 a b",                     "invalid chmod parameter: '8'. it should be octal string and between 0 and 07777"),
        ("COPY --chmod=rwx a b",                   "invalid chmod parameter: 'rwx': invalid syntax"),
        ("ADD --checksum=md5:0 http://h/a b",      "unsupported digest algorithm"),
        ("ADD --checksum=abc http://h/a b",        "invalid checksum digest format"),
        ("ADD --checksum=sha256:0 a b",            "checksum requires HTTP(S) or Git sources"),
        ("ADD --checksum=sha256:0 http://h/a http://h/b c/", "checksum can't be specified for multiple sources"),
        ("COPY --chown=bob --link a b",            "invalid user index for --chown=bob"),
        ("COPY \"a b\" /d/",                       "failed to process \"\\\"a\": unexpected end of statement while looking for matching double-quote"),
    ];
    for (instruction, want) in cases {
        let error = Case::new().error(&format!("FROM x\n{instruction}"));
        assert_eq!(error, format!("{want} (line 2)"), "{instruction}");
    }
}

#[test]
fn names_need_files_to_be_looked_up_in() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("FROM scratch\nCOPY --chown=bob a b",                 false),
        ("FROM scratch\nCOPY --chown=1:staff a b",             false),
        ("FROM scratch AS s\nENV A=1\nFROM s\nADD --chown=bob a b", false),
        ("FROM scratch\nCOPY --chown=root:0 a b",              true),
        ("FROM scratch\nCOPY --chown=1 a b",                   true),
        ("FROM scratch\nCOPY a b\nCOPY --chown=bob a b",       true),
        ("FROM scratch AS s\nWORKDIR /w\nFROM s\nADD --chown=bob a b", true),
        ("FROM x\nCOPY --chown=bob a b",                       true),
        ("FROM x\nCOPY --link --chmod=644 --chown=bob a b",    true),
    ];
    for (text, want) in cases {
        assert_eq!(Case::new().plan(text).is_ok(), want, "{text}");
    }
}
