# Helpers of the scripts beside this file, which source it. They run in plain POSIX sh, from the top of the checkout.
# shellcheck shell=sh

say() { printf '== %s\n' "$*"; }

die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# Only here do the scripts install anything by themselves.
is_root_on_debian() { is_root && have apt-get && [ -e /etc/debian_version ]; }

# install_packages WHAT-FOR PACKAGE...: installs Debian packages that are missing, and says so.
install_packages() {
	what_for=$1
	shift
	missing=
	for package in "$@"; do
		status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
		[ "$status" = installed ] || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	say "installing for $what_for:$missing"
	# shellcheck disable=SC2086  # a list of package names
	apt_install $missing
}

# A package such as dovecot-core would start its daemon, which takes ports and is not what anybody asked for: apt asks
# policy-rc.d, whose exit status 101 forbids it.
apt_install() {
	policy=/usr/sbin/policy-rc.d
	ours=
	if [ "${ALLOW_SERVICES:-no}" = no ] && [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		ours=yes
	fi
	outcome=0
	apt_get_install "$@" || outcome=$?
	[ -z "$ours" ] || rm -f "$policy"
	[ "$outcome" -eq 0 ] || die "apt-get could not install: $*"
}

apt_get_install() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -o DPkg::Lock::Timeout=300 update || return
	apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" </dev/null
}
