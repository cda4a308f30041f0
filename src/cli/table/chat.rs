//! `chatctl chat` in the table.

use super::row::{
    Flag, Operand, Runs, Subcommand, Variable, choice, choose, number, put, switch, text,
};
use super::shared::{CONFIG, SERVERS, client_addresses, codec, path};
use crate::client::commands::Old;
use crate::client::{Notify, PasswordFrom};

pub const SUBCOMMAND: Subcommand = Subcommand {
    name: "chat",
    runs: Runs::Chat,
    summary: "chat, or send and read from a script",
    about: "Logs in and chats, on a terminal or with commands from a pipe. With --send, --history, \
            --list or --inbox it does only that and exits.",
    operands: &[],
    flags: FLAGS,
    variables: &[
        Variable {
            name: "CHATCTL_PASSWORD",
            help: "The password, unless --password-file is given.",
        },
        Variable {
            name: "XDG_STATE_HOME",
            help: "The client keeps its files in the subdirectory chatctl of this directory, \
                   unless --state-dir is given.",
        },
        Variable {
            name: "XDG_CONFIG_HOME",
            help: "The client reads settings from chatctl/chat.conf in this directory, unless \
                   --config is given. The default is ~/.config.",
        },
        Variable { name: "NO_COLOR", help: "If not empty, the screen has no colours." },
    ],
    settings: "chat.conf",
};

const OLD: &[(&str, Old)] = &[("keep", Old::Show), ("send", Old::Send), ("drop", Old::Drop)];
const NOTIFY: &[(&str, Notify)] =
    &[("off", Notify::Off), ("osc9", Notify::Osc9), ("osc777", Notify::Osc777)];

const FLAGS: &[Flag] = &[
    SERVERS.sets(|v, text| put(&mut v.chat.options.servers, client_addresses(text))),
    text("user", "NAME")
        .sets(|v, text| put(&mut v.chat.options.user, text.parse().map(Some)))
        .help("Account to log in as. Without this flag, chatctl asks on the terminal."),
    switch("create")
        .sets(|v, text| put(&mut v.chat.options.create, text.parse()))
        .help("Create the account first if it does not exist.")
        .more(
            "Its password is that of --password-file or CHATCTL_PASSWORD; without these, chatctl \
             asks for it twice.",
        )
        .not_in_config(),
    text("password-file", "FILE")
        .sets(|v, text| {
            put(&mut v.chat.options.password, path(&v.home, text).map(PasswordFrom::File))
        })
        .help("Read the password from the first line of FILE.")
        .more(
            "Without this flag, chatctl uses CHATCTL_PASSWORD or asks on the terminal. No flag \
             takes the password itself, because every process on the machine can read the \
             arguments of others.",
        ),
    choice("protocol", "CODEC", &["json", "binary"])
        .sets(|v, text| put(&mut v.chat.options.codec, codec(text)))
        .help("Codec to use with the server: json or binary.")
        .default("binary"),
    text("state-dir", "DIR")
        .sets(|v, text| put(&mut v.chat.options.state_dir, path(&v.home, text).map(Some)))
        .help("Directory for outbox, token, drafts and the position in the message stream.")
        .more("Without this flag: chatctl in $XDG_STATE_HOME, or in ~/.local/state."),
    switch("json")
        .sets(|v, text| put(&mut v.chat.options.json, text.parse()))
        .help("Print JSON, one object per line, for scripts."),
    number("timeout", "SECONDS", 1, 86_400)
        .sets(|v, text| put(&mut v.chat.options.timeout_ms, text.parse().map(|s: u64| s * 1000)))
        .help("Timeout of --send, --history, --list and --inbox, retries included.")
        .more(
            "In a chat with input from a pipe, it limits the time from the end of the input \
             until everything is sent; with --send also the time that a line waits for room in \
             the outbox.",
        )
        .default("10"),
    text("send", "NAME")
        .sets(|v, text| put(&mut v.chat.send, text.parse().map(Some)))
        .operand(Operand { name: "TEXT", ..OPERAND })
        .help("Send TEXT to NAME. Without TEXT, send each line of standard input.")
        .more(
            "If TEXT is -, the whole of standard input is one message, of at most 65,535 bytes. \
             chatctl refuses a line that is blank or not UTF-8, and reports its number. The exit \
             status is 0 only if the server has stored every message. A message that could not \
             be sent in time stays in the outbox. The account's next client sends it, if it \
             starts within a day; for older messages, see --old.",
        )
        .not_in_config(),
    choice("old", "WHAT", &["keep", "send", "drop"])
        .sets(|v, text| put(&mut v.chat.options.old, choose(text, OLD)))
        .help(
            "What to do with messages that waited in the outbox for more than a day: keep, \
             send or drop.",
        )
        .more("With keep, a line on standard error reports their number and age.")
        .default("keep"),
    text("history", "NAME")
        .sets(|v, text| put(&mut v.chat.history, text.parse().map(Some)))
        .help("Print the newest messages of the conversation with NAME.")
        .not_in_config(),
    switch("list")
        .sets(|v, text| put(&mut v.chat.list, text.parse()))
        .operand(Operand { name: "PATTERN", ..OPERAND })
        .help(
            "Print the accounts whose names match PATTERN: a part of the name, or a glob (*, ?, \
             [a-z]).",
        )
        .not_in_config(),
    switch("inbox")
        .sets(|v, text| put(&mut v.chat.inbox, text.parse()))
        .help("Print the conversations, newest first, with the number of unread messages.")
        .not_in_config(),
    number("limit", "N", 1, 1000)
        .sets(|v, text| put(&mut v.chat.options.limit, text.parse()))
        .help("Maximum number of lines that --history, --list or --inbox prints.")
        .more("Without this flag, --history prints 50 messages, and the others print everything."),
    switch("plain")
        .sets(|v, text| put(&mut v.chat.options.plain, text.parse()))
        .help("Use lines instead of the full screen on a terminal."),
    switch("bell")
        .sets(|v, text| put(&mut v.chat.options.screen.bell, text.parse()))
        .help("Ring the terminal's bell for new messages (full screen)."),
    number("sidebar", "COLUMNS", 0, 100)
        .sets(|v, text| put(&mut v.chat.options.screen.sidebar, text.parse().map(Some)))
        .help("Width of the list of conversations (full screen); 0 hides it.")
        .more("The default is a fifth of the terminal's width."),
    choice("notify", "WAY", &["off", "osc9", "osc777"])
        .sets(|v, text| put(&mut v.chat.options.screen.notify, choose(text, NOTIFY)))
        .help("Ask the terminal to announce new messages (full screen): off, osc9 or osc777.")
        .more(
            "Most terminals support one of these two sequences and ignore the other. The \
             notification shows the sender and the beginning of the text.",
        )
        .default("off"),
    text("notify-command", "FILE")
        .sets(|v, text| {
            put(&mut v.chat.options.screen.notify_command, path(&v.home, text).map(Some))
        })
        .help("Run the program FILE for new messages (full screen).")
        .more(
            "chatctl runs FILE without arguments and without a shell. Its environment has \
             CHATCTL_USER, CHATCTL_FROM, CHATCTL_TEXT (at most 4096 bytes) and CHATCTL_COUNT. \
             If several messages arrive together, chatctl runs FILE once, for the newest of \
             them, and CHATCTL_COUNT is their number. At most four instances run at a time.",
        ),
    choice("mouse", "WHEN", &["on", "off"])
        .sets(|v, text| {
            put(&mut v.chat.options.screen.mouse, choose(text, &[("on", true), ("off", false)]))
        })
        .help("Whether the mouse wheel scrolls the conversation (full screen): on or off.")
        .more(
            "With on, hold Shift to select text in most terminals. With off, the terminal keeps \
             the mouse.",
        )
        .default("on"),
    CONFIG,
];

/// The operand of `--send` and `--list`.
const OPERAND: Operand = Operand {
    name: "",
    required: false,
    help: "",
    set: |v, text| put(&mut v.chat.operand, text.parse().map(Some)),
};
