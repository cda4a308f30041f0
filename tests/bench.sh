#!/bin/sh
# usage: tests/bench.sh PROGRAM
# Measures PROGRAM (chatctl) on this machine, against the figures that the design aims at, with a
# server of its own on a directory below target/. Nothing here is a gate: the exit code is 1 only
# when something that was acknowledged is not in the history, or a part could not be measured.
#   BENCH_SECONDS   how long each load lasts (5)
#   BENCH_MESSAGES  messages for the memory of each (1000000)
#   BENCH_IDLE      idle sessions (10000)
#   BENCH_LOG_MIB   size of the log that is replayed (1024)
set -u
program=$1
seconds=${BENCH_SECONDS:-5}
messages=${BENCH_MESSAGES:-1000000}
idle=${BENCH_IDLE:-10000}
log_mib=${BENCH_LOG_MIB:-1024}
work=$PWD/target/bench.$$
server=
failed=0

mkdir -p "$work" || exit 1
stop() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; }
    server=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# start NAME: a server on the data directory NAME; its start line is in $line.
start() {
    : >"$work/line"
    "$program" serve --listen 127.0.0.1:0 --data-dir "$work/$1" --password-iterations 1 \
        --logins-per-minute 0 --max-sessions-per-address 1000000 --max-connections 1000000 \
        --trace quiet >"$work/line" &
    server=$!
    while [ ! -s "$work/line" ]; do
        kill -0 "$server" 2>/dev/null || { echo "bench: the server has ended" >&2; exit 1; }
        sleep 0.05
    done
    line=$(cat "$work/line")
    address=${line#chatctl serves at }
    address=${address%% *}
}

# load FLAG...: a run against the server; its JSON is in $json.
load() {
    json=$("$program" bench-load --servers "$address" --server-pid "$server" --json "$@") || {
        echo "bench: FAILED: bench-load $*" >&2
        failed=1
    }
}

# field KEY: the first number of that name in $json.
field() {
    printf '%s\n' "$json" | sed -n "s/.*\"$1\": \([0-9.]*\).*/\1/p"
}

resident_kib() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$server/status"
}

# drop DIR: asks the system to forget what it keeps of DIR's files in memory (POSIX_FADV_DONTNEED).
drop() {
    for file in "$1"/wal/*; do
        dd if="$file" iflag=nocache count=0 2>/dev/null
    done
}

calc() {
    awk "BEGIN { printf \"$1\", $2 }"
}

# row NAME CLIENTS PIPELINE FLOOR REDIS ETCD NATS AIM
row() {
    load --clients "$2" --pipeline "$3" --size 128 --seconds "$seconds"
    printf '%-7s%13s%8s%8s%8s%8s%8s%10s%10s%10s\n' "$1" "$(field acknowledged_per_s)" \
        "$4" "$5" "$6" "$7" "$8" "$(field p50)" "$(field p99)" "$(field cpu_us_per_message)"
    if [ "$(field missing)$(field doubled)$(field damaged)" != 000 ]; then
        echo "bench: FAILED: messages are missing, doubled or damaged: $json" >&2
        failed=1
    fi
}

echo "One server, 128-byte messages, acknowledged after fsync, $seconds s each; rates a second."
echo "Floor, others and aim: DESIGN.md, one server, where it has a figure for one server (else -)."
echo
printf '%-7s%13s%8s%8s%8s%8s%8s%10s%10s%10s\n' \
    load acknowledged floor Redis etcd NATS aim 'p50 us' 'p99 us' 'cpu us'
start load
row 1x1 1 1 - - - - -
row 64x1 64 1 - - - - -
row 64x32 64 32 2.47M 337k 19k 4.6k 1M
stop
cat <<'END'
Method: chatctl bench-load (its method: --json) on the same machine as the server, over loopback
TCP, binary; the server's data on the disk of target/. Every acknowledged message was looked for in
its sender's and its receiver's history. cpu us: of all the server's threads, for each message.

END

start idle
load --clients 1 --messages 1 --idle "$idle"
echo "Memory of an idle session: $(field bytes_per_idle_session) bytes (aim 2048)"
echo "Method: $idle sessions of one account, logged in by token, that say nothing; the growth of the"
echo "server's VmRSS by their number. What the system keeps for their sockets is not in it."
echo
stop

start empty
empty=$(resident_kib)
stop
start log
load --clients 64 --pipeline 32 --size 128 --messages "$messages" --seconds 600 --keep
loaded=$(field load)
first=$(field clients)
stop
start log
again=$(resident_kib)
echo "Memory of a stored message, at $(field checked) messages of 64 clients:"
printf '  %6s bytes after a restart (aim: 64, and 40 for an id in the window)\n' \
    "$(calc %.1f "($again - $empty) * 1024 / $(field checked)")"
printf '  %6s bytes in the server that took them in\n' \
    "$(calc %.1f "($loaded - $first) * 1024 / $(field checked)")"
echo "Method: growth of VmRSS by the number of messages: over that of a server without messages; and"
echo "over the same server's before the load, where buffers and the allocator's slack are in it too."
echo

total=$(field checked)
segments=$((log_mib / 64 + 1))
while [ "$(ls "$work/log/wal" | wc -l)" -le "$segments" ] && [ "$failed" = 0 ]; do
    load --clients 64 --pipeline 256 --size 128 --messages 500000 --seconds 600 --keep
    total=$((total + $(field checked)))
done
stop
echo "Replay of $((segments - 1)) full segments of 64 MiB and a part of one more:"
for cache in cold warm; do
    [ "$cache" = warm ] || drop "$work/log"
    start log
    milliseconds=$(printf '%s\n' "$line" | sed -n 's/.* recovered in \([0-9]*\) ms.*/\1/p')
    count=$(printf '%s\n' "$line" | sed -n 's/.*: \([0-9]*\) messages\{0,1\} of .*/\1/p')
    printf '  %s: %s messages in %s s, %s MB/s, %s messages a second\n' "$cache" "$count" \
        "$(calc %.2f "$milliseconds / 1000")" \
        "$(calc %.0f "($segments - 1) * 67.108864 * 1000 / $milliseconds")" \
        "$(calc %.0f "$count * 1000 / $milliseconds")"
    [ "$count" = "$total" ] || {
        echo "bench: FAILED: $total messages were acknowledged" >&2
        failed=1
    }
    stop
done
echo "Method: the time of the server's start line, from its start to its being ready. MB/s: the full"
echo "segments alone by that time. Cold: the files' pages were dropped from memory before."
echo

"$program" bench-codec || failed=1
exit "$failed"
