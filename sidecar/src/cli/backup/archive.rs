//! The file of a backup: a line that says what it is, the length, LMDB's file, and a checksum over all
//! of it. LMDB has none, and must not map a file that was cut or changed.

use std::io::{self, Read, Write};

use thiserror::Error;

const FIRST_LINE: &[u8] = b"relay backup 1\n";
const LENGTH: usize = size_of::<u64>();
/// A block that is copied in one go.
const BLOCK: usize = 64 << 10;

#[derive(Debug, Error)]
pub enum BadArchive {
    #[error("this is no backup of relay, or of a newer version of it")]
    Unknown,
    #[error("the backup is cut off: it should have {expected} bytes and has {found}")]
    Cut { expected: u64, found: u64 },
    #[error("the backup was changed: its checksum is wrong")]
    Changed,
    #[error("the backup has something behind its end")]
    TooLong,
    #[error("cannot read the backup, or keep what it holds: {0}")]
    Io(#[from] io::Error),
}

/// Writes a backup of `length` bytes of data.
pub fn write(data: impl Read, length: u64, mut out: impl Write) -> io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(bytes);
        out.write_all(bytes)
    };
    put(FIRST_LINE)?;
    put(&length.to_le_bytes())?;
    let written = for_each_block(data.take(length), put)?;
    if written != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.write_all(hasher.finalize().as_bytes())?;
    out.flush()
}

/// Writes the data of a backup to `data`, which is worth nothing unless this succeeds.
pub fn read(mut archive: impl Read, mut data: impl Write) -> Result<(), BadArchive> {
    let mut start = [0; FIRST_LINE.len() + LENGTH];
    let is_whole = archive.read_exact(&mut start);
    let length = start.strip_prefix(FIRST_LINE).and_then(|rest| rest.first_chunk());
    let (Ok(()), Some(length)) = (is_whole, length) else { return Err(BadArchive::Unknown) };
    let length = u64::from_le_bytes(*length);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&start);
    let found = for_each_block(archive.by_ref().take(length), |block| {
        hasher.update(block);
        data.write_all(block)
    })?;
    let mut rest = Vec::new();
    let sum = hasher.finalize();
    archive.take(blake3::OUT_LEN as u64 + 1).read_to_end(&mut rest)?;
    if found < length || rest.len() < blake3::OUT_LEN {
        let around = (start.len() + blake3::OUT_LEN) as u64;
        let found = start.len() as u64 + found + rest.len() as u64;
        return Err(BadArchive::Cut { expected: length.saturating_add(around), found });
    }
    if rest.len() > blake3::OUT_LEN {
        return Err(BadArchive::TooLong);
    }
    if rest != sum.as_bytes() {
        return Err(BadArchive::Changed);
    }
    Ok(data.flush()?)
}

fn for_each_block(
    mut from: impl Read,
    mut act: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut total = 0;
    loop {
        match from.read(&mut block) {
            Ok(0) => return Ok(total),
            Ok(length) => {
                act(block.get(..length).unwrap_or_default())?;
                total += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive_of(data: &[u8]) -> Vec<u8> {
        let mut archive = Vec::new();
        write(data, data.len() as u64, &mut archive).unwrap();
        archive
    }

    fn data_of(archive: &[u8]) -> Result<Vec<u8>, BadArchive> {
        let mut data = Vec::new();
        read(archive, &mut data).map(|()| data)
    }

    #[test]
    fn what_was_written_is_read() {
        for length in [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 7] {
            let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            assert_eq!(data_of(&archive_of(&data)).unwrap(), data);
        }
        let too_short = write(&b"abc"[..], 4, io::sink());
        assert_eq!(too_short.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_refused() {
        let whole = archive_of(b"users and keys");
        for length in 0..whole.len() {
            let error = data_of(&whole[..length]).unwrap_err();
            assert!(matches!(error, BadArchive::Unknown | BadArchive::Cut { .. }), "{length}");
        }
        let said = data_of(&whole[..40]).unwrap_err().to_string();
        assert_eq!(said, "the backup is cut off: it should have 69 bytes and has 40");
    }

    #[test]
    fn a_file_that_was_changed_anywhere_is_refused() {
        let whole = archive_of(b"users and keys");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut changed = whole.clone();
                changed[at] ^= 1 << bit;
                assert!(data_of(&changed).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(matches!(data_of(&[&whole[..], b"x"].concat()), Err(BadArchive::TooLong)));
    }
}
