//! The README's examples for systems whose schemas no registry of packages carries: each key is one that the system's documentation has.

use serde_json::Value;

use crate::support::manifest::{self, readme, yaml};
use crate::support::requires;

/// Heading, where in the document (lists leave no trace), and what may stand there.
#[rustfmt::skip] // a table keeps its columns
const KEYS: &[(&str, &str, &str)] = &[
    ("GitLab CI",      "",                                "build"),
    ("GitLab CI",      "/build",                          "stage image script variables rules needs tags"),
    ("GitLab CI",      "/build/image",                    "name entrypoint pull_policy"),
    ("Tekton",         "",                                "apiVersion kind metadata spec"),
    ("Tekton",         "/metadata",                       "name namespace labels annotations"),
    ("Tekton",         "/spec",                           "description params workspaces results steps volumes"),
    ("Tekton",         "/spec/params",                    "name type description default"),
    ("Tekton",         "/spec/workspaces",                "name description mountPath optional readOnly"),
    ("Tekton",         "/spec/results",                   "name type description"),
    ("Tekton",         "/spec/steps",                     "name image command args env workingDir script securityContext volumeMounts"),
    ("Tekton",         "/spec/steps/securityContext",     "runAsUser runAsGroup privileged capabilities"),
    ("Argo Workflows", "",                                "apiVersion kind metadata spec"),
    ("Argo Workflows", "/metadata",                       "name generateName namespace labels annotations"),
    ("Argo Workflows", "/spec",                           "entrypoint arguments templates volumes serviceAccountName"),
    ("Argo Workflows", "/spec/volumes",                   "name secret"),
    ("Argo Workflows", "/spec/volumes/secret",            "secretName items defaultMode optional"),
    ("Argo Workflows", "/spec/volumes/secret/items",      "key path mode"),
    ("Argo Workflows", "/spec/templates",                 "name inputs outputs container volumes"),
    ("Argo Workflows", "/spec/templates/container",       "image command args env volumeMounts"),
    ("Argo Workflows", "/spec/templates/container/volumeMounts", "name mountPath subPath readOnly"),
    ("Skaffold",       "",                                "apiVersion kind metadata build"),
    ("Skaffold",       "/build",                          "artifacts cluster tagPolicy"),
    ("Skaffold",       "/build/artifacts",                "image context kaniko"),
    ("Skaffold",       "/build/artifacts/kaniko",         "image dockerfile target buildArgs cache env flags"),
    ("Skaffold",       "/build/artifacts/kaniko/buildArgs", "VERSION"),
    ("Skaffold",       "/build/cluster",                  "dockerConfig namespace timeout serviceAccount pullSecretName"),
    ("Skaffold",       "/build/cluster/dockerConfig",     "path secretName"),
    ("Cloud Build",    "",                                "steps timeout options images substitutions"),
    ("Cloud Build",    "/steps",                          "name args env dir id entrypoint waitFor secretEnv"),
    ("GitHub Actions", "",                                "name on jobs env permissions"),
    ("GitHub Actions", "/jobs",                           "image"),
    ("GitHub Actions", "/jobs/image",                     "name runs-on steps env needs permissions"),
    ("GitHub Actions", "/jobs/image/steps",               "name id uses with env run if"),
    ("GitHub Actions", "/jobs/image/steps/with",          "args entrypoint"),
    ("GitHub Actions", "/jobs/image/steps/env",           "DOCKER_AUTH_CONFIG"),
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
    requires!(manifest::possible(), "needs PyPI's kubernetes-validate");
    let mut headings: Vec<&str> = KEYS.iter().map(|row| row.0).collect();
    headings.dedup();
    for heading in headings {
        check(heading, "", &yaml(readme(heading)));
    }
    for (heading, version, kind) in VERSIONS {
        let document = yaml(readme(heading));
        assert_eq!(document["apiVersion"], version);
        assert_eq!(document["kind"], kind);
    }
}
