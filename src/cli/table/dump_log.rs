//! `chatctl dump-log` in the table.

use super::row::{
    Flag, Operand, Runs, Subcommand, Variable, choice, number, push, put, switch, text,
};
use super::shared::{COLOR, JSON, NO_COLOR, colour, path};
use crate::cli::when;
use crate::protocol::name;
use crate::sys::clock::unix_ms;

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "dump-log",
    runs: Runs::DumpLog,
    summary: "print, check or export a server's log",
    about: "Prints the log of a data directory, or of one segment file, one record per line; or \
            checks it, counts its records, or exports it as text files. It only reads, so the \
            server may be running.",
    operands: &[Operand {
        name: "PATH",
        required: true,
        help: "Data directory, or one segment file of its wal directory.",
        set: |v, text| put(&mut v.dump_log.path, text.parse()),
    }],
    flags: FLAGS,
    variables: &[
        Variable {
            name: "CHATCTL_PAGER",
            help: "Pager for output on a terminal, a shell command; empty or cat means no pager.",
        },
        Variable { name: "PAGER", help: "The same, if CHATCTL_PAGER is not set." },
        NO_COLOR,
    ],
    settings: "",
};

/// The kinds of records that can be asked for.
pub const KINDS: [&str; 12] = [
    "found",
    "members",
    "create",
    "send",
    "take",
    "read",
    "delete_msgs",
    "passwd",
    "delete",
    "no-op",
    "truncate",
    "mark",
];

const FLAGS: &[Flag] = &[
    JSON.sets(|v, text| put(&mut v.dump_log.json, text.parse())),
    number("from", "INDEX", 0, u64::MAX)
        .sets(|v, text| put(&mut v.dump_log.records.from, text.parse().map(Some)))
        .help("Start at this index."),
    number("to", "INDEX", 0, u64::MAX)
        .sets(|v, text| put(&mut v.dump_log.records.to, text.parse().map(Some)))
        .help("Stop at this index."),
    text("since", "TIME")
        .sets(|v, text| {
            put(&mut v.dump_log.records.since_ms, when::parse(text, unix_ms()).map(Some))
        })
        .help(
            "Only entries since TIME: in UTC, like 2026-11-24T03:31:02Z or 2026-11-24, or an \
             age, like 90s, 2h or 1d12h.",
        ),
    text("until", "TIME")
        .sets(|v, text| {
            put(&mut v.dump_log.records.until_ms, when::parse(text, unix_ms()).map(Some))
        })
        .help("Only entries until TIME."),
    text("user", "NAME")
        .sets(|v, text| put(&mut v.dump_log.records.user, account(text).map(Some)))
        .help("Only entries that concern the account NAME."),
    choice("kind", "KIND", &KINDS)
        .sets(|v, text| push(&mut v.dump_log.records.kinds, text.parse()))
        .help(
            "Only records of this kind: found, members, create, send, take, \
             read, delete_msgs, passwd, delete, no-op, truncate or mark.",
        )
        .repeatable(),
    switch("follow")
        .short('f')
        .sets(|v, text| put(&mut v.dump_log.follow, text.parse()))
        .help("Keep printing what the server writes, until Ctrl-C."),
    switch("verify")
        .sets(|v, text| put(&mut v.dump_log.verify, text.parse()))
        .help("Check all records instead of printing them, and report the first damage."),
    switch("stats").sets(|v, text| put(&mut v.dump_log.stats, text.parse())).help(
        "Print statistics instead: records and bytes by kind, segments, batch sizes, dead \
         bytes.",
    ),
    number("digest", "INDEX", 1, u64::MAX)
        .sets(|v, text| put(&mut v.dump_log.digest, text.parse().map(Some)))
        .help(
            "Print a digest of the state after entry INDEX instead; it is the same on every \
             server.",
        ),
    text("export", "DIR")
        .sets(|v, text| put(&mut v.dump_log.export, path(&v.home, text).map(Some)))
        .help(
            "Export text files instead: write users.txt, messages_NAME.txt, server_state.txt and \
             log.txt to DIR, with mode 0600.",
        )
        .more("See TEXT FILES in chatctl-wal(5)."),
    switch("force")
        .sets(|v, text| put(&mut v.dump_log.force, text.parse()))
        .help("With --export: replace existing files."),
    switch("with-secrets")
        .sets(|v, text| put(&mut v.dump_log.with_secrets, text.parse()))
        .help("With --export: write the password verifiers into users.txt."),
    COLOR.sets(|v, text| put(&mut v.dump_log.colour, colour(text))),
    switch("no-pager")
        .sets(|v, text| put(&mut v.dump_log.no_pager, text.parse()))
        .help("Do not use a pager."),
];

/// The folded name of an account.
fn account(text: &str) -> Result<String, &'static str> {
    name::fold(text)
        .ok_or("use 1 to 32 of a-z, 0-9, '.', '_', '-', beginning with a letter or digit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_all_kinds_of_records_that_can_be_asked_for() {
        let kind = FLAGS.iter().find(|flag| flag.name == "kind").expect("there is the flag");
        let (last, others) = KINDS.split_last().expect("there are kinds");
        let list = format!(": {} or {last}.", others.join(", "));
        assert!(kind.help.ends_with(&list), "{}, without {list}", kind.help);
    }
}
