#!/usr/bin/env bash
# Finds or installs what the proxy is measured against: vllm-router by pip into our cache, nginx on Debian when run as root.
# Prints one line for each that is there: its name and its path.
set -euo pipefail

readonly CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry VERSION=0.1.17
readonly ROUTER=$CACHE/vllm-router-$VERSION

say() { printf 'peers: %s\n' "$*" >&2; }

if [ ! -x "$ROUTER/bin/vllm-router" ]; then
    mkdir -p "$CACHE"
    rm -rf "$ROUTER"
    { python3 -m venv "$ROUTER" && "$ROUTER/bin/pip" install --quiet --disable-pip-version-check "vllm-router==$VERSION" >&2; } ||
        { say "vllm-router $VERSION cannot be installed here; it is left out"; rm -rf "$ROUTER"; }
fi
if ! PATH=$PATH:/usr/sbin command -v nginx >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light >&2 || true
fi
[ ! -x "$ROUTER/bin/vllm-router" ] || echo "vllm-router $ROUTER/bin/vllm-router"
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) && echo "nginx $nginx" || say "nginx is missing; it is left out"
