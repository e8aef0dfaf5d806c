//! Users in the files of other servers, line by line. Pure.
//!
//! One user per line: `name:password`, with further fields that are ignored, as in Dovecot's
//! passwd-file and in htpasswd; or all on one line, `name:password,name:password`, as some relay
//! images take them from a variable. A password is `{SCHEME}hash`, a hash in a format that names
//! its algorithm, or plain text after `{PLAIN}` and in the one-line form.
//!
//! Refusals: a hash that cannot be verified here is an error. It would make a user who can never
//! log in.

use zeroize::Zeroizing;

use crate::password;
use crate::user_name::UserName;

/// A user of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: UserName,
    pub secret: Secret,
}

/// What a file has of a password.
#[derive(PartialEq, Eq)]
pub enum Secret {
    /// To be stored as it is.
    Hash(String),
    /// To be hashed now.
    Plain(Zeroizing<String>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hash(_) => "Hash(…)",
            Self::Plain(_) => "Plain(…)",
        })
    }
}

/// Reads the users on one line of a file; none on an empty line or a comment.
///
/// # Errors
///
/// One sentence for each entry that is wrong. No password is in it.
pub fn entries(line: &str) -> Vec<Result<Entry, String>> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    if line.trim().is_empty() || line.starts_with('#') {
        return Vec::new();
    }
    entries_of(line)
}

/// A line is one user, unless it is a list of `name:password` pairs: then every part has a colon,
/// and what follows the colon is not a hash, which may contain commas.
fn entries_of(line: &str) -> Vec<Result<Entry, String>> {
    let is_list = line.split_once(':').is_some_and(|(_, rest)| !rest.starts_with(['{', '$']))
        && line.split(',').all(|part| part.matches(':').count() == 1);
    if is_list {
        return line.split(',').map(|part| entry_of(part, true)).collect();
    }
    vec![entry_of(line, false)]
}

fn entry_of(text: &str, plain: bool) -> Result<Entry, String> {
    let (name, rest) = text.split_once(':').ok_or("write name:password")?;
    let name = UserName::parse(name.trim()).map_err(|error| format!("{name:?}: {error}"))?;
    if plain {
        return Ok(Entry { secret: plain_text(rest, &name)?, name });
    }
    // The further fields of a passwd-file are uid, gid, home and so on.
    let field = rest.split(':').next().unwrap_or_default();
    let secret = match scheme_of(field) {
        Some((scheme, hash)) => by_scheme(&scheme, hash, rest, &name)?,
        None => hash(field, &name)?,
    };
    Ok(Entry { name, secret })
}

/// `{SCHEME}rest`, the scheme in capitals and without Dovecot's encoding suffix.
fn scheme_of(field: &str) -> Option<(String, &str)> {
    let (scheme, rest) = field.strip_prefix('{')?.split_once('}')?;
    Some((scheme.to_ascii_uppercase(), rest))
}

fn by_scheme(
    scheme: &str,
    hash_text: &str,
    whole: &str,
    name: &UserName,
) -> Result<Secret, String> {
    match scheme {
        "PLAIN" | "CLEARTEXT" => {
            let text = whole.split_once('}').map_or("", |(_, text)| text);
            // A plain password with a colon cannot be told from the fields that follow.
            plain_text(text.split(':').next().unwrap_or_default(), name)
        }
        "ARGON2ID" | "ARGON2I" | "BLF-CRYPT" | "SHA512-CRYPT" | "SHA256-CRYPT" | "CRYPT" => {
            hash(hash_text, name)
        }
        other => Err(format!(
            "user {name}: the scheme {{{other}}} is not supported; use ARGON2ID, ARGON2I, \
             BLF-CRYPT, SHA512-CRYPT, SHA256-CRYPT or PLAIN"
        )),
    }
}

fn hash(text: &str, name: &UserName) -> Result<Secret, String> {
    if !text.starts_with('$') {
        return Err(format!(
            "user {name}: this is not a hash that can be verified here; for a password in plain \
             text, write {{PLAIN}} before it"
        ));
    }
    password::check(text).map_err(|_| {
        format!(
            "user {name}: this hash cannot be verified here; supported are argon2id, argon2i, \
             bcrypt, SHA-512-crypt and SHA-256-crypt of a usual cost"
        )
    })?;
    Ok(Secret::Hash(text.to_owned()))
}

fn plain_text(text: &str, name: &UserName) -> Result<Secret, String> {
    if text.is_empty() {
        return Err(format!("user {name}: the password is empty"));
    }
    Ok(Secret::Plain(Zeroizing::new(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BCRYPT: &str = "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
    const SHA512: &str = "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.";
    const ARGON2I: &str =
        "$argon2i$v=19$m=64,t=3,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    fn read(text: &str) -> Vec<(String, String)> {
        let shown = |entry: Entry| match entry.secret {
            Secret::Hash(hash) => (entry.name.to_string(), hash),
            Secret::Plain(plain) => (entry.name.to_string(), format!("plain {}", *plain)),
        };
        text.lines().flat_map(entries).map(|entry| shown(entry.unwrap())).collect()
    }

    #[test]
    fn the_files_of_other_servers_are_read() {
        let cases = [
            (format!("alice:{{BLF-CRYPT}}{BCRYPT}:1000:1000::/home/alice::"), BCRYPT.to_owned()),
            (format!("Alice:{{sha512-crypt}}{SHA512}"), SHA512.to_owned()),
            (format!("alice:{{ARGON2I}}{ARGON2I}::::::"), ARGON2I.to_owned()),
            (format!("alice:{{CRYPT}}{SHA512}"), SHA512.to_owned()),
            (format!("# made by htpasswd\n\nalice:{BCRYPT}\n"), BCRYPT.to_owned()),
            (format!("alice:{SHA512}\r\n"), SHA512.to_owned()),
            ("alice:{PLAIN}secret".to_owned(), "plain secret".to_owned()),
            ("alice:{plain}se cret:::::".to_owned(), "plain se cret".to_owned()),
            ("alice:secret".to_owned(), "plain secret".to_owned()),
        ];
        for (text, expected) in cases {
            assert_eq!(read(&text), [("alice".to_owned(), expected)], "{text}");
        }
        let list = read("alice:one,bob@example.org:two");
        assert_eq!(list[1], ("bob@example.org".to_owned(), "plain two".to_owned()));
    }

    #[test]
    fn an_entry_that_is_wrong_is_named_and_its_password_is_not() {
        let cases = [
            ("alice", "write name:password"),
            ("a b:{PLAIN}hunter2", "\"a b\""),
            ("alice:{MD5-CRYPT}$1$hunter2", "{MD5-CRYPT} is not supported"),
            ("alice:$apr1$hunter2$x", "cannot be verified here"),
            ("alice:$2y$20$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a", "usual cost"),
            ("alice:hunter2:1000:1000", "write {PLAIN} before it"),
            ("alice:", "the password is empty"),
            ("alice:{PLAIN}", "the password is empty"),
        ];
        for (line, expected) in cases {
            let mistakes: Vec<String> = entries(line).into_iter().filter_map(Result::err).collect();
            let mistakes = mistakes.join("\n");
            assert!(mistakes.contains(expected), "{line}: {mistakes}");
            assert!(!mistakes.contains("hunter2"), "{mistakes}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(line in any::<String>()) {
            let _any_answer = entries(&line);
        }
    }
}
