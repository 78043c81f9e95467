# Targets that people run are the targets that CI runs.
.DEFAULT_GOAL := help
GO ?= go
FUZZTIME ?= 10s
BENCHTIME ?= 5000x
LINT_VERSION := v2.5.0
SQLC_VERSION := v1.31.1

.PHONY: help build test race lint vet tidy fuzz cover bench crash demo generate browser clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build ./invited
	CGO_ENABLED=0 $(GO) build -trimpath -o invited ./cmd/invited

test: ## run the tests
	$(GO) test ./...

race: ## run the tests under the race detector
	$(GO) test -race ./...

vet: ## run go vet
	$(GO) vet ./...

lint: ## run golangci-lint (installs the pinned version if it is missing)
	@command -v golangci-lint >/dev/null || $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	PATH="$$PATH:$$($(GO) env GOPATH)/bin" golangci-lint run ./...

tidy: ## fail if go.mod is not tidy
	$(GO) mod tidy -diff

fuzz: ## run every fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

cover: ## write cover.out and print the total
	$(GO) test -coverprofile=cover.out -coverpkg=./... ./...
	$(GO) tool cover -func=cover.out | tail -n 1

bench: ## run the benchmarks that docs/benchmarks.md reports
	.ci/bench $(BENCHTIME)

crash: ## kill a server 200 times while 5,000 guests are invited
	CRASH_INVITATIONS=5000 CRASH_KILLS=100 $(GO) test -count=1 -v -timeout 30m -run TestKillLosesNothing ./cmd/invited

demo: ## watch an invitation go all the way
	$(GO) run ./cmd/invited demo

browser: ## click through the guest's pages in headless Chromium
	CI_REQUIRE_ALL=1 $(GO) test -count=1 -run Browser ./cmd/invited

generate: ## write the SQL code again from server/store/internal/sqlstore
	cd server/store/internal/sqlstore && $(GO) run github.com/sqlc-dev/sqlc/cmd/sqlc@$(SQLC_VERSION) generate

clean: ## remove what the targets above made
	rm -rf invited cover.out dist
