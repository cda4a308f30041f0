# chatctl: build, test, install. `make help` lists the targets.

PREFIX = /usr/local
DESTDIR =
CARGO = cargo
FUZZ_RUNS = 1000000
SIM_SAME_SEEDS = 20
SOAK_SECONDS = 60
FAILOVER_ROUNDS = 20
ATTACK_CONNECTIONS = 10000
ATTACK_MS = 5000
BINARY = target/release/chatctl
BINDIR = $(DESTDIR)$(PREFIX)/bin
SHAREDIR = $(DESTDIR)$(PREFIX)/share
MANDIR = $(SHAREDIR)/man
BASHDIR = $(SHAREDIR)/bash-completion/completions
ZSHDIR = $(SHAREDIR)/zsh/site-functions
FISHDIR = $(SHAREDIR)/fish/vendor_completions.d
UNITDIR = $(DESTDIR)$(PREFIX)/lib/systemd/system
# What --version shows beside the version: nothing where this is no clone.
COMMIT = $(shell test -e .git && git describe --always --dirty --abbrev=12 --exclude='*')

all: ## build the program: target/release/chatctl
	CHATCTL_COMMIT=$(COMMIT) $(CARGO) build --release

test: ## run all tests
	$(CARGO) test

check: ## formatting, lints, and the man pages: in step with the table, and well-formed
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

man: ## rewrite the man pages' lists of flags from the table
	CHATCTL_REWRITE_MAN=1 $(CARGO) test -q --test main cli::man

bench: all ## load, memory, replay, log and codecs beside the design's figures (BENCH_SECONDS=5)
	sh tests/bench.sh target/release/chatctl

screen: ## what a frame of the chat's screen costs, and what 100,000 loaded messages take
	$(CARGO) test -q --release --test main client::screen::measure -- --nocapture

fuzz: ## feed FUZZ_RUNS random inputs to everything that reads from a network
	FUZZ_RUNS=$(FUZZ_RUNS) $(CARGO) test --release --test main fuzz -- --nocapture

# What the simulator is told by SIM_SEEDS, SIM_BASE, SIM_SEED and SIM_TRACE it finds in the environment.
sim: ## play SIM_SEEDS=300 histories from SIM_BASE=1 on, or one: SIM_SEED=x (SIM_TRACE=1: all of it)
	$(CARGO) test --profile sim --test main sim::every -- --nocapture

sim-same: ## check that debug and release builds play the same histories
	@for build in dev release; do \
		SIM_SEEDS=$(SIM_SAME_SEEDS) $(CARGO) test --profile $$build --test main sim::every \
			-- --nocapture 2>&1 | sed -n 's/^all of them together: //p' >target/sim-$$build || exit 1; \
	done; \
	echo "dev $$(cat target/sim-dev), release $$(cat target/sim-release)"; \
	test -s target/sim-dev && cmp target/sim-dev target/sim-release

mutants: ## plant one bug after the other: some test must notice each
	CARGO="$(CARGO)" sh tests/mutants.sh

# As root also with partitions. WEATHER_SEED, SOAK_SERVERS and SOAK_PACE_MS come from the environment.
soak: ## bad weather over five servers, which come and go, for SOAK_SECONDS=60; nothing is lost
	SOAK_SECONDS=$(SOAK_SECONDS) $(CARGO) test --release --test main weather::soak -- --nocapture

failover: ## how long clients are without a PRIMARY, by kill -9, silence, SIGTERM (FAILOVER_ROUNDS=20)
	for servers in 3 5; do \
		FAILOVER_SERVERS=$$servers FAILOVER_ROUNDS=$(FAILOVER_ROUNDS) \
			$(CARGO) test -q --release --test main weather::failover -- --nocapture || exit 1; \
	done

attack: ## honest clients of a server under attack: latency, memory (ATTACK_CONNECTIONS=10000)
	ATTACK_CONNECTIONS=$(ATTACK_CONNECTIONS) ATTACK_MS=$(ATTACK_MS) \
		$(CARGO) test -q --release --test main weather::attack -- --nocapture

demo: all ## two people chat over five servers, two of which are killed: nothing is lost
	sh tests/demo.sh target/release/chatctl

install: ## install program, man pages, completions and systemd's unit below DESTDIR/PREFIX
	@test -x "$(BINARY)" || { echo "install: $(BINARY) is not built; run make first" >&2; exit 1; }
	mkdir -p "$(BINDIR)" "$(MANDIR)/man1" "$(MANDIR)/man5" "$(MANDIR)/man7"
	mkdir -p "$(BASHDIR)" "$(ZSHDIR)" "$(FISHDIR)" "$(UNITDIR)"
	install -m 755 "$(BINARY)" "$(BINDIR)/chatctl"
	install -m 644 man/*.1 "$(MANDIR)/man1"
	install -m 644 man/*.5 "$(MANDIR)/man5"
	install -m 644 man/*.7 "$(MANDIR)/man7"
	umask 022; sed 's|^ExecStart=/usr/local/|ExecStart=$(PREFIX)/|' man/chatctl.service \
		>"$(UNITDIR)/chatctl.service"
	umask 022; "$(BINARY)" completions bash >"$(BASHDIR)/chatctl"
	umask 022; "$(BINARY)" completions zsh >"$(ZSHDIR)/_chatctl"
	umask 022; "$(BINARY)" completions fish >"$(FISHDIR)/chatctl.fish"

uninstall: ## remove what install has put there
	rm -f "$(BINDIR)/chatctl"
	rm -f "$(UNITDIR)/chatctl.service"
	rm -f "$(BASHDIR)/chatctl" "$(ZSHDIR)/_chatctl" "$(FISHDIR)/chatctl.fish"
	for page in man/*.[157]; do \
		rm -f "$(MANDIR)/man$${page##*.}/$${page##*/}" || exit 1; \
	done

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | expand -t 12

.PHONY: all test check man bench screen fuzz sim sim-same mutants soak failover attack demo install uninstall help
