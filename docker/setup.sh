#!/usr/bin/env bash
# Installs what building and running Hooklog needs on Debian or Ubuntu, and only what is missing.
# Needs no answer as root or with YES=1; else it prints the line to run and ends with 3.
set -euo pipefail

# Below this, Apache Kafka does not run.
oldest_java=17

say() { echo "setup: $*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
fail() { say "$*"; exit 3; }

java_is_new_enough() {
    local java=${JAVA_HOME:+$JAVA_HOME/bin/}java version
    have "$java" || return 1
    version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
    [ "${version:-0}" -ge "$oldest_java" ]
}

has_header() { echo "#include <$1>" | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1; }

# libclang1 alone, which other packages bring, has neither this name nor the headers that bindgen reads.
has_libclang() { [ -n "${LIBCLANG_PATH:-}" ] || compgen -G "/usr/lib/llvm-*/lib/libclang.so" >/dev/null; }

# One line for each package that is missing.
missing() {
    have "${CXX:-c++}" || echo g++
    have make || echo make
    have pkg-config || echo pkg-config
    has_libclang || echo libclang-dev
    has_header openssl/ssl.h || echo libssl-dev
    has_header zlib.h || echo zlib1g-dev
    java_is_new_enough || java_package
    have mvn || echo maven
}

# The oldest one that will do, as this release calls it. Before the first `apt-get update` there is nothing to look up:
# Debian has no 17 from 13 on, every Ubuntu does.
java_package() {
    local version
    for version in 17 21 25; do
        if [ -n "$(apt-cache policy "openjdk-$version-jre-headless" 2>/dev/null)" ]; then
            echo "openjdk-$version-jre-headless"
            return
        fi
    done
    # shellcheck disable=SC1091
    version=$(. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-0}" -ge 13 ] && echo 21 || echo 17)
    echo "openjdk-$version-jre-headless"
}

need_cargo() {
    have cargo && return
    local line='curl --proto "=https" --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . "$HOME/.cargo/env"'
    have curl || line="${sudo}apt-get install -y curl ca-certificates && $line"
    fail "cargo is not on the PATH. This line gets it, then start again:  $line"
}

# Where it is set it wins over the PATH, so another Java would not help.
need_sane_java_home() {
    [ -z "${JAVA_HOME:-}" ] || java_is_new_enough ||
        fail "JAVA_HOME is $JAVA_HOME, which is no Java $oldest_java or newer: unset it, or set it to one that is"
}

install() {
    local line="${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends $*"
    have apt-get || fail "this is neither Debian nor Ubuntu: install what they call $* and start again"
    say "missing: $*"
    [ -z "$sudo" ] || [ "${YES:-}" = 1 ] || fail "run this line, or start again with YES=1:  $line"
    [ -z "$sudo" ] || have sudo || fail "there is no sudo here: run this line as root:  ${line//sudo /}"
    say "running: $line"
    ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || fail "apt-get update failed: see above"
    # Known only now: which Java this release has.
    mapfile -t packages < <(missing)
    ${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}" >&2 ||
        fail "apt-get install failed: see above"
}

sudo="sudo "
[ "$(id -u)" != 0 ] || sudo=""
need_cargo
need_sane_java_home
mapfile -t packages < <(missing)
[ "${#packages[@]}" = 0 ] || install "${packages[@]}"
mapfile -t packages < <(missing)
[ "${#packages[@]}" = 0 ] || fail "still missing after the installation: ${packages[*]}"
