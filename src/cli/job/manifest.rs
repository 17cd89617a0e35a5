//! A Job as Kubernetes reads it.

use serde_json::{Map, Value, json};

use super::exposed;
use super::parts::Job;
use crate::cli::values::Values;
use crate::image::Platform;

/// How long a Job is kept after its end, in seconds.
const KEPT: u32 = 3600;
const REGISTRY: &str = "registry-credentials";
const GIT: &str = "git-credentials";

/// What the Jobs' pods have in common.
#[derive(Debug, Clone, Copy)]
pub struct Pod<'a> {
    pub values: &'a Values,
    pub image: &'a str,
}

impl Pod<'_> {
    /// Returns a Job as a document.
    pub fn job(self, job: &Job) -> Value {
        let labels = json!({ "app.kubernetes.io/name": "executor", "app.kubernetes.io/instance": job.build });
        let mut metadata = json!({ "name": job.name, "labels": labels });
        if let Some(namespace) = self.values.non_empty("namespace") {
            metadata["namespace"] = namespace.into();
        }
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": KEPT,
                "template": { "metadata": { "labels": labels }, "spec": self.spec(job) },
            },
        })
    }

    fn spec(self, job: &Job) -> Map<String, Value> {
        let mut container = json!({ "name": "executor", "image": self.image, "args": job.args });
        let secrets = self.values.list("env-secret").iter();
        let secrets: Vec<Value> = secrets
            .map(|name| json!({ "secretRef": { "name": name } }))
            .collect();
        if !secrets.is_empty() {
            container["envFrom"] = secrets.into();
        }
        let context = self.values.non_empty("context-secret");
        if let Some(secret) = context.filter(|_| job.builds) {
            let key = json!({ "name": secret, "key": exposed::KEY });
            container["env"] =
                json!([{ "name": exposed::VARIABLE, "valueFrom": { "secretKeyRef": key } }]);
        }
        let (volumes, mounts) = self.volumes(job);
        let mut spec = Map::new();
        spec.insert("restartPolicy".into(), "Never".into());
        if let Some(account) = self.values.non_empty("service-account") {
            spec.insert("serviceAccountName".into(), account.into());
        }
        if let Some(platform) = &job.platform {
            spec.insert("nodeSelector".into(), node(platform));
        }
        if !volumes.is_empty() {
            container["volumeMounts"] = mounts.into();
            spec.insert("volumes".into(), volumes.into());
        }
        spec.insert("containers".into(), json!([container]));
        spec
    }

    /// Returns the volumes of secrets and where they are mounted.
    fn volumes(self, job: &Job) -> (Vec<Value>, Vec<Value>) {
        let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
        if let Some(secret) = self.values.non_empty("registry-secret") {
            let items = json!([{ "key": ".dockerconfigjson", "path": "config.json" }]);
            let source = json!({ "secretName": secret, "items": items });
            volumes.push(json!({ "name": REGISTRY, "secret": source }));
            // a file can be moved out of a RUN's way, a mounted directory cannot
            let path = "/kaniko/.docker/config.json";
            mounts.push(json!({ "name": REGISTRY, "mountPath": path, "subPath": "config.json" }));
        }
        let git = self.values.non_empty("git-secret");
        if let Some(secret) = git.filter(|_| job.builds) {
            let source = json!({ "secretName": secret, "defaultMode": 0o400 });
            volumes.push(json!({ "name": GIT, "secret": source }));
            let path = "/root/.ssh";
            mounts.push(json!({ "name": GIT, "mountPath": path, "readOnly": true }));
        }
        (volumes, mounts)
    }
}

fn node(platform: &Platform) -> Value {
    json!({ "kubernetes.io/os": platform.os, "kubernetes.io/arch": platform.architecture })
}
