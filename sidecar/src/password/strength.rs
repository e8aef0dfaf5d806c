//! Whether a password could be guessed by trying. Pure.
//!
//! Guesses at one user are held below 10,000 a day, so this need not be subtle: our own generated
//! passwords pass (120 bits), and so does a long passphrase. An estimator with dictionaries would
//! judge short passwords better, but it keeps copies of what it looks at, and errs on this side too.

use super::Password;

/// Characters from which on a password counts as too long to be guessed.
const LONG: usize = 20;
/// And as many different ones in it, so that a key held down does not count.
const VARIED: usize = 10;

/// Whether nobody will find this password by trying, at the pace that guesses are held to.
pub fn is_unguessable(password: &Password) -> bool {
    let Ok(text) = std::str::from_utf8(password.as_bytes()) else { return false };
    // No set of the characters, which would be a copy of them in memory that is not wiped.
    let first_of_its_kind =
        |(at, c): &(usize, char)| !text.get(..*at).unwrap_or_default().contains(*c);
    text.chars().count() >= LONG && text.char_indices().filter(first_of_its_kind).count() >= VARIED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_varied_passwords_are_beyond_guessing() {
        for (text, expected) in [
            ("k7f_m2qz9hdx_w4ptj8nrv3c", true),
            ("correct horse battery staple", true),
            ("Tr0ub4dor&3", false),
            ("hunter2", false),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
            ("abcabcabcabcabcabcabcabc", false),
            ("19 characters-long!", false),
            ("größe und würde des ü", true),
        ] {
            let password = Password::choose(text.as_bytes()).unwrap();
            assert_eq!(is_unguessable(&password), expected, "{text}");
        }
    }
}
