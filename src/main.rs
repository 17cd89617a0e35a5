//! The process's edge: arguments in, exit status out.

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use executor::cli::env::Environment;
use executor::cli::{
    self, BuildArguments, CarryArguments, Command, Helper, JobArguments, Mistake, Place,
    PruneArguments, PushArguments, WarmArguments,
};
use executor::execute::run;
use executor::interrupt::Interrupt;
use executor::report::Explain;
use executor::{job, log, report};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The child that carries a RUN knows nothing of the rest.
    if std::env::args_os().nth(1).is_some_and(|arg| arg == "init") {
        run::init::main();
    }
    run::give_up_huge_pages();
    if let Some(helper) = Helper::of_program(std::env::args_os()) {
        return ExitCode::from(answer(&helper));
    }
    let mut args = match cli::texts(std::env::args_os()) {
        Ok(args) => args,
        Err(mistake) => return ExitCode::from(report::mistake(&mistake)),
    };
    let is_warmer = |name: &str| Path::new(name).file_name() == Some("warmer".as_ref());
    match args.first() {
        Some(name) if is_warmer(name) => args[0] = "warm".to_owned(),
        _ => drop(args.drain(..args.len().min(1))),
    }
    ExitCode::from(guarded(|| carry_out(&args)))
}

/// Returns the status of `work`; if that finds a mistake of this program's own, the status says so (compat spec 10.3).
fn guarded(work: impl FnOnce() -> u8) -> u8 {
    const MISTAKEN: u8 = 2;
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        report::print(
            "this is a mistake of the executor's own: please report it with the lines above\n",
        );
        MISTAKEN
    })
}

fn carry_out(args: &[String]) -> u8 {
    match cli::parse(args) {
        Ok(Command::Print(text)) => print(&text),
        Ok(Command::Build(arguments)) => build(&arguments),
        Ok(Command::Push(arguments)) => push(&arguments),
        Ok(Command::Warm(arguments)) => warm(&arguments),
        Ok(Command::Prune(arguments)) => prune(&arguments),
        Ok(Command::Carry(arguments)) => carry(&arguments),
        Ok(Command::Job(arguments)) => manifest(&arguments),
        Ok(Command::Login(login)) => told(login.store(&Environment::of_process())),
        Ok(Command::Logout(registry)) => told(cli::forget(&registry, &Environment::of_process())),
        Err(mistake) => report::mistake(&mistake),
    }
}

fn build(arguments: &BuildArguments) -> u8 {
    const PHRASE: &str = "error building image";
    let interrupt = match prepare() {
        Ok(interrupt) => interrupt,
        Err(error) => return unprepared(PHRASE, &error),
    };
    let one_id = match become_root(&interrupt) {
        Ok(Some(status)) => return status,
        Ok(None) => None,
        Err(error) => Some(error),
    };
    for notice in &arguments.notices {
        report::print(&format!("{notice}\n"));
    }
    let progress = match arguments.log() {
        Ok(options) => {
            // lines for machines stay as they are, whatever reads them
            let progress = match options.format {
                log::Format::Color => log::Progress::on_terminal(),
                log::Format::Text | log::Format::Json => log::Progress::default(),
            };
            log::start(options, &progress);
            progress
        }
        Err(mistake) => return report::mistake(&mistake),
    };
    let options = match with_place(|place| arguments.resolve(&Environment::of_process(), place)) {
        Ok(options) => options,
        Err(mistake) => return report::mistake(&mistake),
    };
    if let Some(error) = one_id {
        let help = error.help().map(|help| format!("; {help}"));
        tracing::info!(
            "Building with the ids of one user: {error}{}",
            help.unwrap_or_default()
        );
    }
    let watched = watch(&interrupt, &progress, PHRASE);
    let watched = watched.and_then(|()| match options.build.timeout {
        Some(limit) => interrupt.expire_after(limit),
        None => Ok(()),
    });
    if let Err(error) = watched {
        return unprepared(PHRASE, &error);
    }
    let done = job::run(&options, &interrupt, &progress);
    progress.end();
    match done {
        Ok(()) => 0,
        // the one that watches says so and ends the process
        Err(_) if interrupt.check().is_err() => loop {
            std::thread::park();
        },
        Err(error @ job::Error::Context(_)) => report::refusal(&error),
        Err(error) => report::failure(&error),
    }
}

fn push(arguments: &PushArguments) -> u8 {
    for notice in &arguments.notices {
        report::print(&format!("{notice}\n"));
    }
    let progress = log::Progress::on_terminal();
    log::start(
        log::Options {
            level: log::Level::Info,
            format: log::Format::Color,
            timestamp: false,
        },
        &progress,
    );
    let push = match with_place(|place| arguments.resolve(&Environment::of_process(), place)) {
        Ok(push) => push,
        Err(mistake) => return report::mistake(&mistake),
    };
    let interrupt = match watched(&progress, "error pushing image") {
        Ok(interrupt) => interrupt,
        Err(status) => return status,
    };
    let done = job::push(&push, &interrupt, &progress);
    progress.end();
    match done {
        Ok(()) => 0,
        Err(error) => report::refusal(&error),
    }
}

fn warm(arguments: &WarmArguments) -> u8 {
    for notice in &arguments.notices {
        report::print(&format!("{notice}\n"));
    }
    run_with_log(
        arguments.log(),
        "error warming the cache",
        |place| arguments.resolve(&Environment::of_process(), place),
        |asked, interrupt| {
            let done = job::warm(&asked, interrupt);
            done.map_or_else(|error| report::failure(&error), |()| 0)
        },
    )
}

fn prune(arguments: &PruneArguments) -> u8 {
    run_with_log(
        arguments.log(),
        "error pruning the cache",
        |place| arguments.resolve(&Environment::of_process(), place),
        |asked, _| refused(job::prune(&asked)),
    )
}

fn carry(arguments: &CarryArguments) -> u8 {
    run_with_log(
        arguments.log(),
        "error carrying caches",
        |place| arguments.resolve(&Environment::of_process(), place),
        |asked, interrupt| refused(job::carry(&asked, interrupt)),
    )
}

/// Starts the log, completes what is asked for, and does it; a signal ends the process with `phrase`.
fn run_with_log<T>(
    log: Result<log::Options, Mistake>,
    phrase: &'static str,
    resolve: impl FnOnce(Place<'_>) -> Result<T, Mistake>,
    run: impl FnOnce(T, &Interrupt) -> u8,
) -> u8 {
    let progress = log::Progress::default();
    match log {
        Ok(options) => log::start(options, &progress),
        Err(mistake) => return report::mistake(&mistake),
    }
    let asked = match with_place(resolve) {
        Ok(asked) => asked,
        Err(mistake) => return report::mistake(&mistake),
    };
    match watched(&progress, phrase) {
        Ok(interrupt) => run(asked, &interrupt),
        Err(status) => status,
    }
}

/// Prints what a command of our own failed with and returns the exit status.
fn refused<E: Explain + 'static>(done: Result<(), E>) -> u8 {
    done.map_or_else(|error| report::refusal(&error), |()| 0)
}

/// Tells where this process is.
fn with_place<T>(what: impl FnOnce(Place<'_>) -> T) -> T {
    what(Place {
        current_dir: &std::env::current_dir().unwrap_or_else(|_| "/".into()),
        executable: &std::env::current_exe().unwrap_or_default(),
    })
}

/// Prints a Kubernetes Job.
fn manifest(arguments: &JobArguments) -> u8 {
    for notice in &arguments.notices {
        report::print(&format!("{notice}\n"));
    }
    match with_place(|place| arguments.manifest(&Environment::of_process(), place)) {
        Ok(text) => print(&text),
        Err(mistake) => report::mistake(&mistake),
    }
}

/// Hides this process from others, and catches the signals that tell it to stop.
fn prepare() -> std::io::Result<Interrupt> {
    run::hide_this_process()?;
    Interrupt::install()
}

/// Lets a build that an ordinary user starts run as root of a user namespace, where all owners of an image are to be had, and
/// returns its exit status; `None` if this process is root as it is.
///
/// # Errors
/// Nothing has run then. The build may go on with the user's id alone: it remembers what the disk cannot hold, but has no `RUN`
/// except where a container's profile permits it.
fn become_root(interrupt: &Interrupt) -> Result<Option<u8>, run::UserNamespaceError> {
    if rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    run::run_in_user_namespace(run::this_executable(), interrupt).map(Some)
}

/// Catches the signals that tell this process to stop, and ends it once everything is put back; else prints why not and returns
/// the exit status.
fn watched(progress: &log::Progress, phrase: &'static str) -> Result<Interrupt, u8> {
    let interrupt = Interrupt::install().and_then(|interrupt| {
        watch(&interrupt, progress, phrase)?;
        Ok(interrupt)
    });
    interrupt.map_err(|error| unprepared(phrase, &error))
}

fn unprepared(phrase: &str, error: &std::io::Error) -> u8 {
    report::print(&format!("{phrase}: cannot prepare the process: {error}\n"));
    1
}

/// Sees to it that a signal ends this process once everything is put back.
fn watch(
    interrupt: &Interrupt,
    progress: &log::Progress,
    phrase: &'static str,
) -> std::io::Result<()> {
    let (watched, progress) = (interrupt.clone(), progress.clone());
    std::thread::Builder::new()
        .name("watch".into())
        .spawn(move || {
            let interrupted = watched.wait();
            watched.finish();
            progress.end();
            report::print(&format!("{phrase}: {interrupted}\n"));
            std::process::exit(interrupted.exit_status().into());
        })?;
    Ok(())
}

/// Prints a credential where whoever asks for one reads it: an error goes to standard output too.
fn answer(helper: &Helper) -> u8 {
    match helper.answer(&Environment::of_process()) {
        Ok(answer) => print(&format!("{}\n", answer.text)) | u8::from(!answer.is_success),
        Err(error) => print(&format!("{error}\n")) | 1,
    }
}

fn print(text: &str) -> u8 {
    u8::from(std::io::stdout().write_all(text.as_bytes()).is_err())
}

/// Prints what a command has to say on stderr.
fn told(outcome: Result<String, cli::Error>) -> u8 {
    match outcome {
        Ok(text) => {
            report::print(&text);
            0
        }
        Err(error) => report::mistake(&error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_our_own_has_a_status() {
        assert_eq!(guarded(|| 0), 0);
        assert_eq!(guarded(|| panic!("for the test")), 2);
    }
}
