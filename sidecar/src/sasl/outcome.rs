//! How a SASL exchange ended.

use crate::users::UserName;

/// The result, as label value and as word in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthResult {
    Accepted,
    WrongPassword,
    UserUnknown,
    UserDisabled,
    UserSuspended,
    /// The user or all its passwords.
    Expired,
    /// The user may log in from some networks, and this is none of them.
    OtherNetwork,
    /// Too many distinct wrong passwords from this address: not looked at.
    LimitedAddress,
    /// Too many distinct wrong passwords for this user: not looked at.
    LimitedUser,
    /// The authorization identity is another user's.
    OtherIdentity,
    /// The response is no valid base64 or no valid message of the mechanism.
    Malformed,
    UnsupportedMechanism,
    /// Postfix did not say that the session is encrypted.
    NotSecured,
    /// `ENABLE_SASL=false`.
    LoginOff,
    /// We could not tell; the client was asked to come back.
    Trouble,
}

impl AuthResult {
    pub const ALL: [Self; 15] = [
        Self::Accepted,
        Self::WrongPassword,
        Self::UserUnknown,
        Self::UserDisabled,
        Self::UserSuspended,
        Self::Expired,
        Self::OtherNetwork,
        Self::LimitedAddress,
        Self::LimitedUser,
        Self::OtherIdentity,
        Self::Malformed,
        Self::UnsupportedMechanism,
        Self::NotSecured,
        Self::LoginOff,
        Self::Trouble,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::WrongPassword => "wrong_password",
            Self::UserUnknown => "user_unknown",
            Self::UserDisabled => "user_disabled",
            Self::UserSuspended => "user_suspended",
            Self::Expired => "expired",
            Self::OtherNetwork => "other_network",
            Self::LimitedAddress => "limited_address",
            Self::LimitedUser => "limited_user",
            Self::OtherIdentity => "other_identity",
            Self::Malformed => "malformed",
            Self::UnsupportedMechanism => "unsupported_mechanism",
            Self::NotSecured => "not_secured",
            Self::LoginOff => "login_off",
            Self::Trouble => "trouble",
        }
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
