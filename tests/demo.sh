#!/bin/sh
# Five servers form a cluster and two people chat. While one of them types, the PRIMARY is killed,
# then the next PRIMARY, and both come back. Everything is there, once and in order, and all five
# logs agree.
#
# usage: tests/demo.sh CHATCTL [short]     (short: fewer lines, for the tests)
set -eu

chatctl=$1
part=60 # lines that are to come through before the next thing happens
[ "${2:-}" = short ] && part=15
case $chatctl in /*) ;; *) chatctl=$PWD/$chatctl ;; esac
dir=$(mktemp -d "${TMPDIR:-/tmp}/chatctl-demo.XXXXXX")
cd "$dir"
names='a b c d e'
failed=0

# Processes: pid_a to pid_e of servers, of the clients of Alice and Bob, and of who types for Alice.
pid_a='' pid_b='' pid_c='' pid_d='' pid_e='' pid_alice='' pid_bob='' pid_typing=''

clean_up() {
    for process in $pid_typing $pid_alice $pid_bob $pid_a $pid_b $pid_c $pid_d $pid_e; do
        kill -9 "$process" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    cd / && rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
trap '' PIPE # a client that has ended is told as such, by die

say() { printf '\n%s\n' "$*"; }
tell() { printf '  %s\n' "$*"; }

die() {
    printf '\nThe demo failed: %s\n' "$*" >&2
    for log in ?.log alice.log bob.log; do
        [ -s "$log" ] || continue
        printf 'The end of %s:\n' "$log" >&2
        tail -n 8 "$log" >&2
    done
    exit 1
}

# expect WHAT WANTED FOUND: says it, and remembers when it is not so.
expect() {
    if [ "$2" = "$3" ]; then
        printf '  ok: %s: %s\n' "$1" "$3"
    else
        printf '  FAILED: %s: %s, expected %s\n' "$1" "$3" "$2"
        failed=1
    fi
}

same() { if cmp -s "$1" "$2"; then echo yes; else echo no; fi; }
lines() { wc -l <"$1" | tr -d ' '; }

# until_true WHAT COMMAND...: waits until the command succeeds, for half a minute at most.
until_true() {
    what=$1
    shift
    tries=600
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die "$what"
        sleep 0.05
    done
}

# The servers.

pid_of() { eval "printf '%s' \"\$pid_$1\""; }

# place NAME: 1 for a, 2 for b, ...
place() { case $1 in a) echo 1 ;; b) echo 2 ;; c) echo 3 ;; d) echo 4 ;; *) echo 5 ;; esac; }

# Ports below those that the system gives to outgoing connections.
choose_ports() {
    base=$(($(od -An -N2 -tu2 /dev/urandom) % 2000 * 10 + 10000))
    cluster='' peers='' clients=''
    for name in $names; do
        port=$((base + $(place "$name")))
        clients=$clients,127.0.0.1:$port
        peers=$peers,127.0.0.1:$((port + 5))
        cluster=$cluster,$name=127.0.0.1:$((port + 5))
    done
    clients=${clients#,} peers=${peers#,} cluster=${cluster#,}
}

start() {
    : >"$1.out" >>"$1.log"
    "$chatctl" serve --id "$1" --cluster "$cluster" --cluster-secret-file secret \
        --listen "127.0.0.1:$((base + $(place "$1")))" --data-dir "$1" --segment-mib 4 \
        >"$1.out" 2>>"$1.log" 8>&- 9>&- &
    eval "pid_$1=\$!"
}

serves() {
    kill -0 "$(pid_of "$1")" 2>/dev/null || die "server $1 has ended"
    grep -q '^chatctl serves at ' "$1.out"
}

kill_9() {
    kill -9 "$(pid_of "$1")" 2>/dev/null || true
    wait "$(pid_of "$1")" 2>/dev/null || true
    eval "pid_$1=''"
}

# Starts all, and starts over with other ports where one of them is taken.
start_all() {
    attempts=10
    while :; do
        choose_ports
        for name in $names; do start "$name"; done
        tries=600
        until cat ./?.out | awk '/^chatctl serves at / { count++ } END { exit count != 5 }'; do
            if grep -q 'cannot listen' ./?.log; then break; fi
            for name in $names; do
                kill -0 "$(pid_of "$name")" 2>/dev/null || grep -q 'cannot listen' ./?.log ||
                    die "server $name has ended"
            done
            tries=$((tries - 1))
            [ "$tries" -gt 0 ] || die 'the servers form no cluster'
            sleep 0.05
        done
        if [ "$(cat ./?.out | grep -c '^chatctl serves at ')" -eq 5 ]; then return; fi
        attempts=$((attempts - 1))
        [ "$attempts" -gt 0 ] || die 'no free ports are found'
        for name in $names; do kill_9 "$name"; done
        rm -rf ./? ./?.log ./?.out
    done
}

status() { "$chatctl" status --servers "$peers" --cluster-secret-file secret; }

# The PRIMARY's name goes to primary.
has_primary() {
    primary=$(status 2>/dev/null | awk '$2 == "PRIMARY" { print $1 }')
    case $primary in ?) ;; *) return 1 ;; esac
}

# caught_up NAME: it has all that was committed when goal was noted.
note_goal() { goal=$(status | awk '$2 == "PRIMARY" { print $4 }') && [ -n "$goal" ]; }
caught_up() {
    status | awk -v name="$1" -v goal="$goal" '
        $2 ~ /PRIMARY|BACKUP/ { if ($4 + 0 > newest) newest = $4 + 0; if ($1 == name) lag = $5 }
        END { exit !(lag != "" && newest - lag >= goal + 0) }'
}

# All five have applied the same; how much goes to commit.
agree() {
    commit=$(status | awk '
        $2 ~ /PRIMARY|BACKUP/ && $5 == 0 { count++; commit[$4] = 1; last = $4 }
        END { for (c in commit) different++; if (count == 5 && different == 1) print last }')
    [ -n "$commit" ]
}

# entries NAME LAST: the entries 1 to LAST of a log, a line each, without where they lie in the
# files; what was cut before it was committed does not count.
entries() {
    "$chatctl" dump-log --json "$1" | awk -v last="$2" '
        sub(/.*"from_index": /, "") { for (i in entry) if (i + 0 >= $0 + 0) delete entry[i]; next }
        sub(/.*"term": /, "") { line = $0; sub(/.*"index": /, ""); entry[$0 + 0] = line }
        END { for (i = 1; i <= last; i++) if (i in entry) print entry[i] }' >"$1.entries"
}

# The people.

# as NAME FLAG...: one thing done as one of the two.
as() {
    name=$1
    shift
    "$chatctl" chat --servers "$clients" --user "$name" --password-file "$name.password" \
        --state-dir "$name.state-once" --timeout 60 "$@" </dev/null
}

# chat NAME FLAG...: the client of one of the two, which takes lines from NAME.in.
chat() {
    name=$1
    shift
    "$chatctl" chat --servers "$clients" --user "$name" --password-file "$name.password" \
        --state-dir "$name.state" --timeout 60 "$@" <"$name.in" >"$name.out" 2>"$name.log" 8>&- &
    eval "pid_$name=\$!"
}

alice_says() { printf '%s\n' "$1" | tee -a alice.typed >&8 || die 'the client of Alice has ended'; }
bob_says() { printf '%s\n' "$1" | tee -a bob.typed >&9 || die 'the client of Bob has ended'; }
# Alice's client prints JSON, Bob's plain lines.
alice_sees() { grep -q "\"event\": \"message\", \"from\": \"bob\".*\"text\": \"$1\"" alice.out; }
bob_sees() { grep -q " alice -> bob: $1\$" bob.out; }

# talk NAME TEXT: said by one, and waited for until the other has it on the screen.
talk() {
    case $1 in
        alice) alice_says "$2"; until_true 'Bob does not get it' bob_sees "$2" ;;
        bob) bob_says "$2"; until_true 'Alice does not get it' alice_sees "$2" ;;
    esac
    tell "$1: $2"
}

acknowledged() { awk '/^{"event": "sent"/ { count++ } END { print count + 0 }' alice.out; }
has_acknowledged() { [ "$(acknowledged)" -ge "$1" ]; }
come_through() {
    until_true 'the lines do not come through' has_acknowledged $(($(acknowledged) + part))
}

# Types a line some 50 times a second until the file "enough" is there. A page of history has 1,000.
type_lines() {
    number=0
    until [ -e enough ]; do
        number=$((number + 1))
        alice_says "line $number"
        sleep 0.02
        [ "$number" -lt 700 ] || sleep 0.2
    done
}

# When the first line of Alice's that is acknowledged since the time $1 was put into the log, in
# milliseconds as the servers' traces have them, goes to next.
has_next() {
    next=$(awk -v mark="$mark" -v death="$1" '
        NR > mark && /^{"event": "sent"/ {
            gsub(/.*"time": |,.*/, "")
            if ($0 + 0 >= death + 0) { print; exit }
        }' alice.out)
    [ -n "$next" ]
}

# milliseconds TEXT LOG: when the last line with this text was told, since the Unix epoch.
milliseconds() {
    date -d "$(awk -v what="$1" 'index($0, what) { time = $1 } END { print time }' "$2")" +%s%3N
}
has_another_primary() {
    has_primary && [ "$primary" != "$1" ] && grep -q "peer $1 is down" "$primary.log"
}

# kill_primary: kills it in mid-conversation, and tells what the others and Alice's client do.
kill_primary() {
    until_true 'no server is PRIMARY' has_primary
    victim=$primary mark=$(lines alice.out)
    kill_9 "$victim"
    tell "$victim is killed; $(acknowledged) of Alice's lines are stored so far, and she keeps typing"
    until_true 'no other server becomes PRIMARY' has_another_primary "$victim"
    death=$(milliseconds "peer $victim is down" "$primary.log")
    elected=$(milliseconds ': PRIMARY in term' "$primary.log")
    term=$(sed -n 's/.*: PRIMARY in term \([0-9]*\).*/\1/p' "$primary.log" | tail -n 1)
    after="$((elected - death)) ms later"
    [ "$elected" -ge "$death" ] || after=already
    tell "$primary is PRIMARY in term $term, $after"
    until_true 'no line is acknowledged any more' has_next "$death"
    states=$(sed -n "1,${mark}d"'
        s/^{"event": "state", "state": "\([a-z-]*\)", "waiting": 0,.*/\1/p
        s/^{"event": "state", "state": "\([a-z-]*\)", "waiting": \([0-9]*\),.*/\1 (\2 waiting)/p
        ' alice.out | awk '{ printf "%s%s", comma, $0; comma = ", " }')
    tell "Alice's client reports: $states"
    tell "her next line was accepted $((next - death)) ms after the kill, and then stored"
}

printf 'correct horse\n' >alice.password
printf 'battery staple\n' >bob.password
chmod 600 alice.password bob.password
mkfifo alice.in bob.in

say 'Five servers start on empty directories and form a cluster.'
"$chatctl" serve --new-secret secret || die 'no secret can be made'
start_all
tell "$(sed -n 's/.*: \(a cluster of 5 servers survives .*\)/\1/p' a.log)"
until_true 'no server is PRIMARY' has_primary
tell "$primary is PRIMARY"

say 'Alice and Bob create accounts and talk. Their clients know all five servers.'
as alice --create --inbox >/dev/null || die 'alice cannot make an account'
as bob --create --inbox >/dev/null || die 'bob cannot make an account'
chat alice --json
exec 8>alice.in
chat bob
exec 9>bob.in
until_true 'the client of Alice does not log in' grep -q '"event": "login"' alice.out
until_true 'the client of Bob does not log in' grep -q 'logged in as bob' bob.out
echo '/to bob' >&8
echo '/to alice' >&9
talk alice 'Hello Bob, are you there?'
talk bob 'I am. Is this thing safe?'
talk alice 'Any two of the five may die. I keep typing while they do.'

say "Alice types many lines a second. The PRIMARY is killed with kill -9 while she types."
type_lines 9>&- &
pid_typing=$!
come_through
kill_primary
first=$victim
talk bob 'What was that?'

say 'She keeps typing. The new PRIMARY is killed too.'
come_through
kill_primary
talk bob 'Again?'
come_through
status | sed 's/^/  /'

say 'Both servers are restarted on their directories and catch up.'
until_true 'no server is PRIMARY' note_goal
for name in $first $victim; do start "$name"; done
for name in $first $victim; do
    until_true "server $name does not start" serves "$name"
    tell "$name: $(sed -n 's/^chatctl serves at .*: //p' "$name.out")"
done
for name in $first $victim; do
    until_true "server $name does not catch up" caught_up "$name"
    tell "$name has caught up with all $goal entries that were committed when it started"
done
come_through
: >enough
wait "$pid_typing" || die 'typing failed'
pid_typing=''
talk bob 'All five are back.'
talk alice 'Then let us count.'

say 'Alice and Bob quit.'
exec 8>&- 9>&-
for name in alice bob; do
    if wait "$(pid_of $name)"; then ended=0; else ended=$?; fi
    eval "pid_$name=''"
    expect "the exit code of $name's client" 0 "$ended"
done

say 'Every line is in the history, once and in order.'
as alice --history bob --limit 1000 >alice.history || die 'the history cannot be read'
as bob --history alice --limit 1000 >bob.history || die 'the history cannot be read'
sed -n 's/^[^ ]* alice -> bob: //p' bob.history >alice.stored
sed -n 's/^[^ ]* bob -> alice: //p' bob.history >bob.stored
sed -n 's/^[^ ]* alice -> bob: //p' bob.out >bob.seen
expect "Alice's lines in the history, as many as she typed" "$(lines alice.typed)" "$(lines alice.stored)"
expect 'the same bytes in the same order' yes "$(same alice.typed alice.stored)"
expect "Bob's lines in the history, as many as he typed" "$(lines bob.typed)" "$(lines bob.stored)"
expect 'the same bytes in the same order' yes "$(same bob.typed bob.stored)"
expect 'Bob saw each of her lines as it arrived' yes "$(same alice.typed bob.seen)"
expect 'both of them read the same history' yes "$(same alice.history bob.history)"

say 'The servers show their status and stop.'
until_true 'the servers do not come to the same place' agree
status | sed 's/^/  /'
for name in $names; do kill "$(pid_of "$name")"; done
codes=''
for name in $names; do
    if wait "$(pid_of "$name")"; then codes="${codes}0"; else codes="$codes$?"; fi
    eval "pid_$name=''"
done
expect 'their exit codes' 00000 "$codes"

say 'Their logs are checked from end to end and compared.'
for name in $names; do
    if whole=$("$chatctl" dump-log --verify "$name" 2>&1); then
        tell "$name: $whole"
    else
        expect "the log of $name" whole "$whole"
    fi
    entries "$name" "$commit"
done
expect "committed entries in the log of a" "$commit" "$(lines a.entries)"
for name in b c d e; do
    expect "the log of $name has the same" yes "$(same a.entries "$name.entries")"
done

[ "$failed" -eq 0 ] || die 'see the lines marked FAILED'
say 'Nothing was lost.'
