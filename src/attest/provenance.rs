//! How an image was made: what was asked for, what went into it, when.
//!
//! # Spec
//! SLSA provenance v1 in the form of BuildKit, `docs/attestations/slsa-definitions.md`; deviations: [`crate::design`].

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::conceal::Concealed;
use crate::image::Platform;

const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub mode: Mode,
    /// URI of who builds; empty if nobody said.
    pub builder_id: String,
    /// The user says that another build would give the same.
    pub reproducible: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Neither build args and labels, nor the Dockerfile, nor ids of secrets.
    Min,
    Max,
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Where the context came from, if not from this machine.
    pub context: Option<Material>,
    /// Contexts of this machine, by name.
    pub locals: Vec<String>,
    /// File name of the Dockerfile, and its text.
    pub dockerfile: (String, String),
    /// Stage to build.
    pub target: Option<String>,
    pub build_args: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// `--build-context`
    pub contexts: BTreeMap<String, String>,
}

/// Something that went into the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Material {
    pub uri: String,
    /// Kind of hash, and the hash.
    pub digest: Option<(&'static str, String)>,
}

/// What a build takes, as its plan says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Materials {
    /// Images, repositories and files of servers.
    pub remote: Vec<Material>,
    /// A command is executed that may reach the network.
    pub uses_network: bool,
    /// Ids of secrets that commands may read, and whether they must be there.
    pub secrets: BTreeMap<String, bool>,
    /// The same of agents.
    pub agents: BTreeMap<String, bool>,
}

/// Which run of the executor it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    pub id: String,
    /// RFC 3339, as the next.
    pub started: String,
    pub finished: String,
    pub platform: Platform,
}

/// Writes what is known. Values that are secret, as far as their names or places tell, are in none of it.
pub fn predicate(
    options: &Options,
    request: &Request,
    materials: &Materials,
    invocation: &Invocation,
) -> Value {
    let concealed = Concealed::of(&request.build_args);
    let is_max = options.mode == Mode::Max;
    let remote = materials.remote.iter().chain(&request.context);
    let mut remote: Vec<Material> = remote
        .map(|material| Material {
            uri: concealed.text(&material.uri),
            digest: material.digest.clone(),
        })
        .collect();
    remote.sort();
    remote.dedup();
    let is_complete = request.locals.is_empty() && remote.iter().all(|m| m.digest.is_some());
    let mut metadata = json!({
        "invocationId": invocation.id,
        "startedOn": invocation.started,
        "finishedOn": invocation.finished,
        "buildkit_hermetic": is_complete && !materials.uses_network,
        "buildkit_completeness": {
            "request": is_max && concealed.is_empty(),
            "resolvedDependencies": is_complete,
        },
        "buildkit_reproducible": options.reproducible,
    });
    if is_max {
        let (name, text) = &request.dockerfile;
        let text = STANDARD.encode(concealed.text(text));
        let info = json!({ "filename": name, "language": "Dockerfile", "data": text });
        metadata["buildkit_metadata"] = json!({ "source": { "infos": [info] } });
    }
    json!({
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "configSource": source(request, &concealed),
                "request": asked(request, materials, &concealed, is_max),
            },
            "internalParameters": { "builderPlatform": invocation.platform.to_string() },
            "resolvedDependencies": remote.iter().map(descriptor).collect::<Vec<_>>(),
        },
        "runDetails": {
            "builder": { "id": options.builder_id },
            "metadata": metadata,
        },
    })
}

/// Returns where the Dockerfile comes from.
fn source(request: &Request, concealed: &Concealed) -> Value {
    let mut source = request
        .context
        .as_ref()
        .map_or_else(|| json!({}), descriptor);
    if let Some(uri) = source["uri"].as_str().map(|uri| concealed.text(uri)) {
        source["uri"] = uri.into();
    }
    source["path"] = request.dockerfile.0.clone().into();
    source
}

fn descriptor(material: &Material) -> Value {
    let mut descriptor = json!({ "uri": material.uri });
    if let Some((kind, hash)) = &material.digest {
        descriptor["digest"] = json!({ *kind: hash });
    }
    descriptor
}

fn asked(request: &Request, materials: &Materials, concealed: &Concealed, is_max: bool) -> Value {
    let mut args = Map::new();
    if let Some(target) = &request.target {
        args.insert("target".to_owned(), target.clone().into());
    }
    for (name, location) in &request.contexts {
        args.insert(format!("context:{name}"), concealed.text(location).into());
    }
    if is_max {
        for (name, value) in &request.build_args {
            args.insert(
                format!("build-arg:{name}"),
                concealed.value(name, value).into(),
            );
        }
        for (name, value) in &request.labels {
            args.insert(format!("label:{name}"), concealed.value(name, value).into());
        }
    }
    let locals: Vec<Value> = request
        .locals
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut asked = json!({ "frontend": "dockerfile.v0", "args": args, "locals": locals });
    if is_max {
        let ids = |ids: &BTreeMap<String, bool>| -> Vec<Value> {
            let ids = ids.iter();
            ids.map(|(id, required)| json!({ "id": id, "optional": !required }))
                .collect()
        };
        asked["secrets"] = ids(&materials.secrets).into();
        asked["ssh"] = ids(&materials.agents).into();
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(mode: Mode) -> Value {
        let options = Options {
            mode,
            builder_id: "https://ci/1".to_owned(),
            reproducible: false,
        };
        let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let request = Request {
            context: Some(Material {
                uri: "https://me:pw@h/a.git#main".to_owned(),
                digest: Some(("sha1", "c0".to_owned())),
            }),
            dockerfile: (
                "Dockerfile".to_owned(),
                "FROM x\nRUN y --token=hunter22 z\n".to_owned(),
            ),
            build_args: pairs(&[
                ("NPM_TOKEN", "hunter22"),
                ("VERSION", "1"),
                ("URL", "https://u:pw@h/hunter22"),
            ]),
            ..Request::default()
        };
        let materials = Materials {
            remote: vec![Material {
                uri: "pkg:docker/x@latest".to_owned(),
                digest: Some(("sha256", "d".to_owned())),
            }],
            secrets: [("npm".to_owned(), true)].into(),
            ..Materials::default()
        };
        let invocation = Invocation {
            id: "i".to_owned(),
            started: "s".to_owned(),
            finished: "f".to_owned(),
            platform: Platform::new("linux", "amd64", ""),
        };
        predicate(&options, &request, &materials, &invocation)
    }

    #[test]
    fn modes() {
        let min = printed(Mode::Min);
        let definition = &min["buildDefinition"];
        let source = json!({ "uri": "https://h/a.git#main", "digest": { "sha1": "c0" }, "path": "Dockerfile" });
        assert_eq!(definition["externalParameters"]["configSource"], source);
        assert_eq!(
            definition["externalParameters"]["request"],
            json!({ "frontend": "dockerfile.v0", "args": {}, "locals": [] })
        );
        assert_eq!(
            definition["resolvedDependencies"].as_array().unwrap().len(),
            2
        );
        let metadata = &min["runDetails"]["metadata"];
        assert_eq!(
            metadata["buildkit_completeness"],
            json!({ "request": false, "resolvedDependencies": true })
        );
        assert_eq!(metadata["buildkit_hermetic"], true);
        let max = printed(Mode::Max);
        let request = &max["buildDefinition"]["externalParameters"]["request"];
        let want = json!({ "build-arg:NPM_TOKEN": "***", "build-arg:URL": "https://h/***", "build-arg:VERSION": "1" });
        assert_eq!(request["args"], want);
        assert_eq!(
            request["secrets"],
            json!([{ "id": "npm", "optional": false }])
        );
        let data =
            &max["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"][0]["data"];
        let data = STANDARD.decode(data.as_str().unwrap()).unwrap();
        assert_eq!(
            String::from_utf8(data).unwrap(),
            "FROM x\nRUN y --token=*** z\n"
        );
    }
}
