//! Bad settings.
