# Runs in a new mount namespace and becomes the sidecar's program, as the image's user and without any
# capability. Arguments: the program, the directory of the volumes, then the program's own arguments.
set -eu
relay=$1 volumes=$2
shift 2

# The build directory may lie where other users may not go.
mount --bind "$relay" "$volumes/relay"
# What the benchmark does to its container: other limits.
if [ -e "$volumes/sidecar-fault.sh" ]; then
    . "$volumes/sidecar-fault.sh"
fi
mount --bind "$volumes/resolv.conf" /etc/resolv.conf
exec setpriv --reuid=10027 --regid=10025 --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all --pdeathsig=KILL "$volumes/relay" "$@"
