//! Whether commands for another machine can run here.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Error;
use super::bases::Bases;
use super::outlook::At;
use crate::image::Platform;
use crate::plan::{Action, Base, Plan};

/// Refuses a plan with commands for a machine that is neither this one nor emulated.
pub fn check(plan: &Plan, bases: &Bases, executed: &[At]) -> Result<(), Error> {
    let host = Platform::host();
    for (position, index) in executed {
        let stage = &plan.stages[*position];
        let step = &stage.steps[*index];
        if !matches!(step.action, Action::Run(_)) {
            continue;
        }
        let Some(platform) = machine(plan, bases, *position) else {
            continue;
        };
        if !runs_here(platform, &host) {
            let platform = Box::new(platform.clone());
            return Err(Error::at(stage, step, Error::Machine { platform }));
        }
    }
    Ok(())
}

/// Returns what the base image of a stage is for, by its own word; nothing if there is no image.
fn machine<'b>(plan: &Plan, bases: &'b Bases, position: usize) -> Option<&'b Platform> {
    match &plan.stages[position].base {
        Base::Scratch => None,
        Base::Stage(base) => machine(plan, bases, *base),
        Base::Image(image, platform) => {
            let base = bases.get(&(image.clone(), platform.clone()))?;
            Some(&base.config.platform)
        }
    }
}

fn runs_here(wanted: &Platform, host: &Platform) -> bool {
    let (wanted, host) = (&*wanted.architecture, &*host.architecture);
    if wanted == host || matches!((wanted, host), ("386", "amd64") | ("arm", "arm64")) {
        return true;
    }
    // the kernel knows best: it refuses a program for which nothing is registered
    match header(wanted).map(|program| execute(&program)) {
        Some(Err(error)) => error.raw_os_error() != Some(libc::ENOEXEC),
        Some(Ok(())) | None => true,
    }
}

/// Tries to execute a program that does nothing.
fn execute(program: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(program)?;
    let executable = std::fs::Permissions::from_mode(0o755);
    file.as_file().set_permissions(executable)?;
    start(&file.into_temp_path()) // closed: one that is written to is not executed
}

/// Runs a program; waits if it is still open for writing, as it is in a child that another thread is about to start.
fn start(program: &Path) -> std::io::Result<()> {
    const PAUSE: Duration = Duration::from_millis(10);
    const ATTEMPTS: usize = 3000;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).env_clear();
    let mut attempts = 1..ATTEMPTS;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                attempts.next().ok_or(error)?;
                std::thread::sleep(PAUSE);
            }
            child => return child?.wait().map(drop),
        }
    }
}

/// Returns the head of a program for an architecture, by which emulators are chosen.
fn header(architecture: &str) -> Option<Vec<u8>> {
    #[rustfmt::skip] // a table keeps its columns
    let (is_64, is_big, machine): (bool, bool, u16) = match architecture {
        "386"      => (false, false, 3),
        "ppc64le"  => (true,  false, 21),
        "s390x"    => (true,  true,  22),
        "arm"      => (false, false, 40),
        "amd64"    => (true,  false, 62),
        "arm64"    => (true,  false, 183),
        "riscv64"  => (true,  false, 243),
        "loong64"  => (true,  false, 258),
        "mips64le" => (true,  false, 8),
        _ => return None,
    };
    let number = |value: u16| match is_big {
        true => value.to_be_bytes(),
        false => value.to_le_bytes(),
    };
    let mut header = vec![0; 64];
    header[..4].copy_from_slice(b"\x7fELF");
    header[4] = 1 + u8::from(is_64);
    header[5] = 1 + u8::from(is_big);
    header[6] = 1;
    header[16..18].copy_from_slice(&number(2));
    header[18..20].copy_from_slice(&number(machine));
    header[if is_big { 23 } else { 20 }] = 1;
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_relatives_run_here() {
        let platform = |text: &str| text.parse::<Platform>().unwrap();
        let amd64 = platform("linux/amd64");
        assert!(runs_here(&amd64, &amd64));
        assert!(runs_here(&platform("linux/386"), &amd64));
        assert!(runs_here(
            &platform("linux/arm/v6"),
            &platform("linux/arm64")
        ));
        assert!(runs_here(&platform("linux/unheard-of"), &amd64));
    }

    #[test]
    fn a_program_that_is_still_written_to_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let mut writer = fs_err::File::create(&path).unwrap();
        writer.write_all(&header("s390x").unwrap()).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        writer.set_permissions(executable).unwrap();
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            drop(writer);
        });
        // it is no program of this machine, unless an emulator takes it
        if let Err(error) = start(&path) {
            assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC), "{error}");
        }
        later.join().unwrap();
    }
}
