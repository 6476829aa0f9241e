# Every task of the project. A bare `make` prints what there is.
#
# What a new machine needs: Go, make, a C compiler (for the race detector only)
# and, for the Python parts, Python 3. All else comes as Go modules.

#: build: the version that the binary reports
VERSION ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),devel)
#: demo: flags for `aof-nats demo`
DEMO_FLAGS ?=
#: test: packages
PACKAGES ?= ./...
#: test: time limit of one package
TEST_TIMEOUT ?= 20m
#: pytests: the Python that the tests run on, 3.9 or later
PYTHON ?= python3
#: pytests: flags for pytest
PYTEST_FLAGS ?=
#: crash: how many seeds
SEEDS ?= 2000
#: crash: the first seed; one seed reproduces one failure
FIRST_SEED ?= 1
#: powercut: how often the power goes on each file system
POWER_CUTS ?= 10
#: fuzz: for how long each target runs (30s, 5m, or a count: 100000x)
FUZZTIME ?= 10s
#: fuzz: which targets, a regular expression
FUZZ ?= ^Fuzz
#: mutants: which, by name (as in mutants/NAME.patch) or path; empty: all
MUTANTS ?=
#: mutants: how many at a time
MUTANT_JOBS ?= 1
#: mutants: time limit of one run of one package, in seconds
MUTANT_SECONDS ?= 240
#: mutants: seeds of the crash simulations
MUTANT_SEEDS ?= 400
#: bench: which benchmarks, a regular expression
BENCH ?= .
#: bench: packages
BENCH_PACKAGES ?= ./engine ./engine/internal/segment ./engine/internal/tier ./manifest
#: bench: how often each runs (benchstat wants 10)
BENCH_COUNT ?= 1
#: bench-peers: flags for benchmarks/cmd/peers
PEERS_FLAGS ?=
#: install: where to, as $(PREFIX)/bin
PREFIX ?= /usr/local
#: install: a folder to put before PREFIX, for packagers
DESTDIR ?=

GO ?= go
LINTER := build/golangci-lint
VENV := build/venv
VERSION_FLAG := -X main.version=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help build demo test test-go venv pytests lint lint-format lint-vet lint-golangci crash powercut mutants fuzz bench bench-peers install clean

help: ## print this
	@echo 'Usage: make TARGET [VARIABLE=value ...]'
	@echo
	@echo 'Targets:'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo 'Variables:'
	@awk '/^#: / { text = substr($$0, 4); next } \
		text != "" { name = $$1; sub(/^[^=]*= */, ""); if (index($$0, "$$(")) $$0 = ""; \
		printf "  %-14s %s%s\n", name, text, ($$0 == "" ? "" : " [" $$0 "]"); text = "" }' $(firstword $(MAKEFILE_LIST))

# The version comes in by the linker and not from Go's own version-control
# stamp, so that a build works in an unpacked archive and without git.
build: ## build bin/aof-nats, a static binary
	CGO_ENABLED=0 $(GO) build -buildvcs=false -ldflags '$(VERSION_FLAG)' -o bin/aof-nats ./cmd/aof-nats

demo: build ## build, then show every tier at work, with a crash in the middle
	bin/aof-nats demo $(DEMO_FLAGS)

# With PACKAGES the tests of those packages only.
test: test-go $(if $(filter ./...,$(PACKAGES)),pytests) ## run all tests, Go's under the race detector

# Tests of the engine that flip byte after byte take a share of the bytes under
# the race detector, so they run without it too.
test-go:
	$(GO) test -race -timeout $(TEST_TIMEOUT) $(PACKAGES)
	$(if $(filter ./... ./engine,$(PACKAGES)),$(GO) test -timeout $(TEST_TIMEOUT) -run Flipped ./engine)

venv: $(VENV)/installed ## make build/venv with what the Python tests need

# Debian packs the module ensurepip on its own, and venv does nothing without it.
$(VENV)/installed: pytests/requirements.txt
	@rm -rf $(VENV)
	@if $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m virtualenv --version >/dev/null 2>&1; then $(PYTHON) -m virtualenv -q $(VENV); \
	else echo 'venv: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; fi
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r pytests/requirements.txt
	@touch $@

pytests: build venv ## check types and run the tests in pytests/, on the program in bin/
	cd python && ../$(VENV)/bin/python -m mypy
	cd python && AOF_NATS=$(CURDIR)/bin/aof-nats ../$(VENV)/bin/python -m pytest -q $(PYTEST_FLAGS)

lint: lint-format lint-vet lint-golangci ## check format, go vet, golangci-lint

lint-format:
	@unformatted="$$(find . \( -name '.?*' -o -name build -o -name bin -o -name node_modules \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)" || exit 1; \
	if [ -n "$$unformatted" ]; then echo "not gofmt's format (mend with gofmt -w):"; echo "$$unformatted"; exit 1; fi

lint-vet:
	$(GO) vet ./...

# Always handed to go build, which knows better than file times whether the
# linter is stale: it must be built by the same Go release as the code it reads.
lint-golangci:
	cd tools/lint && $(GO) build -buildvcs=false -o ../../$(LINTER) github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	$(LINTER) run ./...

# The seeds go by environment and not by flag: a package that does not define
# a flag refuses it, so flags could not reach more than one package.
crash: ## crash simulation, SEEDS seeds from FIRST_SEED on
	@grep -qs '^func TestCrashSimulation(' engine/*_test.go || { echo 'crash: engine has no TestCrashSimulation' >&2; exit 1; }
	AOF_CRASH_SEEDS=$(SEEDS) AOF_CRASH_FIRST_SEED=$(FIRST_SEED) $(GO) test ./engine -run '^TestCrashSimulation$$' -count=1 -timeout=0 -v

# Needs root, loop devices, mkfs.ext4 and mkfs.xfs.
powercut: ## power cuts on ext4 and xfs under a bridge that is publishing
	AOF_POWER_CUTS=$(POWER_CUTS) $(GO) test -tags powercut ./cmd/aof-nats -run PowerCuts -count=1 -timeout=0 -v

mutants: ## plant the bugs of mutants/ and see that the tests catch each
	GO='$(GO)' CRASH_SEEDS='$(MUTANT_SEEDS)' MUTANT_SECONDS='$(MUTANT_SECONDS)' scripts/mutants.sh -j '$(MUTANT_JOBS)' $(if $(strip $(MUTANTS)),-o $(MUTANTS))

fuzz: ## fuzz each decoder and parser for FUZZTIME
	GO='$(GO)' .ci/fuzz run '$(FUZZTIME)' '$(FUZZ)'

bench: ## benchmarks of the project, in the format of Go (benchstat reads it)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(BENCH_COUNT) -timeout=0 $(BENCH_PACKAGES)

# The peers are a module of their own, so that none is a dependency of the product.
bench-peers: build ## the same work by this project and by its peers, side by side
	cd benchmarks && $(GO) build -buildvcs=false -o ../build/nats-server github.com/nats-io/nats-server/v2
	cd benchmarks && $(GO) run -buildvcs=false ./cmd/peers $(PEERS_FLAGS)

install: build ## install the binary, and aof2-admin as its second name
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 bin/aof-nats '$(DESTDIR)$(PREFIX)/bin/aof-nats'
	ln -sf aof-nats '$(DESTDIR)$(PREFIX)/bin/aof2-admin'

clean: ## remove what was built here (Go's own caches stay)
	rm -rf bin build
