#!/usr/bin/env bash
# Finds or fetches ntfy, the real push server of the notifier's tests. The last line on stdout is its path; stderr says
# which way was taken. Ways, in order: $GANTRY_NTFY, the PATH, our cache, Debian forky's package.
# Needs no root, changes nothing outside the cache, and may run twice at once: every file is written aside and renamed.
set -euo pipefail

readonly WANTED_MAJOR=2 WANTED_MINOR=16
readonly KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry

WORK=
trap '[ -z "$WORK" ] || rm -rf "$WORK"' EXIT

say() { printf 'ntfy: %s\n' "$*" >&2; }

version_of() { # path -> "2.27.0", or nothing when it does not run
    "$1" --help 2>/dev/null | sed -n 's/^ntfy v\{0,1\}\([0-9]\{1,\}\.[0-9.]*\).*/\1/p' | head -n 1 || true
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

archive() { # the Debian archive that this machine's apt takes its packages from
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -E '/debian/?$' | head -n 1 || true
}

from_debian() { # the archive's signature is checked by apt with Debian's own keyring
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || { say "no apt-get here, so not Debian's archive"; return 1; }
    [ -r "$KEYRING" ] || { say "$KEYRING is missing (package debian-archive-keyring)"; return 1; }
    local archive
    archive=$(archive)
    [ -n "$archive" ] || { say "apt on this machine knows no Debian archive"; return 1; }
    mkdir -p "$WORK/lists/partial" "$WORK/cache/archives/partial"
    printf 'deb [signed-by=%s] %s forky main\n' "$KEYRING" "$archive" >"$WORK/forky.list"
    local options=(-qq -o "Dir::Etc::sourcelist=$WORK/forky.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::Lists=$WORK/lists" -o "Dir::Cache=$WORK/cache" -o APT::Sandbox::User=root
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=2
        -o Acquire::http::Timeout=10 -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    apt-get "${options[@]}" update >&2 || { say "Debian's archive is out of reach"; return 1; }
    (cd "$WORK" && apt-get "${options[@]}" download ntfy >&2) || { say "Debian's archive did not give the package"; return 1; }
    dpkg -x "$WORK"/ntfy_*.deb "$WORK/package"
    chmod 755 "$WORK/package/usr/bin/ntfy"
    mv -f "$WORK/package/usr/bin/ntfy" "$CACHE/ntfy"
    take "$CACHE/ntfy" "from Debian forky's package"
}

if [ -n "${GANTRY_NTFY:-}" ]; then take "$GANTRY_NTFY" "named by GANTRY_NTFY" || true; fi
if on_path=$(command -v ntfy); then take "$on_path" "found on the PATH" || true; fi
if [ -x "$CACHE/ntfy" ]; then take "$CACHE/ntfy" "found in the cache" || true; fi

mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/fetch.XXXXXX")
from_debian || true
say "none found. Install ntfy $WANTED_MAJOR.$WANTED_MINOR or newer (https://docs.ntfy.sh/install, or: brew install ntfy), or set GANTRY_NTFY to its path"
exit 1
