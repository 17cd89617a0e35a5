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
