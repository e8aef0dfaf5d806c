# Each target is a script in tools/, which installs what it needs where it may, and says so.
.DEFAULT_GOAL := help
.PHONY: help up down demo demo-fleet test check bench soak audit clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' Makefile

up: ## start the relay, from a fresh checkout too
	@tools/up

down: ## stop it; users, certificate and queued mail stay
	@tools/down

demo: ## start a second relay with a next hop of its own, send one message through it, show what arrived
	@tools/demo

demo-fleet: ## three relays as one, over NATS: a user added on one and used on another, one relay killed
	@tools/demo-fleet

test: ## everything: formatting, lints, unit tests, end-to-end tests, the compose stack
	@tools/test

audit: ## known vulnerabilities and licences of the dependencies; ADVISORY_DB names a copy of the RustSec database
	@tools/audit

bench: ## the relay beside bare Postfix and its peers; results and plots go to docs/benchmarks
	@tools/bench

soak: ## 15 minutes of everything at once: senders, guessers, stalled clients, full volumes, kills
	@tools/bench soak

check: ## the quick part of it: formatting, lints, unit tests
	@tools/check

clean: ## remove what was built; the stack's volumes stay
	@tools/clean
