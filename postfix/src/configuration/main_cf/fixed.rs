//! The part of main.cf that no variable changes.

/// The sidecar's milter.
pub const MILTER: &str = "unix:/run/relay/milter.sock";

/// The sidecar's policy service, in the spelling that the guard looks for.
macro_rules! ask_the_sidecar {
    () => {
        "check_policy_service { unix:/run/relay/policy.sock, timeout=10s, try_limit=2 }"
    };
}

pub const ASK_THE_SIDECAR: &str = ask_the_sidecar!();

pub type Fixed = [(&'static str, &'static str)];

pub const PLACES: &Fixed = &[
    ("compatibility_level", "3.10"),
    ("queue_directory", "/var/spool/postfix"),
    ("data_directory", "/var/lib/postfix"),
    ("daemon_directory", "/usr/lib/postfix/sbin"),
    ("command_directory", "/usr/sbin"),
    ("shlib_directory", "/usr/lib/postfix"),
    ("meta_directory", "/usr/share/postfix"),
    ("mail_owner", "postfix"),
    ("setgid_group", "postdrop"),
    ("default_database_type", "lmdb"),
];

pub const NOT_LOCAL: &Fixed = &[
    ("mydestination", ""),
    ("relay_domains", ""),
    ("local_recipient_maps", ""),
    ("local_transport", "error:5.1.1 no local delivery"),
    ("alias_maps", ""),
    ("alias_database", ""),
    // A message leaves as it arrived: its headers are the client's responsibility.
    ("local_header_rewrite_clients", ""),
    ("append_dot_mydomain", "no"),
];

pub const RELAY_ACCESS: &Fixed = &[
    // After a permit the policy service would not be asked.
    (
        "smtpd_relay_restrictions",
        concat!(
            ask_the_sidecar!(),
            ",\n    permit_mynetworks,\n    permit_sasl_authenticated,\n    reject"
        ),
    ),
    ("smtpd_recipient_restrictions", ""),
    ("smtpd_delay_reject", "yes"),
    // Client host names decide nothing here, and a slow DNS server must not delay a session.
    ("smtpd_peername_lookup", "no"),
    ("smtpd_authorized_xclient_hosts", ""),
    ("smtpd_authorized_xforward_hosts", ""),
    ("smtpd_upstream_proxy_protocol", ""),
    ("allow_percent_hack", "no"),
    ("swap_bangpath", "no"),
    ("allow_untrusted_routing", "no"),
];

pub const SIDECAR_MILTER: &Fixed = &[
    ("smtpd_milters", MILTER),
    ("milter_protocol", "6"),
    ("milter_default_action", "tempfail"),
    ("milter_connect_timeout", "5s"),
    ("milter_command_timeout", "10s"),
    ("milter_content_timeout", "30s"),
];

pub const LOGIN: &Fixed = &[
    ("smtpd_sasl_auth_enable", "no"),
    ("smtpd_sasl_type", "dovecot"),
    ("smtpd_sasl_path", "unix:/run/relay/sasl.sock"),
    ("smtpd_sasl_security_options", "noanonymous"),
    ("smtpd_sasl_mechanism_filter", "plain, login"),
    ("smtpd_sasl_authenticated_header", "no"),
    ("smtpd_tls_auth_only", "yes"),
];

pub const CLIENTS: &Fixed = &[
    ("smtpd_banner", "$myhostname ESMTP"),
    ("smtpd_helo_required", "yes"),
    ("strict_rfc821_envelopes", "yes"),
    ("disable_vrfy_command", "yes"),
    ("smtpd_etrn_restrictions", "reject"),
    // BDAT has been a source of bugs, and no client needs it.
    ("smtpd_discard_ehlo_keywords", "chunking, etrn, silent-discard"),
    // Against SMTP smuggling. The exclusions default to mynetworks, which here may include devices of
    // strangers.
    ("smtpd_forbid_bare_newline", "normalize"),
    ("smtpd_forbid_bare_newline_exclusions", ""),
    ("smtpd_forbid_unauth_pipelining", "yes"),
    // The sidecar is not asked here: it charges a message to its sender at end of message, in its milter.
    ("smtpd_data_restrictions", "reject_unauth_pipelining"),
    ("smtpd_client_event_limit_exceptions", ""),
    // A mass of slow clients would occupy every process: measured with 160 trickling connections.
    ("smtpd_client_connection_count_limit", "20"),
    ("smtpd_per_request_deadline", "yes"),
    ("smtpd_timeout", "${stress?{10}:{60}}s"),
    ("smtpd_starttls_timeout", "${stress?{10}:{20}}s"),
    // A submission server adds missing Date and Message-ID headers (RFC 6409 8).
    ("always_add_missing_headers", "yes"),
];

/// For all ports. Where TLS is mandatory (587 and 465), only ciphers with forward secrecy and
/// authenticated encryption are accepted. Port 25 is laxer, because the alternative there is no TLS.
pub const SERVER_TLS: &Fixed = &[
    ("smtpd_tls_protocols", ">=TLSv1.2"),
    ("smtpd_tls_mandatory_protocols", ">=TLSv1.2"),
    ("smtpd_tls_ciphers", "high"),
    ("smtpd_tls_mandatory_ciphers", "high"),
    ("smtpd_tls_exclude_ciphers", "aNULL"),
    (
        "smtpd_tls_mandatory_exclude_ciphers",
        "kRSA, PSK, SRP, aDSS, ARIA, CAMELLIA, SHA1, SHA256, SHA384",
    ),
    ("smtpd_tls_loglevel", "1"),
];

pub const SENDING: &Fixed = &[
    ("smtp_tls_mandatory_protocols", ">=TLSv1.2"),
    ("smtp_tls_session_cache_database", "lmdb:$data_directory/smtp_scache"),
    ("smtp_tls_loglevel", "1"),
    // By default, a header "TLS-Required: no" (RFC 8689) of any sender lowers the level to "may". With
    // a login for the next hop, that stops delivery for everybody, because Postfix finds no mechanism
    // that it may use, or sends the password in clear.
    ("tls_required_enable", "no"),
    // What was signed must leave as it is. By default Postfix rewrites 8-bit text for a next hop that
    // does not offer 8BITMIME, and breaks lines of more than 998 bytes; both spoil a DKIM signature,
    // whoever made it.
    ("disable_mime_output_conversion", "yes"),
    ("smtp_line_length_limit", "0"),
];

pub const OPERATION: &Fixed = &[
    // A pipe that relay-init reads.
    ("maillog_file", "/dev/stdout"),
    // With the default of a minute, a sidecar that is away for a second would keep clients waiting for a
    // greeting that long.
    ("service_throttle_time", "1s"),
    // The default notices contain session transcripts, and with them passwords.
    ("notify_classes", ""),
    // Queue ids that are never reused, so that a log can be searched for one.
    ("enable_long_queue_ids", "yes"),
    ("soft_bounce", "no"),
    ("debug_peer_list", ""),
    ("address_verify_map", ""),
];
