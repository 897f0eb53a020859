# Gantry's everyday commands. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(abspath $(TARGET))/tools
PIDFILE := $(TARGET)/gantry.pid

# What a build, and what its tests, need of the system: command:package[,package].
NEEDS := cc:gcc,libc6-dev
TEST_NEEDS := $(NEEDS) python3:python3 node:nodejs npm:npm pg_ctlcluster:postgresql docker-compose:docker-compose
# Real parts that tests run against: each script finds or fetches one into the cache, in seconds.
PARTS := services/proxy/tests/get-llama-server.sh services/proxy/tests/get-clients.sh services/gpu-monitor/tests/get-docker.sh \
	services/notifier/tests/get-ntfy.sh

ENVIRONMENTS := $(patsubst compose/env/%.env,env-%,$(wildcard compose/env/*.env))
PROFILES := $(foreach environment,$(ENVIRONMENTS),--profile $(environment:env-%=%)) --profile control-plane-nvidia
# The port of the gateway that `health` asks.
PORT ?= 8080

.PHONY: help up down demo ps logs health image test test-parts bench fmt fmt-check lint nats-server needs $(ENVIRONMENTS)

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

ifdef BACKEND
up:
	compose/compose.sh --profile $(BACKEND) up --detach $(ARGS)

down:
	compose/compose.sh $(PROFILES) down $(ARGS)
else
up: needs nats-server ## build and run the whole gateway; ARGS="--port 9000" passes options on; BACKEND=ollama in containers
	$(CARGO) build -p gantry
	@echo $$$$ > $(PIDFILE); PATH="$(TOOLS):$$PATH" exec $(TARGET)/debug/gantry up $(ARGS)

down: ## stop the gateway that `make up` runs, in order; with BACKEND=… its containers
	@pid=$$(cat $(PIDFILE) 2>/dev/null || true); \
	case "$$(ps -o args= -p "$${pid:-0}" 2>/dev/null || tr '\0' ' ' 2>/dev/null </proc/"$${pid:-0}"/cmdline || true)" in \
	  *gantry\ up*) kill -TERM "$$pid" ;; \
	  *) echo "no gateway of this checkout runs"; rm -f $(PIDFILE); exit 0 ;; \
	esac; \
	for _ in $$(seq 300); do kill -0 "$$pid" 2>/dev/null || { rm -f $(PIDFILE); echo "stopped"; exit 0; }; sleep 0.1; done; \
	echo "process $$pid still runs after 30 seconds"; exit 1
endif

# Everything in containers: see compose/README.md.
$(ENVIRONMENTS): env-%:
	@compose/env.sh $* $(KEY)

demo: ## Ollama with a small model and the gateway, in containers
	@compose/env.sh ollama demo-key
	compose/compose.sh --profile ollama up --detach
	compose/compose.sh --profile ollama exec -T ollama ollama pull qwen2.5:0.5b-instruct
	@echo "ask it: curl http://127.0.0.1:8080/v1/chat/completions -H \"Authorization: Bearer $$(sed -n s/^API_KEYS=//p .env)\" \\"
	@echo "  -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]}'"

ps: ## list the containers
	@compose/compose.sh $(PROFILES) ps $(ARGS)

logs: ## follow the logs of the containers
	@compose/compose.sh $(PROFILES) logs --follow --tail 100 $(ARGS)

health: ## ask the gateway on PORT how it is
	@curl --silent --show-error --max-time 10 "http://127.0.0.1:$(PORT)/health" | python3 -m json.tool
	@curl --silent --show-error --max-time 10 "http://127.0.0.1:$(PORT)/readyz"

image: needs nats-server ## make the container image gantry:local out of this checkout, without a registry
	$(CARGO) build -p gantry
	@PATH="$(TOOLS):$$PATH" CARGO_TARGET_DIR="$(TARGET)" deploy/image.sh $(ARGS)

test: test-parts nats-server ## run every test; ARGS="-p bus" passes options on
	$(CARGO) build -p gantry
	PATH="$(TOOLS):$$PATH" $(CARGO) test $(or $(ARGS),--workspace)

bench: needs nats-server ## measure against raw JetStream on this machine, and print the ratios
	$(CARGO) build -p gantry
	PATH="$(TOOLS):$$PATH" $(CARGO) run -p tests --bin bench -- $(ARGS)

fmt: ## format the code
	$(CARGO) fmt --all

fmt-check: ## fail if the code is not formatted
	$(CARGO) fmt --all --check

lint: needs ## fail on any warning
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# The server that was found stands first on the PATH of everything started from here.
nats-server: ## find or fetch nats-server and say where it is
	@mkdir -p $(TOOLS)
	@found=$$(nats/get-nats-server.sh | tail -n 1) && [ -n "$$found" ] && ln -sfn "$$found" $(TOOLS)/nats-server

test-parts: ## find or fetch the real parts that tests run against
	@$(MAKE) --no-print-directory needs NEEDS="$(TEST_NEEDS)"
	@python3 -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory needs NEEDS="ensurepip:python3-venv"
	@for part in $(PARTS); do $$part >/dev/null || exit 1; done

needs:
	@missing=; for need in $(NEEDS); do command -v "$${need%%:*}" >/dev/null || missing="$$missing $$(echo "$${need##*:}" | tr , ' ')"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing; \
	else echo "missing packages; install them with: sudo apt-get install$$missing" >&2; exit 1; fi
