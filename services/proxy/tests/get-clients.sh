#!/usr/bin/env bash
# Installs the official clients that the proxy is tested with into our cache: Python's by pip, Node's by npm, in the
# versions that clients/requirements.txt and clients/package.json name. It does nothing when they are there. The last line
# on stdout is their folder. Needs python3 (with venv), node and npm.
set -euo pipefail

readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/clients
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry
readonly CLIENTS=$CACHE/clients

need() { command -v "$1" >/dev/null || { printf 'clients: %s is missing; install it with your system'"'"'s packages\n' "$1" >&2; exit 1; }; }

if cmp -s "$HERE/requirements.txt" "$CLIENTS/requirements.txt" && cmp -s "$HERE/package.json" "$CLIENTS/package.json"; then
    printf '%s\n' "$CLIENTS"
    exit 0
fi
need python3
need node
need npm
mkdir -p "$CACHE"
WORK=$(mktemp -d "$CACHE/clients.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cp "$HERE/package.json" "$WORK/"
(cd "$WORK" && npm install --silent --no-fund --no-audit --no-package-lock >&2)
python3 -m venv "$WORK/python"
"$WORK/python/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$HERE/requirements.txt" >&2
# Written last: it says that the folder is complete.
cp "$HERE/requirements.txt" "$WORK/"
rm -rf "$CLIENTS"
mv "$WORK" "$CLIENTS"
printf '%s\n' "$CLIENTS"
