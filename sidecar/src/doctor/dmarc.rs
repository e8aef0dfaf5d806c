//! DMARC records as text (RFC 7489). Pure. What a record means is mail-auth's affair.

use crate::dkim::published::{Txt, text};

/// The DMARC records among a name's TXT records, each as one text.
pub fn records(txt: &[Txt]) -> Vec<String> {
    txt.iter().map(text).filter(|text| text.trim_start().starts_with("v=DMARC1")).collect()
}
