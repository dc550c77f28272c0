#!/usr/bin/env bash
#
# Builds the Debian package from this tree: deb.sh [OUTPUT-FOLDER]. It prints
# the file's name. ALICORN_BINARY names a binary to package instead of building
# one; ALICORN_VERSION the package's version instead of the program's;
# ALICORN_COMPRESSION what dpkg-deb -Z takes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=$(realpath -m "${1:-.}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree

arch=$(dpkg --print-architecture)
binary=${ALICORN_BINARY:-$work/alicorn}
if [ -z "${ALICORN_BINARY:-}" ]; then
    (cd .. && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$binary" ./cmd/alicorn)
fi
version=${ALICORN_VERSION:-$("$binary" -v | sed -n 's,.*alicorn/,,p')}

install -D -m 0755 "$binary" "$tree/usr/bin/alicorn"
install -D -m 0644 -t "$tree/usr/lib/systemd/system" alicorn.service alicorn.socket
install -D -m 0644 alicorn.conf "$tree/etc/alicorn/alicorn.conf"
install -D -m 0644 default.conf "$tree/etc/alicorn/conf.d/default.conf"
install -D -m 0644 alicorn.logrotate "$tree/etc/logrotate.d/alicorn"
install -D -m 0644 debian/copyright "$tree/usr/share/doc/alicorn/copyright"
sed "s/@VERSION@/$version/; s/@DATE@/$(date -R)/" debian/changelog |
    gzip -9n >"$tree/usr/share/doc/alicorn/changelog.gz"
chmod 0644 "$tree/usr/share/doc/alicorn/changelog.gz"

# The program itself writes its manual pages and what shells complete.
mkdir -p "$work/man" "$tree/usr/share/man/man1" "$tree/usr/share/man/man5"
"$binary" man "$work/man"
gzip -9n "$work"/man/*
install -m 0644 -t "$tree/usr/share/man/man1" "$work"/man/*.1.gz
install -m 0644 -t "$tree/usr/share/man/man5" "$work"/man/*.5.gz
complete() { # SHELL FILE
    mkdir -p "$(dirname "$tree/usr/share/$2")"
    "$binary" completion "$1" >"$tree/usr/share/$2"
    chmod 0644 "$tree/usr/share/$2"
}
complete bash bash-completion/completions/alicorn
complete zsh zsh/vendor-completions/_alicorn
complete fish fish/vendor_completions.d/alicorn.fish

install -d "$tree/DEBIAN"
mkdir -p "$out"
size=$(du -k -s --apparent-size --exclude=DEBIAN "$tree" | cut -f1)
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" debian/control >"$tree/DEBIAN/control"
install -m 0644 debian/conffiles "$tree/DEBIAN/conffiles"
install -m 0755 debian/postinst debian/prerm debian/postrm "$tree/DEBIAN/"
(cd "$tree" && find etc usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"

package=$out/alicorn_${version}_$arch.deb
dpkg-deb --root-owner-group "-Z${ALICORN_COMPRESSION:-xz}" --build "$tree" "$package" >/dev/null
echo "$package"
