//! A parameter with its value, and who decided it.

use crate::settings::variables::Variable;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: String,
    pub source: Source,
}

/// Who decided a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This relay; only a POSTFIX_ variable can change it.
    Fixed,
    /// These variables, whether set or left at their defaults.
    Variables(Vec<&'static Variable>),
    /// A POSTFIX_ or POSTFIXMASTER_ variable.
    Override(String),
}
