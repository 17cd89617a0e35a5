//! The built-in helpers and the order they are asked in.

use super::provider::Provider;

/// A built-in helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Helper {
    Env,
    Gitlab,
    Cloud(Provider),
}

impl Helper {
    /// Returns the name that `--credential-helpers` knows.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Env => "env",
            Self::Gitlab => "gitlab",
            Self::Cloud(provider) => provider.name(),
        }
    }
}

/// Chooses the helpers and their order; a single empty value switches all of them off.
pub(super) fn choose(names: Option<&[String]>) -> Vec<Helper> {
    use Helper::{Cloud, Env, Gitlab};
    let all = [
        Env,
        Cloud(Provider::Google),
        Cloud(Provider::Ecr),
        Cloud(Provider::Acr),
        Gitlab,
    ];
    let Some(names) = names else {
        return all.into();
    };
    let mut helpers = Vec::new();
    for name in names {
        let helper = match name.as_str() {
            "" => continue,
            "env" => Env,
            "gitlab" => Gitlab,
            name => match Provider::ALL.iter().find(|one| one.name() == name) {
                Some(provider) => Cloud(*provider),
                None => {
                    tracing::warn!("unknown credential helper: {name}");
                    continue;
                }
            },
        };
        if !helpers.contains(&helper) {
            helpers.push(helper);
        }
    }
    helpers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_chosen_by_name() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(Option<&[&str]>, &str); 6] = [
            (None,                         "env google ecr acr gitlab"),
            (Some(&[""]),                  ""),
            (Some(&["gitlab", "env"]),     "gitlab env"),
            (Some(&["env", "nonsense"]),   "env"),
            (Some(&["ecr", "env", "ecr"]), "ecr env"),
            (Some(&["google", "acr"]),     "google acr"),
        ];
        for (names, want) in cases {
            let names =
                names.map(|names| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
            let chosen = choose(names.as_deref());
            let chosen: Vec<_> = chosen.into_iter().map(Helper::name).collect();
            assert_eq!(chosen.join(" "), want);
        }
    }
}
