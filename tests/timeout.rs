//! `--timeout`: whatever the build does, it ends, and leaves nothing behind.

use crate::images::Unpacked;
use crate::support::container;
use crate::support::{Sandbox, requires};

#[test]
fn a_command_that_takes_too_long_is_stopped() {
    requires!(root);
    let t = Sandbox::new();
    let base = t.base();
    t.dockerfile(&format!(
        "FROM {base}\nRUN trap '' TERM; echo begun; sleep 3600 & sleep 3600\n"
    ));
    let tag = t.tag("app");
    let finished = t.build(["-d", &tag, "--timeout", "3s"]).failed(
        1,
        "error building image: stopped after the 3s that --timeout allows",
    );
    assert!(!finished.stderr.contains("signal"), "{finished}");
    assert_eq!(t.registry.tags("app"), [""; 0]);
    assert_eq!(t.kaniko_dir(), "");
}

#[test]
fn in_place_the_containers_own_root_is_back() {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let t = Sandbox::new();
    t.dockerfile(&format!(
        "FROM {}\nRUN touch /made; echo begun; trap '' TERM; sleep 3600 & sleep 3600\n",
        t.base()
    ));
    let debug = Unpacked::of("debug");
    let mut container = debug.container();
    container.volume(&t.context(), "/workspace", true);
    let script = "
        list() { find / -xdev ! -path '/kaniko/*' | sort; }
        list > /kaniko/before
        /kaniko/executor --isolation=in-place --no-push --timeout=8s
        echo \"status $?\"
        list > /kaniko/after
        diff /kaniko/before /kaniko/after && echo whole
    ";
    let output = container.run(["sh", "-c", script]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("stopped after the 8s that --timeout allows"),
        "{told}"
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    // how far it came depends on the machine
    assert!(printed.ends_with("status 1\nwhole\n"), "{printed}{told}");
}

#[test]
fn a_build_within_its_time_is_not_disturbed() {
    let t = Sandbox::new();
    t.file("a", 0o644, "a\n");
    t.dockerfile("FROM scratch\nCOPY a /a\n");
    let finished = t.build(["--no-push", "--timeout=1h"]).succeeded();
    assert!(
        finished.stderr.contains("Built 1 of 1 stage in"),
        "{finished}"
    );
    t.build(["--no-push", "--timeout=soon"])
        .failed(1, "invalid argument \"soon\" for \"--timeout\" flag");
    t.build(["--no-push", "--timeout=-1h"]).failed(
        1,
        "invalid argument \"-1h\" for \"--timeout\" flag: it is negative",
    );
    let finished = t.build(["--no-push", "--label", "=x", "--build-arg==y"]);
    let finished = finished.succeeded();
    for told in [
        "a --label has an empty name",
        "a --build-arg has an empty name",
    ] {
        assert!(finished.stderr.contains(told), "{finished}");
    }
}
