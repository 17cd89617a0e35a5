//! The framing of git's protocol: lines with their length in front. Pure.

use std::io::{self, Read};

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Data(Vec<u8>),
    /// Ends a message.
    Flush,
    /// Separates sections of a message.
    Delimiter,
    /// Ends an answer.
    End,
}

impl Frame {
    /// Returns a data frame's text without its line end.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Data(bytes) => Some(str::from_utf8(bytes).ok()?.trim_end_matches('\n')),
            _ => None,
        }
    }
}

/// Appends a line.
pub fn write(message: &mut Vec<u8>, line: &str) {
    write_bare(message, &format!("{line}\n"));
}

/// Appends a text as it is.
pub fn write_bare(message: &mut Vec<u8>, text: &str) {
    message.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

pub const FLUSH: &[u8] = b"0000";
pub const DELIMITER: &[u8] = b"0001";

/// Reads the next frame; absent at the end of the input.
pub fn read(input: &mut dyn Read) -> io::Result<Option<Frame>> {
    let mut length = [0; 4];
    let mut filled = 0;
    while filled < length.len() {
        match input.read(&mut length[filled..])? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "this is not git's protocol");
    let text = str::from_utf8(&length).map_err(|_| invalid())?;
    match usize::from_str_radix(text, 16).map_err(|_| invalid())? {
        0 => Ok(Some(Frame::Flush)),
        1 => Ok(Some(Frame::Delimiter)),
        2 => Ok(Some(Frame::End)),
        3 => Err(invalid()),
        size => {
            let mut data = vec![0; size - 4];
            input.read_exact(&mut data)?;
            Ok(Some(Frame::Data(data)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames() {
        let mut message = Vec::new();
        write(&mut message, "command=ls-refs");
        message.extend_from_slice(DELIMITER);
        write(&mut message, "peel");
        message.extend_from_slice(FLUSH);
        assert_eq!(message, b"0014command=ls-refs\n00010009peel\n0000");
        let mut input = &message[..];
        let mut frames = Vec::new();
        while let Some(frame) = read(&mut input).unwrap() {
            frames.push(frame);
        }
        assert_eq!(frames[0].text(), Some("command=ls-refs"));
        assert_eq!(frames[1], Frame::Delimiter);
        assert_eq!(frames[2].text(), Some("peel"));
        assert_eq!(frames[3], Frame::Flush);
        for bad in [&b"00"[..], b"0003", b"<htm", b"0009ab"] {
            assert!(read(&mut &bad[..]).is_err());
        }
    }
}
