//! Where a new password comes from: the terminal, standard input, or a generator.

use std::io::{self, IsTerminal, Read};

use zeroize::Zeroizing;

use super::{Exit, Failure, PasswordSource};
use crate::password::{MAX_PASSWORD, Password};

/// A new password, and the text to print once when we made it ourselves.
#[derive(Debug)]
pub struct NewPassword {
    pub password: Password,
    pub generated: Option<Zeroizing<String>>,
}

/// Gets a password from where the command line says.
pub fn new_password(source: &PasswordSource) -> Result<NewPassword, Failure> {
    if source.generate {
        return generate();
    }
    let typed = if source.password_stdin {
        first_line(io::stdin().lock())?
    } else if io::stdin().is_terminal() {
        prompt_twice()?
    } else {
        return Err(Failure::new(
            Exit::BadPassword,
            "no terminal to ask for a password: use --password-stdin or --generate",
        ));
    };
    let password = Password::choose(typed.as_bytes())
        .map_err(|error| Failure::new(Exit::BadPassword, error))?;
    Ok(NewPassword { password, generated: None })
}

fn prompt_twice() -> Result<Zeroizing<String>, Failure> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(|error| {
            Failure::new(Exit::Trouble, format!("cannot read from the terminal: {error}"))
        })
    };
    let first = ask("Password: ")?;
    let second = ask("Once more: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new(Exit::BadPassword, "the two passwords differ; nothing was changed"))
    }
}

/// The first line, without its line end. What follows would be a mistake of whoever wrote the
/// script, and a password cut in silence.
fn first_line(input: impl Read) -> Result<Zeroizing<String>, Failure> {
    // Room for the longest password, its line end and one byte that says there is more.
    let limit = MAX_PASSWORD + 3;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    input.take(limit as u64).read_to_end(&mut bytes).map_err(|error| {
        Failure::new(Exit::Trouble, format!("cannot read standard input: {error}"))
    })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Failure::new(Exit::BadPassword, "the password is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(Failure::new(
            Exit::BadPassword,
            "standard input has more than one line; the password is the only line",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Letters and digits that are not mistaken for each other when typed from paper.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789_";
/// Five bits each: 120 bits.
const LENGTH: usize = 24;

fn generate() -> Result<NewPassword, Failure> {
    let mut random = Zeroizing::new([0u8; LENGTH]);
    getrandom::fill(random.as_mut())
        .map_err(|error| Failure::new(Exit::Trouble, format!("no random numbers: {error}")))?;
    let text: String = random
        .iter()
        .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)).copied().map(char::from))
        .collect();
    let text = Zeroizing::new(text);
    let password = Password::choose(text.as_bytes())
        .map_err(|error| Failure::new(Exit::BadPassword, error))?;
    Ok(NewPassword { password, generated: Some(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_one_line() {
        for (input, expected) in [
            ("secret\n", Some("secret")),
            ("secret\r\n", Some("secret")),
            ("secret", Some("secret")),
            (" secret \n", Some(" secret ")),
            ("", Some("")),
            ("a\nb\n", None),
        ] {
            let line = first_line(input.as_bytes()).ok();
            assert_eq!(line.as_ref().map(|line| line.as_str()), expected, "{input:?}");
        }
        assert!(first_line(&b"\xff"[..]).is_err());
    }

    #[test]
    fn generated_passwords_are_long_and_differ() {
        let first = generate().unwrap().generated.unwrap();
        let second = generate().unwrap().generated.unwrap();
        assert_eq!(first.len(), LENGTH);
        assert_ne!(first, second);
    }
}
