//! The fields of a line of Postfix's log, and their form in JSON.

use serde::{Serialize, Serializer};

/// The `name=value` pairs of a line, and what other wordings say in their place.
///
/// In JSON the members have these names and this order, in the log as in events.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl_username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orig_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delays: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a str>,
    /// What the next hop replied, or why a client was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// How far the peer's certificate was checked: `Verified`, `Trusted`, `Untrusted` or `Anonymous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<&'a str>,
    /// Queue id of the notification that goes to the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub size: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "number")]
    pub nrcpt: Option<&'a str>,
}

/// Serialises a number as Postfix prints it: a JSON number if it is a valid one, else a string.
pub fn number<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    let number = text.and_then(|text| text.parse::<serde_json::Number>().ok());
    match number {
        Some(number) => number.serialize(serializer),
        None => text.serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_json_numbers_where_they_can_be() {
        for (delay, expected) in [
            ("0.25", "{\"delay\":0.25}"),
            ("12", "{\"delay\":12}"),
            ("01", "{\"delay\":\"01\"}"),
            ("1.", "{\"delay\":\"1.\"}"),
            ("-", "{\"delay\":\"-\"}"),
        ] {
            let fields = Fields { delay: Some(delay), ..Fields::default() };
            assert_eq!(serde_json::to_string(&fields).unwrap(), expected);
        }
    }
}
