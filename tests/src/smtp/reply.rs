//! A reply of an SMTP server (RFC 5321 4.2, RFC 2034).

use std::fmt;

use anyhow::{Context, Result, ensure};

/// A reply code and its lines, without the code in front of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub lines: Vec<String>,
}

impl Reply {
    /// Parses lines such as `250-relay.test` and `250 STARTTLS`.
    pub fn parse(lines: Vec<String>) -> Result<Self> {
        let mut code = None;
        let mut texts = Vec::new();
        for line in lines {
            let parsed: u16 = line
                .get(..3)
                .and_then(|digits| digits.parse().ok())
                .with_context(|| format!("not a reply: {line:?}"))?;
            ensure!(code.is_none_or(|code| code == parsed), "two codes in one reply: {line:?}");
            code = Some(parsed);
            texts.push(line.get(4..).unwrap_or_default().to_owned());
        }
        Ok(Self { code: code.context("a reply without a line")?, lines: texts })
    }

    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// The enhanced status code, such as `5.7.1`.
    #[must_use]
    pub fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let mut parts = word.split('.');
        let is_status = parts.clone().count() == 3 && parts.all(|part| part.parse::<u16>().is_ok());
        is_status.then_some(word)
    }

    /// Whether an EHLO reply offers an extension, by its keyword.
    #[must_use]
    pub fn offers(&self, keyword: &str) -> bool {
        self.lines.iter().skip(1).any(|line| line.split(' ').next() == Some(keyword))
    }

    /// Turns any other code into an error that shows the reply.
    pub fn expect(self, code: u16) -> Result<Self> {
        ensure!(self.code == code, "expected {code}, but the server said {self}");
        Ok(self)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.lines.join(" / "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> Reply {
        Reply::parse(lines.iter().map(|&line| line.to_owned()).collect()).unwrap()
    }

    #[test]
    fn extensions_are_found_by_keyword_but_not_in_the_greeting() {
        let ehlo = reply(&["250-AUTH.example", "250-AUTH PLAIN LOGIN", "250 SIZE"]);
        assert!(ehlo.offers("AUTH"));
        assert!(ehlo.offers("SIZE"));
        assert!(!ehlo.offers("PLAIN"));
        assert!(!reply(&["250 AUTH"]).offers("AUTH"));
    }

    #[test]
    fn enhanced_status_codes_are_three_numbers() {
        assert_eq!(reply(&["554 5.7.1 no"]).enhanced(), Some("5.7.1"));
        assert_eq!(reply(&["220 relay.example.test ESMTP"]).enhanced(), None);
        assert_eq!(reply(&["354 End data"]).enhanced(), None);
    }

    #[test]
    fn a_reply_has_one_code() {
        assert!(Reply::parse(vec!["250-a".into(), "550 b".into()]).is_err());
        assert!(Reply::parse(vec!["hello".into()]).is_err());
    }
}
