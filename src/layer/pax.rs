//! PAX records: `<length> <key>=<value>\n`, taken by their length, since a value may hold any byte.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

const XATTR: &[u8] = b"SCHILY.xattr.";
/// libarchive's spelling: the name percent-encoded, the value in base 64.
const ENCODED_XATTR: &[u8] = b"LIBARCHIVE.xattr.";

/// The records of one extended header; of a repeated key the last one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    by_key: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The numbers of all `GNU.sparse.offset` and `GNU.sparse.numbytes`, in the order of the records.
    pub sparse: Vec<Vec<u8>>,
}

impl Records {
    /// Reads all records of an extended header's content.
    pub fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut records = Self::default();
        // some tools pad with NULs inside of the announced size
        while bytes.iter().any(|b| *b != 0) {
            let (key, value, rest) = split_record(bytes)?;
            if matches!(key, b"GNU.sparse.offset" | b"GNU.sparse.numbytes") {
                records.sparse.push(value.to_vec());
            } else {
                records.insert(key, value);
            }
            bytes = rest;
        }
        Ok(records)
    }

    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.by_key.insert(key.into(), value.into());
    }

    /// Adds an extended attribute, in libarchive's spelling if the name holds an `=`, which would end the key.
    pub fn insert_xattr(&mut self, name: &[u8], value: &[u8]) {
        if name.contains(&b'=') {
            let key = [ENCODED_XATTR, percent_encode(name).as_bytes()].concat();
            self.insert(key, BASE64.encode(value));
        } else {
            self.insert([XATTR, name].concat(), value);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Lets the records of a later header replace those of the same key.
    pub fn extend(&mut self, later: Self) {
        self.by_key.extend(later.by_key);
        self.sparse.extend(later.sparse);
    }

    /// Returns these records completed by global ones; of the same key these count.
    pub fn over(mut self, global: &BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        for (key, value) in global {
            self.by_key
                .entry(key.clone())
                .or_insert_with(|| value.clone());
        }
        self
    }

    /// Takes out the values of some keys.
    pub fn only(&mut self, keys: &[&str]) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let keys = keys.iter().map(|key| key.as_bytes());
        keys.filter_map(|key| self.by_key.remove_entry(key))
            .collect()
    }

    /// Returns a value; an empty one counts as none, which is how an archive takes a global record back.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let value = self.by_key.get(key.as_bytes())?;
        (!value.is_empty()).then_some(value.as_slice())
    }

    /// Returns the extended attributes in both spellings; the plain one wins, undecodable ones are left out.
    pub fn xattrs(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let encoded = self.with_prefix(ENCODED_XATTR).filter_map(|(name, value)| {
            let unpadded = value.trim_ascii_end();
            let end = unpadded
                .iter()
                .rposition(|b| *b != b'=')
                .map_or(0, |i| i + 1);
            let value = BASE64.decode(&unpadded[..end]).ok()?;
            Some((percent_decode(name), value))
        });
        let plain = self.with_prefix(XATTR);
        encoded
            .chain(plain.map(|(name, value)| (name.to_vec(), value.to_vec())))
            .filter(|(name, _)| !name.is_empty() && !name.contains(&0))
            .collect()
    }

    fn with_prefix<'a>(
        &'a self,
        prefix: &'static [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        self.by_key
            .iter()
            .filter_map(move |(key, value)| Some((key.strip_prefix(prefix)?, value.as_slice())))
    }

    /// Returns the content of an extended header, keys in order.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, value) in &self.by_key {
            let length = record_length(key.len() + value.len() + 3);
            bytes.extend_from_slice(format!("{length} ").as_bytes());
            bytes.extend_from_slice(key);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(b'\n');
        }
        bytes
    }
}

type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits off the first record: its key, its value, and the rest.
fn split_record(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    let space = bytes.iter().take(20).position(|b| *b == b' ');
    let space = space.ok_or("a PAX record has no length")?;
    let length = std::str::from_utf8(&bytes[..space]).ok();
    let length = length.and_then(|text| text.parse::<usize>().ok());
    let length = length.ok_or("the length of a PAX record is no number")?;
    if length > bytes.len() || length < space + 2 {
        return Err("the length of a PAX record is wrong");
    }
    let (record, rest) = bytes.split_at(length);
    let body = record[space + 1..].strip_suffix(b"\n");
    let body = body.ok_or("a PAX record does not end in a newline")?;
    let equals = body.iter().position(|b| *b == b'=');
    match equals {
        Some(at @ 1..) => Ok((&body[..at], &body[at + 1..], rest)),
        _ => Err("a PAX record has no key"),
    }
}

/// Returns the length of a record that counts its own digits.
fn record_length(without_digits: usize) -> usize {
    let digits = |n: usize| n.to_string().len();
    let length = without_digits + digits(without_digits);
    without_digits + digits(length)
}

fn percent_encode(name: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_graphic() && *b != b'%' && *b != b'=';
    name.iter().fold(String::new(), |text, b| match plain(b) {
        true => text + char::from(*b).encode_utf8(&mut [0; 4]),
        false => text + &format!("%{b:02X}"),
    })
}

fn percent_decode(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, tail)) = rest.split_first() {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_by_their_length() {
        let text = b"20 SCHILY.xattr.a=\n\0\n11 size=42\n8 path=\n";
        let text = [b"22 SCHILY.xattr.a=\n\0=\n".as_slice(), &text[21..]].concat();
        let records = Records::parse(&text).unwrap();
        assert_eq!(records.get("SCHILY.xattr.a"), Some(b"\n\0=".as_slice()));
        assert_eq!(records.get("size"), Some(b"42".as_slice()));
        assert_eq!(records.get("path"), None);
    }

    #[test]
    fn malformed_records() {
        let cases = [
            "a",
            "5",
            "5 ",
            "x a=b\n",
            "-5 a=b\n",
            "7 a=b\n",
            "5 a=b\n",
            "6 abc\n",
            "5 =b\n",
            "99 a=b\n",
            "0 a=b\n",
            "2 a=b\n",
            "18446744073709551616 a=b\n",
        ];
        for text in cases {
            assert!(Records::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Records::parse(b"6 a=b\n\0\0\0").is_ok());
    }

    #[test]
    fn lengths_count_their_own_digits() {
        for size in (0..1100).chain(99_990..100_010) {
            let mut records = Records::default();
            records.insert("k", vec![b'v'; size]);
            assert_eq!(Records::parse(&records.to_bytes()), Ok(records), "{size}");
        }
    }

    #[test]
    fn xattrs_of_both_spellings() {
        let mut records = Records::default();
        records.insert("LIBARCHIVE.xattr.user.a%3Db", "eA==");
        records.insert("LIBARCHIVE.xattr.user.c", "eQ");
        records.insert("SCHILY.xattr.user.c", "plain");
        records.insert_xattr(b"user.d=%", b"\0");
        let xattrs = records.xattrs();
        let text: Vec<String> = xattrs
            .iter()
            .map(|(k, v)| format!("{}={}", k.escape_ascii(), v.escape_ascii()))
            .collect();
        assert_eq!(text, ["user.a=b=x", "user.c=plain", r"user.d=%=\x00"]);
    }
}
