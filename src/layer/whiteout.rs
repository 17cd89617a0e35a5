//! Deletion markers: names by which a layer hides what the layers below it have.

use super::Error;

/// The start of every marker's name.
pub const PREFIX: &[u8] = b".wh.";
/// The start of names that aufs kept for itself.
const RESERVED: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// What an entry hides, as told by its file name alone.
///
/// ```
/// use executor::layer::Whiteout;
/// assert_eq!(Whiteout::from_file_name(b".wh.passwd")?, Some(Whiteout::Remove(b"passwd")));
/// assert_eq!(Whiteout::from_file_name(b"passwd")?, None);
/// # Ok::<(), executor::layer::Error>(())
/// ```
///
/// # Spec
/// image-spec v1.1 `layer.md`, "Whiteouts".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteout<'a> {
    /// The sibling of this name is gone.
    Remove(&'a [u8]),
    /// Nothing of the lower layers is left in the directory that holds the marker.
    Opaque,
    /// Book-keeping of aufs that old images carry (`.wh..wh.plnk` …); it hides nothing and is not unpacked.
    Reserved,
}

impl<'a> Whiteout<'a> {
    /// Returns what the last component of a path marks; `None` for an ordinary file.
    ///
    /// # Errors
    /// [`Error::Whiteout`] if the marker names no sibling: `.wh.`, `.wh..` and `.wh...`.
    pub fn from_file_name(name: &'a [u8]) -> Result<Option<Self>, Error> {
        match name.strip_prefix(PREFIX) {
            None => Ok(None),
            Some(_) if name == OPAQUE => Ok(Some(Self::Opaque)),
            Some(_) if name.starts_with(RESERVED) => Ok(Some(Self::Reserved)),
            Some(b"" | b"." | b"..") => Err(Error::Whiteout {
                name: String::from_utf8_lossy(name).into_owned(),
            }),
            Some(sibling) => Ok(Some(Self::Remove(sibling))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteout_names() {
        #[rustfmt::skip] // a table keeps its columns
        let cases: [(&str, Option<Option<Whiteout>>); 10] = [
            // file name     meaning
            ("passwd",       Some(None)),
            ("wh.passwd",    Some(None)),
            (".wh",          Some(None)),
            (".wh.passwd",   Some(Some(Whiteout::Remove(b"passwd")))),
            (".wh..hidden",  Some(Some(Whiteout::Remove(b".hidden")))),
            (".wh..wh..opq", Some(Some(Whiteout::Opaque))),
            (".wh..wh.plnk", Some(Some(Whiteout::Reserved))),
            (".wh.",         None),
            (".wh..",        None),
            (".wh...",       None),
        ];
        for (name, want) in cases {
            let got = Whiteout::from_file_name(name.as_bytes());
            assert_eq!(got.ok(), want, "{name}");
        }
    }
}
