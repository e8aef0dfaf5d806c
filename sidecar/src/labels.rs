//! Label values: enums whose variants are the words in metrics, log lines and the documentation.
//!
//! A label's value is always one of our own words. Text from a peer would let any client create as
//! many time series as it likes.

/// One label of a metric.
pub trait Label: Copy + 'static {
    /// The label's name, such as `reason`.
    const NAME: &'static str;
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// The word for this value.
    fn label(self) -> &'static str;

    /// Its position in [`Label::ALL`].
    fn index(self) -> usize;
}

/// Declares an enum that is a [`Label`]: its name, and each variant with its word.
macro_rules! label_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident($label:literal) {
            $($(#[$doc:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $crate::labels::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use label_enum;

#[cfg(test)]
mod tests {
    use super::Label;

    label_enum! {
        pub enum Colour("colour") {
            Red = "red",
            Green = "green",
        }
    }

    #[test]
    fn every_variant_has_its_word_and_its_place() {
        assert_eq!(Colour::NAME, "colour");
        for (position, colour) in Colour::ALL.iter().enumerate() {
            assert_eq!(colour.index(), position);
        }
        assert_eq!([Colour::Red.label(), Colour::Green.label()], ["red", "green"]);
    }
}
