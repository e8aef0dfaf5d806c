//! Paths of files mounted into the container, and pairs of certificate and key.

use std::path::PathBuf;

use super::environment::Problem;
use super::reader::Reader;
use super::variables::Variable;
use crate::certificates::pair::Pair;

/// A path that goes into main.cf unchanged, so characters with a meaning there are refused.
pub fn parse_path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err("must be an absolute path inside the container, like /certs/cert.pem".into());
    }
    let is_plain = |character: char| {
        character.is_alphanumeric() || matches!(character, '/' | '.' | '-' | '_' | '+' | '@' | ':')
    };
    if !text.chars().all(is_plain) {
        return Err("may only contain letters, digits and / . - _ + @ :".into());
    }
    Ok(PathBuf::from(text))
}

/// Reads the paths of a certificate and its key, and checks the two files. Both variables must be set,
/// or neither: then the result is `Some(None)`. `None` is a mistake that was reported.
pub fn read_pair(
    reader: &mut Reader<'_>,
    certificate_variable: &Variable,
    key_variable: &Variable,
) -> Option<Option<(PathBuf, PathBuf)>> {
    let certificate = reader.parse_path(certificate_variable, parse_path);
    let key = reader.parse_path(key_variable, parse_path);
    let both = [(certificate_variable, key_variable), (key_variable, certificate_variable)];
    for (variable, other) in both {
        if reader.is_set(other) && !reader.is_set(variable) {
            let advice = format!("must be set too, because {} is set", other.name);
            reader.problems.push(Problem::without_value(variable.name, advice));
        }
    }
    let any_is_set = reader.is_set(certificate_variable) || reader.is_set(key_variable);
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return (!any_is_set).then_some(None);
    };
    if let Err(error) = Pair::load(&certificate, &key) {
        let (variable, path) = match error.concerns_key() {
            true => (key_variable, &key),
            false => (certificate_variable, &certificate),
        };
        let path = path.to_string_lossy();
        reader.problems.push(Problem::new(variable.name, &path, error.to_string()));
        return None;
    }
    Some(Some((certificate, key)))
}
