//! `chatctl dump-log` in the table.

use super::{COLOR, FLAG, Flag, Kind, NO_COLOR, Operand, Subcommand, Variable};
use crate::cli::dump_log;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "dump-log",
    summary: "print, check or export a server's log",
    about: "Prints the log of a data directory, or of one segment file, one record per line; or \
            checks it, counts its records, or exports it as text files. It only reads, so the \
            server may be running.",
    operands: &[Operand {
        name: "PATH",
        required: true,
        help: "Data directory, or one segment file of its wal directory.",
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
    run: dump_log::run,
};

const FLAGS: &[Flag] = &[
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print JSON, one object per line.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "from",
        kind: Kind::Number { min: 0, max: u64::MAX },
        value: "INDEX",
        help: "Start at this index.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "to",
        kind: Kind::Number { min: 0, max: u64::MAX },
        value: "INDEX",
        help: "Stop at this index.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "since",
        value: "TIME",
        help: "Only entries since TIME: in UTC, like 2026-11-24T03:31:02Z or 2026-11-24, or an \
               age, like 90s, 2h or 1d12h.",
        config: false,
        ..FLAG
    },
    Flag { name: "until", value: "TIME", help: "Only entries until TIME.", config: false, ..FLAG },
    Flag {
        name: "user",
        value: "NAME",
        help: "Only entries that concern the account NAME.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "kind",
        kind: Kind::Choice(dump_log::KINDS),
        value: "KIND",
        help: "Only records of this kind: found, members, create, send, take, \
               read, delete_msgs, passwd, delete, no-op, truncate or mark.",
        repeatable: true,
        config: false,
        ..FLAG
    },
    Flag {
        name: "follow",
        short: Some('f'),
        kind: Kind::Switch,
        help: "Keep printing what the server writes, until Ctrl-C.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "verify",
        kind: Kind::Switch,
        help: "Check all records instead of printing them, and report the first damage.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "stats",
        kind: Kind::Switch,
        help: "Print statistics instead: records and bytes by kind, segments, batch sizes, dead \
               bytes.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "digest",
        kind: Kind::Number { min: 1, max: u64::MAX },
        value: "INDEX",
        help: "Print a digest of the state after entry INDEX instead; it is the same on every \
               server.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "export",
        value: "DIR",
        help: "Export text files instead: write users.txt, messages_NAME.txt, server_state.txt and log.txt to \
               DIR, with mode 0600.",
        more: "See TEXT FILES in chatctl-wal(5).",
        config: false,
        ..FLAG
    },
    Flag {
        name: "force",
        kind: Kind::Switch,
        help: "With --export: replace existing files.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "with-secrets",
        kind: Kind::Switch,
        help: "With --export: write the password verifiers into users.txt.",
        config: false,
        ..FLAG
    },
    COLOR,
    Flag {
        name: "no-pager",
        kind: Kind::Switch,
        help: "Do not use a pager.",
        config: false,
        ..FLAG
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_all_kinds_of_records_that_can_be_asked_for() {
        let kind = FLAGS.iter().find(|flag| flag.name == "kind").expect("there is the flag");
        let (last, others) = dump_log::KINDS.split_last().expect("there are kinds");
        let list = format!(": {} or {last}.", others.join(", "));
        assert!(kind.help.ends_with(&list), "{}, without {list}", kind.help);
    }
}
