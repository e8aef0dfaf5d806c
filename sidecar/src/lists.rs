//! Lists in settings and options: entries separated by spaces or commas.

/// The entries of a list. Empty ones are skipped, so that `a, b` is two entries.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use super::entries;

    #[test]
    fn spaces_commas_and_line_breaks_separate() {
        assert_eq!(entries(" a, b\tc\n,,d ").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(entries(" ,\n").count(), 0);
    }
}
