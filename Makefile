GO ?= go
CACHE := $(CURDIR)/.cache
SERVICES := $(CACHE)/bin/services
LINT_VERSION := v2.15.0
LINT := $(CACHE)/bin/golangci-lint-$(LINT_VERSION)

# More flags for the programs that are run: make demo ARGS="--buyers 50000",
# make test TESTFLAGS="-run TestSale -v".
ARGS ?=
TESTFLAGS ?=

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: demo
demo: ## see it happen: a crowd, two units, the proof
	@$(GO) run ./cmd/anteroom demo $(ARGS)

# Figures count on a machine that does nothing else; it says so where not.
.PHONY: bench
bench: kafka build ## measure this design and the usual ones (ARGS=--quick: two minutes)
	@bin/anteroom bench $(ARGS)

.PHONY: kafka
kafka: $(SERVICES) ## bring the jars of the Kafka that tests and bench start
	@$(SERVICES) fetch

# As in the image, without the C library, of which nothing is needed.
.PHONY: build
build: ## build bin/anteroom
	@CGO_ENABLED=0 $(GO) build -trimpath -o bin/anteroom ./cmd/anteroom

.PHONY: replay
replay: ## build bin/replay.html, the page that replays exports in a browser
	@$(GO) run ./cmd/replay/page -o bin/replay.html

# The real backends are started for the tests and stopped afterwards, unless
# they run already. Where they cannot run, tests on them are skipped; with
# CI=true that is a failure.
.PHONY: test
test: $(SERVICES) ## run all tests, on embedded and on real backends
	@trap 'exit 130' INT; trap 'exit 143' TERM; \
	if ! $(SERVICES) status >/dev/null; then \
		if $(SERVICES) up; then \
			trap '$(SERVICES) down' EXIT; \
		elif [ "$$CI" = true ]; then \
			exit 3; \
		else \
			echo "tests on real backends are skipped, for the reason above"; \
		fi; \
	fi; \
	$(GO) test -race -timeout 30m $(TESTFLAGS) ./...

# Other cases in each run; a failure prints the seed that repeats it.
.PHONY: test-long
test-long: ## run the property tests with 10,000 random cases each
	@packages=$$(grep -rl --include='*_test.go' '"pgregory.net/rapid"' cmd pkg internal | xargs -r -n1 dirname | sort -u | sed 's,^,./,'); \
	$(GO) test -timeout 120m $(TESTFLAGS) $$packages -rapid.checks=10000

.PHONY: services
services: $(SERVICES) ## start Kafka, Redis and Postgres for tests; they stay
	@$(SERVICES) up

.PHONY: services-down
services-down: $(SERVICES) ## stop them and remove their data
	@$(SERVICES) down

# Built, not run with `go run`, which hides the exit code.
.PHONY: $(SERVICES)
$(SERVICES):
	@$(GO) build -o $@ ./internal/devstack/services

.PHONY: lint
lint: $(LINT) ## check format, vet, and the rules in .golangci.yml
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	GOOS=js GOARCH=wasm $(GO) vet ./cmd/replay
	$(LINT) run ./...
	GOOS=js GOARCH=wasm $(LINT) run ./cmd/replay

# A binary of its own, so that go.mod does not carry the linter's dependencies.
# Building it takes some minutes, once.
$(LINT):
	@mkdir -p $(dir $@)
	GOBIN=$(CACHE)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@mv $(CACHE)/bin/golangci-lint $@
