//! What kaniko's users see when something is wrong: the words of kaniko, where they are printed, and what they end with.

use crate::support::{Registry, Sandbox};

/// Arguments, a variable, the first line after the log's, and whether the usage follows.
type Case<'a> = (&'a [&'a str], (&'a str, &'a str), &'a str, bool);

#[test]
fn combinations_and_values() {
    #[rustfmt::skip] // a table keeps its columns
    let cases: &[Case<'_>] = &[
        (&[],                                               ("", ""), "Error: you must provide --destination, or use --no-push", true),
        (&["--tar-path=x.tar"],                             ("", ""), "Error: you must provide --destination, or use --no-push", true),
        (&["--no-push"],            ("KANIKO_NO_PUSH", "false"),      "Error: you must provide --destination, or use --no-push", true),
        (&["--no-push", "--image-format=docker", "--compression=zstd"], ("", ""), "Error: --compression=zstd cannot be used with --image-format=docker, ", true),
        (&["--no-push", "--image-format=oci", "--tar-path=x.tar"], ("", ""), "Error: --tar-path writes a Docker schema2 tarball and cannot be used with --image-format=oci, ", true),
        (&["--no-push", "--compression=zstd", "--tar-path=x.tar"], ("", ""), "Error: --compression=zstd cannot be used with --tar-path, ", true),
        (&["--no-push", "--cache", "-d", "a.example/b"],    ("", ""), "Error: cache flags invalid: if using cache with --no-push, specify cache repo with --cache-repo", true),
        (&["--no-push", "--image-name-with-digest-file=f"], ("", ""), "Error: you must provide --destination if setting ImageNameDigestFile", true),
        (&["--no-push", "--image-name-tag-with-digest-file=f"], ("", ""), "Error: you must provide --destination if setting ImageNameTagDigestFile", true),
        (&["--no-push", "--context="],                      ("", ""), "Error: error resolving source context: please specify a path to the build context with the --context flag or a bucket with the --bucket flag", false),
        (&["--no-push", "--context=ftp://x"],               ("", ""), "Error: error resolving source context: unknown build context prefix provided, please use one of the following: gs://, dir://, tar://, s3://, git://, https://", false),
        (&["--no-push", "--dockerfile=none"],               ("", ""), "Error: error resolving dockerfile path: please provide a valid path to a Dockerfile within the build context with --dockerfile", false),
        (&["--no-push", "--snapshot-mode=odd"],             ("", ""), "Error: odd is not a valid snapshot mode", true),
        (&["--no-push", "--label=odd"],                     ("", ""), "Error: labels must be of the form key=value, got odd", true),
        (&["--no-push", "--git=odd"],                       ("", ""), "Error: invalid argument \"odd\" for \"--git\" flag: invalid git flag, must be in the key=value format: odd", true),
        (&["--no-push", "--secret=src=odd"],                ("", ""), "Error: invalid argument \"src=odd\" for \"--secret\" flag: secret requires id=ID", true),
        (&["--no-push", "--verbosity=odd"],                 ("", ""), "Error: parsing log level: not a valid logrus Level: \"odd\"", true),
        (&["--no-push", "--odd"],                           ("", ""), "Error: unknown flag: --odd", true),
        (&["--no-push", "--cache-ttl=6"],                   ("", ""), "Error: invalid argument \"6\" for \"--cache-ttl\" flag: time: missing unit in duration \"6\"", true),
        (&["--no-push", "--registry-client-cert=a=b"],      ("", ""), "Error: failed to load client certificate/key 'a=b', ", true),
        (&["odd"],                                          ("", ""), "Error: unknown command \"odd\" for \"executor\"", false),
        (&["--cache", "true"],                              ("", ""), "Error: unknown command \"true\" for \"executor\"", false),
        (&["--no-push", "--secret=id=a,env=ODD"],           ("", ""), "error building image: environment variable for secret \"a\" not set: ODD", false),
        (&["--no-push", "--secret=id=a,src=/odd"],          ("", ""), "error building image: copying secret /odd: ", false),
    ];
    for (args, (name, value), message, usage) in cases {
        let mut t = Sandbox::new();
        t.dockerfile("FROM scratch\nLABEL a=b\n");
        if !name.is_empty() {
            t.env(name, *value);
        }
        let finished = t.build(*args);
        assert_eq!(finished.code, Some(1), "{args:?}\n{finished}");
        assert_eq!(finished.stdout, "", "{args:?}");
        let mut lines = finished.stderr.lines();
        let first = lines.find(|line| !line.starts_with("time="));
        assert!(
            first.is_some_and(|line| line.starts_with(message)),
            "{args:?}\n{finished}"
        );
        let told = lines.any(|line| line.starts_with("Usage:"));
        assert_eq!(told, *usage, "{args:?}\n{finished}");
    }
}

#[test]
fn fatal_lines_of_the_log() {
    let mut t = Sandbox::new();
    t.dockerfile("FROM scratch\nLABEL a=b\n");
    t.build(["--no-push", "--custom-platform=a/b/c/d"])
        .failed(1, "level=fatal msg=\"Invalid platform: ");
    t.env("KANIKO_NO_PUSH", "odd");
    let told = r#"level=fatal msg="invalid value \"odd\" for KANIKO_NO_PUSH environment variable""#;
    t.build(["--no-push"]).failed(1, told);
}

#[test]
fn a_push_that_is_not_permitted() {
    let mut t = Sandbox::with(Registry::basic_auth());
    t.dockerfile("FROM scratch\nLABEL a=b\n");
    let destination = format!("--destination={}", t.tag("app"));
    let warning = "level=warning msg=\"make sure you entered the correct tag name, that you are authenticated correctly, and try again.\"";
    let error = format!(
        "\nerror checking push permissions: checking push permission for \"{}:latest\"\n",
        t.tag("app")
    );
    let finished = t.build([&destination]).failed(1, &error);
    assert!(finished.stderr.contains(warning), "{finished}");
    assert!(
        !finished.stderr.contains("DOCKER_AUTH_CONFIG"),
        "{finished}"
    );
    t.env("DOCKER_AUTH_CONFIG", "{}");
    let finished = t.build([&destination]).failed(1, &error);
    let more = finished.stderr.lines();
    let more =
        more.filter(|line| line.contains("level=warning") && line.contains("DOCKER_AUTH_CONFIG"));
    assert_eq!(more.count(), 2, "{finished}");
}

#[test]
fn warnings_about_what_is_asked_for() {
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[&str], &str, bool); 5] = [
        (&["--cache"],                                     "no place to look into",    false),
        (&["--cache", "--no-push"],                        "no place to look into",    false),
        (&["--cache", "--no-push", "--no-push-cache"],     "no place to look into",    true),
        (&["--no-push", "--custom-platform=linux/amd46"],  "is linux/amd64 meant?",    true),
        (&["--no-push", "--custom-platform=linux/arm/v6"], "meant?",                   false),
    ];
    let t = Sandbox::new();
    t.dockerfile("FROM scratch\nLABEL a=b\n");
    for (args, warning, is_told) in cases {
        let finished = t.build(args);
        let lines = finished.stderr.lines();
        let mut warnings = lines.filter(|line| line.contains("level=warning"));
        let told = warnings.any(|line| line.contains(warning));
        assert_eq!(told, is_told, "{args:?}\n{finished}");
    }
}
