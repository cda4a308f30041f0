all:
	cargo build --release
check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
test:
	cargo test
.PHONY: all check test
