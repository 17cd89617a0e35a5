//! Users and groups, looked up in the image's own `/etc/passwd` and `/etc/group`.

use std::io::Read;
use std::str::FromStr;

use super::Rootfs;

/// More than any real file has; what comes after is not read.
const MAX_SIZE: u64 = 16 * 1024 * 1024;

/// Who a command runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, without `gid`.
    pub groups: Vec<u32>,
    /// From `/etc/passwd`; `/` without an entry.
    pub home: Vec<u8>,
}

/// Why a `user[:group]` means nobody.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no user `{name}` in the image's `/etc/passwd`")]
    UnknownUser { name: String },
    #[error("no group `{name}` in the image's `/etc/group`")]
    UnknownGroup { name: String },
    #[error("`{id}` is too large for a user or group id")]
    IdRange { id: String },
    #[error("cannot read the image's `{file}`")]
    Read {
        file: &'static str,
        source: super::Error,
    },
    #[error("cannot read the image's `{file}` to its end")]
    Content {
        file: &'static str,
        source: std::io::Error,
    },
}

impl Error {
    /// Returns what the user can do about it, if anything; printed after `help:`.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownUser { .. } => Some(
                "create the user in an earlier RUN, or use its number, which needs no entry".into(),
            ),
            Self::UnknownGroup { .. } => Some(
                "create the group in an earlier RUN, or use its number, which needs no entry"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Finds who `user`, in the form of the USER instruction (`name`, `uid`, `name:group`, …), is in the image; empty means root.
///
/// With a group in `user` that is the only one. Without one the primary group is that of the user's entry, or 0, and the groups
/// that list the user come along. A number needs no entry.
///
/// # Spec
/// Language spec RUN-4.
pub fn lookup(root: &Rootfs, user: &str) -> Result<User, Error> {
    let (name, group) = match user.split_once(':') {
        Some((name, group)) => (name, Some(group).filter(|group| !group.is_empty())),
        None => (user, None),
    };
    let passwd = read(root, "/etc/passwd")?;
    let id = numeric(if name.is_empty() { "0" } else { name })?;
    let account = accounts(&passwd).find(|account| match id {
        Some(id) => account.uid == id,
        None => account.name == name.as_bytes(),
    });
    let uid = match (id, &account) {
        (Some(id), _) => id,
        (None, Some(account)) => account.uid,
        (None, None) => return Err(Error::UnknownUser { name: name.into() }),
    };
    let home = account.as_ref().map_or(&b"/"[..], |account| account.home);
    let mut found = User {
        uid,
        gid: account.as_ref().map_or(0, |account| account.gid),
        groups: Vec::new(),
        home: if home.is_empty() { b"/" } else { home }.to_vec(),
    };
    if let Some(group) = group {
        found.gid =
            group_id(root, group)?.ok_or_else(|| Error::UnknownGroup { name: group.into() })?;
    } else if let Some(account) = account {
        let file = read(root, "/etc/group")?;
        let member = |group: &Group<'_>| {
            group
                .members
                .split(|b| *b == b',')
                .any(|m| m == account.name)
        };
        found.groups = groups(&file)
            .filter(member)
            .map(|group| group.gid)
            .collect();
        found.groups.retain(|gid| *gid != found.gid);
        found.groups.sort_unstable();
        found.groups.dedup();
    }
    Ok(found)
}

/// Finds the owner that `--chown=<owner>` means, and that of directories which WORKDIR makes for `USER <owner>`. A name that is not
/// there, or a missing file, counts as 0, as does a missing half of `user:group`; a number without a group stands for both, other
/// than for the user of a RUN.
///
/// # Spec
/// Language spec CHOWN-1, CHOWN-2, WD-3.
pub fn owner(root: &Rootfs, owner: &str) -> Result<(u32, u32), Error> {
    let (user, group) = match owner.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (owner, None),
    };
    let (uid, primary) = match (user, numeric(user)?) {
        ("" | "root", _) => (0, 0),
        (_, Some(id)) => (id, id),
        _ => {
            let passwd = read(root, "/etc/passwd")?;
            let account = accounts(&passwd).find(|account| account.name == user.as_bytes());
            account.map_or((0, 0), |account| (account.uid, account.gid))
        }
    };
    let gid = match group {
        None => primary,
        Some("" | "root") => 0,
        Some(group) => group_id(root, group)?.unwrap_or(0),
    };
    Ok((uid, gid))
}

fn group_id(root: &Rootfs, group: &str) -> Result<Option<u32>, Error> {
    if let Some(id) = numeric(group)? {
        return Ok(Some(id));
    }
    let file = read(root, "/etc/group")?;
    let found = groups(&file).find(|entry| entry.name == group.as_bytes());
    Ok(found.map(|entry| entry.gid))
}

/// Reads `text` as an id; `None` if it is a name.
fn numeric(text: &str) -> Result<Option<u32>, Error> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match u32::from_str(text) {
        Ok(id) if id != u32::MAX => Ok(Some(id)),
        _ => Err(Error::IdRange { id: text.into() }),
    }
}

/// Reads `file` of the image; empty if it is missing or no file.
fn read(root: &Rootfs, file: &'static str) -> Result<Vec<u8>, Error> {
    let path = match root.resolve(file) {
        Err(super::Error::NotADirectory { .. }) => return Ok(Vec::new()),
        path => path.map_err(|source| Error::Read { file, source })?,
    };
    let stat = root
        .stat(&path)
        .map_err(|source| Error::Read { file, source })?;
    if !stat.is_some_and(|stat| stat.is_file()) {
        return Ok(Vec::new());
    }
    let opened = root
        .open_file(&path)
        .map_err(|source| Error::Read { file, source })?;
    let mut text = Vec::new();
    let read = opened.take(MAX_SIZE).read_to_end(&mut text);
    read.map_err(|source| Error::Content { file, source })?;
    Ok(text)
}

struct Account<'t> {
    name: &'t [u8],
    uid: u32,
    gid: u32,
    home: &'t [u8],
}

struct Group<'t> {
    name: &'t [u8],
    gid: u32,
    members: &'t [u8],
}

fn accounts(passwd: &[u8]) -> impl Iterator<Item = Account<'_>> {
    lines(passwd).filter_map(|fields| {
        let [name, _, uid, gid, rest @ ..] = &fields[..] else {
            return None;
        };
        Some(Account {
            name,
            uid: id(uid)?,
            gid: id(gid)?,
            home: rest.get(1).unwrap_or(&&b""[..]),
        })
    })
}

fn groups(file: &[u8]) -> impl Iterator<Item = Group<'_>> {
    lines(file).filter_map(|fields| {
        let [name, _, gid, rest @ ..] = &fields[..] else {
            return None;
        };
        Some(Group {
            name,
            gid: id(gid)?,
            members: rest.first().unwrap_or(&&b""[..]),
        })
    })
}

/// Splits into lines and those into fields; comments and lines for NIS have no valid numbers and drop out above.
fn lines(text: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    text.split(|b| *b == b'\n')
        .map(|line| line.trim_ascii())
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
        .map(|line| line.split(|b| *b == b':').collect())
}

/// Reads an id; the last one, which means "as it is" to the kernel, is none.
fn id(field: &[u8]) -> Option<u32> {
    let id = std::str::from_utf8(field).ok()?.trim().parse().ok();
    id.filter(|id| *id != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rootfs::testing::{Scratch, file, symlink};

    const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/sh
# a comment
bob:x:10:20:Bob:/home/bob:/bin/sh
+nis::::::
broken:x:ten:20::/:
nohome:x:11:21
last:x:4294967295:21::/:/bin/sh
";
    const GROUP: &str = "root:x:0:\nstaff:x:50:alice,bob\nwheel:x:51:bob\nbobs:x:20:bob\n";

    fn image() -> Scratch {
        let scratch = Scratch::new();
        scratch.put(&file("usr/etc/passwd", 0o644, PASSWD.len()), PASSWD);
        scratch.put(&file("usr/etc/group", 0o644, GROUP.len()), GROUP);
        scratch.put(&symlink("etc", "/usr/etc"), "");
        scratch
    }

    #[test]
    fn users_of_a_run() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",            "0:0 [] /root"),
            ("root",        "0:0 [] /root"),
            ("bob",         "10:20 [50, 51] /home/bob"),
            ("bob:",        "10:20 [50, 51] /home/bob"),
            ("10",          "10:20 [50, 51] /home/bob"),
            ("bob:staff",   "10:50 [] /home/bob"),
            ("bob:7",       "10:7 [] /home/bob"),
            ("1000",        "1000:0 [] /"),
            ("1000:1000",   "1000:1000 [] /"),
            ("nohome",      "11:21 [] /"),
            (":staff",      "0:50 [] /root"),
            ("eve",         "no user `eve` in the image's `/etc/passwd`"),
            ("broken",      "no user `broken` in the image's `/etc/passwd`"),
            ("last",        "no user `last` in the image's `/etc/passwd`"),
            ("bob:nosuch",  "no group `nosuch` in the image's `/etc/group`"),
            ("4294967295",  "`4294967295` is too large for a user or group id"),
        ];
        let image = image();
        for (user, want) in cases {
            let got = match lookup(&image.root, user) {
                Ok(u) => {
                    let home = String::from_utf8_lossy(&u.home).into_owned();
                    format!("{}:{} {:?} {home}", u.uid, u.gid, u.groups)
                }
                Err(e) => e.to_string(),
            };
            assert_eq!(got, want, "{user}");
        }
    }

    #[test]
    fn owners_of_a_copy() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("",           (0, 0)),
            ("5",          (5, 5)),
            ("10",         (10, 10)),
            ("5:6",        (5, 6)),
            ("bob",        (10, 20)),
            ("bob:",       (10, 0)),
            (":7",         (0, 7)),
            ("bob:staff",  (10, 50)),
            ("nosuch",     (0, 0)),
            ("root:root",  (0, 0)),
        ];
        let image = image();
        for (text, want) in cases {
            assert_eq!(owner(&image.root, text).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn an_empty_image_knows_numbers_only() {
        let empty = Scratch::new();
        assert_eq!(lookup(&empty.root, "7").unwrap().uid, 7);
        assert!(lookup(&empty.root, "root").is_err());
        assert_eq!(owner(&empty.root, "bob").unwrap(), (0, 0));
    }
}
