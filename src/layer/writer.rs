//! Writing a layer: one form only, so that equal entries give equal bytes.

use std::io::{self, Read, Write};

use tar::{EntryType, Header, UstarHeader};

use super::pax::Records;
use super::{Entry, Error, Kind, LayerPath, field, whiteout};

const BLOCK: usize = 512;

/// Writes a tar in the PAX format, entries in the order in which they come.
///
/// Times are cut to whole seconds; user and group names are left empty; extended headers appear only where a
/// header's own fields do not do: for long or non-ASCII names, large numbers, times before 1970 and extended attributes.
/// Nothing is written when a writer is dropped: only [`Writer::finish`] completes an archive.
pub struct Writer<W> {
    output: W,
    is_layer: bool,
    broken: bool,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    pub fn new(output: W) -> Self {
        Self {
            output,
            is_layer: true,
            broken: false,
            buffer: Vec::new(),
        }
    }

    /// Writes an archive that is no layer, so that a name like that of a whiteout is a name.
    pub fn plain(output: W) -> Self {
        Self {
            is_layer: false,
            ..Self::new(output)
        }
    }

    /// Writes one entry; `content` is read to its end, and only for files.
    ///
    /// # Errors
    /// [`Error::ReservedName`] for what would be read back as a deletion. [`Error::ContentSize`] if `content` is shorter or
    /// longer than the entry says; this, a failing `content` and a failing output leave an archive that cannot be finished.
    pub fn append(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), Error> {
        if self.is_layer
            && let Some(name) = entry.path.file_name()
            && name.starts_with(whiteout::PREFIX)
        {
            return Err(Error::ReservedName {
                path: entry.path.clone(),
            });
        }
        self.check()?;
        self.broken = true;
        let mut name = entry.path.as_bytes().to_vec();
        if entry.path.is_root() {
            name.push(b'.');
        }
        if entry.kind == Kind::Directory {
            name.push(b'/');
        }
        self.write_header(&name, entry)?;
        if let Kind::File { size } = entry.kind {
            self.write_content(&entry.path, size, content)?;
        }
        self.broken = false;
        Ok(())
    }

    /// Writes the marker that hides `path` of the layers below.
    ///
    /// # Errors
    /// [`Error::Whiteout`] for the root, which cannot be deleted.
    pub fn append_whiteout(&mut self, path: &LayerPath) -> Result<(), Error> {
        let (Some(parent), Some(file_name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Whiteout {
                name: path.to_string(),
            });
        };
        self.check()?;
        self.broken = true;
        let marker = Entry {
            path: parent.join([whiteout::PREFIX, file_name].concat()),
            kind: Kind::File { size: 0 },
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: Default::default(),
            xattrs: Default::default(),
        };
        self.write_header(marker.path.as_bytes(), &marker)?;
        self.broken = false;
        Ok(())
    }

    /// Writes the end mark and returns the output.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if an entry failed half-way.
    pub fn finish(mut self) -> Result<W, Error> {
        self.check()?;
        self.write(&[0; 2 * BLOCK])?;
        Ok(self.output)
    }

    fn check(&self) -> Result<(), Error> {
        if self.broken {
            Err(Error::Incomplete)
        } else {
            Ok(())
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.output.write_all(bytes);
        written.map_err(|source| Error::Write { source })
    }

    fn write_header(&mut self, name: &[u8], entry: &Entry) -> Result<(), Error> {
        let mut records = Records::default();
        for (name, value) in &entry.xattrs {
            records.insert_xattr(name, value);
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(match entry.kind {
            Kind::File { .. } => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Symlink { .. } => EntryType::Symlink,
            Kind::HardLink { .. } => EntryType::Link,
            Kind::CharDevice { .. } => EntryType::Char,
            Kind::BlockDevice { .. } => EntryType::Block,
            Kind::Fifo => EntryType::Fifo,
        });
        let fields = header.as_ustar_mut().expect("made as ustar");
        if !write_name(fields, name) {
            records.insert("path", name);
        }
        let link = match &entry.kind {
            Kind::Symlink { target } => target.as_slice(),
            Kind::HardLink { target } => target.as_bytes(),
            _ => b"",
        };
        if !write_text(&mut fields.linkname, link) {
            records.insert("linkpath", link);
        }
        let size = match entry.kind {
            Kind::File { size } => size,
            _ => 0,
        };
        let (major, minor) = match entry.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (major, minor)
            }
            _ => (0, 0),
        };
        field::write_octal(&mut fields.mode, u64::from(entry.mode & 0o7777));
        let numbers: [(&str, &mut [u8], u64); 5] = [
            ("uid", &mut fields.uid, u64::from(entry.uid)),
            ("gid", &mut fields.gid, u64::from(entry.gid)),
            ("size", &mut fields.size, size),
            ("SCHILY.devmajor", &mut fields.dev_major, u64::from(major)),
            ("SCHILY.devminor", &mut fields.dev_minor, u64::from(minor)),
        ];
        for (key, field, value) in numbers {
            if !field::write_octal(field, value) {
                field::write_octal(field, 0);
                records.insert(key, value.to_string());
            }
        }
        let seconds = entry.mtime.seconds;
        let fits = u64::try_from(seconds).is_ok_and(|s| field::write_octal(&mut fields.mtime, s));
        if !fits {
            field::write_octal(&mut fields.mtime, 0);
            records.insert("mtime", seconds.to_string());
        }
        header.set_cksum();
        if !records.is_empty() {
            self.write_records(&entry.path, &records)?;
        }
        self.write(header.as_bytes())
    }

    /// Writes an extended header for the entry that follows.
    fn write_records(&mut self, path: &LayerPath, records: &Records) -> Result<(), Error> {
        let bytes = records.to_bytes();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        let fields = header.as_ustar_mut().expect("made as ustar");
        let name = [b"PaxHeaders/", path.file_name().unwrap_or(b".")].concat();
        write_text(&mut fields.name, &name);
        field::write_octal(&mut fields.mode, 0o644);
        for field in [
            &mut fields.uid,
            &mut fields.gid,
            &mut fields.dev_major,
            &mut fields.dev_minor,
        ] {
            field::write_octal(field, 0);
        }
        field::write_octal(&mut fields.size, bytes.len() as u64);
        header.set_cksum();
        self.write(header.as_bytes())?;
        self.write(&bytes)?;
        self.pad(bytes.len() as u64)
    }

    fn write_content(
        &mut self,
        path: &LayerPath,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        self.buffer.resize(64 * 1024, 0);
        let mut written = 0;
        loop {
            let read = match content.read(&mut self.buffer) {
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::Content {
                        path: path.clone(),
                        source,
                    });
                }
            };
            let wrong = |found| Error::ContentSize {
                path: path.clone(),
                expected: size,
                found,
            };
            if read as u64 > size - written {
                return Err(wrong(super::Found::More));
            }
            if read == 0 && written < size {
                return Err(wrong(super::Found::Only(written)));
            }
            if read == 0 {
                return self.pad(size);
            }
            self.output
                .write_all(&self.buffer[..read])
                .map_err(|source| Error::Write { source })?;
            written += read as u64;
        }
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.write(&[0; BLOCK][..padding as usize])
    }
}

/// Writes a name into the two fields that ustar has for it; tells whether they hold it all.
fn write_name(fields: &mut UstarHeader, name: &[u8]) -> bool {
    if name.len() > fields.name.len()
        && name.is_ascii()
        && let Some((prefix, rest)) = split(name, fields.name.len(), fields.prefix.len())
    {
        return write_text(&mut fields.prefix, prefix) && write_text(&mut fields.name, rest);
    }
    write_text(&mut fields.name, name)
}

/// Splits a long name at a slash so that both parts fit.
fn split(name: &[u8], name_size: usize, prefix_size: usize) -> Option<(&[u8], &[u8])> {
    let earliest = name.len().checked_sub(name_size + 1)?;
    let latest = prefix_size.min(name.len().checked_sub(2)?);
    let at = (earliest..=latest)
        .rev()
        .find(|at| name[*at] == b'/' && *at > 0)?;
    Some((&name[..at], &name[at + 1..]))
}

/// Writes what fits of a text, ASCII only; tells whether that is all of it.
fn write_text(field: &mut [u8], text: &[u8]) -> bool {
    let ascii = text.iter().filter(|b| b.is_ascii() && **b != 0);
    for (place, byte) in field.iter_mut().zip(ascii) {
        *place = *byte;
    }
    text.len() <= field.len() && text.iter().all(|b| b.is_ascii() && *b != 0)
}
