//! `docker-credential-<name>`: the executor under the name of a credential helper, as a link to it.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::Error;
use super::env::Environment;
use crate::net::{self, Net};
use crate::registry::credentials::serve::{self, Answer};

/// A helper that is to be, and what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper {
    name: String,
    action: String,
}

impl Helper {
    /// Reads the arguments, the program's name included; `None` if that is not the name of a helper that we can be.
    pub fn of_program(mut args: impl Iterator<Item = OsString>) -> Option<Self> {
        let program = args.next()?;
        let file_name = Path::new(&program).file_name()?.to_str()?;
        let name = file_name.strip_prefix("docker-credential-")?;
        serve::is_known(name).then(|| Self {
            name: name.to_owned(),
            action: args
                .next()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        })
    }

    /// Answers for the registry on standard input.
    pub fn answer(&self, env: &Environment) -> Result<Answer, Error> {
        let input = match &*self.action {
            "get" => io::read_to_string(io::stdin()).map_err(Error::Stdin)?,
            _ => String::new(),
        };
        let net = Net::new(net::Options { http1_only: false })?;
        let (name, action) = (&*self.name, &*self.action);
        Ok(serve::answer(
            &net,
            &env.credentials(),
            name,
            action,
            &input,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        let helper = |words: &str| {
            let helper = Helper::of_program(words.split(' ').map(OsString::from));
            helper.map(|helper| format!("{} {}", helper.name, helper.action))
        };
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("/kaniko/docker-credential-ecr-login get", Some("ecr-login get")),
            ("docker-credential-gcr list",              Some("gcr list")),
            ("docker-credential-acr-env",               Some("acr-env ")),
            ("docker-credential-other get",             None),
            ("/kaniko/executor get",                    None),
        ];
        for (words, want) in cases {
            assert_eq!(helper(words).as_deref(), want, "{words}");
        }
    }
}
