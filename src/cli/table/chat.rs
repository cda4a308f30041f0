//! `chatctl chat` in the table.

use super::{CONFIG, FLAG, Flag, Kind, Subcommand, Variable};
use crate::cli::chat;

/// Its row.
pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "chat",
    summary: "chat, or send and read from a script",
    about: "Logs in and chats, on a terminal or with commands from a pipe. With --send, --history, --list or --inbox it does that one thing \
            and ends.",
    operands: &[],
    flags: FLAGS,
    variables: &[
        Variable {
            name: "CHATCTL_PASSWORD",
            help: "The password, where --password-file is not given.",
        },
        Variable {
            name: "XDG_STATE_HOME",
            help: "What is kept lies in chatctl below it, where --state-dir is not given.",
        },
        Variable {
            name: "XDG_CONFIG_HOME",
            help: "Settings are read from chatctl/chat.conf below it, where --config is not \
                   given; without it, below ~/.config.",
        },
        Variable { name: "NO_COLOR", help: "Not empty: no colours on the screen." },
    ],
    settings: "chat.conf",
    run: chat::run,
};

const FLAGS: &[Flag] = &[
    Flag {
        name: "servers",
        value: "ADDRESS,...",
        help: "The servers to try in turn, separated by commas: HOST[:PORT] or unix:PATH; the port is 7262 unless given.",
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
        help: "Where to keep the outbox, the token, drafts and the place up to which all is known.",
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
               until everything is sent, and with --send also how long a line waits for \
               room in the outbox.",
        default: Some("10"),
        ..FLAG
    },
    Flag {
        name: "send",
        value: "NAME",
        operand: "TEXT",
        help: "Send TEXT to NAME; without TEXT, each line of standard input as a message.",
        more: "Where TEXT is -, the whole of standard input is one message, of at most 65,535 bytes. \
               A line that is blank or not UTF-8 is refused with its number. It ends with 0 only once the server has said that every message is stored. One \
               that could not be sent in time stays in the outbox, and is sent when the account's \
               client runs next, within a day; after that see --old.",
        config: false,
        ..FLAG
    },
    Flag {
        name: "old",
        kind: Kind::Choice(&["keep", "send", "drop"]),
        value: "WHAT",
        help: "What to do with messages that waited in the outbox for more than a day.",
        more: "With keep they stay there, and a line on standard error tells how many they are and \
               since when they wait; with send they are sent; with drop they are discarded.",
        default: Some("keep"),
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
        help: "How many lines --history, --list or --inbox prints at most.",
        more: "Without it, --history prints 50 messages, the others all there is.",
        ..FLAG
    },
    Flag {
        name: "plain",
        kind: Kind::Switch,
        help: "Print lines and read a line, also on a terminal that could have the full screen.",
        ..FLAG
    },
    Flag {
        name: "bell",
        kind: Kind::Switch,
        help: "Ring the terminal's bell for new messages (full screen).",
        ..FLAG
    },
    Flag {
        name: "sidebar",
        kind: Kind::Number { min: 0, max: 100 },
        value: "COLUMNS",
        help: "How wide the list of conversations is (full screen); 0 hides it.",
        more: "Without it, a fifth of the terminal's width.",
        ..FLAG
    },
    Flag {
        name: "notify",
        kind: Kind::Choice(&["off", "osc9", "osc777"]),
        value: "WAY",
        help: "How the terminal is asked to show new messages (full screen): off, osc9 or osc777.",
        more: "Which of the two a terminal knows differs; one that knows neither ignores them. The \
               notification has the sender and the beginning of the text.",
        default: Some("off"),
        ..FLAG
    },
    Flag {
        name: "notify-command",
        value: "FILE",
        help: "Run the program FILE for new messages (full screen).",
        more: "It is run without arguments and without a shell. Its environment has CHATCTL_USER, \
               CHATCTL_FROM, CHATCTL_TEXT (at most 4096 bytes) and CHATCTL_COUNT, the number of \
               messages that came together, of which this is the newest. While four runs have not \
               ended, no other is started.",
        ..FLAG
    },
    Flag {
        name: "mouse",
        kind: Kind::Choice(&["on", "off"]),
        value: "WHEN",
        help: "Whether the wheel of the mouse scrolls the conversation (full screen): on or off.",
        more: "With on, most terminals select text while Shift is held. With off the terminal \
               keeps the mouse.",
        default: Some("on"),
        ..FLAG
    },
    CONFIG,
];
