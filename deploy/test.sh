#!/usr/bin/env bash
#
# Installs what the tests need from Debian's packages (only what is missing),
# fetches Go modules and builds pebble, and then runs every check: formatting, vet
# on each platform, Go tests with the race detector, Python tests. The checks need
# no network. The first failure stops it, with status 1.
#
# Runs from any directory, as root or as a user with sudo. Without root only
# apt-get and the Go test binaries run under sudo (they start servers that drop
# privileges); everything that writes into the checkout or Go's caches runs as
# the caller.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# sudo's secure_path leaves out the places where Go is usually unpacked.
PATH="$PATH:/usr/local/go/bin:/usr/local/bin:/usr/sbin:/sbin"
export PATH PYTHONDONTWRITEBYTECODE=1

readonly PYTHON=/usr/bin/python3
readonly POLICY=/usr/sbin/policy-rc.d

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
policy_written=no

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

cleanup() {
    if [ "$policy_written" = yes ]; then
        "${as_root[@]}" rm -f "$POLICY"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step NAME COMMAND... announces the step, runs it and says how long it took.
step() {
    local name=$1 started=$SECONDS
    shift
    printf '==> %s\n' "$name"
    "$@" || fail "$name (after $((SECONDS - started)) s)"
    printf '    %s: ok, %d s\n' "$name" "$((SECONDS - started))"
}

installed() {
    dpkg -s "$1" 2>/dev/null | grep -q '^Status: .* ok installed$'
}

# missing_packages prints the packages to install. A program that is there
# already, from wherever, counts as installed; Python modules must be Debian's,
# since the tests run Debian's interpreter.
missing_packages() {
    local package program
    while read -r package program; do
        if [ -n "$program" ] && command -v "$program" >/dev/null; then
            continue
        fi
        installed "$package" || printf '%s\n' "$package"
    done <<'PACKAGES'
nginx-light nginx
gunicorn
uwsgi-core
uwsgi-plugin-python3
php-fpm
nodejs node
wrk wrk
python3-flask
python3-django
python3-uvicorn
python3-uvloop
python3-gevent
python3-eventlet
python3-httptools
python3-websockets
python3-wsproto
python3-hypercorn
python3-daphne
python3-fastapi
python3-starlette
python3-multipart
python3-quart
python3-django-channels
python3-httpx
libjs-jquery
python3-pytest
apache2-utils ab
curl curl
testssl.sh testssl
openssl openssl
gcc gcc
libc6-dev
systemd systemd-analyze
iproute2 ip
procps pgrep
ca-certificates
logrotate /usr/sbin/logrotate
PACKAGES
}

# hold_services keeps a freshly installed nginx from being started and enabled:
# it would take port 80 on a machine that only wanted to run tests. A policy of
# the administrator's own stays as it is.
hold_services() {
    if [ ! -e "$POLICY" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$POLICY" >/dev/null
        policy_written=yes
        "${as_root[@]}" chmod 755 "$POLICY"
    fi
}

install_packages() {
    local packages
    mapfile -t packages < <(missing_packages)
    if [ "${#packages[@]}" -eq 0 ]; then
        return
    fi
    command -v apt-get >/dev/null ||
        fail "cannot install ${packages[*]}: there is no apt-get here"
    if [ "${#as_root[@]}" -gt 0 ] && ! command -v sudo >/dev/null; then
        fail "cannot install ${packages[*]}: run as root, or install sudo"
    fi
    hold_services
    "${as_root[@]}" apt-get update -qq || return
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" || return
    if [[ " ${packages[*]} " == *" nginx-light "* ]] && [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl disable --now nginx || return
    fi
}

# fetch_modules fills the module cache for the program, its image's build and the
# linter of Dockerfiles.
fetch_modules() {
    go mod download || return
    go -C deploy/lint mod download
}

check_formatting() {
    local files
    files=$(gofmt -l .) || return
    if [ -n "$files" ]; then
        printf 'not formatted with gofmt:\n%s\n' "$files" >&2
        return 1
    fi
}

# go_test PROXY ARGUMENTS... runs test binaries as root: those that check which
# user each process runs as cannot do so otherwise, and no test is ever skipped.
# PROXY is where modules come from; "off" is nowhere but the cache. Without GORACE each
# process with the race detector would sleep for a second at its end. One package more than
# there are processors runs at a time, since tests wait for a good part of their time. What is
# tested is not optimized by default.pgo, which would compile every package a second time.
go_test() {
    local proxy=$1
    shift
    local elevate=()
    if [ "${#as_root[@]}" -gt 0 ]; then
        elevate=(-exec "sudo -E env 'PATH=$PATH'")
    fi
    GOPROXY=$proxy CGO_ENABLED=1 GORACE=atexit_sleep_ms=10 go test -race -pgo=off -p $(($(nproc) + 1)) -timeout 20m "${elevate[@]}" "$@"
}

# vet checks this platform with the race detector, so that what it compiles is what the tests
# need, too. Files that are left out then are checked for the other platforms. The build that
# `bench profile` measures is not tested otherwise.
vet() {
    CGO_ENABLED=1 go vet -race -pgo=off ./... &&
        CGO_ENABLED=1 go vet -race -pgo=off -tags profile ./cmd/alicorn
}

python_tests() {
    "$PYTHON" -m pytest -q -p no:cacheprovider appserver/python/tests
}

command -v go >/dev/null || fail "cannot find go in PATH; see https://go.dev/doc/install"
[ -x "$PYTHON" ] || fail "cannot find $PYTHON; install python3"

step "packages" install_packages
step "Go modules" fetch_modules
step "pebble" go_test "$(go env GOPROXY)" -count=1 -run '^TestPebbleIsBuilt$' ./tls/acmetest
step "gofmt" check_formatting
step "go vet -race ./..." vet
step "GOOS=darwin go vet ./..." env GOOS=darwin CGO_ENABLED=0 go vet -pgo=off ./...
step "GOARCH=arm64 go vet ./..." env GOARCH=arm64 CGO_ENABLED=0 go vet -pgo=off ./...
step "go test -race ./..." go_test off ./...
step "pytest appserver/python/tests" python_tests
printf '==> all steps passed, %d s\n' "$SECONDS"
