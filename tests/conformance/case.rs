//! One case folder, read.

use std::path::{Path, PathBuf};

/// A folder of `testdata/conformance`.
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    pub dockerfile: Vec<u8>,
    /// Further arguments, with paths relative to the case's work directory.
    pub args: Vec<String>,
    /// Lines that describe the files of the build context, see [`super::files`].
    pub context: Vec<String>,
    /// The same for files beside the context, such as secrets.
    pub beside: Vec<String>,
    /// What is on the web and in a repository, see [`super::servers`].
    pub web: Vec<String>,
    pub repository: Vec<String>,
    pub expected: Expected,
}

/// What a case gives.
pub struct Expected {
    /// What differs from the base image, see [`super::tree`].
    pub tree: Vec<String>,
    /// What differs from the config of an image from scratch.
    pub config: Vec<String>,
    /// The new entries, with `layer` or `empty` in front.
    pub history: Option<Vec<String>>,
    /// When the entries of the history were made, see [`super::moments`]; such builds have no fixed time.
    pub moments: Option<Vec<String>>,
    /// What `--output` writes, see [`super::outputs`].
    pub outputs: Option<Vec<String>>,
    /// Texts in the log.
    pub log: Vec<String>,
    /// Texts in the log of a build that fails.
    pub error: Option<Vec<String>>,
    /// The same for a build that fails in place only.
    pub in_place_error: Option<Vec<String>>,
    pub exit_status: i32,
    /// What depends on the place in which a command runs is in the image.
    pub in_place_differs: bool,
    /// Something in the image differs from build to build, such as what git writes into its directory.
    pub always_differs: bool,
}

/// Reads every case whose name contains the text of the variable `CONFORMANCE`.
pub fn all() -> Vec<Case> {
    let wanted = std::env::var("CONFORMANCE").unwrap_or_default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/conformance");
    let entries = fs_err::read_dir(root).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let cases = folders.iter().map(|folder| Case::read(folder));
    cases.filter(|case| case.name.contains(&wanted)).collect()
}

impl Case {
    fn read(folder: &Path) -> Self {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs_err::read_to_string(folder.join("case")).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("# "),
            "{name}: the first line says what it shows"
        );
        let mut case = Self {
            dockerfile: fs_err::read(folder.join("Dockerfile")).unwrap(),
            name,
            folder: folder.to_owned(),
            args: Vec::new(),
            context: Vec::new(),
            beside: Vec::new(),
            web: Vec::new(),
            repository: Vec::new(),
            expected: Expected {
                tree: Vec::new(),
                config: Vec::new(),
                history: None,
                moments: None,
                outputs: None,
                log: Vec::new(),
                error: None,
                in_place_error: None,
                exit_status: 1,
                in_place_differs: false,
                always_differs: false,
            },
        };
        let mut section = String::new();
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("# "));
        for line in lines {
            match line
                .strip_prefix('[')
                .and_then(|rest| rest.strip_suffix(']'))
            {
                Some(name) => {
                    name.clone_into(&mut section);
                    case.begin(name);
                }
                None => case.line(&section, line.to_owned()),
            }
        }
        case
    }

    fn begin(&mut self, section: &str) {
        match section {
            "history" => self.expected.history = Some(Vec::new()),
            "moments" => self.expected.moments = Some(Vec::new()),
            "output" => self.expected.outputs = Some(Vec::new()),
            "error" => self.expected.error = Some(Vec::new()),
            "in-place differs" => self.expected.in_place_differs = true,
            "always differs" => self.expected.always_differs = true,
            "in-place error" => self.expected.in_place_error = Some(Vec::new()),
            _ => {}
        }
    }

    fn line(&mut self, section: &str, line: String) {
        let expected = &mut self.expected;
        match section {
            "args" => self.args.push(line),
            "context" => self.context.push(line),
            "beside" => self.beside.push(line),
            "web" => self.web.push(line),
            "git" => self.repository.push(line),
            "tree" => expected.tree.push(line),
            "config" => expected.config.push(line),
            "history" => expected.history.as_mut().unwrap().push(line),
            "moments" => expected.moments.as_mut().unwrap().push(line),
            "output" => expected.outputs.as_mut().unwrap().push(line),
            "log" => expected.log.push(line),
            "error" => match line.strip_prefix("exit ").map(str::parse) {
                Some(Ok(status)) => expected.exit_status = status,
                _ => expected.error.as_mut().unwrap().push(line),
            },
            "in-place error" => expected.in_place_error.as_mut().unwrap().push(line),
            other => panic!("{}: no section [{other}]", self.name),
        }
    }

    /// Puts a text in the place of a mark.
    pub fn fill(&mut self, mark: &str, text: &str) {
        let dockerfile = String::from_utf8_lossy(&self.dockerfile);
        if dockerfile.contains(mark) {
            self.dockerfile = dockerfile.replace(mark, text).into_bytes();
        }
        let expected = &mut self.expected;
        let optional = [
            &mut expected.history,
            &mut expected.error,
            &mut expected.in_place_error,
        ];
        let lines = [
            &mut self.args,
            &mut self.context,
            &mut self.beside,
            &mut expected.tree,
        ];
        let lines = lines
            .into_iter()
            .chain([&mut expected.config, &mut expected.log]);
        let lines = lines.chain(optional.into_iter().flatten());
        for line in lines.flatten() {
            *line = line.replace(mark, text);
        }
    }

    /// Tells whether an argument has a text.
    pub fn wants(&self, text: &str) -> bool {
        self.args.iter().any(|arg| arg.contains(text))
    }

    /// Tells whether it asks for what another builder has no word for: outputs, and times that are not fixed.
    pub fn is_only_ours(&self) -> bool {
        self.expected.moments.is_some() || self.expected.outputs.is_some()
    }

    /// Tells whether two builds in one place give one digest.
    pub fn is_reproducible(&self) -> bool {
        !self.expected.always_differs && self.expected.moments.is_none()
    }

    /// Returns the texts of the failure that is expected with an isolation.
    pub fn failure(&self, isolation: &str) -> Option<&[String]> {
        let own = match isolation {
            "in-place" => self.expected.in_place_error.as_deref(),
            _ => None,
        };
        own.or(self.expected.error.as_deref())
    }
}
