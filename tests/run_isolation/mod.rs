//! RUN in the isolations that a test can have: as root of this machine, and in processes with less.

mod machine;

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use executor::dockerfile::instruction::{Heredoc, Network, Security};
use executor::execute::run::{
    Isolation, IsolationOptions, Requested, check, run_in_user_namespace, select,
};
use executor::interrupt::Interrupt;
use executor::plan::{RunMount, RunStep};
use rustix::event::{PollFd, PollFlags};

use crate::support::container::{self, Capabilities, Container, Seccomp};
use crate::support::{base, requires};
use machine::{EXECUTABLE, EXPECTED, Machine, REQUESTED, exec, executable, sh};

/// What holds of a command however it is isolated.
fn holds_everywhere(machine: &Machine) {
    let before = machine.listing();
    machine.run(&sh("true")).unwrap();
    assert_eq!(machine.listing(), before, "a command that does nothing");

    assert_eq!(machine.sh("pwd; umask; id -u; wc -c"), "/\n0022\n0\n0\n");
    let environment = "HOME=/root\nPATH=/bin:/usr/bin\nPWD=/\nSHLVL=1\nTOKEN=secret\n";
    assert_eq!(machine.sh("env | sort"), environment);

    let app = RunStep {
        user: "app".into(),
        working_dir: "/srv/app/data".into(),
        ..sh("id; pwd; echo $HOME; touch here; stat -c '%a %u:%g' /srv /srv/app/data here")
    };
    assert_eq!(
        machine.output(&app),
        "uid=1000(app) gid=1001(app) groups=1001(app),1002(extra)\n/srv/app/data\n/home/app\n755 1000:1001\n755 1000:1001\n644 1000:1001\n"
    );

    let script = RunStep {
        script: Some(Heredoc {
            name: "EOF".into(),
            body: b"#!/bin/cat\nthe script\n".to_vec(),
            raw_body: String::new(),
            expand: true,
            strip_tabs: false,
        }),
        ..sh("/dev/pipes/EOF")
    };
    assert_eq!(machine.output(&script), "#!/bin/cat\nthe script\n");

    // What is left running does not outlive the command, not even out of its session.
    let started = Instant::now();
    machine
        .run(&sh(
            "setsid sleep 1000 & setsid sh -c 'sleep 1000 & sleep 1000' & true",
        ))
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(100));

    assert_eq!(
        machine.failure(&exec(&["/bin/sh", "-c", "exit 7"])),
        "process \"/bin/sh -c exit 7\" did not complete successfully: exit code: 7"
    );
    assert_eq!(machine.run(&sh("exit 7")).unwrap_err().exit_status(), 7);
    let killed = machine.run(&sh("kill -9 $$")).unwrap_err();
    assert_eq!(killed.exit_status(), 255);
    assert!(killed.help().unwrap().contains("memory"));
    assert_eq!(
        machine.failure(&exec(&["nothing", "x"])),
        "process \"nothing x\" did not start: `nothing` is not an executable in the image's PATH: No such file or directory (os error 2)"
    );
    assert_eq!(
        machine.failure(&exec(&["/etc/passwd"])),
        "process \"/etc/passwd\" did not start: cannot execute `/etc/passwd`: Permission denied (os error 13)"
    );
    machine.run(&sh("echo text >/tmp/text; chmod 755 /tmp/text; ln -s /gone/ld /tmp/x; printf '#!/gone' >/tmp/script; chmod 755 /tmp/script")).unwrap();
    assert_eq!(
        machine.failure(&exec(&["/tmp/text"])),
        "process \"/tmp/text\" did not start: cannot execute `/tmp/text`: Exec format error (os error 8)"
    );
    let interpreter = machine.run(&exec(&["/tmp/script"])).unwrap_err();
    assert!(
        interpreter.help().unwrap().contains("interpreter"),
        "{interpreter}"
    );
    let in_a_file = RunStep {
        working_dir: "/etc/passwd".into(),
        ..sh("true")
    };
    assert!(machine.failure(&in_a_file).contains("/etc/passwd"));

    let started = machine.root.path().join("tmp/started");
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &started,
        rustix::fs::FileType::Fifo,
        mode,
        0,
    )
    .unwrap();
    rustix::fs::chmod(&started, mode).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let started = rustix::fs::open(&started, flags, rustix::fs::Mode::empty()).unwrap();
    let interrupt = machine.interrupt.clone();
    let raiser = std::thread::spawn(move || {
        let mut event = [PollFd::new(&started, PollFlags::IN)];
        rustix::event::poll(&mut event, None).unwrap();
        interrupt.raise(libc::SIGTERM);
    });
    let interrupted = machine
        .run(&sh("echo >/tmp/started; sleep 1000"))
        .unwrap_err();
    raiser.join().unwrap();
    assert_eq!(interrupted.exit_status(), 143);
}

/// What namespaces give.
fn holds_in_namespaces(machine: &Machine) {
    assert_eq!(machine.sh("hostname"), "buildkitsandbox\n");
    assert_eq!(
        machine.sh("grep CapBnd /proc/self/status"),
        "CapBnd:\t00000000a80425fb\n"
    );
    assert_eq!(
        machine.sh("ls /dev | tr '\\n' ' '"),
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "
    );
    assert_eq!(
        machine
            .sh("echo x >/dev/null; head -c 3 /dev/zero | wc -c; test -e /dev/ptmx && ls /dev/pts"),
        "3\nptmx\n"
    );

    // A device node outside of `/dev` would lead to the disks of the machine.
    assert_eq!(
        machine.sh("mknod /tmp/node c 1 5; mknod /dev/node c 1 5; for node in /tmp/node /dev/node; do head -c 1 $node >/tmp/read && wc -c </tmp/read; done; rm -f /tmp/node /tmp/read; echo closed"),
        "closed\n"
    );

    let hosts = fs_err::read("/etc/hosts").unwrap_or_default();
    assert!(
        machine
            .sh("tail -n1 /etc/hosts; echo changed >/etc/hosts")
            .contains("buildkitsandbox")
    );
    assert_eq!(fs_err::read("/etc/hosts").unwrap_or_default(), hosts);
    assert!(!machine.root.path().join("etc/hosts").exists());

    let alone = RunStep {
        network: Network::None,
        ..sh("ls /sys/class/net; ip addr show lo | grep -c LOOPBACK,UP")
    };
    assert!(machine.output(&alone).ends_with("lo\n1\n"));

    // A link that leads out of the root is followed inside.
    let etc = machine.root.path().join("etc");
    fs_err::os::unix::fs::symlink("../../../run/resolv.conf", etc.join("resolv.conf")).unwrap();
    machine.run(&sh("test -f /run/resolv.conf")).unwrap();
    assert!(!machine.root.path().join("run").exists());
}

/// The test of one isolation; the other tests start it again in processes and containers of their own.
#[test]
fn here() {
    let requested = std::env::var(REQUESTED).unwrap_or("auto".into());
    let expected = std::env::var(EXPECTED).unwrap_or("namespaces: mount, ipc, uts, pid".into());
    if !rustix::process::geteuid().is_root() && std::env::var_os(EXPECTED).is_some() {
        let interrupt = Interrupt::new();
        let status = run_in_user_namespace(&executable(), &interrupt);
        assert_eq!(status.unwrap_or_else(|error| panic!("{error}")), 0);
        return;
    }
    requires!(root);
    let machine = Machine::new(requested.parse().unwrap());
    assert_eq!(machine.isolation.to_string(), expected);
    match &machine.isolation {
        Isolation::Namespaces(_) => holds_in_namespaces(&machine),
        Isolation::InPlace(_) | Isolation::Chroot => {
            assert_eq!(machine.sh("echo x >/dev/null && echo done"), "done\n");
            // The first process of this container is us; nobody may read what we know.
            assert_eq!(machine.sh("cat /proc/1/environ 2>/dev/null | wc -c"), "0\n");
        }
    }
    holds_everywhere(&machine);
}

/// A command that does not end by itself; only for [`killed`] and [`killed_in_place`].
#[test]
fn endless() {
    if std::env::var_os(EXPECTED).is_some_and(|expected| expected == "endless") {
        let machine = Machine::new(Requested::Auto);
        machine
            .run(&sh("setsid sleep 1000 & echo; echo started; sleep 1000"))
            .unwrap();
    }
}

#[test]
fn killed() {
    requires!(root);
    // It does not get to remove what it made.
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run_isolation::endless", "--nocapture"])
        .env("TMPDIR", dir.path())
        .env(EXPECTED, "endless")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "started"));
    child.kill().unwrap();
    child.wait().unwrap();
    // The end of the output comes when the last process is gone that could write to it.
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn killed_in_place() {
    let script = r#"
        before=$(ls -ax /)
        mkfifo /dev/shm/output
        /kaniko/test --exact run_isolation::endless --nocapture >/dev/shm/output &
        while read line; do
            [ "$line" != started ] || kill -9 $!
        done </dev/shm/output
        # the command's parent outlives the executor for as long as it takes to bring everything back
        for attempt in $(seq 6000); do
            after=$(ls -ax /)
            [ "$before" != "$after" ] || break
            usleep 100000
        done
        [ "$before" = "$after" ] && echo 1 passed || echo "$before / $after"
    "#;
    started_in_container(&["/bin/sh", "-c", script], "auto", "endless", |_| {});
}

/// Repeats [`here`] in another process.
fn again(command: &mut Command, requested: &str, expected: &str) {
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "run_isolation::here", "--nocapture"])
        .env(REQUESTED, requested)
        .env(EXPECTED, expected)
        .output()
        .unwrap();
    succeeded(&output);
}

/// Repeats [`here`] in a container.
fn contained(requested: &str, expected: &str, change: impl FnOnce(&mut Container<'_>)) {
    let arguments = [
        "/kaniko/test",
        "--exact",
        "run_isolation::here",
        "--nocapture",
    ];
    started_in_container(&arguments, requested, expected, change);
}

fn started_in_container(
    arguments: &[&str],
    requested: &str,
    expected: &str,
    change: impl FnOnce(&mut Container<'_>),
) {
    requires!(container::possible(), "needs root, runc and overlayfs");
    let image = tempfile::tempdir().unwrap();
    base::fill(image.path());
    fs_err::create_dir(image.path().join("kaniko")).unwrap();
    let programs = [
        ("test", std::env::current_exe().unwrap()),
        ("executor", executable()),
    ];
    for (name, path) in programs {
        fs_err::copy(path, image.path().join("kaniko").join(name)).unwrap();
    }
    let mut container = Container::new(image.path());
    container.env = vec![
        ("container", "podman".into()),
        (REQUESTED, requested.into()),
        (EXPECTED, expected.into()),
        (EXECUTABLE, "/kaniko/executor".into()),
    ];
    change(&mut container);
    succeeded(&container.run(arguments));
}

fn succeeded(output: &Output) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let passed = stdout.contains("1 passed");
    assert!(output.status.success() && passed, "{stdout}{stderr}");
}

#[test]
fn namespaces_without_the_right_to_mount() {
    requires!(root);
    let mut setpriv = Command::new("setpriv");
    let expected = "namespaces: user, mount, ipc, uts, pid";
    again(
        setpriv.args(["--bounding-set", "-sys_admin"]),
        "auto",
        expected,
    );
}

#[test]
fn namespaces_of_a_user() {
    requires!(root);
    let dir = tempfile::tempdir().unwrap();
    let grant = dir.path().join("grant");
    fs_err::write(&grant, "nobody:100000:65536\n").unwrap();
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script]).arg(&grant);
    again(&mut unshare, "auto", "namespaces: mount, ipc, uts, pid");
}

#[test]
fn namespaces_in_a_container() {
    contained("auto", "namespaces: user, mount, ipc, uts", |container| {
        container.seccomp = Seccomp::Unconfined;
    });
}

#[test]
fn namespaces_in_a_container_without_file_capabilities() {
    let expected = "namespaces: user with shifted ids, mount, ipc, uts";
    contained("auto", expected, |container| {
        container.seccomp = Seccomp::Unconfined;
        container.capabilities = Capabilities::CriO;
    });
}

#[test]
fn in_place() {
    contained("auto", "in-place", |_| {});
}

#[test]
fn chroot() {
    contained("chroot", "chroot", |_| {});
}

#[test]
fn chroot_where_nothing_can_be_moved() {
    contained("auto", "chroot", |container| {
        container.read_only = true;
        container.tmpfs = vec!["/tmp"];
    });
}

#[test]
fn what_is_not_possible_is_refused_before_any_work() {
    let mount = RunMount::Tmpfs {
        target: "/t".into(),
        size: None,
        readonly: false,
    };
    let mounting = RunStep {
        mounts: vec![mount],
        ..sh("true")
    };
    let insecure = RunStep {
        security: Security::Insecure,
        ..sh("true")
    };
    let alone = RunStep {
        network: Network::None,
        ..sh("true")
    };
    for (step, want) in [
        (
            mounting,
            "`--mount=type=tmpfs` needs namespaces or running in place, which are not in use here",
        ),
        (
            insecure,
            "`--security=insecure` needs isolation by namespaces",
        ),
        (
            alone,
            "`--network=none` needs namespaces, which are not in use here",
        ),
    ] {
        assert_eq!(
            check(&Isolation::Chroot, &step).unwrap_err().to_string(),
            want
        );
    }
    check(&Isolation::Chroot, &sh("true")).unwrap();
}

#[test]
fn in_place_and_chroot_are_for_containers() {
    let dir = tempfile::tempdir().unwrap();
    for requested in [Requested::InPlace, Requested::Chroot] {
        let outside = IsolationOptions {
            requested,
            force: false,
            in_container: false,
            work_dir: dir.path(),
            executable: &executable(),
            keep: Vec::new(),
            hide: Vec::new(),
            interrupt: &Interrupt::new(),
        };
        let error = select(&outside).unwrap_err();
        assert_eq!(
            error.to_string(),
            "kaniko should only be run inside of a container, run with the --force flag if you are sure you want to continue"
        );
    }
}
