//! The one table of subcommands and flags. It drives the parser ([`super::parse`]), `--help`
//! ([`super::help`]) and the generated sections of the man pages ([`super::man`]), so that these
//! cannot say different things.

use std::io::Write;

use super::error::Error;
use super::parse::{Environment, Parsed};
use super::{bench_codec_command, bench_load, chat, dump_log, serve, status};
use crate::limits::{BENCH_CLIENTS, BENCH_PIPELINE, BENCH_RUNS, BODY_BYTES};

/// A subcommand of `chatctl`.
#[derive(Debug)]
pub struct Subcommand {
    /// What is typed after `chatctl`.
    pub name: &'static str,
    /// One line for the list of subcommands: lower case, no full stop.
    pub summary: &'static str,
    /// What it does, as sentences, for its own help.
    pub about: &'static str,
    /// What it takes besides flags, in order.
    pub operands: &'static [Operand],
    /// Its flags, in the order in which help shows them.
    pub flags: &'static [Flag],
    /// Environment variables that stand for no flag.
    pub variables: &'static [Variable],
    /// Runs it with checked values: what it prints goes to the writer, the exit code comes back.
    pub run: fn(&Parsed, Environment<'_>, &mut dyn Write) -> Result<u8, Error>,
}

/// An argument that is no flag.
#[derive(Debug)]
pub struct Operand {
    /// Its name in usage lines, upper case.
    pub name: &'static str,
    /// Whether leaving it out is an error.
    pub required: bool,
    /// What it is, as sentences.
    pub help: &'static str,
}

/// An environment variable that stands for no flag.
#[derive(Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, as sentences.
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value: given or not.
    Switch,
    /// Any text.
    Text,
    /// A whole number within these bounds, both included.
    Number {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// A flag of a subcommand.
#[derive(Debug)]
pub struct Flag {
    /// The long name, without dashes; also its key in a configuration file.
    pub name: &'static str,
    /// The letter of its short form.
    pub short: Option<char>,
    /// What it takes.
    pub kind: Kind,
    /// The value's name in usage lines, upper case; empty for a switch.
    pub value: &'static str,
    /// An operand that belongs to this flag (it may be left out); empty for none.
    pub operand: &'static str,
    /// What it does, as sentences: `--help` and the man page.
    pub help: &'static str,
    /// What else there is to know, as sentences: the man page only.
    pub more: &'static str,
    /// The value where nothing gives one.
    pub default: Option<&'static str>,
    /// The environment variable that gives the value where the flag does not.
    pub env: Option<&'static str>,
    /// Whether a configuration file may set it.
    pub config: bool,
    /// Whether it may be given more than once.
    pub repeatable: bool,
}

/// A flag with nothing set: the base of every row below.
const FLAG: Flag = Flag {
    name: "",
    short: None,
    kind: Kind::Text,
    value: "",
    operand: "",
    help: "",
    more: "",
    default: None,
    env: None,
    config: true,
    repeatable: false,
};

/// `--help`, which every subcommand has.
pub const HELP: Flag = Flag {
    name: "help",
    short: Some('h'),
    kind: Kind::Switch,
    help: "Show this help and do nothing else.",
    config: false,
    ..FLAG
};

/// `--version`, which `chatctl` itself has.
pub const VERSION: Flag = Flag {
    name: "version",
    short: Some('V'),
    kind: Kind::Switch,
    help: "Show the version and do nothing else.",
    config: false,
    ..FLAG
};

/// `--config`, where a subcommand can be configured by a file.
const CONFIG: Flag = Flag {
    name: "config",
    value: "FILE",
    help: "Read flags from FILE, a line `name = value` for each.",
    more: "A # at the start of a line or after white space begins a comment. A flag that can be \
           repeated is repeated as lines; a flag without a value takes true or false. What the \
           command line or the environment says wins over the file.",
    config: false,
    ..FLAG
};

/// `--color`, where something is printed in colours.
const COLOR: Flag = Flag {
    name: "color",
    kind: Kind::Choice(&["auto", "always", "never"]),
    value: "WHEN",
    help: "When to use colours: auto (on a terminal), always or never.",
    default: Some("auto"),
    config: false,
    ..FLAG
};

/// Every subcommand, in the order in which help shows them.
pub const SUBCOMMANDS: &[Subcommand] = &[SERVE, CHAT, STATUS, DUMP_LOG, BENCH_CODEC, BENCH_LOAD];

const SERVE: Subcommand = Subcommand {
    name: "serve",
    summary: "run a chat server",
    about: "Runs a chat server on a data directory until SIGINT or SIGTERM. Every change is on \
            the disk before its reply leaves.",
    operands: &[],
    flags: SERVE_FLAGS,
    variables: &[],
    run: serve::run,
};

const SERVE_FLAGS: &[Flag] = &[
    Flag {
        name: "listen",
        value: "ADDRESS",
        help: "Accept clients at ADDRESS: HOST:PORT, :PORT for all interfaces, or unix:PATH.",
        more: "There is no encryption: listening elsewhere than on a loopback address is said in a \
               warning line.",
        default: Some("127.0.0.1:7262"),
        repeatable: true,
        ..FLAG
    },
    Flag {
        name: "data-dir",
        value: "DIR",
        help: "Keep everything in DIR, which is made with mode 0700 if it is not there.",
        more: "One server at a time can use a directory.",
        default: Some("./chatctl-data"),
        ..FLAG
    },
    CONFIG,
    Flag {
        name: "password-iterations",
        kind: Kind::Number { min: 1, max: 10_000_000 },
        value: "N",
        help: "PBKDF2 iterations of password verifiers made from now on.",
        more: "RFC 7677 asks for at least 4096. Verifiers that are already stored keep theirs.",
        default: Some("100000"),
        ..FLAG
    },
    Flag {
        name: "token-days",
        kind: Kind::Number { min: 1, max: 3650 },
        value: "DAYS",
        help: "How long a token for resuming a session is good.",
        default: Some("7"),
        ..FLAG
    },
    Flag {
        name: "idle-timeout",
        kind: Kind::Number { min: 1, max: 31_536_000 },
        value: "SECONDS",
        help: "Close a connection that has sent nothing for this long.",
        default: Some("600"),
        ..FLAG
    },
    Flag {
        name: "login-timeout",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "SECONDS",
        help: "Close a connection that has not logged in for this long.",
        default: Some("60"),
        ..FLAG
    },
    Flag {
        name: "segment-mib",
        kind: Kind::Number { min: 1, max: 1024 },
        value: "MIB",
        help: "Size of the log segments made from now on, in mebibytes.",
        more: "Segments are preallocated, and one spare is always kept ready: a new data directory \
               takes twice this much of the disk.",
        default: Some("64"),
        ..FLAG
    },
    Flag {
        name: "max-connections",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Most connections at a time; more wait to be accepted.",
        more: "The limit on open files is raised as far as the system allows.",
        default: Some("10000"),
        ..FLAG
    },
    Flag {
        name: "max-sessions-per-address",
        kind: Kind::Number { min: 1, max: 1_000_000 },
        value: "N",
        help: "Most logged-in connections at a time of one address.",
        more: "All Unix sockets together count as one.",
        default: Some("1000"),
        ..FLAG
    },
    Flag {
        name: "logins-per-minute",
        kind: Kind::Number { min: 0, max: 1_000_000 },
        value: "N",
        help: "Most password checks a minute for one address, 0 for any number.",
        more: "Past it, a login is told rate-limited.",
        default: Some("60"),
        ..FLAG
    },
    Flag {
        name: "id",
        value: "NAME",
        help: "This server's name in its cluster: a-z, 0-9, '.', '_', '-', 32 at most.",
        more: "A data directory belongs to one name. Without --cluster the name is lone, or what \
               the directory says.",
        ..FLAG
    },
    Flag {
        name: "cluster",
        value: "NAME=HOST:PORT,...",
        help: "All servers of the cluster, where each listens for the others: the same list for \
               every server.",
        more: "It counts until the cluster is formed; from then on the log says which servers there \
               are. See CLUSTERS.",
        ..FLAG
    },
    Flag {
        name: "cluster-secret-file",
        value: "FILE",
        help: "The cluster's secret, the same for every server; mode 0600 is insisted on.",
        ..FLAG
    },
    Flag {
        name: "new-secret",
        value: "FILE",
        help: "Make a new secret in FILE, which must not be there yet, and do nothing else.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "advertise",
        value: "HOST:PORT",
        help: "Where clients are sent to reach this server, when it is PRIMARY.",
        more: "The default is the first address it listens at.",
        ..FLAG
    },
    Flag {
        name: "election-timeout-ms",
        kind: Kind::Number { min: 30, max: 60_000 },
        value: "MS",
        help: "The shortest silence of the PRIMARY after which another server stands for election.",
        more: "Each wait is drawn from this to its double. It must be three heartbeats or more.",
        default: Some("500"),
        ..FLAG
    },
    Flag {
        name: "heartbeat-ms",
        kind: Kind::Number { min: 1, max: 10_000 },
        value: "MS",
        help: "How often the PRIMARY says that it lives.",
        default: Some("100"),
        ..FLAG
    },
    Flag {
        name: "read-only-after-ms",
        kind: Kind::Number { min: 0, max: 3_600_000 },
        value: "MS",
        help: "How long requests are held while no server is PRIMARY, before history is served \
               read-only.",
        default: Some("2000"),
        ..FLAG
    },
    Flag {
        name: "trace",
        kind: Kind::Choice(&["quiet", "info", "debug"]),
        value: "LEVEL",
        help: "What is told on standard error: quiet (errors only), info, or debug.",
        default: Some("info"),
        ..FLAG
    },
];

const CHAT: Subcommand = Subcommand {
    name: "chat",
    summary: "chat, or send and read from a script",
    about: "Logs in and chats, on a terminal or with commands from a pipe. With --send, --history, --list or --inbox it does that one thing \
            and ends.",
    operands: &[],
    flags: CHAT_FLAGS,
    variables: &[Variable {
        name: "CHATCTL_PASSWORD",
        help: "The password, where --password-file is not given.",
    }],
    run: chat::run,
};

const CHAT_FLAGS: &[Flag] = &[
    Flag {
        name: "servers",
        value: "ADDRESS,...",
        help: "The servers to try in turn, separated by commas: HOST:PORT or unix:PATH.",
        default: Some("127.0.0.1:7262"),
        env: Some("CHATCTL_SERVERS"),
        ..FLAG
    },
    Flag {
        name: "user",
        value: "NAME",
        help: "The account to log in as; asked for where there is a terminal.",
        ..FLAG
    },
    Flag {
        name: "create",
        kind: Kind::Switch,
        help: "Make the account first if it does not exist yet.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "password-file",
        value: "FILE",
        help: "Read the password from the first line of FILE.",
        more: "Without it, the password is the value of CHATCTL_PASSWORD, or is asked for on the \
               terminal. There is no flag that takes the password itself: every process of the \
               machine can read the arguments of the others.",
        ..FLAG
    },
    Flag {
        name: "protocol",
        kind: Kind::Choice(&["json", "binary"]),
        value: "CODEC",
        help: "What to speak with the server: json or binary.",
        default: Some("binary"),
        ..FLAG
    },
    Flag {
        name: "state-dir",
        value: "DIR",
        help: "Where to keep the outbox, the token and the place up to which all is known.",
        more: "Without it: chatctl below $XDG_STATE_HOME, or below ~/.local/state.",
        ..FLAG
    },
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print one JSON object a line, for scripts.",
        ..FLAG
    },
    Flag {
        name: "timeout",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "SECONDS",
        help: "How long one thing done without a terminal may take, retries included.",
        more: "In a chat whose input is no terminal, it bounds the time from the end of the input \
               until everything is sent.",
        default: Some("10"),
        ..FLAG
    },
    Flag {
        name: "send",
        value: "NAME",
        operand: "TEXT",
        help: "Send TEXT to NAME, or each line of standard input where TEXT is left out.",
        more: "It ends with 0 only once the server has said that every message is stored. One \
               that could not be sent in time stays in the outbox, and goes out when the account's \
               client runs next.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "history",
        value: "NAME",
        help: "Print the newest messages of the conversation with NAME.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "list",
        kind: Kind::Switch,
        operand: "PATTERN",
        help: "Print the accounts whose names match PATTERN (* ? [a-z], or a part of the name).",
        config: false,
        ..FLAG
    },
    Flag {
        name: "inbox",
        kind: Kind::Switch,
        help: "Print the conversations, newest first, with what is unread.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "limit",
        kind: Kind::Number { min: 1, max: 1000 },
        value: "N",
        help: "How many messages --history prints at most.",
        default: Some("50"),
        ..FLAG
    },
    CONFIG,
];

const DUMP_LOG: Subcommand = Subcommand {
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
    flags: DUMP_LOG_FLAGS,
    variables: &[
        Variable {
            name: "CHATCTL_PAGER",
            help: "What shows records page by page on a terminal, as the shell reads it; empty or \
                   cat for nothing.",
        },
        Variable { name: "PAGER", help: "The same, where CHATCTL_PAGER is not set." },
        Variable { name: "NO_COLOR", help: "Not empty: no colours, unless --color=always." },
    ],
    run: dump_log::run,
};

const DUMP_LOG_FLAGS: &[Flag] = &[
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
        kind: Kind::Choice(&[
            "found",
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
        ]),
        value: "KIND",
        help: "Leave out records of other kinds than KIND: found, create, send, take, read, \
               delete_msgs, passwd, delete, no-op, truncate or mark.",
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

const STATUS: Subcommand = Subcommand {
    name: "status",
    summary: "show how the servers of a cluster are",
    about: "Asks every server of a cluster how it is and prints a row for each: role, term, how far \
            it has come, its disk. It ends with 1 when no server is PRIMARY.",
    operands: &[],
    flags: &[
        Flag {
            name: "servers",
            value: "HOST:PORT,...",
            help: "Where one server or more listen for their peers: the addresses of --cluster of \
                   chatctl serve.",
            more: "The others are asked too, as far as one of these names them.",
            default: Some("127.0.0.1:7263"),
            env: Some("CHATCTL_PEERS"),
            ..FLAG
        },
        Flag {
            name: "cluster-secret-file",
            value: "FILE",
            help: "The cluster's secret; mode 0600 is insisted on.",
            ..FLAG
        },
        CONFIG,
        Flag {
            name: "timeout-ms",
            kind: Kind::Number { min: 1, max: 3_600_000 },
            value: "MS",
            help: "How long an answer is waited for.",
            default: Some("2000"),
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    run: status::run,
};

const BENCH_CODEC: Subcommand = Subcommand {
    name: "bench-codec",
    summary: "compare the sizes and speeds of the two codecs",
    about: "Encodes and decodes typical messages as JSON and as binary, and prints their sizes \
            in bytes and the time each takes.",
    operands: &[],
    flags: &[
        Flag {
            name: "runs",
            kind: Kind::Number { min: 1, max: BENCH_RUNS as u64 },
            value: "N",
            help: "How often each measurement is made; the least and the median are shown.",
            default: Some("200"),
            config: false,
            ..FLAG
        },
        Flag {
            name: "json",
            kind: Kind::Switch,
            help: "Print one JSON object a line.",
            config: false,
            ..FLAG
        },
    ],
    variables: &[],
    run: bench_codec_command,
};

const BENCH_LOAD: Subcommand = Subcommand {
    name: "bench-load",
    summary: "measure a running server under load, and check that it keeps everything",
    about: "Makes accounts on a running server, sends messages between them as fast as it answers, \
            and prints how many were acknowledged and delivered a second and how long that took. \
            Then it reads every account's history and checks that each acknowledged message is \
            there exactly once.",
    operands: &[],
    flags: BENCH_LOAD_FLAGS,
    variables: &[],
    run: bench_load::run,
};

const BENCH_LOAD_FLAGS: &[Flag] = &[
    Flag {
        name: "servers",
        value: "ADDRESS,...",
        help: "The servers to try in turn, separated by commas: HOST:PORT or unix:PATH.",
        default: Some("127.0.0.1:7262"),
        env: Some("CHATCTL_SERVERS"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "clients",
        kind: Kind::Number { min: 1, max: BENCH_CLIENTS as u64 },
        value: "N",
        help: "How many clients send, each to the next one.",
        more: "A lone one sends to a second, silent one. A server limits how many passwords it \
               hashes for one address: see --logins-per-minute and --max-sessions-per-address of \
               chatctl serve; this command waits when it is told to.",
        default: Some("64"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "pipeline",
        kind: Kind::Number { min: 1, max: BENCH_PIPELINE as u64 },
        value: "N",
        help: "How many unanswered sends each client keeps in flight.",
        default: Some("32"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "size",
        kind: Kind::Number { min: 1, max: BODY_BYTES as u64 },
        value: "BYTES",
        help: "How long the text of each message is.",
        default: Some("128"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "seconds",
        kind: Kind::Number { min: 1, max: 86_400 },
        value: "N",
        help: "How long to send; Ctrl-C ends it early, with the figures so far.",
        default: Some("5"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "messages",
        kind: Kind::Number { min: 1, max: 1_000_000_000_000 },
        value: "N",
        help: "Stop after N messages, if that comes first.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "idle",
        kind: Kind::Number { min: 0, max: 1_000_000 },
        value: "N",
        help: "Keep N further sessions open that do nothing.",
        default: Some("0"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "protocol",
        kind: Kind::Choice(&["binary", "json"]),
        value: "CODEC",
        help: "What to speak with the server: binary or json, in frames.",
        default: Some("binary"),
        config: false,
        ..FLAG
    },
    Flag {
        name: "keep",
        kind: Kind::Switch,
        help: "Leave the accounts and their messages on the server.",
        more: "Otherwise the accounts that this run has made are deleted at its end. Their names \
               are bench- and a random number, and are not given out again.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "server-pid",
        kind: Kind::Number { min: 1, max: u32::MAX as u64 },
        value: "PID",
        help: "Measure the memory and the processor time of this process, the server on this \
               machine.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "json",
        kind: Kind::Switch,
        help: "Print one JSON object.",
        config: false,
        ..FLAG
    },
];

/// The subcommand of this name.
pub fn find(name: &str) -> Option<&'static Subcommand> {
    SUBCOMMANDS.iter().find(|subcommand| subcommand.name == name)
}

impl Subcommand {
    /// Its flags, `--help` included, last.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().chain(std::iter::once(&HELP))
    }

    /// The flag of this long name.
    pub fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.all_flags().find(|flag| flag.name == name)
    }
}

impl Flag {
    /// Whether it takes a value.
    pub fn takes_value(&self) -> bool {
        self.kind != Kind::Switch
    }

    /// How it is written in usage lines, such as `--send NAME [TEXT]`.
    pub fn usage(&self) -> String {
        let mut usage = format!("--{}", self.name);
        if self.takes_value() {
            usage = format!("{usage} {}", self.value);
        }
        if !self.operand.is_empty() {
            usage = format!("{usage} [{}]", self.operand);
        }
        usage
    }

    /// What a value of it has to be, to follow "expected".
    pub fn expects(&self) -> String {
        match self.kind {
            Kind::Switch => "true or false".to_string(),
            Kind::Text => format!("{}, not empty", self.value),
            Kind::Number { min, max: u64::MAX } => format!("a whole number from {min} up"),
            Kind::Number { min, max } => format!("a whole number from {min} to {max}"),
            Kind::Choice(words) => match words.split_last() {
                Some((last, [])) => (*last).to_string(),
                Some((last, others)) => format!("{} or {last}", others.join(", ")),
                None => "nothing".to_string(),
            },
        }
    }

    /// Whether `value` is one it takes.
    pub fn accepts(&self, value: &str) -> bool {
        match self.kind {
            Kind::Switch => matches!(value, "true" | "false"),
            Kind::Text => !value.is_empty(),
            Kind::Number { min, max } => {
                value.bytes().all(|byte| byte.is_ascii_digit())
                    && value.parse().is_ok_and(|number: u64| (min..=max).contains(&number))
            }
            Kind::Choice(words) => words.contains(&value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_complete_and_every_default_is_a_value_its_flag_accepts() {
        for subcommand in SUBCOMMANDS {
            assert!(!subcommand.about.is_empty() && !subcommand.summary.ends_with('.'));
            for flag in subcommand.all_flags() {
                let place = format!("{} --{}", subcommand.name, flag.name);
                assert!(flag.help.ends_with('.'), "{place}: help is sentences");
                assert!(flag.more.is_empty() || flag.more.ends_with('.'), "{place}: sentences");
                assert_eq!(flag.takes_value(), !flag.value.is_empty(), "{place}: the value's name");
                if let Some(default) = flag.default {
                    assert!(flag.accepts(default), "{place}: its default is refused");
                }
            }
        }
    }

    #[test]
    fn no_subcommand_has_two_flags_of_one_name_or_letter() {
        for subcommand in SUBCOMMANDS {
            let flags: Vec<_> = subcommand.all_flags().collect();
            for (at, flag) in flags.iter().enumerate() {
                for other in &flags[..at] {
                    assert_ne!(flag.name, other.name, "{}", subcommand.name);
                    assert!(flag.short.is_none() || flag.short != other.short);
                }
            }
        }
    }

    #[test]
    fn numbers_are_plain_digits_within_the_bounds() {
        let days = find("serve").unwrap().flag("token-days").unwrap();
        for good in ["1", "7", "3650", "007"] {
            assert!(days.accepts(good), "{good}");
        }
        for bad in ["", "0", "3651", "+7", "-7", "7 ", "1e3", "99999999999999999999999"] {
            assert!(!days.accepts(bad), "{bad}");
        }
        assert_eq!(days.expects(), "a whole number from 1 to 3650");
    }
}
