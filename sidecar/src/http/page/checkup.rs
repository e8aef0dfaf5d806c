//! What the daily run of `relay doctor` found. Pure.

use std::fmt::Write as _;

use super::html::Text;
use crate::status::Status;
use crate::status::words::duration;

/// Empty without a daily run.
pub fn found(status: &Status) -> String {
    let Some(checkup) = &status.checkup else { return String::new() };
    let ago = duration(status.time.saturating_sub(checkup.time));
    let answer = match checkup.can_mail_arrive {
        Some(true) => "Mail can arrive",
        Some(false) => "Receivers may refuse mail",
        None => "Too little could be looked at",
    };
    let mut text =
        format!("<section><h2>What receivers see</h2><p>{answer}; looked {ago} ago.</p>");
    if !checkup.advice.is_empty() {
        text += "<table><tbody>";
    }
    for advice in &checkup.advice {
        let class = if advice.is_serious { " class=\"bad\"" } else { "" };
        let (found, remedy) = (Text(&advice.found), Text(&advice.remedy));
        // Writing to a String cannot fail.
        write!(text, "<tr><td{class}>{found}</td><td>{remedy}</td></tr>").ok();
    }
    if !checkup.advice.is_empty() {
        text += "</tbody></table>";
    }
    text + "</section>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Advice, Checkup};

    #[test]
    fn what_is_to_be_mended_is_shown_without_markup_of_others() {
        assert_eq!(found(&Status::default()), "");
        let advice = Advice {
            is_serious: true,
            found: "example.org: <b>".to_owned(),
            remedy: "publish: \"v=spf1\"".to_owned(),
        };
        let checkup = Checkup { time: 40, can_mail_arrive: Some(false), advice: vec![advice] };
        let status = Status { time: 100, checkup: Some(checkup), ..Status::default() };
        let text = found(&status);
        assert!(text.contains("Receivers may refuse mail; looked 60 s ago"), "{text}");
        assert!(text.contains("example.org: &lt;b&gt;") && !text.contains("<b>"), "{text}");
        assert!(!found(&status.without_names()).contains("example.org"));
    }
}
