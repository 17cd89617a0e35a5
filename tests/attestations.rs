//! Statements about images: what is attached, where it can be, and what it does not say.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Sandbox, tool};

const SPDX: &str = "https://spdx.dev/Document";
const PROVENANCE: &str = "https://slsa.dev/provenance/v1";

fn document(layout: &Path, digest: &Value) -> Value {
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
    let blob = fs_err::read(layout.join("blobs/sha256").join(hex)).unwrap();
    serde_json::from_slice(&blob).unwrap()
}

/// Returns the index that a layout offers.
fn index(layout: &Path) -> Value {
    let index: Value =
        serde_json::from_slice(&fs_err::read(layout.join("index.json")).unwrap()).unwrap();
    document(layout, &index["manifests"][0]["digest"])
}

/// Returns the statements about the image at a position of an index, whose forms are checked.
fn statements(layout: &Path, index: &Value, position: usize) -> Vec<Value> {
    let image = &index["manifests"][position]["digest"];
    let manifests = index["manifests"].as_array().unwrap().iter();
    let mut about = manifests.filter(|m| m["annotations"]["vnd.docker.reference.digest"] == *image);
    let attestation = about.next().unwrap();
    assert!(about.next().is_none(), "{index}");
    assert_eq!(
        attestation["annotations"]["vnd.docker.reference.type"],
        "attestation-manifest"
    );
    assert_eq!(
        attestation["platform"],
        json!({ "architecture": "unknown", "os": "unknown" })
    );
    let manifest = document(layout, &attestation["digest"]);
    let config = document(layout, &manifest["config"]["digest"]);
    let layers = manifest["layers"].as_array().unwrap();
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(json!(diff_ids), config["rootfs"]["diff_ids"]);
    let statement = |layer: &Value| {
        assert_eq!(layer["mediaType"], "application/vnd.in-toto+json");
        let statement = document(layout, &layer["digest"]);
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(
            statement["predicateType"],
            layer["annotations"]["in-toto.io/predicate-type"]
        );
        let hash = statement["subject"][0]["digest"]["sha256"]
            .as_str()
            .unwrap();
        assert_eq!(format!("sha256:{hash}"), *image);
        statement
    };
    layers.iter().map(statement).collect()
}

fn names(sbom: &Value) -> Vec<&str> {
    let packages = sbom["predicate"]["packages"].as_array().unwrap();
    let others = packages
        .iter()
        .filter(|package| package["SPDXID"] != "SPDXRef-Image");
    others
        .map(|package| package["name"].as_str().unwrap())
        .collect()
}

/// A base image with packages, and a Dockerfile that removes and replaces some of them.
fn packaged() -> Sandbox {
    let t = Sandbox::new();
    let status =
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36\n";
    t.file("status", 0o644, status);
    t.file("os-release", 0o644, "ID=debian\nVERSION_ID=\"12\"\n");
    t.file(
        "Cargo.lock",
        0o644,
        "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\n",
    );
    t.file("go.sum", 0o644, "a.io/gone v1.0.0 h1:x\n");
    t.file("old/requirements.txt", 0o644, "gone==1.0\n");
    t.dockerfile("FROM scratch\nCOPY status /var/lib/dpkg/status\nCOPY os-release /etc/\nCOPY Cargo.lock go.sum /src/\nCOPY old /py/\n");
    t.build(["--destination", &t.tag("base"), "--image-format=oci"])
        .succeeded();
    t.file("new/requirements.txt", 0o644, "flask==2.0\n");
    t.file("go.sum", 0o644, "");
    t
}

#[test]
fn statements_stand_beside_the_image() {
    let t = packaged();
    t.dockerfile(&format!(
        "FROM {}\nARG NPM_TOKEN\nARG VERSION\nCOPY new /py/\nCOPY go.sum /src/\n",
        t.tag("base")
    ));
    let (layout, digest) = (t.path("layout"), t.path("digest"));
    let build = |destination: &str| {
        t.build([
            "--sbom",
            "--provenance=mode=max,builder-id=https://ci.example/7",
            "--build-arg=NPM_TOKEN=hunter22",
            "--build-arg=VERSION=1.2",
            "--build-arg=SOURCE_DATE_EPOCH=1700000000",
            "--annotation=index:org.example.level=index",
            "--annotation=manifest-descriptor:org.example.level=descriptor",
            "--annotation=index-descriptor:org.example.level=layout",
            "--annotation=org.example.level=manifest",
            "--destination",
            destination,
            "--digest-file",
            digest.to_str().unwrap(),
            "--oci-layout-path",
            layout.to_str().unwrap(),
        ])
        .succeeded()
    };
    let app = t.tag("app:1");
    build(&app);
    let index = index(&layout);
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert_eq!(index["annotations"]["org.example.level"], "index");
    assert_eq!(
        index["manifests"][0]["annotations"]["org.example.level"],
        "descriptor"
    );
    let manifest = document(&layout, &index["manifests"][0]["digest"]);
    assert_eq!(manifest["annotations"]["org.example.level"], "manifest");
    let offered: Value =
        serde_json::from_slice(&fs_err::read(layout.join("index.json")).unwrap()).unwrap();
    assert_eq!(
        offered["manifests"][0]["annotations"]["org.example.level"],
        "layout"
    );
    assert_eq!(
        fs_err::read_to_string(&digest).unwrap(),
        offered["manifests"][0]["digest"]
    );

    let [sbom, provenance] = &statements(&layout, &index, 0)[..] else {
        panic!("two statements");
    };
    assert_eq!(
        (
            sbom["predicateType"].as_str(),
            provenance["predicateType"].as_str()
        ),
        (Some(SPDX), Some(PROVENANCE))
    );
    let host = t.registry.host();
    let platform = executor::image::Platform::host()
        .to_string()
        .replace('/', "%2F");
    assert_eq!(
        sbom["subject"][0]["name"],
        format!("pkg:docker/{host}/app@1?platform={platform}")
    );
    assert_eq!(names(sbom), ["libc6", "flask", "serde"]);
    let purl = &sbom["predicate"]["packages"][1]["externalRefs"][0]["referenceLocator"];
    assert_eq!(
        purl,
        "pkg:deb/debian/libc6@2.36?arch=amd64&distro=debian-12"
    );
    assert_eq!(
        sbom["predicate"]["creationInfo"]["created"],
        "2023-11-14T22:13:20Z"
    );
    conforms_to_spdx(&sbom["predicate"]);

    let definition = &provenance["predicate"]["buildDefinition"];
    let args = &definition["externalParameters"]["request"]["args"];
    assert_eq!(
        (&args["build-arg:VERSION"], &args["build-arg:NPM_TOKEN"]),
        (&json!("1.2"), &json!("***"))
    );
    let base = &definition["resolvedDependencies"][0];
    assert_eq!(
        base["uri"],
        format!("pkg:docker/{host}/base@latest?platform={platform}")
    );
    assert_eq!(base["digest"]["sha256"].as_str().unwrap().len(), 64);
    let run = &provenance["predicate"]["runDetails"];
    assert_eq!(run["builder"]["id"], "https://ci.example/7");
    assert_eq!(run["metadata"]["startedOn"], "2023-11-14T22:13:20Z");
    let source = &run["metadata"]["buildkit_metadata"]["source"]["infos"][0]["data"];
    let source = STANDARD.decode(source.as_str().unwrap()).unwrap();
    assert!(source.starts_with(b"FROM "));
    assert!(!provenance.to_string().contains("hunter22"));

    // the same once more, and by way of the layout
    let first = fs_err::read_to_string(&digest).unwrap();
    build(&app);
    assert_eq!(fs_err::read_to_string(&digest).unwrap(), first);
    t.executor(["push", layout.to_str().unwrap(), "-d", &t.tag("again:1")])
        .succeeded();
    let again = format!("docker://{}", t.tag("again:1"));
    let raw = tool("skopeo", ["inspect", "--raw", "--tls-verify=false", &again]);
    assert_eq!(
        executor::image::Digest::of(raw.as_bytes()).to_string(),
        first
    );
    // others take the index with all that is in it, and find the image
    let whole = format!("oci:{}:app", t.path("whole").display());
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    tool(
        "skopeo",
        copy.iter().copied().chain(["--all", &again, &whole]),
    );
    let alone = format!("{}:app", t.path("alone").display());
    tool(
        "skopeo",
        copy.iter()
            .copied()
            .chain([&*again, &format!("oci:{alone}")]),
    );
    let bundle = t.path("bundle");
    tool(
        "umoci",
        [
            "unpack",
            "--rootless",
            "--image",
            &alone,
            bundle.to_str().unwrap(),
        ],
    );
    assert!(t.path("bundle/rootfs/py/requirements.txt").exists());
    let inspected = tool(
        "skopeo",
        ["inspect", "--tls-verify=false", &format!("docker://{app}")],
    );
    assert!(inspected.contains("\"Os\": \"linux\""), "{inspected}");
}

/// Checks what SPDX 2.3 demands of every document.
fn conforms_to_spdx(document: &Value) {
    assert_eq!(
        (&document["spdxVersion"], &document["dataLicense"]),
        (&json!("SPDX-2.3"), &json!("CC0-1.0"))
    );
    assert_eq!(document["SPDXID"], "SPDXRef-DOCUMENT");
    let namespace = document["documentNamespace"].as_str().unwrap();
    assert!(
        namespace.starts_with("https://") && !namespace.contains('#'),
        "{namespace}"
    );
    assert!(document["name"].is_string() && document["creationInfo"]["creators"][0].is_string());
    let mut ids = std::collections::BTreeSet::from(["SPDXRef-DOCUMENT"]);
    for package in document["packages"].as_array().unwrap() {
        let id = package["SPDXID"].as_str().unwrap();
        let rest = id.strip_prefix("SPDXRef-").unwrap();
        assert!(
            rest.chars()
                .all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)),
            "{id}"
        );
        assert!(ids.insert(id), "{id} twice");
        assert!(package["name"].is_string() && package["downloadLocation"] == "NOASSERTION");
        assert_eq!(package["filesAnalyzed"], false);
    }
    for relationship in document["relationships"].as_array().unwrap() {
        for end in ["spdxElementId", "relatedSpdxElement"] {
            assert!(
                ids.contains(relationship[end].as_str().unwrap()),
                "{relationship}"
            );
        }
    }
}

#[test]
fn every_platform_has_its_own_and_a_cached_build_too() {
    let t = packaged();
    t.dockerfile("FROM scratch\nARG TARGETARCH\nCOPY Cargo.lock /$TARGETARCH/\n");
    let layout = t.path("layout");
    let cache = format!("--cache-repo=oci:{}", t.path("cache").display());
    let build = || {
        t.build([
            "--platform=linux/amd64,linux/arm64",
            "--attest=type=sbom",
            "--attest=type=provenance",
            "--build-arg=SOURCE_DATE_EPOCH=1",
            "--build-arg=X=y",
            "--cache",
            "--cache-copy-layers",
            &cache,
            "--no-push",
            "--oci-layout-path",
            layout.to_str().unwrap(),
        ])
        .succeeded()
    };
    let finished = build();
    assert!(
        finished.stderr.contains("[linux/arm64 stage-0 2/2] COPY"),
        "{finished}"
    );
    assert!(
        finished.stderr.contains("Built 2 of 2 stages"),
        "{finished}"
    );
    let made = index(&layout);
    let platforms = made["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["platform"]["architecture"].as_str().unwrap());
    assert_eq!(
        platforms.collect::<Vec<_>>(),
        ["amd64", "arm64", "unknown", "unknown"]
    );
    for position in [0, 1] {
        let statements = statements(&layout, &made, position);
        assert_eq!(names(&statements[0]), ["serde"]);
        assert_eq!(statements[0]["subject"][0]["name"], "_");
        // what min leaves out
        let request =
            &statements[1]["predicate"]["buildDefinition"]["externalParameters"]["request"];
        assert_eq!(request["args"], json!({}));
        assert_eq!(
            statements[1]["predicate"]["runDetails"]["metadata"].get("buildkit_metadata"),
            None
        );
    }
    fs_err::remove_dir_all(&layout).unwrap();
    let finished = build();
    assert!(
        finished.stderr.contains("0 steps executed, 2 cached"),
        "{finished}"
    );
    assert_eq!(index(&layout), made);
}

#[test]
fn a_damaged_database_is_named_and_no_reason_to_fail() {
    let t = Sandbox::new();
    t.file("package-lock.json", 0o644, "{");
    t.dockerfile("FROM scratch\nCOPY package-lock.json /app/\n");
    let layout = t.path("layout");
    let finished = t
        .build([
            "--sbom",
            "--no-push",
            "--oci-layout-path",
            layout.to_str().unwrap(),
        ])
        .succeeded();
    assert!(
        finished
            .stderr
            .contains("the SBOM lacks what /app/package-lock.json tells"),
        "{finished}"
    );
    let sbom = &statements(&layout, &index(&layout), 0)[0];
    let comment = sbom["predicate"]["creationInfo"]["comment"]
        .as_str()
        .unwrap();
    assert!(comment.contains("/app/package-lock.json"), "{comment}");
}
