//! How a SASL exchange ended.

use crate::labels::label_enum;
use crate::user_name::UserName;

label_enum! {
    /// The result of an exchange: a label value, and the word in the log.
    pub enum AuthResult("result") {
        Accepted = "accepted",
        WrongPassword = "wrong_password",
        UserUnknown = "user_unknown",
        UserDisabled = "user_disabled",
        UserSuspended = "user_suspended",
        /// The user or all of its passwords.
        Expired = "expired",
        /// The user may log in from certain networks only, and this is none of them.
        OtherNetwork = "other_network",
        /// Too many distinct wrong passwords from this address: not looked at.
        LimitedAddress = "limited_address",
        /// Too many distinct wrong passwords for this user: not looked at this time.
        LimitedUser = "limited_user",
        /// The authorization identity is another user's.
        OtherIdentity = "other_identity",
        /// The response is not valid base64, or not a valid message of the mechanism.
        Malformed = "malformed",
        UnsupportedMechanism = "unsupported_mechanism",
        /// Postfix did not say that the session is encrypted.
        NotSecured = "not_secured",
        /// `ENABLE_SASL=false`.
        LoginOff = "login_off",
        /// We could not tell; the client was asked to come back.
        Trouble = "trouble",
    }
}

impl AuthResult {
    /// Whether the password was not looked at, so that the client should try again later: neither
    /// "right" nor "wrong" would be true.
    pub fn asks_to_come_back(self) -> bool {
        matches!(self, Self::LimitedAddress | Self::LimitedUser | Self::Trouble)
    }
}

/// The end of an exchange: the result, and the user it was about where the name was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub result: AuthResult,
    pub user: Option<UserName>,
}

impl Outcome {
    pub fn of(result: AuthResult) -> Self {
        Self { result, user: None }
    }
}
