//! What scripts that were written for kaniko look for in its log.

use crate::support::crafted::{self, Member};
use crate::support::{Sandbox, Web, requires};
use tar::EntryType;

#[test]
fn kanikos_words_are_in_the_log() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    let url = Web::with("remote").url("/file?token=hidden");
    t.file("a", 0o644, "a\n");
    t.file(".dockerignore", 0o644, "nothing\n");
    let archive = crafted::tar_of(&[Member {
        kind: EntryType::Regular,
        name: "inside",
        link: "",
        content: b"x",
    }]);
    t.file("archive.tar", 0o644, archive);
    t.dockerfile(&format!(
        "ARG BASE\n\
         FROM scratch AS empty\n\
         COPY a /a\n\
         FROM ${{BASE}}\n\
         USER 3:4\n\
         WORKDIR /srv/new\n\
         USER 0\n\
         RUN echo made > /made\n\
         LABEL made=here\n\
         COPY --from=empty /a /got/\n\
         ADD archive.tar /unpacked/\n\
         ADD {url} /remote\n"
    ));
    let tag = t.tag("app");
    let args = [
        "--log-format=json",
        "-d",
        &tag,
        "--build-arg",
        &format!("BASE={base}"),
    ];
    let finished = t.build(args).succeeded();
    let messages: Vec<String> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|line| line["msg"].as_str().unwrap().to_owned())
        .collect();
    let resolved = format!("Resolved base name of ${{BASE}} to {base}");
    let building = format!("Building stage '{base}' [idx: '1', base-idx: '-1']");
    let pushing = format!("Pushing image to {tag}");
    let ignore = t.context().join(".dockerignore");
    let ignore = format!("Using dockerignore file: {}", ignore.display());
    let manifest = format!("Retrieving image manifest {base}");
    let retrieving = format!(
        "Retrieving image {base} from registry {}",
        t.registry.host()
    );
    let mut rest = messages.iter();
    for wanted in [
        &ignore,
        &manifest,
        &retrieving,
        "Built cross stage deps: map[0:[/a]]",
        "Building stage 'scratch' [idx: '0', base-idx: '-1']",
        "No base image, nothing to extract",
        "COPY a /a",
        "Resolving srcs [a]...",
        &resolved,
        &building,
        "Unpacking rootfs as cmd WORKDIR /srv/new requires it.",
        "WORKDIR /srv/new",
        "Changed working directory to /srv/new",
        "Creating directory /srv/new with uid 3 and gid 4",
        "Taking snapshot of files...",
        "Initializing snapshotter ...",
        "Taking snapshot of full filesystem...",
        "Applying label made=here",
        "COPY --from=empty /a /got/",
        "Resolving srcs [/a]...",
        "Unpacking local tar archive /archive.tar to /unpacked",
        &pushing,
    ] {
        assert!(
            rest.any(|message| message == wanted),
            "`{wanted}` is not there, or not in its place:\n{}",
            messages.join("\n")
        );
    }
    let adding = |message: &&String| message.starts_with("Adding remote URL http://127.0.0.1:");
    let adding = messages.iter().find(adding).unwrap();
    assert!(adding.ends_with(" to /remote"), "{adding}");
    let pushed = format!("Pushed {}@sha256:", tag.trim_end_matches(":latest"));
    assert!(
        messages.iter().any(|message| message.starts_with(&pushed)),
        "{finished}"
    );
}
