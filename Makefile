# Every target is one call; the work is in engine/ (set-up and stacks) and components/cli (plans, outputs, accounts).
STACK ?= quickstart
PYTHON ?= python3
ENGINE := $(PYTHON) -m engine
CLI := $(ENGINE) cli
json := $(if $(JSON),--json)

.PHONY: help setup doctor up down preview refresh plan validate outputs password connect rotate-keys schema test lint locks \
	cluster cluster-down test-kubernetes gvisor

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Find, install or build what is missing
	@$(ENGINE) setup

doctor: ## What was found, what is missing, the remedy (JSON=1)
	@$(ENGINE) doctor $(json)

up: ## Set up and deploy STACK, say how to sign in and connect
	@$(ENGINE) up --stack $(STACK)

down: ## Remove STACK; its data stays (PURGE=1: data and images too)
	@$(ENGINE) down --stack $(STACK) $(if $(PURGE),--purge)

preview: ## What `up` would change
	@$(ENGINE) preview --stack $(STACK)

refresh: ## Bring Pulumi's state in step with what is really there
	@$(ENGINE) refresh --stack $(STACK)

plan: ## What will run, without an engine (JSON=1)
	@$(CLI) plan --stack $(STACK) $(json)

validate: ## Check STACK and its catalog, or CATALOG=<file or folder> alone (JSON=1)
	@$(CLI) validate $(if $(CATALOG),$(CATALOG),--stack $(STACK)) $(json)

outputs: ## The servers' URLs and where to sign in (JSON=1)
	@$(CLI) outputs --stack $(STACK) $(json)

password: ## A user's first password (LOGIN=alice)
	@$(CLI) password --stack $(STACK) $(LOGIN)

connect: ## Client configuration (CLIENT=claude-code|vscode|cursor|inspector)
	@$(CLI) connect --stack $(STACK) $(CLIENT)

rotate-keys: ## New encryption keys for a running STACK's secrets, without downtime
	@$(ENGINE) rotate-keys --stack $(STACK)

schema: ## Re-make the JSON Schemas of stack config and catalog entries
	@$(CLI) schema

test: ## Check everything, on real engines (ARGS="..." for pytest)
	@$(ENGINE) test $(if $(ARGS),-- $(ARGS))

cluster: ## A Kubernetes cluster on this machine (KUBECONFIG=... names yours; OWN=1: build one beside it)
	@$(ENGINE) cluster $(if $(OWN),--own)

cluster-down: ## Remove that cluster with all that is in it
	@$(ENGINE) cluster-down

test-kubernetes: ## Bring the cluster up and run the tests that need one (ARGS="..." for pytest)
	@$(ENGINE) test-kubernetes $(if $(ARGS),-- $(ARGS))

gvisor: ## Give the Docker Engine the sandbox runtime runsc
	@$(ENGINE) gvisor

lint: ## Format, rules and types
	@$(ENGINE) lint

locks: ## Re-make the lock files (UPGRADE=1: newer versions)
	@$(ENGINE) locks $(if $(UPGRADE),--upgrade)
