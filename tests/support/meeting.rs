//! Commands that wait: for each other, or for the test.

/// Returns shell text that waits until a file is there; who waits in vain gives up after ten minutes.
pub fn wait_for(path: &str) -> String {
    format!("n=0; while [ ! -e {path} ]; do n=$((n+1)); [ $n -lt 6000 ] || exit 9; sleep 0.1; done")
}

/// Returns a Dockerfile of two stages, `left` and `right`, whose commands say `a waits` and `b waits`, wait until both have come
/// that far, and go on with `then`. What they share is at `/m`.
pub fn dockerfile(base: &str, then: &str) -> String {
    let stage = |name: &str, own: &str, other: &str| {
        let meet = wait_for(&format!("/m/{other}"));
        format!(
            "FROM {base} AS {name}\nRUN --mount=type=cache,id=meeting,target=/m touch /m/{own} && echo {own} waits && {meet}; {then}\n"
        )
    };
    let (left, right) = (stage("left", "a", "b"), stage("right", "b", "a"));
    format!("{left}{right}FROM scratch\nCOPY --from=left /tmp /a\nCOPY --from=right /tmp /b\n")
}
