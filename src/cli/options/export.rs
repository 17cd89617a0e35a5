//! `--output`: attributes of each kind, checked.

use std::path::PathBuf;

use super::Given;
use crate::cli::Error;
use crate::cli::value::parse_bool;
use crate::dockerfile::csv;
use crate::output::export::{Export, Place};

/// What one `--output` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Export(Export),
    /// The image is pushed to these names.
    Push(Vec<String>),
    /// The image is built, and that is all.
    Nothing,
}

/// Reads the values of `--output`, in order.
pub fn outputs(given: Given<'_>) -> Result<Vec<Asked>, Error> {
    let asked = |text: &String| {
        parse(text, given).map_err(|reason| Error::Output {
            text: text.clone(),
            reason,
        })
    };
    given.values.list("output").iter().map(asked).collect()
}

/// Attributes that are left to be looked at.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(index).1)
    }

    fn bool(&mut self, name: &str, default: bool) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(default),
            Some(text) => {
                parse_bool(&text).map_err(|_| format!("`{name}` is true or false, not `{text}`"))
            }
        }
    }

    /// Returns the names of an image, which are separated by commas.
    fn names(&mut self) -> Vec<String> {
        let names = self.take("name").unwrap_or_default();
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(str::to_owned).collect()
    }

    fn end(self, kind: &str) -> Result<(), String> {
        let Some((name, _)) = self.0.first() else {
            return Ok(());
        };
        let flag = match name.as_str() {
            "compression" => Some("--compression"),
            "compression-level" => Some("--compression-level"),
            "oci-mediatypes" => Some("--image-format"),
            name if name.starts_with("annotation") => Some("--annotation"),
            _ => None,
        };
        Err(match flag {
            Some(flag) => format!("`{name}` is said of all outputs together, by {flag}"),
            None => format!("there is no `{name}` with type={kind}"),
        })
    }
}

fn parse(text: &str, given: Given<'_>) -> Result<Asked, String> {
    let fields = csv::fields(text)?;
    if let [path] = &fields[..]
        && !path.contains('=')
    {
        // a lone path is a directory for the files, a lone hyphen their archive on standard output
        return Ok(Asked::Export(match path.as_str() {
            "" => return Err("it is empty".to_owned()),
            "-" => Export::FilesArchive(Place::Stdout),
            path => Export::Files(given.absolute(path)),
        }));
    }
    let mut attributes = Attributes(Vec::new());
    for field in fields {
        let pair = field.split_once('=');
        let (key, value) = pair.ok_or_else(|| format!("`{field}` is not name=value"))?;
        let key = key.trim().to_lowercase();
        if attributes.0.iter().any(|(known, _)| *known == key) {
            return Err(format!("`{key}` is given twice"));
        }
        attributes.0.push((key, value.to_owned()));
    }
    let kind = attributes.take("type");
    let kind = kind.ok_or("it has no type")?;
    let asked = asked(&kind, &mut attributes, given)?;
    attributes.end(&kind)?;
    Ok(asked)
}

fn asked(kind: &str, attributes: &mut Attributes, given: Given<'_>) -> Result<Asked, String> {
    let dest = |attributes: &mut Attributes| {
        let dest = attributes.take("dest").filter(|dest| !dest.is_empty());
        dest.ok_or_else(|| format!("type={kind} needs dest=PATH"))
    };
    let place = |dest: String| match dest.as_str() {
        "-" => Place::Stdout,
        path => Place::File(given.absolute(path)),
    };
    let directory = |dest: String| -> Result<PathBuf, String> {
        match dest.as_str() {
            "-" => Err("a directory cannot go to standard output".to_owned()),
            path => Ok(given.absolute(path)),
        }
    };
    Ok(Asked::Export(match kind {
        "local" => Export::Files(directory(dest(attributes)?)?),
        "tar" => Export::FilesArchive(place(dest(attributes)?)),
        "oci" => {
            let (dest, names) = (dest(attributes)?, attributes.names());
            match attributes.bool("tar", true)? {
                true => Export::LayoutArchive {
                    place: place(dest),
                    names,
                },
                false if names.is_empty() => Export::Layout(directory(dest)?),
                false => return Err("`name` needs an archive here, not tar=false".to_owned()),
            }
        }
        "docker" => {
            let (dest, names) = (dest(attributes)?, attributes.names());
            match attributes.bool("tar", true)? {
                true => Export::Docker {
                    place: place(dest),
                    names,
                },
                false if names.is_empty() => Export::DockerLayout(directory(dest)?),
                false => return Err("`name` needs an archive here, not tar=false".to_owned()),
            }
        }
        "image" | "registry" => {
            let names = attributes.names();
            if names.is_empty() {
                return Err(format!("type={kind} needs name=IMAGE"));
            }
            return match attributes.bool("push", kind == "registry")? {
                true => Ok(Asked::Push(names)),
                false => Err("there is no store of images here: say push=true, or type=oci or type=docker with dest=PATH".to_owned()),
            };
        }
        "cacheonly" => return Ok(Asked::Nothing),
        _ => {
            return Err(format!(
                "`{kind}` is none of local, tar, oci, docker, image, registry and cacheonly"
            ));
        }
    }))
}
