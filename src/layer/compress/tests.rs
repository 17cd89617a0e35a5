use std::io::Read;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::codec::{BLOCK, Block, Codec, Machine, WINDOW};
use super::*;
use crate::layer::decompress;

/// Words in no order: compressible, but not into nothing.
fn text(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut bytes = Vec::with_capacity(size + 16);
    while bytes.len() < size {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        bytes.extend_from_slice(format!("{:x} word{} ", state >> 58, state >> 52).as_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn encode(content: &[u8], compression: Compression, threads: usize, piece: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), compression, None, Some(threads));
    for piece in content.chunks(piece) {
        encoder.write_all(piece).unwrap();
    }
    encoder.finish().unwrap()
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    decompress(bytes)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

#[test]
fn neither_threads_nor_pieces_show_in_the_output() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for size in [
            0,
            1,
            WINDOW,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            3 * BLOCK,
            5 * BLOCK + 12345,
        ] {
            let content = text(size);
            let want = encode(&content, compression, 1, usize::MAX >> 1);
            assert!(decode(&want) == content, "{compression:?} {size}");
            for (threads, piece) in [(2, 4096), (5, 1_000_001)] {
                let got = encode(&content, compression, threads, piece);
                assert!(got == want, "{compression:?} {size} {threads} {piece}");
            }
        }
    }
}

#[test]
fn blocks_join_to_one_gzip_member() {
    let content = text(4 * BLOCK + 77);
    let bytes = encode(&content, Compression::Gzip, 3, 10_000);
    assert_eq!(bytes[..10], GZIP_HEADER);
    let mut single = flate2::read::GzDecoder::new(&bytes[..]);
    let mut decoded = Vec::new();
    single.read_to_end(&mut decoded).unwrap();
    assert!(decoded == content && single.into_inner().is_empty());
    // a block that could not refer to the one before it would cost more
    let whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL));
    let mut whole = whole;
    whole.write_all(&content).unwrap();
    let whole = whole.finish().unwrap();
    assert!(
        bytes.len() < whole.len() + whole.len() / 100,
        "{} {}",
        bytes.len(),
        whole.len()
    );
}

#[test]
fn gzip_itself_accepts_it() {
    let content = text(3 * BLOCK);
    let mut child = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let bytes = encode(&content, Compression::Gzip, 2, 4096);
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success() && output.stdout == content);
}

#[test]
fn levels_are_clamped() {
    let content = text(BLOCK);
    let sizes = [
        (Compression::Gzip, [1, 9, 99]),
        (Compression::Zstd, [1, 22, 99]),
    ]
    .map(|(compression, levels)| {
        levels.map(|level| {
            let mut encoder = Encoder::new(Vec::new(), compression, Some(level), None);
            encoder.write_all(&content).unwrap();
            let bytes = encoder.finish().unwrap();
            assert!(decode(&bytes) == content);
            bytes.len()
        })
    });
    for [low, high, beyond] in sizes {
        assert!(low > high && high == beyond, "{sizes:?}");
    }
}

#[test]
fn a_failing_output_is_reported() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut encoder = Encoder::new(Full, compression, None, Some(2));
        let written = encoder.write_all(&text(20 * BLOCK));
        let error = written
            .and_then(|()| encoder.finish().map(drop))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_bytes_come_back(
        noise in proptest::collection::vec(any::<u8>(), 0..3000),
        repeats in 1usize..400,
        threads in 1usize..4,
    ) {
        let content = noise.repeat(repeats);
        for compression in [Compression::Gzip, Compression::Zstd] {
            prop_assert!(decode(&encode(&content, compression, threads, 7777)) == content);
        }
    }
}

/// What a machine compressed before must not show, or the digest would depend on which thread got which block.
#[test]
fn a_compressor_has_no_past() {
    let program = fs_err::read(std::env::current_exe().unwrap()).unwrap();
    for codec in [
        Codec::Gzip(5),
        Codec::Gzip(1),
        Codec::Gzip(9),
        Codec::Zstd(3),
    ] {
        let mut used = Machine::new(codec).unwrap();
        for (n, bytes) in program.chunks(BLOCK).take(24).enumerate() {
            let block = Block {
                window: program[..n * BLOCK][(n * BLOCK).saturating_sub(WINDOW)..].to_vec(),
                bytes: bytes.to_vec(),
                last: false,
            };
            let fresh = Machine::new(codec).unwrap().compress(&block).unwrap();
            assert!(
                used.compress(&block).unwrap() == fresh,
                "{codec:?} block {n}"
            );
        }
    }
}
