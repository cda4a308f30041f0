#!/bin/sh
# usage: tests/bench.sh PROGRAM
# Measures PROGRAM (chatctl) on this machine, against the figures that the design aims at, with
# servers of its own on directories below target/. Nothing here is a gate: the exit code is 1 only
# when something that was acknowledged is not in the history, or a part could not be measured.
#   BENCH_SECONDS   how long each load lasts (5)
#   BENCH_MESSAGES  messages for the memory of each (1000000)
#   BENCH_IDLE      idle sessions (10000)
#   BENCH_LOG_MIB   size of the log that is replayed (1024)
#   BENCH_RECORDS   records of the log that is scanned (10000000)
#   BENCH_PARTS     what is measured: "load memory replay log flat codec" or some of these words
#   CARGO           what builds the measurements of parts by themselves (cargo)
set -u
program=$1
seconds=${BENCH_SECONDS:-5}
messages=${BENCH_MESSAGES:-1000000}
idle=${BENCH_IDLE:-10000}
log_mib=${BENCH_LOG_MIB:-1024}
parts=${BENCH_PARTS:-load memory replay log flat codec}
work=$PWD/target/bench.$$
server=
cluster=
failed=0

mkdir -p "$work" || exit 1
stop() {
    for pid in $server $cluster; do kill "$pid" 2>/dev/null; done
    for pid in $server $cluster; do wait "$pid" 2>/dev/null; done
    server= cluster=
}
trap 'stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

includes() {
    case " $parts " in *" $1 "*) true ;; *) false ;; esac
}

# serve NAME FLAG...: becomes a server on the data directory NAME.
serve() {
    directory=$work/$1
    shift
    exec "$program" serve --data-dir "$directory" --password-iterations 1 --logins-per-minute 0 \
        --max-sessions-per-address 1000000 --max-sessions-per-account 1000000 \
        --max-connections 1000000 --trace error "$@"
}

# start NAME: a server on the data directory NAME; its start line is in $line.
start() {
    : >"$work/line"
    serve "$1" --listen 127.0.0.1:0 >"$work/line" &
    server=$!
    while [ ! -s "$work/line" ]; do
        kill -0 "$server" 2>/dev/null || { echo "bench: the server has ended" >&2; exit 1; }
        sleep 0.05
    done
    line=$(cat "$work/line")
    address=${line#chatctl serves at }
    address=${address%% *}
}

# start_cluster COUNT: so many servers that form a cluster, on ports that are free now; $server is
# the PRIMARY's process, $cluster those of the others, $address all of them.
start_cluster() {
    for attempt in 1 2 3 4 5; do
        try_cluster "$1" && return
        stop
    done
    echo "bench: no cluster of $1 servers is formed" >&2
    exit 1
}

try_cluster() {
    rm -rf "$work"/secret "$work"/[a-e] "$work"/[a-e].line
    "$program" serve --new-secret "$work/secret" >/dev/null || return 1
    port=$(awk -v "seed=$$$attempt" 'BEGIN { srand(seed); print 12000 + int(rand() * 20000) }')
    names=$(echo a b c d e | cut -d ' ' -f "1-$1")
    list= address= pids= peers=
    for name in $names; do
        peers="$peers${peers:+,}127.0.0.1:$port"
        list="$list${list:+,}$name=127.0.0.1:$port"
        address="127.0.0.1:$((port + 1))${address:+,}$address"
        port=$((port + 2))
    done
    at=$address
    for name in $names; do
        serve "$name" --id "$name" --cluster "$list" --cluster-secret-file "$work/secret" \
            --listen "${at##*,}" >"$work/$name.line" &
        pids="$pids $name=$!" cluster="$cluster $!" at=${at%,*}
    done
    for _ in $(seq 200); do
        table=$("$program" status --servers "$peers" --cluster-secret-file "$work/secret" --json \
            2>/dev/null)
        primary=$(printf '%s\n' "$table" |
            sed -n 's/.*"id": "\([a-e]\)".*"role": "PRIMARY".*/\1/p')
        [ -z "$primary" ] || break
        sleep 0.05
    done
    [ -n "$primary" ] || return 1
    cluster=
    for pid in $pids; do
        [ "${pid%=*}" = "$primary" ] && server=${pid#*=} || cluster="$cluster ${pid#*=}"
    done
}

# cluster_ms: processor time of the servers that are not PRIMARY, milliseconds. Fields 14 and 15 of
# /proc/PID/stat, in hundredths of a second.
cluster_ms() {
    total=0
    for pid in $cluster; do
        total=$((total + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print ($12 + $13) * 10 }')))
    done
    echo "$total"
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
    before=$(cluster_ms)
    load --clients "$2" --pipeline "$3" --size 128 --seconds "$seconds"
    others=$(calc %.2f "($(cluster_ms) - $before) * 1000 / ($(field acknowledged) + 0.001)")
    others=${cluster:+$others}
    printf '%-9s%12s%7s%7s%7s%7s%7s%9s%9s%9s%9s\n' "$1" "$(field acknowledged_per_s)" \
        "$4" "$5" "$6" "$7" "$8" "$(field p50)" "$(field p99)" "$(field cpu_us_per_message)" \
        "${others:--}"
    if [ "$(field missing)$(field doubled)$(field damaged)" != 000 ]; then
        echo "bench: FAILED: messages are missing, doubled or damaged: $json" >&2
        failed=1
    fi
}

measure_load() {
    echo "128-byte messages, acknowledged after fsync on a majority, $seconds s each; rates a second."
    echo "Floor, others and aim are DESIGN.md's, where it has a figure (else -)."
    echo
    printf '%-9s%12s%7s%7s%7s%7s%7s%9s%9s%9s%9s\n' \
        'servers' acknowledged floor Redis etcd NATS aim 'p50 us' 'p99 us' 'cpu us' 'others'
    start load
    row '1: 1x1' 1 1 - - - - -
    row '1: 64x1' 64 1 - - - - -
    row '1: 64x32' 64 32 2.47M 337k 19k 4.6k 1M
    stop
    start_cluster 3
    row '3: 1x1' 1 1 2.9k 1.5k 875 760 2.3k
    row '3: 64x1' 64 1 52.6k 20k 4.7k 1.9k 40k
    row '3: 64x32' 64 32 1.26M 96k 9.8k 1.7k 500k
    primary_us=$(field cpu_us_per_message) others_us=$others
    stop
    start_cluster 5
    row '5: 1x1' 1 1 - - - - -
    row '5: 64x1' 64 1 - - - - -
    row '5: 64x32' 64 32 1.12M - 8.0k 0.8k 400k
    stop
    cat <<'END'
Method: chatctl bench-load (its method: --json) on the same machine as all the servers, over loopback
TCP, binary; 1x1 is one client with one send in flight, 64x32 are 64 clients with 32 each. The
servers' data is on the disk of target/. A cluster is formed anew for each count, with a secret, and
the client is given the whole list of servers. Every acknowledged message was looked for in its
sender's and its receiver's history. cpu us: of all the PRIMARY's threads, for each message; others:
of all the other servers together.

END
    "${CARGO:-cargo}" test -q --release --test main peers::measure -- --ignored --nocapture 2>/dev/null |
        sed -n 's/^mac: //p' >"$work/mac"
    if [ -s "$work/mac" ]; then
        echo "The peers' codes (HMAC-SHA-256), by themselves:"
        cat "$work/mac"
        echo "Their share of the processor time of 3: 64x32 above, where frames hold hundreds of entries:"
        each=$(tail -n 1 "$work/mac")
        printf '  PRIMARY %s %%, BACKUPs %s %%\n' \
            "$(calc %.0f "$(echo "$each" | awk '{ print $5 }') / ($primary_us + 0.001) / 10")" \
            "$(calc %.0f "$(echo "$each" | awk '{ print $6 }') * 2 / ($others_us + 0.001) / 10")"
    else
        echo "bench: FAILED: the cost of the peers' codes could not be measured" >&2
        failed=1
    fi
    echo
}

measure_memory() {
    start idle
    load --clients 1 --messages 1 --seconds "$seconds" --idle "$idle"
    echo "Memory of an idle session: $(field bytes_per_idle_session) bytes (aim 2048)"
    echo "Method: $idle sessions of one account, logged in by token, that say nothing; the growth of the"
    echo "server's VmRSS by their number. What the system keeps for their sockets is not in it."
    echo
    echo "Processor time for $idle idle clients: $(field idle_cpu_percent) % of a core (aim 5)"
    echo "Method: the same sessions ping as idle clients do, 1.5 to 2 s after the last answer:"
    echo "$(field idle_pings_per_s) pings a second for $seconds s; the processor time of all the server's threads."
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
    stop
}

measure_replay() {
    start log
    total=$(printf '%s\n' "$line" | sed -n 's/.*: \([0-9]*\) messages\{0,1\} of .*/\1/p')
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
}

# measure_alone TEST WORD: the lines of a measuring test that begin with WORD.
measure_alone() {
    BENCH_DIR=$work BENCH_SECONDS=$seconds "${CARGO:-cargo}" test -q --release --test main "$1" \
        -- --ignored --nocapture --test-threads=1 2>/dev/null | sed -n "s/^\.*$2: //p" >"$work/figures.$2"
    if [ ! -s "$work/figures.$2" ]; then
        echo "bench: FAILED: $1 could not be measured" >&2
        failed=1
    fi
    cat "$work/figures.$2"
}

measure_log() {
    echo "The log by itself:"
    measure_alone wal::measure log
    echo "Method: what lays out, writes and syncs a server's batches, on the disk of target/; batch by batch"
    echo "in turn with a write and a sync of as many bytes, without more, into a file whose blocks are"
    echo "written: what the disk allows. Then the same in /dev/shm, where a sync costs nothing: what the"
    echo "program allows, two hand-overs between its threads for each batch included."
    echo "Scanned records are with the reference message's text, 104 bytes each, in memory; the median of five."
    echo
}

measure_flat() {
    echo "What requests cost, by how much is stored:"
    measure_alone chat::flat flat
    echo "Method: a server's log, state and reader, without sockets, 20 accounts; the median of 301. A send is"
    echo "encoded, appended and applied, not synced. A page has 50 messages of 128 bytes, is read from the log"
    echo "in memory and encoded: the newest, or one from some place in the last quarter. Inbox: the page of all"
    echo "conversations. Login: all but the hash of the password, which takes what --password-iterations says."
    echo
}

for part in load memory replay log flat; do
    includes "$part" && "measure_$part"
done
if includes codec; then
    "$program" bench-codec || failed=1
fi
exit "$failed"
