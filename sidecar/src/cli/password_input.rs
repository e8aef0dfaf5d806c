//! Where a new password comes from: the terminal, standard input, or a generator.

use std::io::{self, IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::PasswordSource;
use super::failure::{Exit, Failure};
use crate::password::{BadPassword, MAX_PASSWORD, Password};

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
            "there is no terminal to ask for the password: use --password-stdin or --generate",
        ));
    };
    let password = Password::choose(typed.as_bytes())
        .map_err(|error| Failure::new(Exit::BadPassword, error))?;
    Ok(NewPassword { password, generated: None })
}

fn prompt_twice() -> Result<Zeroizing<String>, Failure> {
    let first = prompt("Password: ")?;
    let second = prompt("Again: ")?;
    if first == second {
        Ok(first)
    } else {
        Err(Failure::new(Exit::BadPassword, "the passwords do not match; nothing was changed"))
    }
}

/// Asks once. Echo is off before the prompt is seen, so that nothing typed at once is shown, and
/// on again afterwards.
fn prompt(text: &str) -> Result<Zeroizing<String>, Failure> {
    let trouble = |error: io::Error| {
        Failure::new(Exit::Trouble, format!("cannot ask for the password: {error}"))
    };
    let _echo = EchoOff::new().map_err(trouble)?;
    let mut out = io::stderr();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(trouble)?;
    // Unbuffered, because what is buffered behind the line would be lost to the next question,
    // and stay in memory.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_PASSWORD + 2));
    let mut input = io::stdin().lock();
    loop {
        let mut byte = [0];
        let read =
            rustix::io::read(&mut input, &mut byte).map_err(|error| trouble(error.into()))?;
        if read == 0 || byte == *b"\n" {
            break;
        }
        if line.len() > MAX_PASSWORD {
            return Err(Failure::new(Exit::BadPassword, BadPassword::TooLong));
        }
        line.push(byte[0]);
    }
    let text = std::str::from_utf8(&line)
        .map_err(|_| Failure::new(Exit::BadPassword, "the password is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// While it lives, the terminal shows line ends and nothing else of what is typed.
struct EchoOff {
    before: Termios,
}

impl EchoOff {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        quiet.local_modes.insert(LocalModes::ECHONL);
        // Flush drops what was typed before the question.
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for EchoOff {
    fn drop(&mut self) {
        // A terminal that is gone needs no echo.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
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
            "standard input has more than one line; the password must be the only one",
        ));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

/// Letters and digits that are not mistaken for each other when typed from paper.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789_";
/// Five bits each: 120 bits.
const LENGTH: usize = 24;

/// A password that nobody can guess.
pub fn generate() -> Result<NewPassword, Failure> {
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
        let password = Password::choose(first.as_bytes()).unwrap();
        assert!(crate::password::strength::is_unguessable(&password), "{}", *first);
    }
}
