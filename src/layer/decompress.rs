//! From the bytes of a blob or archive to the tar in it.

use std::io::{self, BufRead, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

/// How bytes are compressed, as their first ones tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// How many bytes [`Format::detect`] wants to see.
pub const MAGIC: usize = 6;

/// What an xz stream may ask for, in KiB; the highest preset takes 65 MiB.
const XZ_MEMORY: u32 = 512 * 1024;

impl Format {
    /// Tells the format from the first bytes of a file.
    pub fn detect(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // a skippable frame
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::Plain,
        }
    }
}

/// Returns the decompressed content of `input`, whatever it is compressed with; what is not compressed comes as it is.
///
/// Several members, frames or streams are read one after the other. What is none of these behind them is an error when it
/// is reached.
pub fn decompress<'a>(
    mut input: impl BufRead + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::with_capacity(MAGIC);
    input.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let format = Format::detect(&start);
    let input = Cursor::new(start).chain(input);
    Ok(match format {
        Format::Plain => Box::new(input),
        Format::Gzip => Box::new(MultiGzDecoder::new(input)),
        Format::Zstd => Box::new(zstd::Decoder::with_buffer(input)?),
        Format::Bzip2 => Box::new(MultiBzDecoder::new(input)),
        Format::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY)),
    })
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;
    use std::process::{Command, Stdio};

    use super::*;

    fn compressed(program: &str, content: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let content = content.to_vec();
        let writer = std::thread::spawn(move || io::Write::write_all(&mut stdin, &content));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        output.stdout
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompress(BufReader::with_capacity(3, bytes))?.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn what_the_tools_write_is_read() {
        let content: Vec<u8> = (0..300_000u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let zstd = zstd::encode_all(&content[..], 1).unwrap();
        let cases = [
            ("gzip", Format::Gzip, compressed("gzip", &content)),
            ("bzip2", Format::Bzip2, compressed("bzip2", &content)),
            ("xz", Format::Xz, compressed("xz", &content)),
            ("zstd", Format::Zstd, zstd),
        ];
        for (name, format, bytes) in cases {
            assert_eq!(Format::detect(&bytes), format, "{name}");
            assert!(read(&bytes).unwrap() == content, "{name}");
            let twice = [&bytes[..], &bytes].concat();
            assert!(
                read(&twice).unwrap() == [&content[..], &content].concat(),
                "{name} twice"
            );
            let trailing = [&bytes[..], b"garbage"].concat();
            assert!(read(&trailing).is_err(), "{name} with garbage");
            assert!(read(&bytes[..bytes.len() - 1]).is_err(), "{name} cut");
            assert!(
                read(&bytes[..bytes.len() / 2]).is_err(),
                "{name} cut in half"
            );
        }
    }

    #[test]
    fn anything_else_comes_as_it_is() {
        for plain in [&b""[..], b"B", b"BZh", b"\x1f", b"some text\n"] {
            assert_eq!(read(plain).unwrap(), plain);
        }
    }
}
