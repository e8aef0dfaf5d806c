//! The programs, and what a machine needs to run each beside the snippet: what a package's installation
//! would have made.

pub struct Program {
    /// As `relay user snippet --for` takes it.
    pub name: &'static str,
    pub package: &'static str,
    /// Whether it checks a certificate by authorities, where the snippet has no pin.
    pub asks_authorities: bool,
    pub files: &'static [(&'static str, &'static str)],
    /// Shell commands before those of the snippet.
    pub before: &'static str,
    /// Shell commands that send /message from alice@example.org to bob@example.net. When the program
    /// has tried once, they end.
    pub send: &'static str,
}

pub const PROGRAMS: [Program; 8] = [
    Program {
        name: "dma",
        package: "dma",
        asks_authorities: false,
        files: &[],
        before: "mkdir -p /var/spool/dma && chown root:mail /var/spool/dma && chmod 2775 /var/spool/dma",
        send: "timeout 5 dma -D -f alice@example.org bob@example.net </message || true",
    },
    Program {
        name: "exim",
        package: "exim4-daemon-light",
        asks_authorities: true,
        files: &[(
            "/etc/exim4/update-exim4.conf.conf",
            "dc_other_hostnames='client.test'\ndc_local_interfaces='127.0.0.1'\ndc_readhost=''\n\
             dc_relay_domains=''\ndc_minimaldns='false'\ndc_relay_nets=''\n\
             CFILEMODE='644'\ndc_use_split_config='false'\ndc_hide_mailname=''\n\
             dc_mailname_in_oh='true'\ndc_localdelivery='mail_spool'\n",
        )],
        before: "grep -q Debian-exim /etc/passwd || {
                echo 'Debian-exim:x:977:977::/var/spool/exim4:/bin/false' >>/etc/passwd
                echo 'Debian-exim:x:977:' >>/etc/group; }
            mkdir -p /var/spool/exim4 /var/log/exim4 /var/lib/exim4 /run/exim4
            chown -R Debian-exim:Debian-exim /var/spool/exim4 /var/log/exim4 /var/lib/exim4
            chown root:Debian-exim /etc/exim4/passwd.client",
        send: "exim4 -d-all+tls -odf -f alice@example.org bob@example.net </message || true; cat /var/log/exim4/mainlog",
    },
    Program {
        name: "msmtp",
        package: "msmtp",
        asks_authorities: true,
        files: &[],
        before: "",
        send: "msmtp -f alice@example.org bob@example.net </message || true",
    },
    Program {
        name: "nullmailer",
        package: "nullmailer",
        asks_authorities: true,
        files: &[],
        before: "mkdir -p /var/spool/nullmailer/queue /var/spool/nullmailer/tmp /var/spool/nullmailer/failed
            mkfifo /var/spool/nullmailer/trigger",
        send: "/usr/bin/nullmailer-inject -f alice@example.org bob@example.net </message
            timeout 3 nullmailer-send || true",
    },
    Program {
        name: "opensmtpd",
        package: "opensmtpd",
        asks_authorities: true,
        files: &[],
        before: "for user in opensmtpd opensmtpq; do
                grep -q $user: /etc/passwd || echo \"$user:x:97${#user}:97${#user}::/var/lib/opensmtpd/empty:/bin/false\" >>/etc/passwd
                grep -q $user: /etc/group || echo \"$user:x:97${#user}:\" >>/etc/group
            done
            mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd
            chmod 711 /var/spool/smtpd
            chown root:opensmtpq /usr/sbin/smtpctl && chmod 2755 /usr/sbin/smtpctl",
        send: "(timeout 8 smtpd -d -v 2>&1 || true) &
            sleep 1
            sendmail -f alice@example.org bob@example.net </message
            sleep 3",
    },
    Program {
        name: "postfix",
        package: "postfix",
        asks_authorities: true,
        files: &[(
            "/etc/postfix/main.cf",
            "compatibility_level = 3.6\nmyhostname = client.test\nmydestination =\n\
             inet_interfaces = loopback-only\nsmtp_host_lookup = native\nmaillog_file = /var/log/mail.log\n\
             alias_maps =\n",
        )],
        before: "grep -q ^postfix: /etc/passwd || {
                echo 'postfix:x:978:978::/var/spool/postfix:/bin/false' >>/etc/passwd
                echo 'postfix:x:978:' >>/etc/group
                echo 'postdrop:x:979:' >>/etc/group; }
            cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
            sed -i 's/^smtp      inet/#&/' /etc/postfix/master.cf
            mkdir -p /var/spool/postfix/etc
            cp /etc/hosts /etc/nsswitch.conf /etc/resolv.conf /etc/services /var/spool/postfix/etc/
            postfix set-permissions >/dev/null 2>&1 || true",
        send: "postfix start
            sendmail -f alice@example.org bob@example.net </message
            for i in $(seq 50); do
                grep -q 'status=' /var/log/mail.log && break
                sleep 0.1
            done
            cat /var/log/mail.log",
    },
    Program {
        name: "s-nail",
        package: "s-nail",
        asks_authorities: true,
        files: &[],
        before: "",
        send: "s-nail -v -S sendwait -S from=alice@example.org -s hello bob@example.net </message || true",
    },
    Program {
        name: "sendmail",
        package: "sendmail-bin",
        asks_authorities: true,
        files: &[],
        before: "grep -q ^smmta: /etc/passwd || {
                echo 'smmta:x:976:976::/var/lib/sendmail:/bin/false' >>/etc/passwd
                echo 'smmta:x:976:' >>/etc/group
                echo 'smmsp:x:975:975::/var/lib/sendmail:/bin/false' >>/etc/passwd
                echo 'smmsp:x:975:' >>/etc/group; }
            mkdir -p /var/spool/mqueue /var/run/sendmail/mta /var/lib/sendmail/host_status
            touch /etc/mail/aliases
            chmod 700 /var/spool/mqueue
            touch /etc/mail/local-host-names /etc/mail/trusted-users
            chmod 755 /etc/mail",
        send: "/usr/libexec/sendmail/sendmail -Am -odi -v -f alice@example.org bob@example.net </message 2>&1 || true
            cat /var/lib/sendmail/dead.letter 2>/dev/null || true",
    },
];
