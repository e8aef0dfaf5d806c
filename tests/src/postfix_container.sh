# Runs as the first process of new mount and pid namespaces, and becomes relay-init in the image's file
# system, with what compose.yaml gives it: a read-only root, temporary places, volumes, few capabilities.
# Arguments: file system, relay-init, directory of the volumes, then relay-init's own arguments.
set -eu
rootfs=$1 relay_init=$2 volumes=$3
shift 3

# The place where a user mounts certificates and secrets of his own; Docker makes such a place, too.
mkdir -p "$rootfs/certs"
mount --bind "$rootfs" "$rootfs"
mount --bind "$relay_init" "$rootfs/usr/bin/relay-init"
mount -o remount,bind,ro "$rootfs"

mount -t proc proc "$rootfs/proc"
mount -t tmpfs -o mode=0755 tmpfs "$rootfs/dev"
for device in null zero random urandom; do
    : > "$rootfs/dev/$device"
    mount --bind "/dev/$device" "$rootfs/dev/$device"
done
ln -s /proc/self/fd "$rootfs/dev/fd"
ln -s /proc/self/fd/1 "$rootfs/dev/stdout"
ln -s /proc/self/fd/2 "$rootfs/dev/stderr"

mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "$rootfs/tmp"
mount -t tmpfs -o mode=0755,nosuid,nodev,noexec tmpfs "$rootfs/run/postfix"
mount -t tmpfs -o mode=0755,nosuid,nodev,noexec tmpfs "$rootfs/var/lib/postfix"
mount --bind "$volumes/queue" "$rootfs/var/spool/postfix"
mount --bind "$volumes/tls" "$rootfs/var/lib/relay-tls"
mount --bind "$volumes/sockets" "$rootfs/run/relay"
mount --bind "$volumes/certs" "$rootfs/certs"
mount --bind "$volumes/resolv.conf" "$rootfs/etc/resolv.conf"

# What a test of faults does to its container: other mounts, other limits.
if [ -e "$volumes/fault.sh" ]; then
    . "$volumes/fault.sh"
fi

# sys_chroot is what Docker does not need to leave here; Postfix is told not to chroot.
exec setpriv --no-new-privs --inh-caps=-all \
    --bounding-set=-all,+setuid,+setgid,+dac_override,+chown,+net_bind_service,+kill,+sys_chroot \
    chroot "$rootfs" /usr/bin/relay-init "$@"
