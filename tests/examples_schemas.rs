//! The examples for systems other than Kubernetes, checked against the schemas that packages carry; where none does, each key is one that
//! the system's documentation has.

use serde_json::Value;

use crate::support::manifest::{
    self, conforms, conforms_to_argo, conforms_to_skaffold, example, yaml,
};
use crate::support::requires;

/// Of what there is no schema: heading, where in the document (lists leave no trace), and what may stand there.
#[rustfmt::skip] // a table keeps its columns
const KEYS: &[(&str, &str, &str)] = &[
    ("Tekton",         "",                                "apiVersion kind metadata spec"),
    ("Tekton",         "/metadata",                       "name namespace labels annotations"),
    ("Tekton",         "/spec",                           "description params workspaces results steps volumes"),
    ("Tekton",         "/spec/params",                    "name type description default"),
    ("Tekton",         "/spec/workspaces",                "name description mountPath optional readOnly"),
    ("Tekton",         "/spec/results",                   "name type description"),
    ("Tekton",         "/spec/steps",                     "name image command args env workingDir script securityContext volumeMounts"),
    ("Tekton",         "/spec/steps/securityContext",     "runAsUser runAsGroup privileged capabilities"),
];

/// Heading, the schema as `check-jsonschema` calls it, and a key without which it is none.
const SCHEMAS: [(&str, &str, &str); 3] = [
    ("GitLab CI", "gitlab-ci", "script:"),
    ("Cloud Build", "cloudbuild", "args:"),
    ("GitHub Actions", "github-workflows", "runs-on:"),
];

/// What says which version of a document it is.
const VERSIONS: [(&str, &str, &str); 3] = [
    ("Tekton", "tekton.dev/v1", "Task"),
    ("Argo Workflows", "argoproj.io/v1alpha1", "Workflow"),
    ("Skaffold", "skaffold/v4beta13", "Config"),
];

fn check(heading: &str, path: &str, value: &Value) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| check(heading, path, item)),
        Value::Object(pairs) => {
            let row = KEYS.iter().find(|row| (row.0, row.1) == (heading, path));
            let (_, _, known) =
                row.unwrap_or_else(|| panic!("{heading}: nothing stands in `{path}`"));
            for (key, value) in pairs {
                let is_known = known.split(' ').any(|other| other == key);
                assert!(is_known, "{heading}: `{path}` has no `{key}`");
                check(heading, &format!("{path}/{key}"), value);
            }
        }
        _ => {}
    }
}

#[test]
fn keys_of_the_examples_are_known() {
    requires!(manifest::possible(), "needs packages of PyPI");
    let mut headings: Vec<&str> = KEYS.iter().map(|row| row.0).collect();
    headings.dedup();
    for heading in headings {
        check(heading, "", &yaml(example(heading)));
    }
    for (heading, version, kind) in VERSIONS {
        let document = yaml(example(heading));
        assert_eq!(document["apiVersion"], version);
        assert_eq!(document["kind"], kind);
    }
}

#[test]
fn the_examples_conform_to_schemas() {
    requires!(manifest::possible(), "needs packages of PyPI");
    for (heading, schema, key) in SCHEMAS {
        let text = example(heading);
        assert_eq!(conforms(schema, text), Ok(()), "{heading}");
        let wrong = text.replacen(key, "unknown:", 1);
        assert!(conforms(schema, &wrong).is_err(), "{heading}");
    }
    let argo = example("Argo Workflows");
    assert_eq!(conforms_to_argo(argo), Ok(()));
    let unknown = argo.replacen("args:", "unknown:", 1);
    assert!(conforms_to_argo(&unknown).is_err());
    let wrong = argo.replacen("volumes:", "volumes: none #", 1);
    assert!(conforms_to_argo(&wrong).is_err());
}

/// The newest schema of Skaffold's that a package has is older than the example, which uses nothing that came later.
#[test]
fn the_example_of_skaffold_conforms_to_its_schema() {
    requires!(
        manifest::has_skaffold(),
        "needs the package that .ci/test installs"
    );
    let skaffold = example("Skaffold");
    assert_eq!(conforms_to_skaffold(skaffold), Ok(()));
    for (key, other) in [("buildArgs:", "unknown:"), ("secretName:", "secret:")] {
        let wrong = skaffold.replacen(key, other, 1);
        assert_ne!(wrong, skaffold, "{key}");
        assert!(conforms_to_skaffold(&wrong).is_err(), "{key}");
    }
}
