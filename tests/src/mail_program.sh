# Runs as the first process of new mount and pid namespaces: this machine's files with a mail program's package laid over
# them, and the files of a test over those. Arguments: the package's folder, the folder of the test, and what to run.
set -eu
package=$1 place=$2 script=$3

mkdir -p "$place/over" "$place/root"
mount -t tmpfs tmpfs "$place/over"
mkdir "$place/over/upper" "$place/over/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/over/upper,workdir=$place/over/work" "$place/root"
# Not a layer of its own: the package lies somewhere below /, and layers must not overlap.
cp -a "$package/." "$place/root/"
cp -R "$place/files/." "$place/root/"
mount -t proc proc "$place/root/proc"
mount --rbind /dev "$place/root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$place/root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$place/root/run"
exec chroot "$place/root" /bin/sh -eu -c "$script"
