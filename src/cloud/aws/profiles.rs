//! Profiles of AWS: `~/.aws/config` and `~/.aws/credentials`.

use std::collections::BTreeMap;

use crate::cloud::{Error, Surroundings};

/// Settings by name, in lower case.
pub(super) type Profile = BTreeMap<String, String>;

/// The profiles of both files; what the credentials file says wins.
#[derive(Debug, Default)]
pub(super) struct Profiles(BTreeMap<String, Profile>);

impl Profiles {
    /// Reads both files; they may be missing unless a variable names them.
    pub(super) async fn load(at: &Surroundings) -> Result<Self, Error> {
        let mut profiles = Self::default();
        for (variable, usual, prefix) in [
            ("AWS_CONFIG_FILE", ".aws/config", "profile "),
            ("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials", ""),
        ] {
            let named = at.variable(variable).map(str::to_owned);
            let Some(path) = named.clone().or_else(|| at.at_home(usual)) else {
                continue;
            };
            match at.read(&path).await {
                Ok(text) => profiles.add(&String::from_utf8_lossy(&text), prefix),
                Err(source) if named.is_some() => {
                    return Err(Error::File {
                        path,
                        variable,
                        source,
                    });
                }
                Err(error) => tracing::debug!("no AWS profiles: {error}"),
            }
        }
        Ok(profiles)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// Adds a file's text, in which a section's name is that of the profile behind `prefix`.
    fn add(&mut self, text: &str, prefix: &str) {
        let mut section: Option<&mut Profile> = None;
        for line in text.lines() {
            // settings below another setting are indented
            let is_nested = line.starts_with([' ', '\t']);
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) || is_nested {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let name = name.split(']').next().unwrap_or_default().trim();
                let name = match name.strip_prefix(prefix) {
                    Some(name) => Some(name.trim()),
                    None => Some(name).filter(|name| *name == "default"),
                };
                section = name.map(|name| self.0.entry(name.to_owned()).or_default());
            } else if let (Some(section), Some((name, value))) =
                (&mut section, line.split_once('='))
            {
                // a comment behind a value has a blank before it
                let value = value.split(" #").next().unwrap_or_default().trim();
                section.insert(name.trim().to_lowercase(), value.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_say() {
        let mut profiles = Profiles::default();
        let config = "# comment\n[default]\nregion = eu-west-1 # here\ns3 =\n  addressing_style = path\n\
            [profile dev]\nRole_Arn=arn:aws:iam::1:role/x\n[sso-session dev]\nregion=no\n[dev2]\nregion=no\n";
        profiles.add(config, "profile ");
        profiles.add("[default]\naws_access_key_id = A=B\n[dev]\nregion=r\n", "");
        let shown = |name: &str| format!("{:?}", profiles.get(name));
        assert_eq!(
            shown("default"),
            r#"Some({"aws_access_key_id": "A=B", "region": "eu-west-1", "s3": ""})"#
        );
        assert_eq!(
            shown("dev"),
            r#"Some({"region": "r", "role_arn": "arn:aws:iam::1:role/x"})"#
        );
        assert_eq!(shown("dev2"), "None");
    }
}
