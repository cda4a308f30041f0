//! `chatctl dump-log` in the table.

use super::{COLOR, FLAG, Flag, Kind, NO_COLOR, Operand, Subcommand, Variable};
use crate::cli::dump_log;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "dump-log",
    summary: "print, check or export a server's log",
    about: "Prints the log of a data directory, or one segment file, a line a record; or checks it, \
            counts what is in it, or writes it out as text files. It only reads, and may run while \
            the server does.",
    operands: &[Operand {
        name: "PATH",
        required: true,
        help: "A data directory, or one segment file of its wal directory.",
    }],
    flags: FLAGS,
    variables: &[
        Variable {
            name: "CHATCTL_PAGER",
            help: "What shows records page by page on a terminal, as the shell reads it; empty or \
                   cat for nothing.",
        },
        Variable { name: "PAGER", help: "The same, where CHATCTL_PAGER is not set." },
        NO_COLOR,
    ],
    settings: "",
    run: dump_log::run,
};

const FLAGS: &[Flag] = &[
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print one JSON object a line.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "from",
        kind: Kind::Number { min: 0, max: u64::MAX },
        value: "INDEX",
        help: "Leave out records below this index.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "to",
        kind: Kind::Number { min: 0, max: u64::MAX },
        value: "INDEX",
        help: "Leave out records above this index.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "since",
        value: "TIME",
        help: "Leave out entries before TIME: in UTC, such as 2026-11-24T03:31:02Z or 2026-11-24, \
               or how long ago, such as 90s, 2h or 1d12h.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "until",
        value: "TIME",
        help: "Leave out entries after TIME.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "user",
        value: "NAME",
        help: "Leave out entries that do not concern the account NAME.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "kind",
        kind: Kind::Choice(dump_log::KINDS),
        value: "KIND",
        help: "Leave out records of other kinds than KIND: found, members, create, send, take, \
               read, delete_msgs, passwd, delete, no-op, truncate or mark.",
        repeatable: true,
        config: false,
        ..FLAG
    },
    Flag {
        name: "follow",
        short: Some('f'),
        kind: Kind::Switch,
        help: "Go on as the server writes, batch by batch, until Ctrl-C.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "verify",
        kind: Kind::Switch,
        help: "Print no records: check them all, say where the first damage is, or that all \
               is whole.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "stats",
        kind: Kind::Switch,
        help: "Print no records: count them by kind, with their bytes, the segments, the sizes of \
               the batches, and what is dead.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "digest",
        kind: Kind::Number { min: 1, max: u64::MAX },
        value: "INDEX",
        help: "Print no records: apply the entries up to INDEX and print a digest of the state \
               they make, which is the same on every server.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "export",
        value: "DIR",
        help: "Print no records: write users.txt, messages_NAME.txt, server_state.txt and log.txt \
               into DIR, with mode 0600.",
        more: "See TEXT FILES in chatctl-wal(5).",
        config: false,
        ..FLAG
    },
    Flag {
        name: "force",
        kind: Kind::Switch,
        help: "With --export: put the files in the place of those that are there.",
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
        help: "Print at once, without a pager.",
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
