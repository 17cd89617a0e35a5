//! What command lines and environments come to, and which are refused.

use super::*;
use crate::cache::Repository;
use crate::cli::{args, table};
use crate::net::retry::Retry;
use crate::registry::{Credentials, Endpoints, credentials};
use std::sync::Arc;

/// Name and value.
type Pair = (&'static str, &'static str);

fn resolved(words: &str, env: &[(&str, &str)]) -> Result<Options, Error> {
    let words = words.split(' ').filter(|word| !word.is_empty());
    let args: Vec<String> = words.map(str::to_owned).collect();
    let values = args::parse(table::EXECUTOR, &args)?.values;
    let place = Place {
        current_dir: Path::new("/here"),
        executable: Path::new("/usr/bin/executor"),
    };
    let env = env.iter().copied().collect();
    Options::resolve(Given {
        values: &values,
        env: &env,
        place,
    })
}

/// Prints one thing of the options, chosen by `what`, or the error.
fn check(words: &str, env: &[(&str, &str)], what: impl Fn(&Options) -> String, want: &str) {
    let got = resolved(words, env).map_or_else(|error| error.to_string(), |o| what(&o));
    assert_eq!(got, want, "{words} {env:?}");
}

#[test]
fn combinations() {
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&str, &[Pair], &str); 52] = [
        ("",                                               &[], "you must provide --destination, or use --no-push"),
        ("--tar-path=/t",                                  &[], "you must provide --destination, or use --no-push"),
        ("--no-push",                                      &[("KANIKO_NO_PUSH", "false")], "you must provide --destination, or use --no-push"),
        ("",                                               &[("KANIKO_NO_PUSH", "1")], "fine"),
        ("-o type=local,dest=d",                           &[], "fine"),
        ("-o type=cacheonly",                              &[], "fine"),
        ("--output=type=registry,name=a/b --no-push",      &[], "--no-push contradicts an --output that pushes"),
        ("-o type=docker,dest=- -o -",                     &[], "only one --output can go to standard output"),
        ("-o type=docker,dest=f --image-format=oci",       &[], "--output type=docker cannot be used with --image-format=oci, use type=oci for an OCI image"),
        ("-o type=docker,dest=f --compression=zstd",       &[], "--compression=zstd cannot be used with --output type=docker, which has no zstd layers"),
        ("-o type=docker,dest=f --platform=linux/amd64,linux/arm64", &[], "--output type=docker holds one image and cannot be used with several platforms, use type=oci"),
        ("-o type=docker,tar=false,dest=f --platform=linux/amd64,linux/arm64", &[], "--output type=docker holds one image and cannot be used with several platforms, use type=oci"),
        ("-o type=tar,dest=f --platform=linux/amd64,linux/arm64", &[], "fine"),
        ("-o type=registry,name=Upper/x",                  &[], "cannot push to `Upper/x`"),
        ("--no-push",                                      &[("KANIKO_NO_PUSH", "maybe")], "invalid value \"maybe\" for KANIKO_NO_PUSH environment variable"),
        ("--no-push --image-format=docker --compression=zstd", &[], "--compression=zstd cannot be used with --image-format=docker, which has no media type for zstd layers"),
        ("--no-push --tar-path=t --image-format=oci",      &[], "--tar-path writes a Docker schema2 tarball and cannot be used with --image-format=oci, use --oci-layout-path for an OCI image"),
        ("--no-push --tar-path=t --compression=zstd",      &[], "--compression=zstd cannot be used with --tar-path, a Docker schema2 tarball has no zstd layers"),
        ("--no-push --cache",                              &[], "cache flags invalid: if using cache with --no-push, specify cache repo with --cache-repo"),
        ("--no-push --cache -d a/b",                       &[], "cache flags invalid: if using cache with --no-push, specify cache repo with --cache-repo"),
        ("--no-push --cache --no-push-cache",              &[], "fine"),
        ("--cache=true -d a/b",                            &[], "fine"),
        ("-d a/b --cache --cache-repo=c/d --cache-ttl=6h --cache-copy-layers", &[], "fine"),
        ("-d a/b --cache --cache-repo=c/d:tag",            &[], "invalid --cache-repo `c/d:tag`: it must have neither tag nor digest, which are the cache's own"),
        ("-d a/b --cache --cache-repo=C/d",                &[], "invalid --cache-repo `C/d`"),
        ("--no-push --image-name-with-digest-file=f",      &[], "you must provide --destination if setting ImageNameDigestFile"),
        ("--no-push --image-name-tag-with-digest-file=f",  &[], "you must provide --destination if setting ImageNameTagDigestFile"),
        ("--no-push --custom-platform=a/b/c/d",            &[], "Invalid platform"),
        ("--no-push --platform=linux/amd64,linux/arm64 --tar-path=t", &[], "--tar-path holds one image and cannot be used with several platforms, use --oci-layout-path"),
        ("--no-push --sbom --image-format=docker",         &[], "--sbom and --provenance need an OCI index and cannot be used with --image-format=docker"),
        ("--no-push --provenance --tar-path=t",            &[], "--tar-path writes a Docker schema2 tarball, which can hold neither an SBOM nor a provenance, use --oci-layout-path"),
        ("--no-push --provenance=false --tar-path=t",      &[], "fine"),
        ("--no-push --annotation=index:a=b",               &[], "an --annotation of an index needs one, which only several platforms, --sbom or --provenance make"),
        ("--output=type=docker,dest=t --sbom",             &[], "--output type=docker can hold neither an SBOM nor a provenance, use type=oci"),
        ("--output=type=local,dest=t --sbom",              &[], "fine"),
        ("--no-push --annotation=index:a=b --sbom",        &[], "fine"),
        ("--no-push --annotation=manifest-descriptor:a=b --image-format=docker", &[], "an --annotation beyond the manifest cannot be used with --image-format=docker, whose indexes have none"),
        ("--no-push --annotation=manifest[linux/s390x]:a=b", &[], "an --annotation is for linux/s390x, which is not built"),
        ("--no-push --label=x",                            &[], "labels must be of the form key=value, got x"),
        ("--no-push --snapshot-mode=fast",                 &[], "fast is not a valid snapshot mode"),
        ("--no-push --snapshotMode=fast",                  &[], "fast is not a valid snapshot mode"),
        ("--no-push --registry-client-cert=h=a",           &[], "failed to load client certificate/key 'h=a', expected format: my.registry.url=/path/to/client/cert,/path/to/client/key"),
        ("-d Upper/x",                                     &[], "cannot push to `Upper/x`"),
        ("-d a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000", &[], "cannot push to `a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000`"),
        ("--no-push --report=a.txt",                       &[], "invalid argument \"a.txt\" for \"--report\" flag: it must end in .json or .html"),
        ("--no-push",                                      &[("KANIKO_REGISTRY_MIRROR", "ftp://x")], "invalid registry mirror `ftp://x`: expected `host[:port][/prefix]`"),
        ("--no-push",                                      &[("KANIKO_REGISTRY_MAP", "x")], "invalid registry map `x`: expected `registry=replacement[/prefix]`"),
        ("--no-push",                                      &[("KANIKO_ISOLATION", "vm")], "invalid value for KANIKO_ISOLATION environment variable: `vm` is none of auto, namespaces, in-place, chroot"),
        ("--no-push",                                      &[("EXECUTOR_SHORTCUTS", "no")], "invalid value for EXECUTOR_SHORTCUTS environment variable: strconv.ParseBool: parsing \"no\": invalid syntax"),
        ("--no-push",                                      &[("SOURCE_DATE_EPOCH", "now")], "invalid value for SOURCE_DATE_EPOCH environment variable: `now` is no number of seconds"),
        ("--no-push",                                      &[("SOURCE_DATE_EPOCH", "253402300800")], "invalid value for SOURCE_DATE_EPOCH environment variable: `253402300800` is not in the years 0 to 9999"),
        ("--no-push --use-new-run --pre-cleanup --materialize --compressed-caching=false --whitelist-var-run --skip-unused-stages --force-build-metadata", &[], "fine"),
    ];
    for (words, env, want) in cases {
        check(words, env, |_| "fine".into(), want);
    }
}

#[test]
fn outputs() {
    let output = |options: &Options| {
        let output = &options.output;
        let names: Vec<&str> = output.destinations.iter().map(|d| &*d.as_given).collect();
        format!(
            "{:?} {} {:?} {:?}",
            output.exports, output.push, names, output.format
        )
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("-o d",                                "[Files(\"/here/d\")] false [] None"),
        ("-o -",                                "[FilesArchive(Stdout)] false [] None"),
        ("-o type=local,dest=/d -d a/b",        "[Files(\"/d\")] true [\"a/b\"] None"),
        ("-o type=tar,dest=- --no-push",        "[FilesArchive(Stdout)] false [] None"),
        ("-o type=oci,dest=f",                  "[LayoutArchive { place: File(\"/here/f\"), names: [] }] false [] Some(Oci)"),
        ("-o type=oci,dest=f --image-format=docker", "[LayoutArchive { place: File(\"/here/f\"), names: [] }] false [] Some(Docker)"),
        ("-o type=oci,tar=false,dest=l -d a/b", "[Layout(\"/here/l\")] true [\"a/b\"] None"),
        ("-o type=docker,tar=false,dest=l",     "[DockerLayout(\"/here/l\")] false [] Some(Docker)"),
        ("-o type=docker,dest=f,\"name=a:1,b\"", "[Docker { place: File(\"/here/f\"), names: [\"a:1\", \"b\"] }] false [] None"),
        ("-o type=image,name=a/b:1,push=true",  "[] true [\"a/b:1\"] None"),
        ("-o \"name=a/b,c/d\",type=registry -d e/f", "[] true [\"e/f\", \"a/b\", \"c/d\"] None"),
        ("-o type=cacheonly",                   "[] false [] None"),
    ];
    for (words, want) in cases {
        check(words, &[], output, want);
    }
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("dest=f",                              "it has no type"),
        ("type=zip,dest=f",                     "`zip` is none of local, tar, oci, docker, image, registry and cacheonly"),
        ("type=tar",                            "type=tar needs dest=PATH"),
        ("type=local,dest=-",                   "a directory cannot go to standard output"),
        ("type=local,dest=d,dest=e",            "`dest` is given twice"),
        ("type=local,dest=d,mode=max",          "there is no `mode` with type=local"),
        ("type=oci,dest=d,compression=zstd",    "`compression` is said of all outputs together, by --compression"),
        ("type=oci,dest=d,tar=maybe",           "`tar` is true or false, not `maybe`"),
        ("type=oci,dest=d,x",                   "`x` is not name=value"),
        ("type=docker,dest=d,tar=false,name=a", "`name` needs an archive here, not tar=false"),
        ("type=image,name=a",                   "there is no store of images here: say push=true, or type=oci or type=docker with dest=PATH"),
        ("type=registry",                       "type=registry needs name=IMAGE"),
    ];
    for (value, reason) in cases {
        let want = format!("invalid value \"{value}\" for --output: {reason}");
        check(&format!("-o {value}"), &[], output, &want);
    }
}

#[test]
fn where_layers_are_cached() {
    let cache = |options: &Options| match &options.cache {
        None => "nowhere".to_owned(),
        Some(cache) => format!(
            "{} copies={} runs={} ttl={}s push={}",
            match &cache.repository {
                Repository::Registry(image) => image.name(),
                Repository::Layouts(prefix) => format!("oci:{}", prefix.display()),
            },
            cache.copies,
            cache.runs,
            cache.ttl.as_secs(),
            cache.push
        ),
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("-d r.io/a/b:t",                                "nowhere"),
        ("-d r.io/a/b:t -d x/y --cache",                 "r.io/a/b/cache copies=false runs=true ttl=1209600s push=true"),
        ("-d a/b --cache --cache-repo=oci:rel/dir",      "oci:/rel/dir copies=false runs=true ttl=1209600s push=true"),
        ("--no-push --cache --cache-repo=oci:/abs --cache-copy-layers --cache-run-layers=false --cache-ttl=90s --no-push-cache",
         "oci:/abs copies=true runs=false ttl=90s push=false"),
        ("--no-push --cache --no-push-cache",            "nowhere"),
    ];
    for (words, want) in cases {
        check(words, &[], cache, want);
    }
}

#[test]
fn what_is_shared_by_builds() {
    let store = |options: &Options| match &options.store {
        None => "nothing".to_owned(),
        Some(store) => format!(
            "{} create={} max={:?} ttl={}s",
            store.dir.display(),
            store.create,
            store.max_size,
            store.ttl.as_secs()
        ),
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("-d a/b --cache-dir=/c",            "nothing"),
        ("-d a/b --cache",                   "/cache create=false max=None ttl=1209600s"),
        ("-d a/b --cache --cache-dir=c --cache-dir-max-size=1GB --cache-ttl=1h", "/here/c create=true max=Some(1000000000) ttl=3600s"),
    ];
    for (words, want) in cases {
        check(words, &[], store, want);
    }
}

#[test]
fn build_args_come_from_the_environment() {
    let env = [("SET", "v"), ("EMPTY", "")];
    let words = "--no-push --build-arg A=1=2 --build-arg SET --build-arg EMPTY --build-arg UNSET --build-arg A=3";
    let args = |options: &Options| format!("{:?}", options.build.args);
    check(words, &env, args, r#"{"A": "3", "EMPTY": "", "SET": "v"}"#);
}

#[test]
fn maps_and_mirrors_add_up() {
    let env = [
        ("KANIKO_REGISTRY_MAP", "b=c;index.docker.io=e"),
        ("KANIKO_REGISTRY_MIRROR", "env"),
    ];
    let words = "--no-push --registry-map=a=x;a=y/p --registry-map= --registry-map=b=z --registry-mirror=m --registry-mirror=n";
    let options = resolved(words, &env).unwrap();
    let mut want = Endpoints::default();
    want.add_map("a=x;a=y/p;b=z;b=c;index.docker.io=e").unwrap();
    for mirror in ["m", "n", "env"] {
        want.add_mirror(mirror).unwrap();
    }
    assert_eq!(options.registry.endpoints, want);
}

#[test]
fn pulling_and_pushing_differ() {
    let words = "--no-push --insecure --skip-tls-verify-pull --push-retry=2 --registry-mirror=m --insecure-registry=r";
    let registry = resolved(words, &[]).unwrap().registry;
    let credentials = Credentials::load(credentials::Options {
        environment: crate::net::Environment::default(),
        helpers: None,
    });
    let credentials = Arc::new(credentials);
    let (pull, push) = (
        registry.pull(credentials.clone()),
        registry.push(credentials),
    );
    assert!(push.insecure && !pull.insecure);
    assert!(pull.skip_tls_verify && !push.skip_tls_verify);
    assert!(pull.insecure_registries.contains("r") && push.insecure_registries.contains("r"));
    assert_eq!(push.endpoints, Endpoints::default());
    assert_ne!(pull.endpoints, Endpoints::default());
    assert_eq!(push.retry, Retry::DEFAULT.with_extra(2));
    assert_eq!(pull.retry, Retry::DEFAULT.with_extra(0));
}

#[test]
fn isolation_of_flag_and_environment() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("--no-push",                      "",       "Auto"),
        ("--no-push",                      "chroot", "Chroot"),
        ("--no-push --isolation=in-place", "chroot", "InPlace"),
        ("--no-push --isolation=namespaces", "vm",   "Namespaces"),
    ];
    for (words, variable, want) in cases {
        let isolation = |options: &Options| format!("{:?}", options.build.isolation);
        check(words, &[("KANIKO_ISOLATION", variable)], isolation, want);
    }
}

#[test]
fn the_kaniko_dir() {
    let at = |dir: &str| KanikoDir::At(dir.into());
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        (None,       "/kaniko/executor",       at("/kaniko")),
        (None,       "/usr/local/bin/executor", KanikoDir::Temporary),
        (Some("/k"), "/kaniko/executor",       at("/k")),
    ];
    for (given, executable, want) in cases {
        let got = KanikoDir::choose(given.map(PathBuf::from), Path::new(executable));
        assert_eq!(got, want);
    }
    let dir = |options: &Options| format!("{:?}", options.kaniko_dir);
    check("--no-push", &[("KANIKO_DIR", "k")], dir, r#"At("/here/k")"#);
    check(
        "--no-push --kaniko-dir=/f",
        &[("KANIKO_DIR", "k")],
        dir,
        r#"At("/f")"#,
    );
}

#[test]
fn paths_start_where_the_program_started() {
    let words = "--no-push --tar-path t --oci-layout-path=/o --digest-file=https://h/d --registry-certificate=h=ca.pem";
    let options = resolved(words, &[("BUILDER_OUTPUT", "out")]).unwrap();
    assert_eq!(options.output.tar_path, Some("/here/t".into()));
    assert_eq!(options.output.oci_layout_path, Some("/o".into()));
    assert_eq!(options.output.digest_file, Some("https://h/d".into()));
    assert_eq!(options.output.builder_output, Some("/here/out".into()));
    assert_eq!(
        options.registry.certificates["h"],
        Path::new("/here/ca.pem")
    );
}

#[test]
fn defaults_and_old_spellings() {
    let defaults = resolved("--no-push --dockerfile=", &[("KANIKO_CLEANUP", "x")]).unwrap();
    assert_eq!(defaults.context.location, "/workspace/");
    assert_eq!(defaults.context.dockerfile, None);
    assert!(!defaults.build.full_snapshots && !defaults.build.cleanup);
    let words = "--no-push --snapshotMode=full --customPlatform=linux/arm64 --cleanup=false";
    let options = resolved(words, &[("KANIKO_CLEANUP", "true")]).unwrap();
    assert!(options.build.full_snapshots && !options.build.cleanup);
    assert_eq!(options.build.platforms[0].to_string(), "linux/arm64");
    assert!(
        resolved("--no-push", &[("KANIKO_CLEANUP", "true")])
            .unwrap()
            .build
            .cleanup
    );
}
