//! What is mounted below a root, from `/proc/self/mountinfo`.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::layer::LayerPath;

/// One mount below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The kernel's number for it, which stays when a directory above is renamed.
    pub(super) id: u64,
    pub(super) path: LayerPath,
}

/// Reads the mounts below `root`, in path order. The root's own mount is not among them.
pub(super) fn read(root: &Path) -> io::Result<Vec<Mount>> {
    Ok(parse(&fs_err::read("/proc/self/mountinfo")?, root))
}

/// Parses the kernel's table (proc_pid_mountinfo(5)); lines that are not of its form are passed over.
pub(super) fn parse(text: &[u8], root: &Path) -> Vec<Mount> {
    let root = LayerPath::clean(root.as_os_str().as_bytes());
    let mut mounts: Vec<Mount> = text
        .split(|b| *b == b'\n')
        .filter_map(|line| {
            let mut fields = line.split(|b| *b == b' ');
            let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
            let path = LayerPath::clean(unescape(fields.nth(3)?));
            let path = path.strip_prefix(&root)?;
            (!path.is_root()).then_some(Mount { id, path })
        })
        .collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    mounts
}

/// Undoes the kernel's `\ooo` for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = rest.get(1..4).filter(|_| *first == b'\\');
        let code = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &rest[4..] } else { tail };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_below_a_root() {
        let text = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            27 1 254:0 / / rw - overlay overlay rw\n\
            40 27 254:0 /b /srv/box rw shared:1 - ext4 /dev/vda rw\n\
            41 27 254:0 /a /srv/box/a\\040b\\134 rw shared:1 - ext4 /dev/vda rw\n\
            \n\
            garbage\n";
        let print = |root: &str| -> Vec<String> {
            let mounts = parse(text, Path::new(root));
            mounts
                .iter()
                .map(|m| format!("{} {}", m.id, m.path))
                .collect()
        };
        assert_eq!(print("/"), ["22 /proc", "40 /srv/box", "41 /srv/box/a b\\"]);
        assert_eq!(print("/srv/box"), ["41 /a b\\"]);
        assert_eq!(print("/elsewhere"), [""; 0]);
    }
}
