#!/usr/bin/env bash
# Makes the image that Dockerfile describes out of the program that is already built, without a registry or a builder: the
# program, its nats-server, a shell, and the libraries that these ask for. Needs docker, and binutils to make it small.
# usage: deploy/image.sh [NAME]        (default gantry:local; PROGRAM=… takes another gantry)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly NAME=${1:-gantry:local}
readonly PROGRAM=${PROGRAM:-${CARGO_TARGET_DIR:-target}/debug/gantry}
[ -x "$PROGRAM" ] || { echo "$PROGRAM is missing; build it: cargo build -p gantry" >&2; exit 1; }
nats=$(nats/get-nats-server.sh | tail -n 1)

ROOT=$(mktemp -d)
trap 'rm -rf "$ROOT"' EXIT
mkdir -p "$ROOT"/{usr/bin,bin,etc/ssl/certs,usr/share,tmp}
strip -o "$ROOT/usr/bin/gantry" "$PROGRAM" 2>/dev/null || cp "$PROGRAM" "$ROOT/usr/bin/gantry"
cp -L "$nats" "$ROOT/usr/bin/nats-server"
cp -L /bin/sh "$ROOT/bin/sh"
# Libraries, the loader among them, where the programs look for them.
for program in "$PROGRAM" "$nats" /bin/sh; do ldd "$program" 2>/dev/null || true; done |
    grep -oE '/[^ ]+' | sort -u | while read -r library; do install -D "$library" "$ROOT$library"; done
printf 'root:x:0:0::/:/bin/sh\ngantry:x:10001:10001::/data:/bin/sh\n' >"$ROOT/etc/passwd"
printf 'root:x:0:\ngantry:x:10001:\n' >"$ROOT/etc/group"
for part in etc/ssl/certs/ca-certificates.crt usr/share/zoneinfo; do
    [ ! -e "/$part" ] || cp -RL "/$part" "$ROOT/$part" 2>/dev/null || true
done
chmod 1777 "$ROOT/tmp"
tar -C "$ROOT" --owner=0 --group=0 -cf "$ROOT.tar" .
mkdir "$ROOT/data"
tar -C "$ROOT" --owner=10001 --group=10001 -rf "$ROOT.tar" ./data
trap 'rm -rf "$ROOT" "$ROOT.tar"' EXIT
docker import --change 'ENV GANTRY_DATA_DIR=/data GANTRY_HOST=0.0.0.0 PATH=/usr/bin:/bin' --change 'USER 10001:10001' \
    --change 'WORKDIR /data' --change 'EXPOSE 8080' --change 'ENTRYPOINT ["/usr/bin/gantry"]' --change 'CMD ["up"]' \
    "$ROOT.tar" "$NAME" >/dev/null
printf 'made %s\n' "$NAME" >&2
