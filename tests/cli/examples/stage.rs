//! What the examples of each page need before they run, and the examples that cannot be run.

/// For each page what has to be there, as lines of shell.
pub const STAGES: &[(&str, &[&str])] = &[
    ("README.md", &[QUIET_KILL]),
    ("chatctl.1", &[CLUSTER]),
    ("chatctl-bench-codec.1", &[]),
    ("chatctl-bench-load.1", &[]),
    ("chatctl-cluster.7", &[MACHINES]),
    ("chatctl-chat.1", &[LONE, "echo 'correct horse' >~/.alice"]),
    ("chatctl-completions.1", &[]),
    ("chatctl-dump-log.1", &[LONE, CLUSTER, "stopped"]),
    ("chatctl-members.1", &[CLUSTER, FOURTH]),
    ("chatctl-recover.1", &[CLUSTER, "stopped"]),
    ("chatctl-serve.1", &[OTHERS]),
    ("chatctl-status.1", &[CLUSTER, "kill -9 ${pids[2]}; wait ${pids[2]} 2>/dev/null"]),
    ("chatctl-wal.5", &[LONE]),
];

/// A shell reports a job that was killed on standard error, unless somebody waits for it.
const QUIET_KILL: &str = r#"
kill() {
    command kill "$@"
    [ "$1" != -9 ] || wait "$2" 2>/dev/null || true
}
"#;

/// Stands in for systemd on the machines of chatctl-cluster(7): `enable` starts the servers a, b and
/// c, of which a stands for election first, and the second time d; the others act on a.
const MACHINES: &str = r#"
nft list tables >/dev/null 2>&1 || nft() { :; }
unit() {
    chatctl serve --config /etc/chatctl/serve.conf --segment-mib 1 2>>../said/servers &
    machine=$!
}
others() {
    for n in 2 3; do
        id=$(echo abc | cut -c $n)
        chatctl serve --id $id --listen 10.0.0.$n:7262 --data-dir $id --segment-mib 1 \
            --cluster a=10.0.0.1:7263,b=10.0.0.2:7263,c=10.0.0.3:7263 \
            --cluster-secret-file /etc/chatctl/secret --election-timeout-ms 2000 \
            2>>../said/servers &
    done
}
fourth() (
    chatctl serve --id d --listen 10.0.0.4:7262 --data-dir d --segment-mib 1 \
        --cluster a=10.0.0.1:7263,d=10.0.0.4:7263 --cluster-secret-file /etc/chatctl/secret \
        >/dev/null 2>>../said/servers &
    until grep -q 'is in a cluster, and' ../said/servers; do sleep 0.05; done
)
systemctl() {
    case "$1 ${machine+d}" in
        'enable ')
            others
            unit
            until chatctl status --data-dir /var/lib/chatctl; do sleep 0.05; done >/dev/null 2>&1
            ;;
        'enable d') fourth ;;
        kill*) kill -9 $machine; wait $machine 2>/dev/null || true ;;
        restart*) unit ;;
        disable*) kill $(jobs -rp); wait ;;
        *) echo "systemctl $*: unknown" >&2; return 1 ;;
    esac
}
"#;

/// A server alone, with two accounts and some messages.
const LONE: &str = "
serve --data-dir /var/lib/chatctl --segment-mib 1
served
chatctl chat --user bob --create --inbox >/dev/null
chatctl chat --user alice --create --send bob 'Hello Bob' >/dev/null
";

/// Three servers, of which the first stands for election before the others, and as many messages.
const CLUSTER: &str = r#"
chatctl serve --new-secret secret >/dev/null
for n in 1 2 3; do
    id=$(echo abc | cut -c $n)
    serve --id $id --listen 10.0.0.$n:7262 --data-dir $id/chatctl-data --segment-mib 1 \
        --cluster a=10.0.0.1:7263,b=10.0.0.2:7263,c=10.0.0.3:7263 \
        --cluster-secret-file secret --election-timeout-ms $((n * n * 300))
done
served
others=10.0.0.1:7262,10.0.0.2:7262,10.0.0.3:7262
their() { chatctl chat --servers $others --state-dir others "$@" >/dev/null; }
their --user bob --create --inbox
their --user alice --create --send bob Hello
for question in 'Are you there?' 'Bob?' 'Shall I go on?'; do
    their --user alice --send bob "$question"
done
"#;

/// The two other servers of a cluster, which wait for the first.
const OTHERS: &str = "
chatctl serve --new-secret /etc/chatctl/secret >/dev/null
for n in 2 3; do
    id=$(echo abc | cut -c $n)
    chatctl serve --id $id --listen 10.0.0.$n:7262 --data-dir $id --segment-mib 1 \\
        --cluster a=10.0.0.1:7263,b=10.0.0.2:7263,c=10.0.0.3:7263 \\
        --cluster-secret-file /etc/chatctl/secret >/dev/null 2>>../said/servers &
done
";

/// A fourth server, which waits until it is let in.
const FOURTH: &str = r#"
chatctl serve --id d --listen 10.0.0.4:7262 --data-dir d --segment-mib 1 \
    --cluster a=10.0.0.1:7263,d=10.0.0.4:7263 --cluster-secret-file secret \
    >/dev/null 2>>../said/servers &
until grep -q 'is in a cluster, and' ../said/servers; do sleep 0.05; done
"#;

/// Examples that are not run: page, how the command begins, why.
pub const NOT_RUN: &[(&str, &str, &str)] = &[
    ("README.md", "make", "it is built"),
    ("README.md", "sudo make install", "cli::install installs it, elsewhere"),
    ("README.md", "export CHATCTL_PASSWORD=", "the password is in the environment already"),
    (
        "chatctl-bench-load.1",
        "chatctl bench-load --clients 64",
        "it loads the machine for some ten seconds; a smaller one is run",
    ),
    (
        "chatctl-chat.1",
        "export CHATCTL_PASSWORD=...",
        "the three dots are not the password, which is in the environment already",
    ),
    ("chatctl-chat.1", "tail -f /dev/null", "it waits for messages without end"),
    ("chatctl-cluster.7", "make", "it is built, and cli::install installs it, elsewhere"),
    ("chatctl-cluster.7", "useradd", "it changes the machine of the tests"),
    ("chatctl-cluster.7", "userdel", "it changes the machine of the tests"),
    ("chatctl-cluster.7", "chown chatctl", "this machine has no such user"),
    ("chatctl-cluster.7", "scp -p", "the machines are addresses of one"),
    ("chatctl-cluster.7", "chatctl members replace b", "the disk of b is whole"),
    ("chatctl-cluster.7", "rm -r", "it removes directories of the machine of the tests"),
    ("chatctl-dump-log.1", "chatctl dump-log -f", "it waits for records without end"),
    (
        "chatctl-dump-log.1",
        "cmp ",
        "the log of one may not say yet that its last entry is committed",
    ),
    ("chatctl-members.1", "chatctl serve --id d", "it is started before, and waits"),
    ("chatctl-members.1", "chatctl members replace b", "the disk of b is whole"),
    ("chatctl-wal.5", "chatctl dump-log /var/lib/chatctl | grep", "the log is whole"),
];
