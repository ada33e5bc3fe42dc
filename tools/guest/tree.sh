# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=bash
#
# A guest's file tree, made inside the build root: programs with the shared
# libraries that they need, packed as the archives that the kernel unpacks into
# its initial RAM file system (later archives add to earlier ones).

# Usage: new_tree FOLDER
new_tree() {
	mkdir -p "$1"/usr/{bin,sbin,lib,lib64}
	local name
	for name in bin sbin lib lib64; do ln -s "usr/$name" "$1/$name"; done
}

# Usage: add_program TREE FROM TO
add_program() {
	local tree=$1 from=$2 to=$3 library
	mkdir -p "$tree${to%/*}"
	install -m 755 "$from" "$tree$to"
	# A static program or a script has none, which ldd calls an error.
	{ ldd "$from" 2>/dev/null || true; } | grep -o '/[^ ]*' | while read -r library; do
		if [ ! -e "$tree$library" ]; then
			mkdir -p "$tree${library%/*}"
			cp -L "$library" "$tree$library"
		fi
	done
	if ldd "$from" 2>/dev/null | grep 'not found' >&2; then
		echo "the build root lacks these libraries of $from" >&2
		return 1
	fi
}

# Usage: archive_tree TREE ARCHIVE
archive_tree() { (cd "$1" && find . -print0 | cpio --quiet -o -0 -H newc -R 0:0) >"$2"; }
