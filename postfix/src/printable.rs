//! Text from strangers, made safe for an operator's terminal: what would move the cursor, turn the
//! direction of writing around or stay invisible is escaped. Pure.

/// Text for one cell or line.
pub fn line(text: &str) -> String {
    escape(text, |_| false)
}

/// Text of several lines.
pub fn lines(text: &str) -> String {
    escape(text, |c| c == '\n' || c == '\t')
}

fn escape(text: &str, is_layout: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match is_unsafe(c) && !is_layout(c) {
            true => safe.extend(c.escape_unicode()),
            false => safe.push(c),
        }
    }
    safe
}

/// Controls, line separators, marks of direction, and everything that is invisible by definition
/// (Default_Ignorable_Code_Point of Unicode).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_or_moves_other_text_is_escaped() {
        for (text, expected) in [
            ("a b@example.org", "a b@example.org"),
            ("grüße@bücher.example", "grüße@bücher.example"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            ("\u{202e}gro.elpmaxe@bob", "\\u{202e}gro.elpmaxe@bob"),
            ("\u{2067}a\u{2069}", "\\u{2067}a\\u{2069}"),
            ("\u{61c}a\u{200f}", "\\u{61c}a\\u{200f}"),
            ("bo\u{200b}b\u{200d}\u{feff}\u{ad}", "bo\\u{200b}b\\u{200d}\\u{feff}\\u{ad}"),
            ("\u{e0041}", "\\u{e0041}"),
            ("a\u{2028}b", "a\\u{2028}b"),
        ] {
            assert_eq!(line(text), expected);
            assert_eq!(lines(text), expected);
        }
        assert_eq!(line("a\r\nb\tc"), "a\\u{d}\\u{a}b\\u{9}c");
        assert_eq!(lines("a\r\nb\tc"), "a\\u{d}\nb\tc");
    }
}
