#!/bin/sh
# Plants the bugs of src/mutants.rs one after the other, and runs for each the tests that are expected
# to notice it, until one goes red. Ends with 1 where none does.
#
# usage: tests/mutants.sh [NAME...]     (NAME: only these bugs)
#
# CARGO, MUTANTS_TARGET (a target directory of their own) and SIM_SEEDS may be set.
set -eu

target=${MUTANTS_TARGET:-target-mutants}
work=$(mktemp -d "${TMPDIR:-/tmp}/chatctl-mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
tab=$(printf '\t')
# A bug may keep a test from coming to an end, seconds.
most=120
SIM_SEEDS=${SIM_SEEDS:-100}
export SIM_SEEDS
unset CHATCTL_MUTANT

die() {
    printf 'mutants: %s\n' "$*" >&2
    exit 1
}

# seconds: since the system's start, with hundredths.
seconds() { cut -d' ' -f1 /proc/uptime; }

# since INSTANT: how long ago that was.
since() { seconds | awk -v from="$1" '{ printf "%.1f s", $1 - from }'; }

# has FILTER: whether there is such a test.
has() { "$tests" --list "$1" 2>/dev/null | grep -q ': test$'; }

# run FILTER...: the tests of these names, their output in a file.
run() { timeout "$most" "$tests" "$@" >"$work/output" 2>&1; }

# red FILTER: says which test has noticed, and the seed that it had where it had one.
red() {
    test=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$work/output" | head -n 1)
    seed=$(grep -o '[A-Z]*_SEED=[0-9]*' "$work/output" | head -n 1) || true
    printf '%s: caught by %s in %s%s\n' "$name" "${test:-$1, which came to no end,}" \
        "$(since "$began")" "${seed:+ ($seed)}"
}

began_all=$(seconds)
RUSTFLAGS="${RUSTFLAGS:-} --cfg mutants" CARGO_TARGET_DIR="$target" \
    "${CARGO:-cargo}" test --no-run --test main 2>"$work/build" || { cat "$work/build"; exit 1; }
tests=$(sed -n 's/^ *Executable tests\/main\.rs (\(.*\))$/\1/p' "$work/build")
[ -x "$tests" ] || die 'cargo does not say where the tests are'
"$tests" --exact mutants::the_table --nocapture | sed -n "s/^mutant$tab//p" >"$work/table"
[ -s "$work/table" ] || die 'there is no table of bugs'
printf 'built in %s\n' "$(since "$began_all")"

if has sim::; then simulator=yes; else simulator=; fi
for filter in $(cut -f2 "$work/table"); do
    [ "$filter" = sim:: ] && [ -z "$simulator" ] && continue
    has "$filter" || die "no test is called $filter"
    printf '%s\n' "$filter"
done | sort -u >"$work/filters"
began=$(seconds)
# shellcheck disable=SC2046
run $(cat "$work/filters") || { cat "$work/output"; die 'without a bug these tests must be green'; }
printf 'without a bug all is green: %s\n' "$(since "$began")"

wanted=" $* "
caught=0 escaped=0 waiting=0
while IFS=$tab read -r name filters breaks; do
    [ $# -eq 0 ] || case $wanted in *" $name "*) ;; *) continue ;; esac
    if [ "$filters" = sim:: ] && [ -z "$simulator" ]; then
        printf '%s: waits for the simulator: %s\n' "$name" "$breaks"
        waiting=$((waiting + 1))
        continue
    fi
    CHATCTL_MUTANT=$name
    export CHATCTL_MUTANT
    began=$(seconds)
    found=
    case "$filters" in *sim::*) ;; *) filters="$filters${simulator:+ sim::}" ;; esac
    for filter in $filters; do
        if ! run "$filter"; then
            found=yes
            red "$filter"
            break
        fi
    done
    if [ -n "$found" ]; then
        caught=$((caught + 1))
    else
        escaped=$((escaped + 1))
        printf '%s: ESCAPED in %s: %s\n' "$name" "$(since "$began")" "$breaks"
    fi
done <"$work/table"

[ $((caught + escaped + waiting)) -gt 0 ] || die "there is no bug called$wanted"
printf '%s caught, %s escaped, %s waiting, in %s\n' "$caught" "$escaped" "$waiting" \
    "$(since "$began_all")"
[ "$escaped" -eq 0 ]
