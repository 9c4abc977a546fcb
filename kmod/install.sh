#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# kmod/install.sh VERSION DIR: the source of causeway.ko, and nothing else, into DIR as DKMS wants it. Below the prefix and
# DESTDIR where Meson calls it.

set -eu
umask 022
top=$(dirname "$(readlink -f "$0")")/..
version=$1
dir=${MESON_INSTALL_DESTDIR_PREFIX:+$MESON_INSTALL_DESTDIR_PREFIX/}$2

install -d "$dir/kmod/compat" "$dir/proto"
for file in "$top"/kmod/*.[ch] "$top"/kmod/compat/*.[ch]; do
	case $file in
	*.mod.c | *'*'*) ;; # a build makes it; there is none
	*) install -m 644 "$file" "$dir/${file#"$top/"}" ;;
	esac
done
install -m 644 "$top/kmod/Kbuild" "$top/kmod/Makefile" "$dir/kmod"
install -m 644 "$top"/proto/*.h "$dir/proto"
install -m 644 "$top/LICENSE" "$dir"
sed "s/@VERSION@/$version/" "$top/kmod/dkms.conf.in" >"$dir/dkms.conf"
