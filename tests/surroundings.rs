//! What the executor is started with and from: signals, limits, streams.

use std::process::Command;

use crate::support::{Sandbox, requires};

/// Returns `command` as `env` starts it: `--ignore-signal=CHLD`, as careless parents do, or `--default-signal=HUP`.
pub fn through_env(option: &str, command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg(option)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear();
    for (key, value) in command.get_envs() {
        env.env(key, value.unwrap());
    }
    env
}

#[test]
fn ignored_signals_change_nothing() {
    requires!(root);
    let t = Sandbox::new();
    t.dockerfile(&format!("FROM {}\nRUN exit 7\n", t.base()));
    let args = ["--no-push", "--context", t.context().to_str().unwrap()].map(str::to_owned);
    let output = through_env("--ignore-signal=CHLD,PIPE,HUP", &t.command(args))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
}

/// Whether the kernel gives huge pages to the process, as its `status` in `/proc` says.
fn has_huge_pages(status: &str) -> bool {
    status
        .lines()
        .any(|line| line.split_whitespace().eq(["THP_enabled:", "1"]))
}

#[test]
fn huge_pages_are_for_commands() {
    requires!(root);
    let t = Sandbox::new();
    let pipe = t.path("Dockerfile");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let result = t.path("result");
    let args = [
        "--no-push".to_owned(),
        format!("--context={}", t.context().display()),
        format!("--dockerfile={}", pipe.display()),
        format!("--output=type=local,dest={}", result.display()),
    ];
    let mut executor = t.command(args).spawn().unwrap();
    // The pipe opens when the executor reads it, and so has begun.
    let dockerfile = format!(
        "FROM {} AS made\nRUN cat /proc/self/status >/status\nFROM scratch\nCOPY --from=made /status /\n",
        t.base()
    );
    let mut writer = fs_err::OpenOptions::new().write(true).open(&pipe).unwrap();
    let own = fs_err::read_to_string(format!("/proc/{}/status", executor.id())).unwrap();
    std::io::Write::write_all(&mut writer, dockerfile.as_bytes()).unwrap();
    drop(writer);
    assert!(executor.wait().unwrap().success());
    let of_the_command = fs_err::read_to_string(result.join("status")).unwrap();
    let of_this_process = fs_err::read_to_string("/proc/self/status").unwrap();
    assert!(!has_huge_pages(&own), "{own}");
    assert_eq!(
        has_huge_pages(&of_the_command),
        has_huge_pages(&of_this_process),
        "{of_the_command}"
    );
    assert!(has_huge_pages(&of_this_process), "{of_this_process}");
}
