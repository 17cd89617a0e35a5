//! Mirrors and maps: every way to name them, the order in which they are asked, and what the log says of it.

use crate::support::Sandbox;

const IMAGE: &str = "index.docker.io/library/base:latest";

/// Variables and flags that name them.
type Names<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);

/// A sandbox whose registry has Docker Hub's `base`, also below `deep/er`, and a build from it.
fn sandbox() -> Sandbox {
    let t = Sandbox::new();
    t.file("f", 0o644, "f\n");
    t.dockerfile("FROM scratch\nCOPY f /f\n");
    let names = ["library/base", "deep/er/library/base"];
    let destinations = names.map(|name| format!("--destination={}", t.tag(name)));
    t.build(destinations).succeeded();
    t.dockerfile("FROM base\nCOPY f /g\n");
    t
}

#[test]
fn every_way_to_name_them() {
    #[rustfmt::skip] // a table keeps its columns
    let cases: &[Names<'_>] = &[
        (&[],                                               &["--registry-mirror=HOST/none", "--registry-mirror=HOST"]),
        (&[],                                               &["--registry-mirror=HOST/none", "--registry-mirror=HOST/deep/er"]),
        (&[],                                               &["--registry-map=index.docker.io=HOST/none;index.docker.io=HOST"]),
        (&[],                                               &["--registry-map=index.docker.io=HOST/none", "--registry-map=docker.io=HOST"]),
        (&[],                                               &["--registry-mirror=HOST", "--registry-map=index.docker.io=HOST/none", "--registry-map="]),
        (&[("KANIKO_REGISTRY_MAP", "index.docker.io=HOST")], &["--registry-map=index.docker.io=HOST/none"]),
        (&[("KANIKO_REGISTRY_MAP", "index.docker.io=HOST/none;index.docker.io=HOST")], &[]),
        (&[("KANIKO_REGISTRY_MIRROR", "HOST")],             &["--registry-mirror=HOST/none"]),
        (&[("KANIKO_REGISTRY_MIRROR", "HOST/none"), ("KANIKO_REGISTRY_MAP", "other=HOST")], &["--registry-mirror=HOST/none/too", "--registry-mirror=HOST"]),
    ];
    for (variables, flags) in cases {
        let mut t = sandbox();
        let host = t.registry.host();
        for (name, value) in *variables {
            t.env(name, value.replace("HOST", &host));
        }
        let flags = flags.iter().map(|flag| flag.replace("HOST", &host));
        let no_more = ["--no-push", "--skip-default-registry-fallback"].map(str::to_owned);
        let finished = t.build(flags.chain(no_more));
        assert_eq!(finished.code, Some(0), "{variables:?}\n{finished}");
        let asked = format!("Retrieving image {IMAGE} from mapped registry {host}");
        let failed = format!("Failed to retrieve image {IMAGE} from mapped registry {host}: ");
        let lines: Vec<&str> = finished
            .stderr
            .lines()
            .filter(|line| line.contains("mapped registry"))
            .collect();
        let [first, second, third] = lines[..] else {
            panic!("{variables:?}\n{finished}");
        };
        assert!(first.contains(&asked), "{finished}");
        assert!(second.contains(&failed), "{finished}");
        let next = "Will try with the next registry, or fallback to the original registry.";
        assert!(second.contains(next), "{finished}");
        assert!(third.contains(&asked), "{finished}");
    }
}

#[test]
fn without_the_registry_itself() {
    let t = sandbox();
    let host = t.registry.host();
    let mirror = format!("--registry-mirror={host}/none");
    let skip = "--skip-default-registry-fallback";
    let told = format!("image not found on any configured mapped registries for {IMAGE}");
    t.build(["--no-push", skip, &mirror]).failed(1, &told);
    // where there is no other place, the flag says nothing
    t.dockerfile(&format!("FROM {}\nCOPY f /g\n", t.tag("library/base")));
    let finished = t.build(["--no-push", skip, &mirror]).succeeded();
    let asked = format!("Retrieving image {host}/library/base:latest from registry {host}");
    assert!(finished.stderr.contains(&asked), "{finished}");
}
