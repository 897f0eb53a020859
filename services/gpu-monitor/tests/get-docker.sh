#!/usr/bin/env bash
# Finds or starts a container engine for tests. The last line on stdout is its address; stderr says which way was taken.
# Ways, in order: $DOCKER_HOST, the engine of this machine, one of our own (installed on Debian when run as root).
# Our own keeps everything in one directory, touches no network setting, and stays up for the next run;
# `get-docker.sh stop` ends it and `get-docker.sh dockerd` only prints the path of the engine's program.
set -euo pipefail

readonly HOME_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/gantry/docker
readonly SOCKET=$HOME_DIR/docker.sock

say() { printf 'docker: %s\n' "$*" >&2; }

answers() { # address
    case $1 in
    unix://*) [ -S "${1#unix://}" ] && curl --silent --fail --max-time 3 --unix-socket "${1#unix://}" http://docker/_ping >/dev/null ;;
    tcp://*) curl --silent --fail --max-time 3 "http://${1#tcp://}/_ping" >/dev/null ;;
    *) return 1 ;;
    esac
}

take() { # address, where it came from
    say "took the engine at $1, $2"
    printf '%s\n' "$1"
    exit 0
}

install_engine() {
    if command -v dockerd >/dev/null; then return 0; fi
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "no engine answers; install one: sudo apt-get install docker.io iptables, then start it"
        return 1
    fi
    say "installing docker.io"
    # The package would start an engine of its own; policy-rc.d is left alone, ours listens elsewhere anyway.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables curl >&2 ||
        { apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io iptables curl >&2; }
}

running() { [ -f "$HOME_DIR/dockerd.pid" ] && kill -0 "$(cat "$HOME_DIR/dockerd.pid")" 2>/dev/null; }

start_engine() { # storage driver
    say "starting an engine with $1"
    rm -f "$HOME_DIR/dockerd.pid" "$SOCKET"
    # Its own session and no descriptor of ours: it must outlive this script, and the lock must not.
    setsid dockerd --host "unix://$SOCKET" --data-root "$HOME_DIR/data" --exec-root "$HOME_DIR/exec" \
        --pidfile "$HOME_DIR/dockerd.pid" --storage-driver "$1" --iptables=false --ip6tables=false --bridge=none \
        >"$HOME_DIR/dockerd.log" 2>&1 </dev/null 9>&- &
    local engine=$!
    for _ in $(seq 300); do
        if answers "unix://$SOCKET"; then return 0; fi
        kill -0 "$engine" 2>/dev/null || running || return 1
        sleep 0.1
    done
    return 1
}

case ${1:-} in
stop)
    if running; then kill "$(cat "$HOME_DIR/dockerd.pid")"; say "stopping"; else say "no engine of ours runs"; fi
    exit 0
    ;;
dockerd)
    install_engine
    command -v dockerd
    exit 0
    ;;
esac

if [ -n "${DOCKER_HOST:-}" ] && answers "$DOCKER_HOST"; then take "$DOCKER_HOST" "named by DOCKER_HOST"; fi
if answers unix:///var/run/docker.sock; then take unix:///var/run/docker.sock "the one of this machine"; fi
mkdir -p "$HOME_DIR"
exec 9>"$HOME_DIR/lock"
flock 9
if answers "unix://$SOCKET"; then take "unix://$SOCKET" "ours, already up"; fi
install_engine || exit 1
if answers unix:///var/run/docker.sock; then take unix:///var/run/docker.sock "just installed"; fi
if [ "$(id -u)" != 0 ]; then
    say "no engine answers and starting one needs root: start Docker, or add yourself to its group"
    exit 1
fi
start_engine overlay2 || start_engine vfs || { say "the engine does not start:"; tail -n 20 "$HOME_DIR/dockerd.log" >&2; exit 1; }
take "unix://$SOCKET" "just started"
