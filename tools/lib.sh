# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# What the scripts in tools/ share: where the cache is, how something that is
# expensive gets into it, and how a command is run inside the build root.
#
# An artifact of the cache is a folder named <kind>-<key>, where the key is a
# hash of all that the artifact depends on. It is made under another name and
# renamed when it is complete, so what carries the final name is complete
# whatever interrupted an earlier run.

HMDFS_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HMDFS_CACHE=${HMDFS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hmdfs}
KERNEL_VERSION=${KERNEL_VERSION:-7.2}
export HMDFS_TOP HMDFS_CACHE KERNEL_VERSION

# Without root, everything happens in a user namespace where this user is root and
# has a range of other user ids, as the files of a Debian tree need. Where that
# is not allowed, tools/preflight says so.
if [ "$(id -u)" != 0 ] && unshare --user --map-root-user --map-auto --mount true 2>/dev/null; then
	export HMDFS_USER_NAMESPACE=1
	exec unshare --user --map-root-user --map-auto --mount "$0" "$@"
fi

die() {
	printf 'error: %s\n' "$1" >&2
	shift
	if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
	exit 1
}

say() { printf '==> %s\n' "$*" >&2; }

# Runs a command with its output in a log file, and shows on standard error
# that it is alive: its last line on a terminal, a line every 30 s elsewhere.
# Usage: with_progress TITLE LOG COMMAND...
with_progress() {
	local title=$1 log=$2 start=$SECONDS status=0 shown=0 pid
	shift 2
	say "$title (log: $log)"
	# bwrap takes the place of the subshell, so that it ends, with all that runs
	# in it, whenever this script does, even when that is killed.
	{ replace='exec' && "$@"; } >"$log" 2>&1 </dev/null &
	pid=$!
	# An interrupt must not leave the build running behind the prompt.
	trap 'kill "$pid" 2>/dev/null; exit 130' INT TERM
	while kill -0 "$pid" 2>/dev/null; do
		sleep 1
		if [ -t 2 ]; then
			printf '\r\033[K    %4d s  %.60s' $((SECONDS - start)) "$(tail -n 1 "$log" | tr -d '\r')" >&2
		elif [ $((SECONDS - start)) -ge $((shown + 30)) ]; then
			shown=$((SECONDS - start))
			printf '    %4d s  %.100s\n' "$shown" "$(tail -n 1 "$log" | tr -d '\r')" >&2
		fi
	done
	if [ -t 2 ]; then printf '\r\033[K' >&2; fi
	wait "$pid" || status=$?
	trap - INT TERM
	if [ "$status" -ne 0 ]; then
		tail -n 40 "$log" >&2
		die "$title failed (exit status $status)" "the whole log is in $log"
	fi
	say "$title: done in $((SECONDS - start)) s"
}

# Hash of the standard input and of the named files' contents.
key_of() { { cat; for file in "$@"; do sha256sum <"$file"; done; } | sha256sum | cut -c1-16; }

# Makes an artifact unless it is there, and prints its folder. The function is
# called with the folder to fill; only one process makes an artifact at a time.
# Usage: artifact KIND KEY FUNCTION
artifact() {
	local kind=$1 key=$2 make=$3 final partial
	final=$HMDFS_CACHE/$kind-$key
	if [ ! -d "$final" ]; then
		mkdir -p "$HMDFS_CACHE/log"
		(
			flock -n 9 || { say "wait for another run that makes $kind" && flock 9; }
			[ ! -d "$final" ] || exit 0
			partial=$HMDFS_CACHE/.partial-$kind
			rm -rf "$partial"
			mkdir -p "$partial"
			"$make" "$partial" >&2
			# What is renamed must be on the disk first, or a crash of
			# the machine could leave a complete name on empty files.
			sync -f "$partial"
			mv -T "$partial" "$final"
		) 9>"$HMDFS_CACHE/.lock-$kind" || exit 1
	fi
	printf '%s\n' "$final"
}

# Runs a command in the build root: the checkout is /src, the cache is /cache,
# the kernel's source /linux and its build tree /kernel, whatever their paths
# are outside, so that nothing built depends on them.
# Usage: in_root ROOT [--linux SOURCE] [--kernel SOURCE BUILD] [--bind FROM TO] COMMAND...
in_root() {
	local root=$1 mounts=()
	shift
	while true; do
		case $1 in
		--linux) mounts+=(--ro-bind "$2" /linux) && shift 2 ;;
		--kernel) mounts+=(--bind "$2" /linux --bind "$3" /kernel) && shift 3 ;;
		--bind) mounts+=(--bind "$2" "$3") && shift 3 ;;
		*) break ;;
		esac
	done
	local args=(--ro-bind "$root" / --dev /dev --proc /proc --ro-bind /sys /sys
		--tmpfs /tmp --tmpfs /var/tmp --tmpfs /run --bind "$HMDFS_TOP" /src --bind "$HMDFS_CACHE" /cache
		"${mounts[@]}" --ro-bind /etc/resolv.conf /etc/resolv.conf
		--setenv HOME /tmp --setenv LANG C.UTF-8 --setenv CARGO_HOME /cache/cargo
		--setenv PATH /usr/sbin:/usr/bin:/sbin:/bin --unsetenv CARGO
		--chdir /src --unshare-pid --die-with-parent)
	if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
		args+=(--ro-bind /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt)
	fi
	local device
	for device in /dev/kvm /dev/vhost-vsock; do
		if [ -e "$device" ]; then args+=(--dev-bind-try "$device" "$device"); fi
	done
	${replace:-} bwrap "${args[@]}" -- "$@"
}

# Prints where a file is inside the build root. Usage: inside PATH
inside() {
	local path
	path=$(realpath -m "$1")
	case $path in
	"$(realpath "$HMDFS_TOP")"/*) printf '/src/%s\n' "${path#"$(realpath "$HMDFS_TOP")"/}" ;;
	"$(realpath "$HMDFS_CACHE")"/*) printf '/cache/%s\n' "${path#"$(realpath "$HMDFS_CACHE")"/}" ;;
	*) die "$1 is outside the checkout and the cache" "the build root sees only these two" ;;
	esac
}
