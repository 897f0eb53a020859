#!/usr/bin/env bash
# Makes an image of the real llama-server that the proxy's tests use, with a tiny model: the same arguments as llama.cpp's
# own image. usage: llama-image.sh NAME, with DOCKER_HOST set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

server=$(services/proxy/tests/get-llama-server.sh | tail -n 1)
folder=$(dirname "$(readlink -f "$server")")
if [ ! -d "$folder/usr/lib" ]; then
    echo "$server is no unpacked package; unset GANTRY_LLAMA_SERVER and take llama-server from the PATH, so that one is fetched" >&2
    exit 1
fi
libraries=usr/lib/$(uname -m)-linux-gnu
loader=$(cd "$folder" && ls "$libraries"/ld-linux-*.so.* usr/lib*/ld-linux-*.so.* 2>/dev/null | head -n 1)
backends=$(cd "$folder" && ls -d "$libraries"/ggml/backends* | head -n 1)
path=/$libraries:/$libraries/llama:/$libraries/llama.cpp:/$backends
tar -C "$folder" -c usr -C "$PWD/services/proxy/tests/fixtures" tiny-random.gguf |
    docker import --change "WORKDIR /$backends" \
        --change "ENTRYPOINT [\"/$loader\", \"--library-path\", \"$path\", \"/usr/bin/llama-server\"]" - "$1" >/dev/null
