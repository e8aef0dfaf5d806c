//! The documentation and .env.example say what the code says.

use std::path::Path;

use relay_sidecar::app::metrics::Metrics;
use relay_sidecar::config::variables::{OF_RELAY_INIT, VARIABLES};
use relay_sidecar::metrics::Family;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_settings_page_has_each_variable_with_its_default() {
    let page = read("docs/settings.md");
    for variable in &VARIABLES {
        let default = match variable.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let row = format!("| `{}` | {default} |", variable.name);
        assert!(page.contains(&row), "docs/settings.md has no row that begins: {row}");
    }
}

#[test]
fn the_example_settings_have_each_variable_with_its_default() {
    let example = read(".env.example");
    for variable in &VARIABLES {
        let expected = format!("#{}={}", variable.name, variable.default);
        let required = format!("{}=", variable.name);
        let found = example.lines().any(|line| line == expected)
            || (variable.default.is_empty() && example.lines().any(|l| l.starts_with(&required)));
        assert!(found, ".env.example has no line: {expected}");
        let twin = format!("#{}_FILE=", variable.name);
        assert!(!variable.secret || example.lines().any(|line| line == twin), "no line: {twin}");
    }
}

/// Both containers get the whole `.env`, so each must know the other's names.
#[test]
fn no_name_in_the_example_settings_is_a_typo_to_the_sidecar() {
    let example = read(".env.example");
    let names = example.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix('#').unwrap_or(line).split_once('=')?;
        let is_name =
            name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        is_name.then(|| name.to_owned())
    });
    for name in names {
        let base = name.strip_suffix("_FILE").unwrap_or(&name);
        let known = VARIABLES.iter().any(|variable| variable.name == base || variable.name == name)
            || OF_RELAY_INIT.contains(&name.as_str());
        assert!(known, "{name} stands in .env.example, and the sidecar calls it a typo");
    }
}

/// Every metric with its labels and its help text, and no other.
#[test]
fn the_metrics_page_has_exactly_the_metrics_there_are() {
    let families = Metrics::register(20).unwrap().registry.families();
    let row = |family: Family| {
        let mut labels = family.labels;
        labels.sort_unstable();
        format!("| `{}` | {} | {} |", family.name, labels.join(", "), family.help)
    };
    let mut expected: Vec<String> = families.into_iter().map(row).collect();
    expected.sort_unstable();
    let page = read("docs/metrics.md");
    let is_metric = |line: &&str| line.starts_with("| `relay_") || line.starts_with("| `process_");
    let mut found: Vec<&str> = page.lines().filter(is_metric).collect();
    found.sort_unstable();
    assert_eq!(found, expected);
}
