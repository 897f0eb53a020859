#!/usr/bin/env bash
# Finds or fetches a nats-server new enough for Gantry. The last line on stdout is its path; stderr says which way was taken.
# Ways, in order: $GANTRY_NATS_SERVER, the PATH, our cache, the release page (pinned checksum), Debian's archive.
# Needs no root, changes nothing outside the cache, and may run twice at once: every file is written aside and renamed.
set -euo pipefail

readonly WANTED_MAJOR=2 WANTED_MINOR=14
readonly RELEASES=https://github.com/nats-io/nats-server/releases/download
readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry

WORK=
trap '[ -z "$WORK" ] || rm -rf "$WORK"' EXIT

say() { printf 'nats-server: %s\n' "$*" >&2; }

version_of() { # path -> "2.15.1", or nothing when it does not run
    "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9][0-9.]*\).*/\1/p' || true
}

good_enough() { # version
    local major minor
    IFS=. read -r major minor _ <<<"$1"
    [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || return 1
    ((major > WANTED_MAJOR || (major == WANTED_MAJOR && minor >= WANTED_MINOR)))
}

take() { # path, where it came from
    local version
    version=$(version_of "$1")
    if ! good_enough "$version"; then
        say "passed over $1 ($2): version ${version:-unknown}, wanted $WANTED_MAJOR.$WANTED_MINOR or newer"
        return 1
    fi
    say "took $1, version $version, $2"
    printf '%s\n' "$1"
    exit 0
}

keep() { # program, where it came from: move it into the cache under its version, then take it
    local version target
    version=$(version_of "$1")
    good_enough "$version" || { say "version ${version:-unknown} $2 is too old"; return 1; }
    target=$CACHE/nats-server-$version
    chmod 755 "$1"
    mv -f "$1" "$target"
    take "$target" "$2"
}

newest_cached() {
    local file version best= best_key=-1 key major minor patch
    for file in "$CACHE"/nats-server-[0-9]*; do
        [ -x "$file" ] || continue
        version=${file##*/nats-server-}
        good_enough "$version" || continue
        IFS=. read -r major minor patch <<<"$version"
        key=$((10#$major * 1000000 + 10#$minor * 1000 + 10#${patch:-0}))
        if ((key > best_key)); then best=$file best_key=$key; fi
    done
    printf '%s' "$best"
}

sha256() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

download() { # url, file; a closed network costs seconds
    if command -v curl >/dev/null; then
        curl --fail --location --silent --connect-timeout 4 --max-time 120 --output "$2" "$1"
    elif command -v wget >/dev/null; then
        wget --quiet --tries=1 --connect-timeout=4 --read-timeout=30 --output-document="$2" "$1"
    else
        say "neither curl nor wget is here, so the release page cannot be asked"
        return 1
    fi
}

from_release() {
    local os machine sum name version
    os=$(uname -s | tr '[:upper:]' '[:lower:]')
    case $(uname -m) in x86_64) machine=amd64 ;; aarch64 | arm64) machine=arm64 ;; *) machine=$(uname -m) ;; esac
    read -r sum name < <(grep -E "^[0-9a-f]{64}  nats-server-v[0-9.]+-$os-$machine\.tar\.gz$" "$HERE/checksums.txt") || true
    if [ -z "${name:-}" ]; then say "no pinned release for $os-$machine in nats/checksums.txt"; return 1; fi
    version=${name#nats-server-v}
    version=${version%%-*}
    download "$RELEASES/v$version/$name" "$WORK/$name" || { say "the release page is out of reach"; return 1; }
    if [ "$(sha256 "$WORK/$name")" != "$sum" ]; then
        say "the checksum of $name does not match nats/checksums.txt, thrown away"
        return 1
    fi
    tar -xzf "$WORK/$name" -C "$WORK"
    keep "$WORK/${name%.tar.gz}/nats-server" "from the release page, checksum checked"
}

archive() { # the Debian archive that this machine's apt takes its packages from
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true
}

from_debian() { # the archive's signature is checked by apt with Debian's own keyring
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || { say "no apt-get here, so not Debian's archive"; return 1; }
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg options
    [ -r "$keyring" ] || { say "$keyring is missing (package debian-archive-keyring)"; return 1; }
    local archive
    archive=$(archive)
    [ -n "$archive" ] || { say "apt on this machine knows no Debian archive"; return 1; }
    mkdir -p "$WORK/lists/partial" "$WORK/cache/archives/partial"
    printf 'deb [signed-by=%s] %s forky main\n' "$keyring" "$archive" >"$WORK/forky.list"
    options=(-qq -o "Dir::Etc::sourcelist=$WORK/forky.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$WORK/lists" -o "Dir::Cache=$WORK/cache" -o APT::Sandbox::User=root
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=2
        -o Acquire::http::Timeout=10 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${options[@]}" update >&2 || { say "Debian's archive is out of reach"; return 1; }
    (cd "$WORK" && apt-get "${options[@]}" download nats-server >&2) || { say "Debian's archive did not give the package"; return 1; }
    dpkg -x "$WORK"/nats-server_*.deb "$WORK/package"
    keep "$WORK/package/usr/sbin/nats-server" "from Debian forky's package"
}

if [ -n "${GANTRY_NATS_SERVER:-}" ]; then take "$GANTRY_NATS_SERVER" "named by GANTRY_NATS_SERVER" || true; fi
if on_path=$(command -v nats-server); then take "$on_path" "found on the PATH" || true; fi
cached=$(newest_cached)
if [ -n "$cached" ]; then take "$cached" "found in the cache" || true; fi

mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/fetch.XXXXXX")
from_release || true
from_debian || true
say "none found. Install nats-server $WANTED_MAJOR.$WANTED_MINOR or newer (https://nats.io/download, or: brew install nats-server), or set GANTRY_NATS_SERVER to its path"
exit 1
