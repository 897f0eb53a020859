#!/usr/bin/env bash
# Writes .env, the settings of `make up BACKEND=KIND`, from env/KIND.env. Keys that an earlier .env had are kept.
# usage: compose/env.sh KIND [KEY_PREFIX]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly KIND=${1:?usage: compose/env.sh KIND} PREFIX=${2:-gk}
readonly TEMPLATE=compose/env/$KIND.env TARGET=${GATEWAY_ENV_FILE:-.env}

if [ ! -f "$TEMPLATE" ]; then
    printf "there is no '%s'; known are: %s\n" "$KIND" "$(cd compose/env && ls | sed 's/\.env$//' | tr '\n' ' ')" >&2
    exit 1
fi

kept() { [ ! -f "$TARGET" ] || sed -n "s/^$1=//p" "$TARGET" | tail -n 1; }
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
group() { stat -c %g "${DOCKER_SOCKET:-/var/run/docker.sock}" 2>/dev/null || echo 999; }

umask 077
while IFS= read -r line; do
    name=${line%%=*}
    case $line in
    *=@generated) value=$(kept "$name"); printf '%s=%s\n' "$name" "${value:-$PREFIX-$(random)}" ;;
    *=@kept) printf '%s=%s\n' "$name" "$(kept "$name")" ;;
    *=@docker) printf '%s=%s\n' "$name" "$(group)" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$TEMPLATE" >"$TARGET.new"
mv "$TARGET.new" "$TARGET"
printf 'wrote %s for %s; edit it, then: make up BACKEND=%s\n' "$TARGET" "$KIND" "$KIND" >&2
