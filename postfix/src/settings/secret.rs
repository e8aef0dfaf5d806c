//! Passwords, and the files they are read from.

use std::fmt;
use std::fs;
use std::path::Path;

use zeroize::Zeroizing;

/// Text that `Debug` never shows and that is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Reads a secret file, without the one newline that editors put at its end.
pub fn read_file(path: &Path) -> Result<Secret, String> {
    let bytes =
        Zeroizing::new(fs::read(path).map_err(|error| format!("cannot read this file: {error}"))?);
    let text = std::str::from_utf8(&bytes).map_err(|_| "the file is not valid UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        return Err("the file is empty; it must contain the secret".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_in_file(content: &[u8]) -> Result<Secret, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, content).unwrap();
        read_file(&path)
    }

    #[test]
    fn one_newline_at_the_end_of_a_secret_file_is_stripped_and_nothing_else() {
        for (content, expected) in [
            ("pass word", "pass word"),
            ("pass\n", "pass"),
            ("pass\r\n", "pass"),
            ("pass\n\n", "pass\n"),
            (" pass \n", " pass "),
        ] {
            let secret = secret_in_file(content.as_bytes()).unwrap();
            assert_eq!(secret.reveal(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_secret_file_that_cannot_be_used_says_why() {
        assert_eq!(
            secret_in_file(b"\n").unwrap_err(),
            "the file is empty; it must contain the secret"
        );
        assert_eq!(secret_in_file(b"\xff").unwrap_err(), "the file is not valid UTF-8");
    }

    #[test]
    fn debug_does_not_show_a_secret() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "[secret]");
    }
}
