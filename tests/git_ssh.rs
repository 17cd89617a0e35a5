//! Contexts that are git repositories behind ssh, from OpenSSH's own server, and behind git's daemon.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::git_contexts::{git, repositories};
use crate::support::inetd::{Sshd, git_daemon, keygen, user};
use crate::support::{Sandbox, tool};

/// A server that lets the newest version of git's protocol through.
const NEW: &str = "AcceptEnv GIT_PROTOCOL";

/// Makes a pair of keys in the sandbox's `~/.ssh`, with which the server lets it in, and makes the server known.
fn befriend(t: &Sandbox, sshd: &Sshd, name: &str, args: &[&str]) -> PathBuf {
    let key = t.path("home/.ssh").join(name);
    fs_err::create_dir_all(key.parent().unwrap()).unwrap();
    keygen(&key, args);
    sshd.admit(&key);
    know(t, &sshd.known_host());
    key
}

fn know(t: &Sandbox, line: &str) {
    fs_err::write(t.path("home/.ssh/known_hosts"), line).unwrap();
}

#[test]
fn every_way_to_name_a_commit_in_both_versions() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let first = &made.first;
    let detached = format!("{first}\n");
    let (main, dev) = ("ref: refs/heads/main\n", "ref: refs/heads/dev\n");
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (String::new(),               "",             "second",     main),
        ("#dev".into(),               "",             "developed",  dev),
        ("#v1".into(),                "",             "first",      &detached),
        (format!("#{first}"),         "",             "first",      &detached),
        (format!("#dev#{first}"),     "depth=0",      "first",      &detached),
        ("#main".into(),              "branch=dev",   "developed",  dev),
    ];
    for (name, settings) in [("new", NEW), ("old", "")] {
        let sshd = Sshd::new(t.path(name), settings);
        let key = befriend(&t, &sshd, "id_ed25519", &["-t", "ed25519"]);
        let url = sshd.url(&made.root.join("app.git"));
        for (fragment, option, version, head) in &cases {
            let options = [format!("--git={option}")];
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            let given = if option.is_empty() { &[][..] } else { &options };
            t.build_from(&format!("{url}{fragment}"), given).succeeded();
            let image = t.pull();
            assert_eq!(image.text("version"), *version, "{name} {fragment}");
            assert_eq!(image.text("HEAD"), *head, "{name} {fragment}");
        }
        t.build_from(&format!("{url}#main:sub"), &[]).succeeded();
        assert_eq!(t.pull().text("here"), "here");
        let none = "0123456789012345678901234567890123456789";
        t.build_from(&format!("{url}#{none}"), &[]).failed(1, none);
        let missing = sshd.url(&made.root.join("none.git"));
        t.build_from(&missing, &[])
            .failed(1, "does not appear to be a git repository");
        fs_err::remove_file(&key).unwrap();
        fs_err::remove_file(key.with_extension("pub")).unwrap();
    }
}

#[test]
fn every_kind_of_key() {
    let t = Sandbox::new();
    let made = repositories(&t);
    // what the hosters of repositories do
    let only_git = format!("{NEW}\nForceCommand git-shell -c \"$SSH_ORIGINAL_COMMAND\"");
    let sshd = Sshd::new(t.path("sshd"), &only_git);
    let url = sshd.url(&made.root.join("app.git"));
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&str, &[&str]); 8] = [
        ("id_ed25519",      &["-t", "ed25519"]),
        ("id_ecdsa",        &["-t", "ecdsa", "-b", "256"]),
        ("id_ecdsa",        &["-t", "ecdsa", "-b", "521"]),
        ("id_ecdsa",        &["-t", "ecdsa", "-m", "PEM"]),
        ("id_rsa",          &["-t", "rsa", "-b", "2048"]),
        ("id_rsa",          &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ("id_rsa",          &["-t", "rsa", "-b", "3072", "-m", "PKCS8"]),
        ("ssh-privatekey",  &["-t", "ed25519"]),
    ];
    for (name, args) in cases {
        let key = befriend(&t, &sshd, name, args);
        t.build_from(&url, &[]).succeeded();
        assert_eq!(t.pull().text("version"), "second", "{name} {args:?}");
        fs_err::remove_file(&key).unwrap();
        fs_err::remove_file(format!("{}.pub", key.display())).unwrap();
    }
    let refused = t.build_from(&url, &[]).failed(1, "lets nobody in as");
    assert!(refused.stderr.contains("GIT_SSH_COMMAND"), "{refused}");
    let key = t.path("home/.ssh/id_rsa");
    keygen(&key, &["-t", "rsa", "-b", "2048"]);
    let message = format!("`{}` (refused)", key.display());
    t.build_from(&url, &[]).failed(1, &message);
    fs_err::remove_file(&key).unwrap();
    keygen(&key, &["-t", "ed25519", "-N", "secret"]);
    sshd.admit(&key);
    let refused = t
        .build_from(&url, &[])
        .failed(1, "id_rsa` (it has a passphrase)");
    assert!(refused.stderr.contains("ssh-keygen -p"), "{refused}");
}

#[test]
fn a_server_whose_only_host_key_is_rsa() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let path = made.root.join("app.git");
    for (name, settings) in [
        ("any", ""),
        ("sha256", "HostKeyAlgorithms rsa-sha2-256"),
        ("sha1", "HostKeyAlgorithms ssh-rsa"),
    ] {
        let kind = ["-t", "rsa", "-b", "2048"];
        let sshd = Sshd::with_host_key(t.path(name), settings, &kind);
        let key = befriend(&t, &sshd, "id_ed25519", &["-t", "ed25519"]);
        let finished = t.build_from(&sshd.url(&path), &[]);
        match name {
            "sha1" => drop(finished.failed(1, "cannot talk to 127.0.0.1")),
            _ => drop(finished.succeeded()),
        }
        // a key of that kind which is not the server's
        keygen(&t.path("other"), &kind);
        let other = fs_err::read_to_string(t.path("other.pub")).unwrap();
        know(&t, &format!("[127.0.0.1]:{} {other}", sshd.port));
        if name != "sha1" {
            t.build_from(&sshd.url(&path), &[])
                .failed(1, "is another one than line 1 of");
        }
        for file in [
            t.path("other"),
            t.path("other.pub"),
            key.with_extension("pub"),
            key,
        ] {
            fs_err::remove_file(file).unwrap();
        }
    }
}

#[test]
fn a_repository_is_added() {
    let mut t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    let key = befriend(&t, &sshd, "special", &["-t", "ed25519"]);
    let url = sshd.url(&made.root.join("app.git"));
    let short = format!("{}@repo:{}", user(), made.root.join("app.git").display());
    let port = sshd.port;
    t.env(
        "GIT_SSH_COMMAND",
        format!("ssh -i {} -p {port} -o HostName=127.0.0.1", key.display()),
    );
    t.dockerfile(&format!(
        "FROM scratch\nADD {url}#v1 /a/\nADD --keep-git-dir {short}#main:sub /b/\n"
    ));
    let image = t.build_and_pull("app", [""; 0]);
    assert_eq!(image.text("a/version"), "first");
    assert_eq!(image.text("b/here"), "here");
    keygen(&t.path("locked"), &["-t", "ed25519", "-N", "secret"]);
    let locked = t.path("locked");
    t.env("GIT_SSH_COMMAND", format!("ssh -i {}", locked.display()));
    t.file("a", 0o644, "a\n");
    for commit in ["", &format!("#{}", made.first)] {
        t.dockerfile(&format!("FROM scratch\nCOPY a /\nADD {url}{commit} /a/\n"));
        let finished = t.build(["--no-push"]).failed(1, "it has a passphrase");
        assert!(finished.stderr.contains("> 3 | ADD"), "{finished}");
        assert!(
            !finished.stderr.contains("] COPY a /"),
            "before any work: {finished}"
        );
    }
}

#[test]
fn servers_must_be_known() {
    let mut t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    befriend(&t, &sshd, "id_ed25519", &["-t", "ed25519"]);
    let url = sshd.url(&made.root.join("app.git"));
    let known = t.path("home/.ssh/known_hosts");
    // as `ssh-keyscan -H` writes it
    tool("ssh-keygen", ["-q", "-H", "-f", known.to_str().unwrap()]);
    assert!(fs_err::read_to_string(&known).unwrap().starts_with("|1|"));
    t.build_from(&url, &[]).succeeded();
    know(&t, "");
    let message = format!(
        "the host key of [127.0.0.1]:{} is not known: ssh-ed25519 SHA256:",
        sshd.port
    );
    let refused = t.build_from(&url, &[]).failed(1, &message);
    assert!(refused.stderr.contains("ssh-keyscan"), "{refused}");
    assert!(
        refused.stderr.contains(known.to_str().unwrap()),
        "{refused}"
    );
    let other = t.path("other");
    keygen(&other, &["-t", "ed25519"]);
    let other = fs_err::read_to_string(t.path("other.pub")).unwrap();
    let changed = format!("# mine\n[127.0.0.1]:{} {other}", sshd.port);
    know(&t, &changed);
    let message = format!("is another one than line 2 of `{}` says", known.display());
    t.build_from(&url, &[]).failed(1, &message);
    know(&t, &format!("@revoked {}", sshd.known_host()));
    t.build_from(&url, &[]).failed(1, "is revoked by line 1 of");
    for (option, file, works) in [
        ("accept-new", "", true),
        ("accept-new", &changed, false),
        ("no", &changed, true),
        ("yes", "", false),
    ] {
        know(&t, file);
        t.env(
            "GIT_SSH_COMMAND",
            format!("ssh -o StrictHostKeyChecking={option}"),
        );
        let finished = t.build_from(&url, &[]);
        match works {
            true => assert!(finished.succeeded().stderr.contains("the host key of")),
            false => drop(finished.failed(1, "the host key of")),
        }
    }
    let elsewhere = t.path("elsewhere");
    fs_err::write(&elsewhere, sshd.known_host()).unwrap();
    let command = format!("ssh -o UserKnownHostsFile={}", elsewhere.display());
    t.env("GIT_SSH_COMMAND", command);
    t.build_from(&url, &[]).succeeded();
}

#[test]
fn settings_of_command_and_file() {
    let mut t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    let key = befriend(&t, &sshd, "special key", &["-t", "ed25519"]);
    let path = made.root.join("app.git");
    let shown = key.display();
    t.build_from(&sshd.url(&path), &[])
        .failed(1, "lets nobody in as");
    t.env(
        "GIT_SSH_COMMAND",
        format!("ssh -i '{shown}' -v -o BatchMode=yes"),
    );
    t.build_from(&sshd.url(&path), &[]).succeeded();
    // a short name for the server, as in a file that a CI system writes
    let short = format!("{}@repo:{}#dev", user(), path.display());
    let port = sshd.port;
    t.env(
        "GIT_SSH_COMMAND",
        format!("ssh -p {port} -o HostName=127.0.0.1 -i \"{shown}\""),
    );
    t.build_from(&short, &[]).succeeded();
    assert_eq!(t.pull().text("version"), "developed");
    t.env("GIT_SSH_COMMAND", "");
    let config =
        format!("Host repo\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile \"{shown}\"\n");
    let file = t.path("home/.ssh/config");
    fs_err::write(&file, &config).unwrap();
    t.build_from(&short, &[]).succeeded();
    fs_err::write(&file, config + "  ProxyJump other\n").unwrap();
    t.build_from(&short, &[])
        .failed(1, "`proxyjump other` is not built in");
    t.env("GIT_SSH_COMMAND", "plink -batch");
    t.build_from(&short, &[])
        .failed(1, "it runs `plink`, and only `ssh` is built in");
    for wrong in ["ssh://-oProxyCommand=x/a", "ssh://me:secret@127.0.0.1/a"] {
        let finished = t
            .build_from(wrong, &[])
            .failed(1, "the value of --context is not a URL");
        assert!(!finished.stderr.contains("secret"), "{finished}");
    }
}

/// An agent with a key, ended with the value.
struct Agent(Child);

impl Agent {
    fn start(socket: &Path, key: &Path) -> Self {
        let mut agent = Command::new("ssh-agent");
        agent.arg("-D").arg("-a").arg(socket).stdout(Stdio::null());
        let agent = Self(agent.spawn().unwrap());
        // the socket is there before anybody listens
        while UnixStream::connect(socket).is_err() {
            std::thread::yield_now();
        }
        let mut add = Command::new("ssh-add");
        add.arg("-q").arg(key).env("SSH_AUTH_SOCK", socket);
        assert!(add.status().unwrap().success());
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn keys_of_an_agent() {
    let mut t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    let url = sshd.url(&made.root.join("app.git"));
    let socket = t.path("agent");
    for kind in ["ed25519", "rsa"] {
        let key = befriend(&t, &sshd, "hidden", &["-t", kind]);
        let agent = Agent::start(&socket, &key);
        t.env("SSH_AUTH_SOCK", &socket);
        fs_err::remove_file(key).unwrap();
        t.build_from(&url, &[]).succeeded();
        drop(agent);
        t.build_from(&url, &[]).failed(1, "the agent (");
        let _ = fs_err::remove_file(&socket);
    }
}

#[test]
fn submodules_behind_ssh_and_git_daemon() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    befriend(&t, &sshd, "id_ed25519", &["-t", "ed25519"]);
    let daemon = git_daemon(&made.root);
    let outer = made.root.join("outer.git");
    let urls = [
        "../app.git".to_owned(),
        sshd.url(&made.root.join("app.git")),
        format!("git://127.0.0.1:{daemon}/app.git"),
    ];
    for url in &urls {
        git(
            &outer,
            &["config", "-f", ".gitmodules", "submodule.inner.url", url],
        );
        git(
            &outer,
            &["commit", "-q", "-a", "--allow-empty", "-m", "moved"],
        );
        let context = sshd.url(&outer);
        t.build_from(&context, &["--git=recurse-submodules=true"])
            .succeeded();
        assert_eq!(t.pull().text("version"), "second", "{url}");
    }
    let missing = format!("git://127.0.0.1:{daemon}/none.git");
    for (url, message) in [
        (missing.as_str(), "access denied or repository not exported"),
        (
            "file:///etc",
            "the address of the submodule `inner` cannot be used",
        ),
        ("git://127.0.0.1:1/a", "cannot reach git://127.0.0.1:1/a"),
    ] {
        git(
            &outer,
            &["config", "-f", ".gitmodules", "submodule.inner.url", url],
        );
        git(&outer, &["commit", "-q", "-a", "-m", "moved"]);
        let context = sshd.url(&outer);
        t.build_from(&context, &["--git=recurse-submodules=true"])
            .failed(1, message);
    }
}

#[test]
fn pointers_of_lfs_are_told() {
    let t = Sandbox::new();
    let made = repositories(&t);
    let sshd = Sshd::new(t.path("sshd"), NEW);
    befriend(&t, &sshd, "id_ed25519", &["-t", "ed25519"]);
    let app = made.root.join("app.git");
    let url = sshd.url(&app);
    let finished = t.build_from(&url, &[]).succeeded();
    assert!(!finished.stderr.contains("LFS"), "{finished}");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    fs_err::write(app.join("big.bin"), pointer).unwrap();
    fs_err::write(app.join(".gitattributes"), "*.bin filter=lfs -text\n").unwrap();
    git(&app, &["-c", "filter.lfs.clean=cat", "add", "-A"]);
    git(&app, &["commit", "-q", "-m", "large"]);
    let finished = t.build_from(&url, &[]).succeeded();
    let message = "not fetched is what Git LFS keeps of these files: big.bin";
    assert!(finished.stderr.contains(message), "{finished}");
}
