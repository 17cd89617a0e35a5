//! What the header block of a tar member says, completed by the extended headers before it.

use tar::Header;

use super::pax::Records;
use super::{Entry, Error, Kind, LayerPath, Time, field};

pub type Block = [u8; 512];

/// What the headers before an entry's own say about it.
#[derive(Default)]
pub struct Extended {
    pub records: Records,
    /// GNU's long name and long link target.
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    /// Size in bytes of all of them together.
    pub size: u64,
    pub found: bool,
    /// A `..` in a name stops at the root instead of being an error.
    pub clamps: bool,
}

/// Returns the type flag.
pub fn kind(block: &Block) -> u8 {
    block[156]
}

/// Returns the size of what follows the block.
pub fn size(block: &Block) -> Option<u64> {
    u64::try_from(field::number(&block[124..136])?).ok()
}

pub fn checksum_matches(block: &Block) -> bool {
    let summed = block
        .iter()
        .enumerate()
        .map(|(i, b)| if (148..156).contains(&i) { b' ' } else { *b });
    let unsigned: i64 = summed.clone().map(i64::from).sum();
    // some old tools added up signed bytes
    let signed: i64 = summed.map(|b| i64::from(b.cast_signed())).sum();
    let written = field::number(&block[148..156]);
    written == Some(unsigned) || written == Some(signed)
}

/// Builds the entry; the size of a file is left 0.
pub fn entry(block: &Block, extended: &Extended) -> Result<Entry, Error> {
    let header = Header::from_byte_slice(block);
    let old = header.as_old();
    let records = &extended.records;
    let name = records
        .get("GNU.sparse.name")
        .or_else(|| records.get("path"))
        .or(extended.path.as_deref())
        .map_or_else(|| header.path_bytes(), Into::into);
    let shown = || String::from_utf8_lossy(&name).into_owned();
    let broken = |reason| Error::Field {
        path: shown(),
        reason,
    };
    let number = |key: &str, field: &[u8]| match records.get(key) {
        Some(text) => field::decimal(text),
        None => field::number(field),
    };
    let mtime = match records.get("mtime") {
        Some(text) => field::time(text),
        None => field::number(&old.mtime).map(Time::from_seconds),
    };
    let uid = number("uid", &old.uid).and_then(field::id);
    let gid = number("gid", &old.gid).and_then(field::id);
    let mode = field::number(&old.mode).ok_or_else(|| broken("a mode that is no number"))?;

    let path = inside(&name, &name, extended.clamps)?;
    let kind = entry_kind(block, extended, &name)?;
    if path.is_root() && kind != Kind::Directory {
        return Err(broken("no name"));
    }
    Ok(Entry {
        path,
        kind,
        mode: (mode & 0o7777) as u32,
        uid: uid.ok_or_else(|| broken("an invalid uid"))?,
        gid: gid.ok_or_else(|| broken("an invalid gid"))?,
        mtime: mtime.ok_or_else(|| broken("an invalid mtime"))?,
        xattrs: records.xattrs(),
    })
}

fn entry_kind(block: &Block, extended: &Extended, name: &[u8]) -> Result<Kind, Error> {
    let broken = |reason| Error::Field {
        path: String::from_utf8_lossy(name).into_owned(),
        reason,
    };
    let header = Header::from_byte_slice(block);
    let link = extended
        .records
        .get("linkpath")
        .or(extended.link.as_deref())
        .map(Into::into)
        .or_else(|| header.link_name_bytes())
        .unwrap_or_default();
    Ok(match kind(block) {
        // v7 had no directories
        b'0' | 0 | b'7' | b'S' if name.ends_with(b"/") => Kind::Directory,
        b'0' | 0 | b'7' | b'S' => Kind::File { size: 0 },
        b'1' => match inside(&link, name, extended.clamps)? {
            target if target.is_root() => return Err(broken("no link target")),
            target => Kind::HardLink { target },
        },
        b'2' if link.contains(&0) => return Err(broken("a link target with a NUL byte")),
        b'2' => Kind::Symlink {
            target: link.into_owned(),
        },
        b'3' | b'4' => {
            let device = device(block, &extended.records);
            let (major, minor) = device.ok_or_else(|| broken("an invalid device number"))?;
            match kind(block) {
                b'3' => Kind::CharDevice { major, minor },
                _ => Kind::BlockDevice { major, minor },
            }
        }
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        kind => {
            return Err(Error::Unsupported {
                path: String::from_utf8_lossy(name).into_owned(),
                kind: char::from(kind),
            });
        }
    })
}

/// Returns major and minor number; v7 headers have none.
fn device(block: &Block, records: &Records) -> Option<(u32, u32)> {
    let has_fields = block[257..].starts_with(b"ustar");
    let part = |key: &str, field: &[u8]| {
        let number = match records.get(key) {
            Some(text) => field::decimal(text)?,
            None if has_fields => field::number(field)?,
            None => 0,
        };
        u32::try_from(number).ok()
    };
    let major = part("SCHILY.devmajor", &block[329..337])?;
    Some((major, part("SCHILY.devminor", &block[337..345])?))
}

/// Makes a path relative and refuses one that climbs; `name` is the entry's.
fn inside(path: &[u8], name: &[u8], clamps: bool) -> Result<LayerPath, Error> {
    let shown = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if path.contains(&0) {
        return Err(Error::Field {
            path: shown(name),
            reason: "a NUL byte in a name",
        });
    }
    if clamps {
        return Ok(LayerPath::clean(path));
    }
    LayerPath::checked(path).ok_or_else(|| Error::Escapes {
        path: shown(name),
        text: shown(path),
    })
}
