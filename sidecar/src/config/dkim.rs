//! What is signed, and which header fields are changed.

use super::reader::Reader;
use super::{DkimConfig, Environment};
use crate::dkim::choice::Rules;
use crate::lists;
use crate::milter::header_edits::HeaderRules;

impl<E: Environment> Reader<'_, E> {
    pub fn dkim(&mut self) -> DkimConfig {
        let value = self.value_or_default("DKIM_DOMAINS");
        let mut domains = Vec::new();
        for entry in lists::entries(&value) {
            match entry.parse() {
                Ok(domain) => domains.push(domain),
                Err(mistake) => self.mistakes.push(format!("DKIM_DOMAINS: {mistake}")),
            }
        }
        let rules = Rules {
            require_dns: self.boolean("DKIM_REQUIRE_DNS"),
            resign: self.one_of("DKIM_RESIGN", ["never", "always"]) == Some("always"),
            fail_open: self.boolean("DKIM_FAIL_OPEN"),
        };
        DkimConfig { domains, rules }
    }

    pub fn headers(&mut self) -> Option<HeaderRules> {
        let strip = self.value_or_default("STRIP_HEADERS");
        let strip: Vec<&str> = lists::entries(&strip).collect();
        let add = self.value_or_default("ADD_HEADERS");
        let of_all = self.one_of("STRIP_HEADERS_FOR", ["all", "users"])? == "all";
        let rules = HeaderRules::parse(&strip, &add, of_all);
        rules.map_err(|mistakes| self.mistakes.extend(mistakes)).ok()
    }

    fn one_of(&mut self, name: &str, words: [&'static str; 2]) -> Option<&'static str> {
        let value = self.value_or_default(name);
        let found = words.into_iter().find(|word| word.eq_ignore_ascii_case(&value));
        if found.is_none() {
            let [first, second] = words;
            self.wrong(name, &value, &format!("expected {first} or {second}"));
        }
        found
    }
}
