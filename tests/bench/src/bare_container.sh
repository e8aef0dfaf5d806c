# Sourced by the container's script in place of starting relay-init: stock Postfix as `postfix start-fg` runs it in a
# container (master -i), on the queue that relay-init prepared, with the configuration that relay-init renders, less all
# that asks the sidecar. Variables: rootfs, volumes.
chroot "$rootfs" /usr/bin/relay-init render > "$volumes/render"
conf=$rootfs/run/postfix
awk -v conf="$conf" '
    /^##### / { file = conf "/" $2; next }
    file ~ /main.cf$/ {
        # A parameter that goes on over several lines is left out as a whole.
        if ($0 !~ /^[ \t]/)
            drop = /^(smtpd_milters|non_smtpd_milters|milter_|smtpd_sasl_|smtpd_(relay|recipient|data|end_of_data|client|sender|helo)_restrictions|smtpd_policy_)/
        if (!drop) print > file
        next
    }
    { sub(/smtpd_sasl_auth_enable=yes/, "smtpd_sasl_auth_enable=no"); print > file }
' "$volumes/render"
cat >> "$conf/main.cf" <<'CF'
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions =
maillog_file = /dev/stdout
CF
# The image's user postfix.
chown 10026 "$rootfs/var/lib/postfix"
touch -d '10 seconds ago' "$conf/main.cf" "$conf/master.cf"
(umask 077 && cat "$volumes/tls/key.pem" "$volumes/tls/cert.pem" > "$conf/server.pem")
exec setpriv --no-new-privs --inh-caps=-all \
    --bounding-set=-all,+setuid,+setgid,+dac_override,+chown,+net_bind_service,+kill,+sys_chroot \
    chroot "$rootfs" /usr/lib/postfix/sbin/master -i
