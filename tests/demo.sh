#!/bin/sh
# Two people chat, the server is killed in the middle of it and started again, and everything is
# still there, once and in order.
#
# usage: tests/demo.sh CHATCTL [short]     (short: fewer messages, for the tests)
set -eu

chatctl=$1
burst=900
[ "${2:-}" = short ] && burst=100
case $chatctl in /*) ;; *) chatctl=$PWD/$chatctl ;; esac
dir=$(mktemp -d "${TMPDIR:-/tmp}/chatctl-demo.XXXXXX")
cd "$dir"
server=
sender=
failed=0

clean_up() {
    for process in $sender $server; do
        kill "$process" 2>/dev/null || true
    done
    wait 2>/dev/null || true
    cd / && rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

say() { printf '\n%s\n' "$*"; }

die() {
    printf '\nThe demo failed: %s\n' "$*" >&2
    [ -s server.log ] && { echo 'What the server said:' >&2; tail -n 20 server.log >&2; }
    exit 1
}

# expect WHAT WANTED FOUND: says it, and remembers when it is not so.
expect() {
    if [ "$2" = "$3" ]; then
        printf '  ok: %s: %s\n' "$1" "$3"
    else
        printf '  WRONG: %s: %s, expected %s\n' "$1" "$3" "$2"
        failed=1
    fi
}

# start ADDRESS: starts the server and waits until it says where it is, at most 30 s.
start() {
    : >server.out
    "$chatctl" serve --listen "$1" --data-dir data --segment-mib 4 \
        >server.out 2>>server.log &
    server=$!
    tries=300
    until grep -q '^chatctl serves at ' server.out; do
        kill -0 "$server" 2>/dev/null || die 'the server has ended'
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die 'the server does not start'
        sleep 0.1
    done
    address=$(sed -n 's/^chatctl serves at \([^ ]*\) .*/\1/p' server.out)
    sed 's/^/  /' server.out
}

# as NAME FLAG...: the client, as one of the two.
as() {
    name=$1
    shift
    "$chatctl" chat --servers "$address" --user "$name" --password-file "$name.password" \
        --state-dir "$name.state" --timeout 60 "$@" </dev/null
}

# tell FROM TO TEXT: one message, shown.
tell() {
    printf '  %s: %s\n' "$1" "$3"
    as "$1" --send "$2" "$3" >/dev/null || die "the message was not acknowledged"
}

# history FILE: the whole conversation, a JSON object a line.
history() {
    as alice --history bob --limit 1000 --json >"$1" || die 'the history cannot be read'
}

printf 'correct horse\n' >alice.password
printf 'battery staple\n' >bob.password
chmod 600 alice.password bob.password

say 'A server starts on an empty directory.'
start 127.0.0.1:0
first_address=$address

say 'Alice and Bob make accounts and talk.'
as bob --create --inbox >/dev/null || die 'bob cannot make an account'
as alice --create --inbox >/dev/null || die 'alice cannot make an account'
tell alice bob 'Hello Bob, are you there?'
tell bob alice 'I am. Is this thing safe?'
tell alice bob 'Let us see: it is about to be killed.'
tell bob alice 'Then say something worth keeping.'
tell alice bob 'Every acknowledged message survives.'

say 'The server is killed with kill -9: no warning, no time to tidy up.'
history before
kill -9 "$server"
wait "$server" 2>/dev/null || true

say 'It is started again on the same directory.'
start "$first_address"
history after
expect 'messages before' 5 "$(wc -l <before | tr -d ' ')"
expect 'messages after' 5 "$(wc -l <after | tr -d ' ')"
if cmp -s before after; then same=yes; else same=no; fi
expect 'the histories are the same, byte for byte' yes "$same"

say "Now Alice sends $burst lines, some hundred a second, and the server is killed while she does."
seq 1 "$burst" | sed 's/^/line /' >lines
{
    echo '/to bob'
    from=1
    while [ "$from" -le "$burst" ]; do
        sed -n "$from,$((from + 9))p" lines
        from=$((from + 10))
        sleep 0.02
    done
} | "$chatctl" chat --servers "$address" --user alice --password-file alice.password \
    --state-dir alice.state --timeout 60 --json >alice.out 2>alice.log &
sender=$!
tries=300
until [ "$(grep -c '"event": "sent"' alice.out)" -ge $((burst / 5)) ]; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die 'the messages are not acknowledged'
    sleep 0.1
done
kill -9 "$server"
wait "$server" 2>/dev/null || true
acknowledged=$(grep -c '"event": "sent"' alice.out)
printf '  killed when %s of %s lines were acknowledged; Alice goes on typing\n' \
    "$acknowledged" "$burst"
start "$first_address"
if wait "$sender"; then ended=0; else ended=$?; fi
sender=
expect "the exit code of Alice's client, which has connected again" 0 "$ended"

say 'Every line is there, once, in order.'
as bob --history alice --limit 1000 --json >bob.out || die 'the history cannot be read'
sed -n 's/.*"text": "\(line [0-9]*\)".*/\1/p' bob.out >stored
expect 'lines in the history of Bob' "$burst" "$(wc -l <stored | tr -d ' ')"
if cmp -s lines stored; then same=yes; else same=no; fi
expect 'what was typed and what is stored is the same' yes "$same"

say 'The log is checked from end to end.'
"$chatctl" dump-log --verify data | sed 's/^/  /'
"$chatctl" dump-log --verify data >/dev/null || failed=1

say 'The server is asked to stop.'
kill "$server"
if wait "$server"; then ended=0; else ended=$?; fi
server=
expect "the server's exit code" 0 "$ended"

[ "$failed" -eq 0 ] || die 'see the lines marked WRONG'
say 'Nothing was lost.'
