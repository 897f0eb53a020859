#!/usr/bin/env bash
# Docker Compose on compose.yaml, with the repository as the project's directory: the plugin, or docker-compose.
# GATEWAY_ENV_FILE names other settings than .env, COMPOSE_PROJECT_NAME another name than gantry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export GATEWAY_ENV_FILE=${GATEWAY_ENV_FILE:-.env} COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-gantry}
if docker compose version >/dev/null 2>&1; then compose=(docker compose)
elif command -v docker-compose >/dev/null; then compose=(docker-compose)
else echo "Docker Compose is missing; install it: sudo apt-get install docker-compose" >&2; exit 1; fi
if [ ! -f "$GATEWAY_ENV_FILE" ]; then
    echo "$GATEWAY_ENV_FILE is missing: 'make env-ollama' writes one, as do env-$(cd compose/env && ls | sed 's/\.env$//' | paste -sd, | sed 's/,/, env-/g')" >&2
    exit 1
fi
exec "${compose[@]}" --project-directory . --file compose/compose.yaml --env-file "$GATEWAY_ENV_FILE" "$@"
