//! Percent-encoding, and undone.

/// Returns a part of a URL that stands for a text, whatever that contains; a slash is encoded, too.
///
/// ```
/// use executor::net::percent::encoded;
/// assert_eq!(encoded("a b/ü~"), "a%20b%2F%C3%BC~");
/// ```
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Returns what a part of a URL stands for; what is no valid encoding stays as it is.
///
/// ```
/// use executor::net::percent::decoded;
/// assert_eq!(decoded("a%20b%2"), "a b%2");
/// ```
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| str::from_utf8(two).ok());
        let byte = hex
            .filter(|_| first == b'%')
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
