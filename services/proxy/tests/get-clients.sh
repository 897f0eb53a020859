#!/usr/bin/env bash
# Installs the official Python clients that the proxy is tested with, into our cache. Run it again after a change of
# clients/requirements.txt; it does nothing when they are there. The last line on stdout is the path of their Python.
set -euo pipefail

readonly HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry
readonly CLIENTS=$CACHE/clients
readonly WANTED=$HERE/clients/requirements.txt

if [ -x "$CLIENTS/bin/python" ] && cmp -s "$WANTED" "$CLIENTS/requirements.txt"; then
    printf '%s\n' "$CLIENTS/bin/python"
    exit 0
fi
mkdir -p "$CACHE"
rm -rf "$CLIENTS"
python3 -m venv "$CLIENTS"
"$CLIENTS/bin/pip" install --quiet --disable-pip-version-check --requirement "$WANTED" >&2
cp "$WANTED" "$CLIENTS/requirements.txt"
printf '%s\n' "$CLIENTS/bin/python"
