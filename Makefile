# Every target is one call; the work is in engine/ (set-up and stacks) and components/cli (plans, outputs, accounts).
STACK ?= quickstart
PYTHON ?= python3
ENGINE := $(PYTHON) -m engine
CLI := $(ENGINE) cli
json := $(if $(JSON),--json)

.PHONY: help setup doctor up down preview refresh plan validate outputs password connect schema test lint locks

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

schema: ## Re-make the JSON Schemas of stack config and catalog entries
	@$(CLI) schema

test: ## Check everything, on real engines (ARGS="..." for pytest)
	@$(ENGINE) test $(ARGS)

lint: ## Format, rules and types
	@$(ENGINE) lint

locks: ## Re-make the lock files (UPGRADE=1: newer versions)
	@$(ENGINE) locks $(if $(UPGRADE),--upgrade)
