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

# ---- Debian packages ----

# install_packages WHAT-FOR PACKAGE...: installs those that are missing, and says so.
install_packages() {
	what_for=$1
	shift
	missing=
	for package in "$@"; do
		is_installed "$package" || missing="$missing $package"
	done
	[ -n "$missing" ] || return 0
	is_root_on_debian || die "$what_for needs$missing (Debian's names): install them, or run this as root on Debian or Ubuntu"
	say "installing for $what_for:$missing"
	apt_update
	without_starting_services apt_install "$missing"
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

apt_update() {
	mkdir -p target
	apt-get -q -o DPkg::Lock::Timeout=300 update >target/apt.log 2>&1 </dev/null || {
		tail -n 15 target/apt.log >&2
		die "apt-get update failed (all it said is in target/apt.log)"
	}
}

# apt_install "PACKAGE PACKAGE…"
apt_install() {
	# shellcheck disable=SC2086  # a list of package names
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $1 \
		>target/apt.log 2>&1 </dev/null || {
		tail -n 15 target/apt.log >&2
		die "apt-get could not install:$1 (all it said is in target/apt.log)"
	}
}

# A package such as dovecot-core starts its daemon, which takes ports, and is not what anybody asked for here. dpkg asks
# policy-rc.d, whose exit status 101 forbids it.
without_starting_services() {
	policy=/usr/sbin/policy-rc.d
	if [ -e "$policy" ]; then
		"$@"
		return
	fi
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	"$@"
	rm -f "$policy"
	trap - EXIT INT TERM
}

# ---- Docker ----

# The words that call Compose, and those that call it on the stack a script looks after: as it is, the one started here.
compose=
stack=

# Makes sure of an engine that answers and of a Compose.
need_docker() {
	have docker || install_docker
	docker info >/dev/null 2>&1 || start_docker
	find_compose || install_compose
}

find_compose() {
	if docker compose version >/dev/null 2>&1; then
		compose="docker compose"
	elif have docker-compose; then
		compose="docker-compose"
	else
		return 1
	fi
	stack=$compose
}

install_docker() {
	is_root_on_debian ||
		die "Docker is missing: install Docker and its Compose plugin, or run this as root on Debian or Ubuntu"
	say "Docker is missing: installing Debian's package"
	apt_update
	# Newer releases have the client in a package of its own.
	client=
	! is_known docker-cli || client=docker-cli
	apt_install " docker.io $client ca-certificates"
}

install_compose() {
	is_root_on_debian || die "Docker's Compose is missing: install its plugin, or run this as root on Debian or Ubuntu"
	apt_update
	for package in docker-compose-v2 docker-compose; do
		if is_known "$package"; then
			say "Docker's Compose is missing: installing the package $package"
			apt_install " $package"
			find_compose && return
		fi
	done
	die "no Compose could be installed: install Docker's Compose plugin"
}

is_known() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

start_docker() {
	is_root || die "the Docker engine does not answer: start it ('sudo systemctl start docker'), or if it runs, become a" \
		"member of the group docker: 'docker info' says which"
	say "the Docker engine does not answer: starting it"
	if [ -d /run/systemd/system ]; then
		systemctl start docker || true
	elif ! { have service && service docker start >/dev/null 2>&1; }; then
		# Where there is no service manager, as in a container or a rescue system.
		setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
	fi
	deadline=$(($(date +%s) + 60))
	until docker info >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$deadline" ] ||
			die "the Docker engine did not start within 60 s: see 'journalctl -u docker', /var/log/docker.log or /var/log/dockerd.log"
		sleep 1
	done
}

# ---- The stack ----

# wait_until_healthy SECONDS SERVICE...: or ends with the last lines of the service's log.
wait_until_healthy() {
	deadline=$(($(date +%s) + $1))
	shift
	for service in "$@"; do
		until [ "$(health "$service")" = healthy ]; do
			if [ "$(date +%s)" -ge "$deadline" ]; then
				printf 'the last lines of %s:\n' "$service" >&2
				$stack logs --tail 40 "$service" >&2 || true
				die "the container of $service is $(health "$service"); what it said is above"
			fi
			sleep 1
		done
	done
}

health() {
	container=$($stack ps -q "$1" 2>/dev/null) || true
	if [ -n "$container" ]; then
		docker inspect -f '{{if eq .State.Status "running"}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' \
			"$container" 2>/dev/null || echo gone
	else
		echo "not there"
	fi
}

# ---- Rust ----

rust_wanted=1.95
# Debian's current compiler, which stable carries for its browsers beside the frozen rustc.
rust_packages="cargo-web rustc-web rustfmt-web rust-web-clippy"

# The images bring their own compiler; this one is for the tests.
need_rust() {
	[ ! -d "$HOME/.cargo/bin" ] || PATH=$PATH:$HOME/.cargo/bin
	if ! have cargo && is_root_on_debian; then
		apt_update
		# shellcheck disable=SC2086  # a list of package names
		is_rust_wanted "$(apt-cache policy cargo-web | sed -n 's/.*Candidate: //p')" && is_known rust-web-clippy &&
			install_packages "the tests" $rust_packages
	fi
	have cargo || die "Rust $rust_wanted or newer is missing: install rustup's, or on Debian 13: apt-get install $rust_packages"
	version=$(cargo --version | cut -d ' ' -f 2)
	is_rust_wanted "$version" || die "cargo is $version, and this needs Rust $rust_wanted or newer: update it with rustup, or on" \
		"Debian 13 replace it: apt-get install $rust_packages"
	for part in fmt clippy; do
		cargo "$part" --version >/dev/null 2>&1 || die "cargo $part is missing: install it ('rustup component add $part')"
	done
}

is_rust_wanted() {
	[ "$(printf '%s\n' "$1" "$rust_wanted" | sort -V | head -n 1)" = "$rust_wanted" ]
}

# run_tests ARGUMENT...: by nextest where it is installed, else by cargo's own runner; the tests hold under both.
run_tests() {
	# A failed test says what it met; where in the runner it was called from helps nobody.
	export RUST_LIB_BACKTRACE=0
	if cargo nextest --version >/dev/null 2>&1; then
		cargo nextest run --locked "$@" </dev/null
	else
		cargo test --locked --no-fail-fast "$@" </dev/null
	fi
}
