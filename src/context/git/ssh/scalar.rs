//! Private keys on P-256 whose number is short.
//!
//! OpenSSH writes the number without leading zeros, which one key in 256 has; the ssh library takes such a key for none.

/// What a file in OpenSSH's form begins with.
const MAGIC: &[u8] = b"openssh-key-v1\0";
const SIZE: usize = 32;

/// Returns the bytes of a private key, without a passphrase, with the zeros that its number lacks; `None` if that is not what is wrong.
///
/// # Spec
/// OpenSSH `PROTOCOL.key`, RFC 5656 section 3.1.
pub fn padded(file: &[u8]) -> Option<Vec<u8>> {
    let mut rest = file.strip_prefix(MAGIC)?;
    let (cipher, _kdf, _options) = (string(&mut rest)?, string(&mut rest)?, string(&mut rest)?);
    let (count, _public) = (bytes(&mut rest, 4)?, string(&mut rest)?);
    if cipher != b"none" || count != [0, 0, 0, 1] {
        return None;
    }
    let before = &file[..file.len() - rest.len()];
    let private = string(&mut rest)?;

    let mut rest = private;
    let (_check, kind) = (bytes(&mut rest, 8)?, string(&mut rest)?);
    let (_curve, _point) = (string(&mut rest)?, string(&mut rest)?);
    let front = &private[..private.len() - rest.len()];
    let (number, comment) = (string(&mut rest)?, string(&mut rest)?);
    if kind != b"ecdsa-sha2-nistp256" || number.len() >= SIZE {
        return None;
    }
    let mut whole = front.to_vec();
    let mut wide = [0; SIZE];
    wide[SIZE - number.len()..].copy_from_slice(number);
    put(&mut whole, &wide)?;
    put(&mut whole, comment)?;
    let padding = whole.len().next_multiple_of(8) - whole.len();
    whole.extend((1..=padding).map(|byte| byte as u8));

    let mut file = before.to_vec();
    put(&mut file, &whole)?;
    Some(file)
}

fn bytes<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn string<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = bytes(rest, 4)?.try_into().ok()?;
    bytes(rest, u32::from_be_bytes(length).try_into().ok()?)
}

fn put(file: &mut Vec<u8>, string: &[u8]) -> Option<()> {
    let length = u32::try_from(string.len()).ok()?;
    file.extend(length.to_be_bytes());
    file.extend(string);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::identity::{Key, KeyError};

    /// A key of nobody's, made by `ssh-keygen` until one was short.
    const SHORT: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQRxIcIvwPV1U1dQ4GTfXshysgosgz8W
ZkkkX1uP4KcNV2jmUBqW/U6pUl5CNWtHjYIxv0SvSnX1EXr1GQWcx0VlAAAAmKT7SAmk+0
gJAAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHEhwi/A9XVTV1Dg
ZN9eyHKyCiyDPxZmSSRfW4/gpw1XaOZQGpb9TqlSXkI1a0eNgjG/RK9KdfURevUZBZzHRW
UAAAAfbE9AB/sNCQ5+hdiCAG3yJMz6EfZGlkd2qjjE98mQmgAAAAAB
-----END OPENSSH PRIVATE KEY-----
";

    #[test]
    fn a_key_with_a_short_number_is_read() {
        let key = Key::parse(SHORT).unwrap();
        assert_eq!(
            key.public().to_openssh().unwrap(),
            "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHEhwi/A9XVTV1DgZN9eyHKyCiyDPxZmSSRfW4/gpw1XaOZQGpb9TqlSXkI1a0eNgjG/RK9KdfURevUZBZzHRWU="
        );
        assert!(key.sign(b"message", Default::default()).is_ok());
    }

    #[test]
    fn what_is_cut_or_something_else_is_no_key() {
        let lines: Vec<&str> = SHORT.lines().collect();
        for keep in 1..lines.len() - 1 {
            let text = [&lines[..keep], &lines[lines.len() - 1..]]
                .concat()
                .join("\n");
            assert!(matches!(Key::parse(&text), Err(KeyError::Format)), "{text}");
        }
    }
}
