use super::*;
use crate::configuration::tests::configuration;

fn rendered(pairs: &[(&str, &str)]) -> String {
    configuration(pairs).master_cf().to_string()
}

/// The lines of one port.
fn port(text: &str, port: &str) -> String {
    let own = text.lines().skip_while(|line| !line.starts_with(&format!("{port} ")));
    let own = own.enumerate().take_while(|(at, line)| *at == 0 || line.starts_with(' '));
    own.map(|(_, line)| line.trim()).collect::<Vec<_>>().join("\n")
}

#[test]
fn login_is_offered_only_on_587_and_465_and_only_over_tls() {
    let text = rendered(&[]);
    assert_eq!(listening_ports(&text), [25, 587, 465]);
    assert!(offers_login(&text));
    assert_eq!(port(&text, "25"), "25        inet       n - n - - smtpd");
    for name in ["587", "465"] {
        let overrides = port(&text, name);
        assert!(overrides.contains("-o smtpd_sasl_auth_enable=yes"), "{overrides}");
        assert!(overrides.contains("-o smtpd_tls_security_level=encrypt"), "{overrides}");
        assert!(overrides.contains("-o smtpd_hide_client_session=yes"), "{overrides}");
        assert_eq!(overrides.contains("wrappermode=yes"), name == "465");
    }
}

#[test]
fn without_login_no_port_offers_it() {
    let text = rendered(&[("ENABLE_SASL", "no")]);
    assert_eq!(listening_ports(&text), [25, 587, 465]);
    assert!(!offers_login(&text));
}

#[test]
fn without_tls_there_is_no_465() {
    let text = rendered(&[("ENABLE_SASL", "no"), ("ENABLE_TLS", "no")]);
    assert_eq!(listening_ports(&text), [25, 587]);
    assert!(!text.contains("tls_security_level") && !text.contains("wrappermode"));
}

#[test]
fn nothing_is_chrooted_and_there_is_a_postlog_service() {
    for line in rendered(&[]).lines().filter(|line| !line.starts_with([' ', '#'])) {
        assert_eq!(line.split_ascii_whitespace().nth(4), Some("n"), "{line}");
    }
    assert!(rendered(&[]).contains("postlog   unix-dgram n - n - 1 postlogd"));
}

#[test]
fn ports_are_read_from_any_master_cf() {
    let text = "# 1 inet\n127.0.0.1:26 inet n - n - - smtpd\n[::1]:27 inet n\n  28 inet n\n\
                29 unix n\nsmtp inet n\n\n30\n";
    assert_eq!(listening_ports(text), [26, 27]);
}
