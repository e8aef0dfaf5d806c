use std::path::Path;

use super::*;

fn example() -> Certificate {
    Certificate {
        is_self_signed: true,
        fingerprint: vec![0xf1; 32],
        key_pin: vec![0xab; 32],
        pem: "-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----".to_owned(),
    }
}

fn filled_example(template: &str, trust: Trust) -> String {
    let certificate = example();
    let facts =
        Facts { host: "relay.example.org", user: "alice", certificate: &certificate, trust };
    filled(template, &facts)
}

/// docs/clients.md, made of the same texts.
fn page() -> String {
    let mut page = include_str!("../../../../../data/clients/page.md").to_owned();
    for (program, template) in TEMPLATES {
        let (pin, authority) =
            (filled_example(template, Trust::Pin), filled_example(template, Trust::Authority));
        page += &format!("\n## {program}\n");
        if pin == authority {
            page += &format!("\n```\n{pin}```\n");
        } else {
            page +=
                &format!("\nWith a certificate of your own on the relay:\n\n```\n{authority}```\n");
            page += &format!("\nWith the relay's self-signed certificate:\n\n```\n{pin}```\n");
        }
    }
    page
}

#[test]
fn every_text_is_filled_in_and_has_no_password() {
    for (program, template) in TEMPLATES {
        for trust in [Trust::Pin, Trust::Authority] {
            let text = filled_example(template, trust);
            let left: Vec<&str> = text.lines().filter(|line| line.contains("| %")).collect();
            assert!(left.is_empty() && !text.contains("pin| ") && !text.contains("ca| "), "{text}");
            for name in ["HOST", "USER", "PASSWORD", "PIN", "FINGERPRINT", "HEX", "PEM"] {
                assert!(!text.contains(&format!("%{name}%")), "{program}: {name}");
            }
            assert!(text.contains(PASSWORD) && text.contains("alice"), "{program}");
            assert!(text.contains("relay.example.org"), "{program}");
        }
    }
    let names: Vec<&str> = TEMPLATES.iter().map(|(name, _)| *name).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn the_page_for_readers_has_the_same_texts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let page = page();
    if written != page {
        // Beside the page, to be compared and taken over.
        let new = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients.md");
        std::fs::write(&new, page).unwrap();
        panic!("docs/clients.md is not what data/clients makes; that is in target/clients.md now");
    }
}
