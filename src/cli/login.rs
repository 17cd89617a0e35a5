//! `executor login` and `executor logout`

use std::io;

use super::Error;
use super::args::Parsed;
use super::env::Environment;
use super::table;
use super::usage::Page;
use crate::net::{self, Net, Secret};
use crate::registry::credentials::store::{self, Stored};

pub const LOGIN: Page = Page {
    about: "Log in to a registry",
    usage: &["executor login <registry> [flags]"],
    commands: &[],
    flags: table::LOGIN,
};

pub const LOGOUT: Page = Page {
    about: "Forget the credentials for a registry",
    usage: &["executor logout <registry> [flags]"],
    commands: &[],
    flags: &[],
};

/// Whose credentials are stored, and where the password is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub registry: String,
    pub username: String,
    pub password: Password,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    Given(Secret),
    /// On standard input, up to its end.
    Stdin,
}

impl Login {
    /// Keeps the credentials, and returns what to tell the user on stderr.
    pub fn store(&self, env: &Environment) -> Result<String, Error> {
        let password = match &self.password {
            Password::Given(password) => password.clone(),
            Password::Stdin => {
                let text = io::read_to_string(io::stdin()).map_err(Error::Stdin)?;
                strip(&text)?
            }
        };
        let (net, env) = (net()?, env.credentials());
        let stored = store::login(&net, &env, &self.registry, &self.username, &password)?;
        Ok(match stored {
            Stored::Helper(name) => format!("logged in via docker-credential-{name}\n"),
            Stored::File(path) => {
                let path = path.display();
                format!(
                    "WARNING! The password is stored unencrypted in {path}.\nlogged in via {path}\n"
                )
            }
        })
    }
}

/// Drops the credentials for a registry, and returns what to tell the user on stderr.
pub fn forget(registry: &str, env: &Environment) -> Result<String, Error> {
    Ok(
        match store::logout(&net()?, &env.credentials(), registry)? {
            true => format!("logged out of {registry}\n"),
            false => format!("no credentials for {registry} in the Docker config file\n"),
        },
    )
}

fn net() -> Result<Net, Error> {
    Ok(Net::new(net::Options { http1_only: false })?)
}

/// Reads the arguments of `login`.
///
/// # Spec
/// Compat spec 2.2.
pub fn login(parsed: &Parsed) -> Result<Login, Error> {
    let registry = registry(parsed)?;
    let values = &parsed.values;
    let wrong = |text| Err(Error::Combination(text));
    let Some(username) = values.non_empty("username") else {
        return wrong("username required");
    };
    let password = match (values.is_given("password"), values.bool("password-stdin")) {
        (true, true) => return wrong("--password and --password-stdin are mutually exclusive"),
        (false, false) => return wrong("password required: use --password or --password-stdin"),
        (false, true) => Password::Stdin,
        (true, false) => Password::Given(strip(values.text("password"))?),
    };
    Ok(Login {
        registry,
        username: username.into(),
        password,
    })
}

/// Returns the only argument.
pub fn registry(parsed: &Parsed) -> Result<String, Error> {
    match &parsed.positional[..] {
        [registry] => Ok(registry.clone()),
        others => Err(Error::ArgumentCount(others.len())),
    }
}

/// Strips the newline that `echo` adds.
fn strip(password: &str) -> Result<Secret, Error> {
    let password = password.strip_suffix('\n').unwrap_or(password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.trim().is_empty() {
        true => Err(Error::Combination("password is blank")),
        false => Ok(Secret::new(password)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::args;
    use super::*;

    #[test]
    fn arguments() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("host -u a -p b",               "Login { registry: \"host\", username: \"a\", password: Given(***) }"),
            ("--username=a --password-stdin host", "Login { registry: \"host\", username: \"a\", password: Stdin }"),
            ("-u a -p b",                    "accepts 1 arg(s), received 0"),
            ("x y -u a -p b",                "accepts 1 arg(s), received 2"),
            ("host -p b",                    "username required"),
            ("host -u a",                    "password required: use --password or --password-stdin"),
            ("host -u a -p b --password-stdin", "--password and --password-stdin are mutually exclusive"),
            ("host -u a -p=\t",              "password is blank"),
            ("host --verbosity=info",        "unknown flag: --verbosity"),
        ];
        for (words, want) in cases {
            let args: Vec<String> = words.split(' ').map(str::to_owned).collect();
            let got = args::parse(table::LOGIN, &args).and_then(|parsed| login(&parsed));
            let got = got.map_or_else(|error| error.to_string(), |login| format!("{login:?}"));
            assert_eq!(got, want, "{words}");
        }
        assert_eq!(strip("x\r\n").unwrap(), Secret::new("x"));
    }
}
