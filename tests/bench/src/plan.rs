//! How much is measured.

/// How long and what.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds that count.
    pub rounds: usize,
    /// Messages in each slice of a round.
    pub messages: usize,
    /// Logins and policy requests in each slice of a round; a two-hundredth of that where each costs a
    /// hash.
    pub exchanges: usize,
    /// Only what has one of these words in its name; everything when there are none.
    pub only: Vec<String>,
    /// Only these variants of the whole relay; all when there are none.
    pub variants: Vec<String>,
}

impl Plan {
    /// Enough to see that a benchmark works, and to say nothing about speed.
    #[must_use]
    pub fn smoke() -> Self {
        Self { rounds: 1, messages: 40, exchanges: 400, only: Vec::new(), variants: Vec::new() }
    }

    #[must_use]
    pub fn wants_variant(&self, name: &str) -> bool {
        self.variants.is_empty() || self.variants.iter().any(|variant| variant == name)
    }

    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }
}
