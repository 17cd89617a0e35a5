//! Branches and tags as servers list them, in either version of the protocol. Pure.

/// A branch, a tag, or `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub id: String,
    /// The commit behind an annotated tag.
    pub peeled: Option<String>,
    /// What `HEAD` stands for.
    pub target: Option<String>,
}

/// What a server says in the old version's first answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub references: Vec<Reference>,
    pub capabilities: Vec<String>,
}

impl Reference {
    /// Reads a line of the second version's answer to `ls-refs`.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let mut reference = Self {
            id: words.next()?.to_owned(),
            name: words.next()?.to_owned(),
            peeled: None,
            target: None,
        };
        for word in words {
            match word.split_once(':') {
                Some(("peeled", id)) => reference.peeled = Some(id.to_owned()),
                Some(("symref-target", name)) => reference.target = Some(name.to_owned()),
                _ => {}
            }
        }
        Some(reference)
    }
}

impl Listing {
    /// Takes a line of the old version's list; the first one has the capabilities behind it.
    pub fn add(&mut self, line: &str) -> Option<()> {
        let (line, capabilities) = line.split_once('\0').unwrap_or((line, ""));
        if !capabilities.is_empty() {
            let words = capabilities.split(' ').filter(|word| !word.is_empty());
            self.capabilities = words.map(str::to_owned).collect();
        }
        let (id, name) = line.split_once(' ')?;
        if id.len() < 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        if let Some(name) = name.strip_suffix("^{}") {
            // An empty repository has capabilities in the place of a first reference.
            let tag = self.references.last_mut().filter(|tag| tag.name == name);
            if let Some(tag) = tag {
                tag.peeled = Some(id.to_owned());
            }
            return Some(());
        }
        let target = self.value("symref").filter(|_| name == "HEAD");
        let target = target.and_then(|pair| pair.strip_prefix("HEAD:"));
        self.references.push(Reference {
            name: name.to_owned(),
            id: id.to_owned(),
            peeled: None,
            target: target.map(str::to_owned),
        });
        Some(())
    }

    /// Returns the value of a capability.
    pub fn value(&self, name: &str) -> Option<&str> {
        value(&self.capabilities, name)
    }

    pub fn has(&self, name: &str) -> bool {
        self.capabilities.iter().any(|word| word == name)
    }

    /// Returns what to ask for to get a commit: itself, or the tag it is behind; nothing if the server gives neither.
    pub fn wish(&self, commit: &str) -> Option<String> {
        let is_it = |reference: &&Reference| {
            reference.id == commit || reference.peeled.as_deref() == Some(commit)
        };
        let listed = self.references.iter().find(is_it);
        let gives_any = ["allow-any-sha1-in-want", "allow-reachable-sha1-in-want"];
        let gives_any = gives_any.iter().any(|name| self.has(name));
        listed
            .map(|reference| reference.id.clone())
            .or_else(|| gives_any.then(|| commit.to_owned()))
    }

    /// Returns the ends of all branches and tags.
    pub fn everything(&self) -> Vec<String> {
        let is_end = |name: &str| name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
        let ends = self.references.iter().filter(|found| is_end(&found.name));
        ends.map(|reference| reference.id.clone()).collect()
    }
}

/// Finds `name=value` among capabilities.
pub fn value<'a>(capabilities: &'a [String], name: &str) -> Option<&'a str> {
    let mut pairs = capabilities.iter().filter_map(|word| word.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_versions_list() {
        let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(40));
        let mut listing = Listing::default();
        let lines = [
            format!("{one} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=x"),
            format!("{one} refs/heads/main"),
            format!("{two} refs/tags/v1"),
            format!("{three} refs/tags/v1^{{}}"),
        ];
        for line in &lines {
            listing.add(line).unwrap();
        }
        let names: Vec<_> = listing.references.iter().map(|r| &*r.name).collect();
        assert_eq!(names, ["HEAD", "refs/heads/main", "refs/tags/v1"]);
        let target = listing.references[0].target.as_deref();
        assert_eq!(target, Some("refs/heads/main"));
        assert_eq!(listing.references[2].peeled.as_ref(), Some(&three));
        assert_eq!(listing.value("agent"), Some("x"));
        assert_eq!(listing.wish(&three), Some(two.clone()));
        assert_eq!(listing.wish(&one), Some(one.clone()));
        let other = "4".repeat(40);
        assert_eq!(listing.wish(&other), None);
        listing
            .capabilities
            .push("allow-reachable-sha1-in-want".into());
        assert_eq!(listing.wish(&other), Some(other));
        assert_eq!(listing.everything(), [one, two]);
        assert_eq!(listing.add("<html>"), None);
        let mut empty = Listing::default();
        let zero = "0".repeat(40);
        empty
            .add(&format!("{zero} capabilities^{{}}\0agent=x"))
            .unwrap();
        assert_eq!(empty.references, []);
    }
}
