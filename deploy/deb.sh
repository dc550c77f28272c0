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
install -D -m 0644 alicorn.service "$tree/usr/lib/systemd/system/alicorn.service"
install -D -m 0644 alicorn.conf "$tree/etc/alicorn/alicorn.conf"
install -D -m 0644 default.conf "$tree/etc/alicorn/conf.d/default.conf"
install -D -m 0644 ../LICENSE "$tree/usr/share/doc/alicorn/copyright"
install -d "$tree/DEBIAN" "$out"
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/" debian/control >"$tree/DEBIAN/control"
install -m 0644 debian/conffiles "$tree/DEBIAN/conffiles"
install -m 0755 debian/postinst debian/prerm debian/postrm "$tree/DEBIAN/"

package=$out/alicorn_${version}_$arch.deb
dpkg-deb --root-owner-group "-Z${ALICORN_COMPRESSION:-xz}" --build "$tree" "$package" >/dev/null
echo "$package"
