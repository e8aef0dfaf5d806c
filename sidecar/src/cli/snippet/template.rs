//! The texts of `data/clients`, filled in. Pure.
//!
//! A line that begins with `pin| ` is for a self-signed certificate, one with `ca| ` for that of an
//! authority; `==> NAME` begins the contents of a file, or something else to enter there.

use crate::certificate::Certificate;

/// What stands where the password belongs: nobody but the user knows it.
pub const PASSWORD: &str = "YOUR-PASSWORD";

/// What is known of the relay and its user.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub host: &'a str,
    pub user: &'a str,
    pub certificate: &'a Certificate,
    pub trust: Trust,
}

/// Why a client may believe that it talks to this relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// It knows the relay's own certificate or key.
    Pin,
    /// The certificate is signed by an authority that the client's system trusts.
    Authority,
}

/// The programs, in the order of the alphabet, and their texts.
pub const TEMPLATES: [(&str, &str); 20] = [
    ("dma", include_str!("../../../../data/clients/dma.txt")),
    ("docker-mailserver", include_str!("../../../../data/clients/docker-mailserver.txt")),
    ("exim", include_str!("../../../../data/clients/exim.txt")),
    ("grafana", include_str!("../../../../data/clients/grafana.txt")),
    ("mailcow", include_str!("../../../../data/clients/mailcow.txt")),
    ("mailinabox", include_str!("../../../../data/clients/mailinabox.txt")),
    ("mailu", include_str!("../../../../data/clients/mailu.txt")),
    ("msmtp", include_str!("../../../../data/clients/msmtp.txt")),
    ("nullmailer", include_str!("../../../../data/clients/nullmailer.txt")),
    ("opensmtpd", include_str!("../../../../data/clients/opensmtpd.txt")),
    ("php", include_str!("../../../../data/clients/php.txt")),
    ("postfix", include_str!("../../../../data/clients/postfix.txt")),
    ("printer", include_str!("../../../../data/clients/printer.txt")),
    ("proxmox", include_str!("../../../../data/clients/proxmox.txt")),
    ("python", include_str!("../../../../data/clients/python.txt")),
    ("s-nail", include_str!("../../../../data/clients/s-nail.txt")),
    ("sendmail", include_str!("../../../../data/clients/sendmail.txt")),
    ("stalwart", include_str!("../../../../data/clients/stalwart.txt")),
    ("synology", include_str!("../../../../data/clients/synology.txt")),
    ("wordpress", include_str!("../../../../data/clients/wordpress.txt")),
];

/// The text for a program; empty for one that there is none for.
pub fn text(program: &str, facts: &Facts<'_>) -> String {
    let template = TEMPLATES.iter().find(|(name, _)| *name == program).map_or("", |(_, text)| text);
    let about = match facts.trust {
        Trust::Pin => "Its certificate is its own, so it is pinned here",
        Trust::Authority => {
            "Its certificate is checked with the authorities that the system trusts"
        }
    };
    format!(
        "For {program}: send as {} through {}. {about}.\nPut the password where {PASSWORD} stands.\n{}",
        facts.user,
        facts.host,
        filled(template, facts)
    )
}

fn filled(template: &str, facts: &Facts<'_>) -> String {
    let other = match facts.trust {
        Trust::Pin => "ca| ",
        Trust::Authority => "pin| ",
    };
    let mut text = String::new();
    for line in template.lines().filter(|line| !line.starts_with(other)) {
        let line = line.strip_prefix("pin| ").or_else(|| line.strip_prefix("ca| ")).unwrap_or(line);
        text.push_str(line);
        text.push('\n');
    }
    let certificate = facts.certificate;
    [
        ("%HOST%", facts.host),
        ("%USER%", facts.user),
        ("%PASSWORD%", PASSWORD),
        ("%PIN%", &hex(&certificate.key_pin, ":")),
        ("%FINGERPRINT%", &hex(&certificate.fingerprint, ":")),
        ("%HEX%", &hex(&certificate.fingerprint, "")),
        ("%PEM%", &certificate.pem),
    ]
    .iter()
    .fold(text, |text, (name, value)| text.replace(name, value))
}

fn hex(bytes: &[u8], separator: &str) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests;
