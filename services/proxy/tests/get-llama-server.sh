#!/usr/bin/env bash
# Finds or fetches llama-server, the real model server of the proxy's tests. The last line on stdout is its path; stderr
# says which way was taken. Ways, in order: $GANTRY_LLAMA_SERVER, the PATH, our cache, Debian forky's packages.
# Needs no root and changes nothing outside the cache. The packages bring their own C library, so any Debian will do.
set -euo pipefail

readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry
readonly HOME_OF_IT=$CACHE/llama-server

WORK=
trap '[ -z "$WORK" ] || rm -rf "$WORK"' EXIT

say() { printf 'llama-server: %s\n' "$*" >&2; }

take() { # path, where it came from
    if "$1" --version >/dev/null 2>&1; then
        say "took $1, $2"
        printf '%s\n' "$1"
        exit 0
    fi
    say "passed over $1 ($2): it does not run"
    return 1
}

starter() { # folder with the unpacked packages: a script that runs the server with the libraries it came with
    cat <<'EOF'
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
machine=$(uname -m)
loader=$(ls "$root"/usr/lib*/ld-linux-*.so.* "$root"/usr/lib/"$machine"-linux-gnu/ld-linux-*.so.* 2>/dev/null | head -n 1)
libraries=$root/usr/lib/$machine-linux-gnu
backends=$(ls -d "$libraries"/ggml/backends* 2>/dev/null | head -n 1)
cd "${backends:-$root}" || exit 1
exec "$loader" --library-path "$libraries:$libraries/llama:$libraries/llama.cpp:$backends" "$root/usr/bin/llama-server" "$@"
EOF
}

archive() { # the Debian archive that this machine's apt takes its packages from
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true
}

from_debian() {
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || { say "no apt-get here, so not Debian's packages"; return 1; }
    [ -r "$KEYRING" ] || { say "$KEYRING is missing (package debian-archive-keyring)"; return 1; }
    local archive
    archive=$(archive)
    [ -n "$archive" ] || { say "apt on this machine knows no Debian archive"; return 1; }
    mkdir -p "$WORK/lists/partial" "$WORK/cache/archives/partial" "$WORK/root"
    printf 'deb [signed-by=%s] %s forky main\n' "$KEYRING" "$archive" >"$WORK/forky.list"
    # An empty package status makes apt name every library, also those that this machine has in an older version.
    local options=(-qq -o "Dir::Etc::sourcelist=$WORK/forky.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$WORK/lists" -o "Dir::Cache=$WORK/cache" -o Dir::State::status=/dev/null
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o Acquire::Check-Valid-Until=false
        -o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=10
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${options[@]}" update >&2 || { say "Debian's archive is out of reach"; return 1; }
    apt-get "${options[@]}" install --yes --no-install-recommends --download-only llama.cpp-tools >&2 ||
        { say "Debian's archive did not give the packages"; return 1; }
    local package
    for package in "$WORK"/cache/archives/*.deb; do dpkg -x "$package" "$WORK/root"; done
    starter >"$WORK/root/llama-server"
    chmod 755 "$WORK/root/llama-server"
    rm -rf "$HOME_OF_IT"
    mv "$WORK/root" "$HOME_OF_IT"
    take "$HOME_OF_IT/llama-server" "from Debian forky's packages"
}

if [ -n "${GANTRY_LLAMA_SERVER:-}" ]; then take "$GANTRY_LLAMA_SERVER" "named by GANTRY_LLAMA_SERVER" || true; fi
if on_path=$(command -v llama-server); then take "$on_path" "found on the PATH" || true; fi
if [ -x "$HOME_OF_IT/llama-server" ]; then take "$HOME_OF_IT/llama-server" "found in the cache" || true; fi

mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/fetch.XXXXXX")
from_debian || true
say "none found. Install llama.cpp's server (https://github.com/ggml-org/llama.cpp, or: brew install llama.cpp), or set GANTRY_LLAMA_SERVER to its path"
exit 1
