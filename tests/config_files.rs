//! Where the real program finds credentials: in the files and variables that kaniko's users have.

use crate::support::{Registry, Sandbox};

/// A directory, the variables that name it, and flags.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn every_place_of_a_config_file() {
    let config = |t: &Sandbox| t.registry.docker_config();
    #[rustfmt::skip] // a table keeps its columns
    let cases: &[Case<'_>] = &[
        ("docker",            &[("DOCKER_CONFIG", "docker")],       &[]),
        ("home/.docker",      &[],                                  &[]),
        ("home/.docker",      &[("DOCKER_CONFIG", "absent")],       &[]),
        ("kaniko/.docker",    &[("DOCKER_CONFIG", "absent")],       &[]),
        ("other/.docker",     &[("DOCKER_CONFIG", "absent")],       &["--kaniko-dir", "other"]),
    ];
    for (dir, variables, flags) in cases {
        let mut t = Sandbox::with(Registry::basic_auth());
        t.file("f", 0o644, "f\n");
        t.dockerfile("FROM scratch\nCOPY f /f\n");
        for (name, dir) in *variables {
            t.env(name, t.path(dir));
        }
        let flags = flags.iter().map(|flag| match flag.starts_with('-') {
            true => flag.to_string(),
            false => t.path(flag).display().to_string(),
        });
        let args: Vec<String> = ["--destination".to_owned(), t.tag("app")]
            .into_iter()
            .chain(flags)
            .collect();
        t.build(&args)
            .failed(1, "no credentials were found for `127.0.0.1:");
        fs_err::create_dir_all(t.path(dir)).unwrap();
        fs_err::write(t.path(dir).join("config.json"), config(&t)).unwrap();
        let finished = t.build(&args);
        assert_eq!(finished.code, Some(0), "{dir} {variables:?}\n{finished}");
        assert_eq!(t.registry.tags("app"), ["latest"], "{dir} {variables:?}");
    }
}
