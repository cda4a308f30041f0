# chatctl: build, test, install. `make help` lists the targets.

PREFIX = /usr/local
DESTDIR =
CARGO = cargo
FUZZ_RUNS = 1000000
SIM_SEEDS ?= 300
SIM_SAME_SEEDS = 20
SOAK_SECONDS = 60
FAILOVER_ROUNDS = 20
ATTACK_CONNECTIONS = most
ATTACK_MS = 5000
# Where cargo builds: the variables that cargo reads count here too.
TARGET_DIR = $(or $(CARGO_TARGET_DIR),$(CARGO_BUILD_TARGET_DIR),target)
BINARY = $(TARGET_DIR)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release/chatctl
BINDIR = $(DESTDIR)$(PREFIX)/bin
SHAREDIR = $(DESTDIR)$(PREFIX)/share
MANDIR = $(SHAREDIR)/man
BASHDIR = $(SHAREDIR)/bash-completion/completions
ZSHDIR = $(SHAREDIR)/zsh/site-functions
FISHDIR = $(SHAREDIR)/fish/vendor_completions.d
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
# What --version shows beside the version: nothing where this is no clone.
COMMIT = $(shell test -e .git && git describe --always --dirty --abbrev=12 --exclude='*')
# An incremental build costs time and 700 MB when there is no earlier one, as in a new clone. Plain
# `cargo test` stays incremental.
export CARGO_INCREMENTAL ?= 0
# Flags of the compiler for release builds: no path of this machine gets into the program (the last
# prefix that matches counts), and what RUSTFLAGS says. Separated by 0x1f, as a path may have spaces.
FLAGS = set -f; separator=; \
	for pair in "$$HOME=home" "$${CARGO_HOME:-$$HOME/.cargo}=cargo" \
		"$$($(or $(RUSTC),rustc) --print sysroot)=rust" "$(CURDIR)=chatctl"; do \
		case $$pair in /?*=*) \
			printf '%b--remap-path-prefix=%s' "$$separator" "$$pair"; separator='\0037';; esac; \
	done; \
	if test -n "$$CARGO_ENCODED_RUSTFLAGS"; then printf '\037%s' "$$CARGO_ENCODED_RUSTFLAGS"; \
	else for flag in $$RUSTFLAGS; do printf '\037%s' "$$flag"; done; fi
# All release builds share this, or each target would compile the program again.
RELEASE = CHATCTL_COMMIT=$(COMMIT) CARGO_ENCODED_RUSTFLAGS="$$($(FLAGS))"

all: rust ## build the program: target/release/chatctl
	@$(RELEASE) $(CARGO) build --release

# Older compilers fail on something that does not name the version.
rust:
	@wanted=$$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml); \
	found=$$($(or $(RUSTC),rustc) --version) || \
		{ echo "make: chatctl needs Rust $$wanted or later, see https://rustup.rs" >&2; exit 1; }; \
	echo "$$wanted $$found" | awk '{ split($$1, wanted, "."); split($$3, found, "."); \
		exit !(found[1] > wanted[1] || found[1] == wanted[1] && found[2] + 0 >= wanted[2] + 0) }' || \
		{ echo "make: chatctl needs Rust $$wanted or later, see https://rustup.rs; this is $$found" >&2; \
		exit 1; }

test: rust ## run all tests
	$(CARGO) test

check: rust ## check formatting, lints, and the man pages
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	$(CARGO) test -q --test main cli::man
	@if command -v mandoc >/dev/null 2>&1; then \
		echo "mandoc -Tlint man/*.[157]"; \
		! mandoc -Tlint man/*.[157] 2>/dev/null | grep -v 'referenced manual not found'; \
	else \
		echo "mandoc -Tlint: skipped: mandoc is not installed"; \
	fi
	@if command -v groff >/dev/null 2>&1; then \
		echo "groff -ww -mdoc man/*.[157]"; \
		for page in man/*.[157]; do \
			warnings=$$(groff -Kutf8 -ww -mdoc -Tutf8 -z "$$page" 2>&1) && test -z "$$warnings" || \
				{ echo "$$warnings" >&2; exit 1; }; \
		done; \
	else \
		echo "groff -ww: skipped: groff is not installed"; \
	fi

man: ## rewrite the lists of flags in the man pages from the table
	CHATCTL_REWRITE_MAN=1 $(CARGO) test -q --test main cli::man

bench: all ## measure load, memory, replay, log and codecs (BENCH_SECONDS=5)
	$(RELEASE) CARGO="$(CARGO)" sh tests/bench.sh "$(BINARY)"

screen: ## measure a frame of the chat screen, and the memory of 100,000 loaded messages
	@$(RELEASE) $(CARGO) test -q --release --test main client::screen::measure -- --nocapture

fuzz: ## feed random input to everything that reads from a network (FUZZ_RUNS=1000000)
	@$(RELEASE) FUZZ_RUNS=$(FUZZ_RUNS) $(CARGO) test --release --test main fuzz -- --nocapture

# What the simulator is told by SIM_BASE, SIM_SEED and SIM_TRACE it finds in the environment.
sim: ## simulate clusters: SIM_SEEDS=300 from SIM_BASE=1, or one SIM_SEED=x (SIM_TRACE=1: in full)
	SIM_SEEDS=$(SIM_SEEDS) $(CARGO) test --profile sim --test main sim::every -- --nocapture

play = SIM_SEEDS=$(SIM_SAME_SEEDS) $(CARGO) test --profile $(1) --test main sim::every \
	-- --nocapture 2>&1 | sed -n 's/^all of them together: //p' >"$(TARGET_DIR)/sim-$(1)"

sim-same: ## check that debug and release builds simulate the same histories
	@$(call play,dev)
	@$(RELEASE) $(call play,release)
	@cd "$(TARGET_DIR)" && echo "dev $$(cat sim-dev), release $$(cat sim-release)" && \
		test -s sim-dev && cmp sim-dev sim-release

mutants: ## plant each bug in turn, and check that some test catches it
	CARGO="$(CARGO)" sh tests/mutants.sh

# As root also with partitions. SOAK_SEED, SOAK_SERVERS and SOAK_PACE_MS come from the environment.
soak: ## run five servers under injected faults and check every message (SOAK_SECONDS=60)
	@$(RELEASE) SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --release --test main soak::everything -- --nocapture

failover: ## measure failover by kill -9, silence and SIGTERM (FAILOVER_ROUNDS=20)
	@for servers in 3 5; do \
		$(RELEASE) FAILOVER_SERVERS=$$servers FAILOVER_ROUNDS=$(FAILOVER_ROUNDS) \
			$(CARGO) test -q --release --test main soak::failover -- --nocapture || exit 1; \
	done

# most: 10,000, or as many as the limit of open files (ulimit -Hn) allows.
attack: ## measure honest clients of a server under attack (ATTACK_CONNECTIONS=most)
	@$(RELEASE) ATTACK_CONNECTIONS=$(ATTACK_CONNECTIONS) ATTACK_MS=$(ATTACK_MS) \
		$(CARGO) test -q --release --test main soak::attack -- --nocapture

demo: all ## let two people chat over five servers, kill two, check that nothing is lost
	sh tests/demo.sh "$(BINARY)"

install: ## install program, man pages, completions and systemd unit (PREFIX=/usr/local, DESTDIR)
	@case "$(PREFIX)" in /*) ;; *) \
		echo "install: PREFIX must be an absolute path, not '$(PREFIX)'" >&2; exit 1;; esac
	@test -f "$(BINARY)" || { echo "install: $(BINARY) is not built; run make first," \
		"with the same CARGO_TARGET_DIR, if that is set" >&2; exit 1; }
	@version=$$("$(BINARY)" --version 2>&1) || { echo "install: $(BINARY) does not run here:" \
		"$$version; build it on this machine, without CARGO_BUILD_TARGET" >&2; exit 1; }; \
		echo "install: $$version from $(BINARY)"
	umask 022; mkdir -p "$(BINDIR)" "$(MANDIR)/man1" "$(MANDIR)/man5" "$(MANDIR)/man7" \
		"$(BASHDIR)" "$(ZSHDIR)" "$(FISHDIR)" "$(UNITDIR)"
	install -m 755 "$(BINARY)" "$(BINDIR)/chatctl"
	install -m 644 man/*.1 "$(MANDIR)/man1"
	install -m 644 man/*.5 "$(MANDIR)/man5"
	install -m 644 man/*.7 "$(MANDIR)/man7"
	umask 022; sed 's|^ExecStart=/usr/local/|ExecStart=$(PREFIX)/|' man/chatctl.service \
		>"$(UNITDIR)/chatctl.service"
	umask 022; "$(BINARY)" completions bash >"$(BASHDIR)/chatctl"
	umask 022; "$(BINARY)" completions zsh >"$(ZSHDIR)/_chatctl"
	umask 022; "$(BINARY)" completions fish >"$(FISHDIR)/chatctl.fish"

uninstall: ## remove what install installed
	rm -f "$(BINDIR)/chatctl"
	rm -f "$(UNITDIR)/chatctl.service"
	rm -f "$(BASHDIR)/chatctl" "$(ZSHDIR)/_chatctl" "$(FISHDIR)/chatctl.fish"
	for page in man/*.[157]; do \
		rm -f "$(MANDIR)/man$${page##*.}/$${page##*/}" || exit 1; \
	done

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | expand -t 12

.PHONY: all rust test check man bench screen fuzz sim sim-same mutants soak failover attack demo install uninstall help
