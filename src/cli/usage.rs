//! The help text, in the layout of Go's cobra.

use std::fmt::Write;

use super::table::Flag;
use super::value::Kind;

/// A command as its help shows it.
pub struct Page {
    pub about: &'static str,
    /// Lines under `Usage:`.
    pub usage: &'static [&'static str],
    /// Name and meaning.
    pub commands: &'static [(&'static str, &'static str)],
    pub flags: &'static [&'static [Flag]],
}

impl Page {
    /// Returns the usage text that follows an error.
    pub fn usage(&self) -> String {
        let mut text = String::from("Usage:\n");
        for line in self.usage {
            let _ = writeln!(text, "  {line}");
        }
        if !self.commands.is_empty() {
            text.push_str("\nAvailable Commands:\n");
            for (name, meaning) in self.commands {
                let _ = writeln!(text, "  {name:<10} {meaning}");
            }
        }
        text.push_str("\nFlags:\n");
        let mut rows: Vec<(&str, String, String)> = vec![help_row()];
        let listed = self
            .flags
            .iter()
            .copied()
            .flatten()
            .filter(|f| f.is_listed());
        rows.extend(listed.map(row));
        rows.sort();
        let width = rows.iter().map(|(_, left, _)| left.len()).max();
        let width = width.unwrap_or(0) + 3;
        for (_, left, right) in rows {
            let _ = writeln!(text, "{left:width$}{right}");
        }
        text
    }

    /// Returns the whole help.
    pub fn help(&self) -> String {
        format!("{}\n\n{}", self.about, self.usage())
    }
}

fn help_row() -> (&'static str, String, String) {
    (
        "help",
        "  -h, --help".into(),
        "Help about the command".into(),
    )
}

fn row(flag: &'static Flag) -> (&'static str, String, String) {
    let short = match flag.short {
        Some(short) => format!("  -{short}, "),
        None => "      ".into(),
    };
    let left = format!("{short}--{} {}", flag.name, flag.kind.word());
    let mut right = flag.help.to_owned();
    let _ = match (flag.kind, flag.default) {
        (_, "")
        | (Kind::Bool, "false")
        | (Kind::Int, "0")
        | (Kind::Duration | Kind::Limit, "0s") => Ok(()),
        (Kind::Text | Kind::Choice(_), default) => write!(right, " (default {default:?})"),
        (_, default) => write!(right, " (default {default})"),
    };
    (flag.name, left.trim_end().into(), right)
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;
    use expect_test::expect;

    #[test]
    fn layout() {
        let page = Page {
            about: "About.",
            usage: &["executor login <registry> [flags]"],
            commands: &[("version", "Print the version")],
            flags: table::LOGIN,
        };
        expect![[r#"
            About.

            Usage:
              executor login <registry> [flags]

            Available Commands:
              version    Print the version

            Flags:
              -h, --help              Help about the command
              -p, --password string   Password
                  --password-stdin    Read the password from standard input
              -u, --username string   User name
        "#]]
        .assert_eq(&page.help());
    }

    #[test]
    fn rows() {
        let flags = table::EXECUTOR.iter().copied().flatten();
        let rows = flags.filter(|flag| flag.is_listed()).map(row);
        let rows: Vec<String> = rows
            .filter(|(name, ..)| ["cache-ttl", "compression-level", "context"].contains(name))
            .map(|(_, left, right)| format!("{}|{right}\n", left.trim()))
            .collect();
        expect![[r#"
            --cache-ttl duration|How long cached layers are used (default 336h)
            -c, --context string|Build context: a directory, also as dir://PATH; tar://FILE, tar://stdin, s3://BUCKET/KEY, gs://BUCKET/OBJECT, git://REPOSITORY, or the URL of a tar or of a repository (.git) (default "/workspace/")
            --compression-level int|Compression level; 5 for gzip and 3 for zstd if not above 0 (default -1)
        "#]].assert_eq(&rows.concat());
    }
}
