#!/bin/sh
# Plants the bugs of src/mutants.rs one after the other, and runs for each the tests that are
# expected to notice it, and then the simulator, until one goes red. Ends with 1 where none does, or
# where one hangs.
#
# usage: tests/mutants.sh [NAME...]     (NAME: only these bugs)
#
# CARGO, MUTANTS_TARGET (a target directory of their own) and SIM_SEEDS (most histories that the
# simulator plays for one bug) may be set.
set -eu

target=${MUTANTS_TARGET:-target-mutants}
work=$(mktemp -d "${TMPDIR:-/tmp}/chatctl-mutants.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
tab=$(printf '\t')
# How long the tests of one filter may take, seconds. A test that a bug keeps from ending has noticed
# nothing: its wait needs a bound (tests/support/bounded).
most=300
histories=${SIM_SEEDS:-200}
unset CHATCTL_MUTANT SIM_SEED SIM_TRACE

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

# run FILTER...: the tests of these names, their output in a file. The simulator plays some
# histories at a time, since it ends with the last of them, not with the first that goes wrong.
run() {
    case $1 in
    sim::*)
        SIM_BASE=1
        while [ "$SIM_BASE" -le "$histories" ]; do
            SIM_SEEDS=$SIM_BASE
            export SIM_BASE SIM_SEEDS
            timeout "$most" "$tests" "$@" >"$work/output" 2>&1 || return $?
            SIM_BASE=$((SIM_BASE + SIM_SEEDS))
        done
        ;;
    *) timeout "$most" "$tests" "$@" >"$work/output" 2>&1 ;;
    esac
}

# red FILTER: says which test has noticed, and the seed that it had where it had one.
red() {
    test=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$work/output" | head -n 1)
    seed=$(grep -o '[A-Z]*_SEED=[0-9]*' "$work/output" | head -n 1) || true
    printf '%s: caught by %s in %s%s\n' \
        "$name" "${test:-$1}" "$(since "$began")" "${seed:+ ($seed)}"
}

began_all=$(seconds)
RUSTFLAGS="${RUSTFLAGS:-} --cfg mutants" CARGO_TARGET_DIR="$target" \
    "${CARGO:-cargo}" test --profile sim --no-run --test main 2>"$work/build" ||
    { cat "$work/build"; die 'the build failed'; }
tests=$(sed -n 's/^ *Executable tests\/main\.rs (\(.*\))$/\1/p' "$work/build")
[ -x "$tests" ] || die 'cargo does not say where the tests are'
"$tests" --exact mutants::the_table --nocapture | sed -n "s/^mutant$tab//p" >"$work/table"
[ -s "$work/table" ] || die 'there is no table of bugs'
printf 'built in %s\n' "$(since "$began_all")"

for filter in $(cut -f2 "$work/table" | tr ' ' '\n' | sort -u); do
    has "$filter" || die "no test is called $filter"
    case $filter in sim::*) ;; *) printf '%s\n' "$filter" ;; esac
done >"$work/filters"
began=$(seconds)
# shellcheck disable=SC2046
if run $(cat "$work/filters") && run sim::every; then
    printf 'without a bug all is green: %s\n' "$(since "$began")"
else
    cat "$work/output"
    die 'without a bug these tests must be green'
fi

wanted=" $* "
caught=0 escaped=0 hung=0
while IFS=$tab read -r name filters breaks; do
    [ $# -eq 0 ] || case $wanted in *" $name "*) ;; *) continue ;; esac
    CHATCTL_MUTANT=$name
    export CHATCTL_MUTANT
    began=$(seconds)
    found=
    case $filters in *sim::*) ;; *) filters="$filters sim::every" ;; esac
    for filter in $filters; do
        ended=0
        run "$filter" || ended=$?
        case $ended in
        0) ;;
        124)
            hung=$((hung + 1))
            printf '%s: HANGS: %s did not end within %s s: a wait in it has no bound\n' \
                "$name" "$filter" "$most"
            ;;
        *) found=yes && red "$filter" && break ;;
        esac
    done
    if [ -n "$found" ]; then
        caught=$((caught + 1))
    else
        escaped=$((escaped + 1))
        printf '%s: ESCAPED in %s: %s\n' "$name" "$(since "$began")" "$breaks"
    fi
done <"$work/table"

[ $((caught + escaped)) -gt 0 ] || die "there is no bug called$wanted"
printf '%s caught, %s escaped, %s tests hung, in %s\n' \
    "$caught" "$escaped" "$hung" "$(since "$began_all")"
[ "$escaped" -eq 0 ] && [ "$hung" -eq 0 ]
