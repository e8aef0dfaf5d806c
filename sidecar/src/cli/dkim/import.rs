//! `relay dkim import`: keys that other programs made.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{ImportArguments, listing, parse};
use crate::cli::failure::{Exit, Failure};
use crate::clock::now;
use crate::dkim::key::NamedKey;
use crate::dkim::key_file::{self, MAX_FILE};
use crate::dkim::names::{Domain, Selector};
use crate::store::UserStore;

/// Keys that are imported in one go; more files are not a folder of keys.
const MAX_KEYS: usize = 10_000;
/// boky's default for `DKIM_SELECTOR`, and opendkim-genkey's example.
const USUAL_SELECTOR: &str = "mail";

pub fn run(store: &UserStore, arguments: &ImportArguments) -> Result<String, Failure> {
    let ImportArguments { domain, key, selector, folder, .. } = arguments;
    let keys = match (domain, key, selector, folder) {
        (Some(domain), Some(key), Some(selector), None) => {
            vec![read_key(key, parse(domain)?, parse(selector)?)?]
        }
        (_, _, selector, Some(folder)) => {
            let usual = parse(selector.as_deref().unwrap_or(USUAL_SELECTOR))?;
            read_folder(folder, &usual)?
        }
        _ => return Err(Failure::new(Exit::BadInput, "name a domain with --key and --selector")),
    };
    store.add_dkim_keys(&keys)?;
    let names: Vec<String> = keys.iter().map(NamedKey::to_string).collect();
    Ok(format!(
        "imported: {}\n\n{}A key signs once DNS is seen to have its record: relay dkim check\n",
        names.join(", "),
        listing::records(&keys)?
    ))
}

fn read_key(path: &Path, domain: Domain, selector: Selector) -> Result<NamedKey, Failure> {
    let shown = path.display();
    let file: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(path);
        Box::new(file.map_err(|error| Failure::trouble(format!("cannot read {shown}: {error}")))?)
    };
    // Large enough from the start: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    file.take(MAX_FILE as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| Failure::trouble(format!("cannot read {shown}: {error}")))?;
    let parsed = key_file::parse(&text)
        .map_err(|error| Failure::new(Exit::BadInput, format!("{shown}: {error}")))?;
    Ok(NamedKey { domain, selector, record: parsed.into_record(now()) })
}

fn read_folder(folder: &Path, usual: &Selector) -> Result<Vec<NamedKey>, Failure> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(entries(&path)?.into_iter().filter(|path| path.is_file()));
        } else {
            files.push(path);
        }
    }
    let mut keys = Vec::new();
    for path in files {
        let Ok(relative) = path.strip_prefix(folder) else { continue };
        let Some((domain, selector)) = name_of(relative, usual, &|txt: &Path| {
            std::fs::read_to_string(folder.join(txt)).unwrap_or_default()
        }) else {
            continue;
        };
        keys.push(read_key(&path, domain, selector)?);
    }
    if keys.is_empty() {
        let text = format!(
            "no keys in {}: expected files such as example.org/s1.private, example.org.private or \
             example.org.s1.key",
            folder.display()
        );
        return Err(Failure::new(Exit::BadInput, text));
    }
    Ok(keys)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let trouble =
        |error: io::Error| Failure::trouble(format!("cannot read {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(trouble)?.take(MAX_KEYS) {
        paths.push(entry.map_err(trouble)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Domain and selector from a file's place, for each program that has such a layout.
fn name_of(
    relative: &Path,
    usual: &Selector,
    read: &dyn Fn(&Path) -> String,
) -> Option<(Domain, Selector)> {
    let file = relative.file_name()?.to_str()?;
    let parent = relative.parent().and_then(Path::to_str).filter(|parent| !parent.is_empty());
    match (parent, file.strip_suffix(".private"), file.strip_suffix(".key")) {
        // OpenDKIM: example.org/s1.private.
        (Some(domain), Some(selector), _) => Some((domain.parse().ok()?, selector.parse().ok()?)),
        // boky: example.org.private, with the selector in the record beside it.
        (None, Some(domain), _) => {
            let record = read(Path::new(&format!("{domain}.txt")));
            let published = record
                .split_once("._domainkey")
                .and_then(|(name, _)| name.split_whitespace().next_back()?.parse().ok());
            Some((domain.parse().ok()?, published.unwrap_or_else(|| usual.clone())))
        }
        // rspamd: example.org.s1.key, and without the selector in its older default.
        (_, None, Some(name)) => {
            let (domain, selector) = name.rsplit_once('.')?;
            match (domain.parse::<Domain>(), selector.parse::<Selector>()) {
                (Ok(domain), Ok(selector)) => Some((domain, selector)),
                _ => Some((name.parse().ok()?, usual.clone())),
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_of_other_programs() {
        let record = |path: &Path| match path.to_str() {
            Some("example.net.txt") => "s7._domainkey\tIN\tTXT\t( \"v=DKIM1\" )".to_owned(),
            _ => String::new(),
        };
        for (path, expected) in [
            ("example.org/s1.private", Some("example.org/s1")),
            ("example.org.private", Some("example.org/mail")),
            ("example.net.private", Some("example.net/s7")),
            ("example.org.s1.key", Some("example.org/s1")),
            ("example.org.key", Some("example.org/mail")),
            ("example.org/s1.txt", None),
            ("example.org.txt", None),
            ("KeyTable", None),
            ("x y/s1.private", None),
        ] {
            let found = name_of(Path::new(path), &"mail".parse().unwrap(), &record);
            let found = found.map(|(domain, selector)| format!("{domain}/{selector}"));
            assert_eq!(found.as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_folder_of_keys_is_taken_over_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let key = include_str!("../../dkim/testdata/opendkim-rsa.private");
        std::fs::create_dir(path.join("example.org")).unwrap();
        std::fs::write(path.join("example.org/s1.private"), key).unwrap();
        let ed25519 = include_str!("../../dkim/testdata/rspamd-ed25519.key");
        std::fs::write(path.join("example.net.s2.key"), ed25519).unwrap();
        let keys = read_folder(path, &"mail".parse().unwrap()).unwrap();
        let names: Vec<String> = keys.iter().map(NamedKey::to_string).collect();
        assert_eq!(names, ["example.net/s2", "example.org/s1"]);
        std::fs::write(path.join("broken.test.private"), "no key").unwrap();
        let failure = read_folder(path, &"mail".parse().unwrap()).unwrap_err();
        assert!(failure.text.contains("broken.test.private: this is no private key"));
    }
}
