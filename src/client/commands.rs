//! The commands of the chat, in one table: names, arguments, help; and a line into one of them. The
//! same on a terminal and from a pipe.

use crate::limits;
use crate::protocol::{id, name};

pub struct Spec {
    /// What is typed, with its slash.
    pub name: &'static str,
    /// Its arguments, as help shows them.
    pub args: &'static str,
    pub summary: &'static str,
    parse: fn(&str) -> Result<Command, String>,
}

/// Every command, in the order of `/help`.
pub const COMMANDS: &[Spec] = &[
    Spec {
        name: "/msg",
        args: "NAME [TEXT]",
        summary: "send TEXT to NAME; without TEXT, the same as /to",
        parse: |rest| {
            let (to, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            match text.trim().is_empty() {
                true => Ok(Command::Open(to_name(to)?)),
                false => Ok(Command::Send { to: Some(to_name(to)?), text: to_text(text)? }),
            }
        },
    },
    Spec {
        name: "/to",
        args: "NAME",
        summary: "talk to NAME: text without a slash goes there",
        parse: |rest| Ok(Command::To(to_name(one(rest)?)?)),
    },
    Spec {
        name: "/close",
        args: "[NAME]",
        summary: "hide NAME until a new message arrives (full screen)",
        parse: |rest| maybe_name(rest).map(Command::Close),
    },
    Spec {
        name: "/move",
        args: "N",
        summary: "move this conversation to place N (full screen)",
        parse: |rest| match one(rest)?.parse() {
            Ok(number) if number > 0 => Ok(Command::Move(number)),
            _ => Err("N must be a number, 1 or more".to_string()),
        },
    },
    Spec {
        name: "/inbox",
        args: "",
        summary: "list conversations and their unread counts, newest first",
        parse: |rest| none(rest).map(|()| Command::Inbox),
    },
    Spec {
        name: "/history",
        args: "[NAME] [N]",
        summary: "show the last N messages (50) of NAME or this conversation",
        parse: parse_history,
    },
    Spec {
        name: "/more",
        args: "",
        summary: "show the next page of the last answer",
        parse: |rest| none(rest).map(|()| Command::More),
    },
    Spec {
        name: "/list",
        args: "[PATTERN]",
        summary: "list accounts: part of a name, or a pattern of * ? [a-z]",
        parse: |rest| Ok(Command::List { pattern: at_most_one(rest)?.to_string() }),
    },
    Spec {
        name: "/who",
        args: "[PATTERN]",
        summary: "show who is logged in",
        parse: |rest| Ok(Command::Who { pattern: at_most_one(rest)?.to_string() }),
    },
    Spec {
        name: "/read",
        args: "[NAME]",
        summary: "mark all from NAME (or in this conversation) as read",
        parse: |rest| maybe_name(rest).map(Command::Read),
    },
    Spec {
        name: "/mute",
        args: "[NAME]",
        summary: "mute NAME's bell and notifications, or unmute them",
        parse: |rest| maybe_name(rest).map(Command::Mute),
    },
    Spec {
        name: "/delete",
        args: "last|#SEQ|ID",
        summary: "delete your message for both, or the other's for you",
        parse: |rest| parse_delete(one(rest)?),
    },
    Spec {
        name: "/search",
        args: "[TEXT]",
        summary: "search this conversation backwards (full screen)",
        parse: |rest| match rest.trim() {
            "" => Ok(Command::Search(None)),
            text => Ok(Command::Search(Some(text.to_string()))),
        },
    },
    Spec {
        name: "/select",
        args: "",
        summary: "select a message, as Alt-Up does (full screen)",
        parse: |rest| none(rest).map(|()| Command::Select),
    },
    Spec {
        name: "/passwd",
        args: "",
        summary: "change the password",
        parse: |rest| none(rest).map(|()| Command::ChangePassword),
    },
    Spec {
        name: "/account",
        args: "delete",
        summary: "delete the account for good",
        parse: |rest| match rest {
            "delete" => Ok(Command::DeleteAccount),
            _ => Err("use \"/account delete\"".to_string()),
        },
    },
    Spec {
        name: "/waiting",
        args: "[send|drop]",
        summary: "show, send or drop messages that waited more than a day",
        parse: |rest| match at_most_one(rest)? {
            "" => Ok(Command::Waiting(Old::Show)),
            "send" => Ok(Command::Waiting(Old::Send)),
            "drop" => Ok(Command::Waiting(Old::Drop)),
            other => Err(format!("use send or drop, not {other:?}")),
        },
    },
    Spec {
        name: "/status",
        args: "",
        summary: "show the connection, the outbox and the server",
        parse: |rest| none(rest).map(|()| Command::Status),
    },
    Spec {
        name: "/help",
        args: "",
        summary: "show this help",
        parse: |rest| none(rest).map(|()| Command::Help),
    },
    Spec {
        name: "/quit",
        args: "",
        summary: "quit (also Ctrl-D)",
        parse: |rest| none(rest).map(|()| Command::Quit),
    },
];

/// What is to become of messages that have waited for more than a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Old {
    #[default]
    Show,
    Send,
    Drop,
}

/// A command, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Send, to the current conversation where `to` is `None`.
    Send {
        to: Option<String>,
        text: String,
    },
    /// A new current conversation.
    To(String),
    /// The same, by `/msg` without a text.
    Open(String),
    /// Off the list; `None`: the current one.
    Close(Option<String>),
    /// The current one to this place of the list, counted from 1.
    Move(usize),
    Waiting(Old),
    Inbox,
    /// Of the current conversation where `with` is `None`; a limit of 0 is the server's choice.
    History {
        with: Option<String>,
        limit: u16,
    },
    More,
    List {
        pattern: String,
    },
    Who {
        pattern: String,
    },
    /// Moves the marker; `None`: of the current conversation.
    Read(Option<String>),
    /// Mutes, or no longer; `None`: the current conversation.
    Mute(Option<String>),
    Delete(Which),
    /// Looks back; `None`: for the same once more.
    Search(Option<String>),
    Select,
    ChangePassword,
    DeleteAccount,
    Status,
    Help,
    Quit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// The last one this client sent.
    Last,
    /// By place; one that was shown.
    Seq(u64),
    /// By id.
    Id(u128),
}

/// Understands a line; `None` for a blank one.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let line = line.trim_matches('\n');
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim().is_empty() {
        return Ok(None);
    }
    if let Some(text) = line.strip_prefix("//") {
        return Ok(Some(Command::Send { to: None, text: to_text(&format!("/{text}"))? }));
    }
    if !line.starts_with('/') {
        return Ok(Some(Command::Send { to: None, text: to_text(line)? }));
    }
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let Some(spec) = COMMANDS.iter().find(|spec| spec.name.eq_ignore_ascii_case(word)) else {
        return Err(unknown(word));
    };
    let parsed = (spec.parse)(rest.trim_start()).map_err(|why| match spec.args {
        "" => format!("{}: {why}", spec.name),
        args => format!("{}: {why}; usage: {} {args}", spec.name, spec.name),
    });
    parsed.map(Some)
}

/// `/help`, a line a command.
pub fn help() -> Vec<String> {
    let usage = |spec: &Spec| format!("{} {}", spec.name, spec.args);
    let column = COMMANDS.iter().map(|spec| usage(spec).len()).max().unwrap_or(0) + 2;
    let lines = COMMANDS.iter().map(|spec| format!("{:column$}{}", usage(spec), spec.summary));
    let plain = format!("{:column$}send TEXT to the current conversation (//TEXT: /TEXT)", "TEXT");
    lines.chain([plain]).collect()
}

/// A name as servers know it.
pub fn to_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name is missing".to_string());
    }
    name::fold(text)
        .ok_or_else(|| format!("invalid name {text:?}: use 1 to 32 of a-z, 0-9, '.', '_', '-'"))
}

/// A text that can be sent.
pub fn to_text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("there is no text to send".to_string());
    }
    if text.len() > limits::BODY_BYTES {
        let (most, is) = (limits::BODY_BYTES, text.len());
        return Err(format!("the text has {is} bytes, the maximum is {most}"));
    }
    Ok(text.to_string())
}

/// The text that bytes are.
pub fn utf8(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to() + 1;
        let line = error.as_bytes()[..at - 1].iter().filter(|byte| **byte == b'\n').count() + 1;
        match line {
            1 => format!("invalid UTF-8 at byte {at}"),
            _ => format!("invalid UTF-8 at byte {at} (in line {line})"),
        }
    })
}

fn parse_history(rest: &str) -> Result<Command, String> {
    let mut words = rest.split_whitespace();
    let (first, second) = (words.next(), words.next());
    if words.next().is_some() {
        return Err("too many words".to_string());
    }
    let count = |word: &str| match word.parse() {
        Ok(limit) if (1..=limits::HISTORY_PAGE as u16).contains(&limit) => Ok(limit),
        _ => Err(format!("N must be a number from 1 to {}", limits::HISTORY_PAGE)),
    };
    Ok(match (first, second) {
        (None, _) => Command::History { with: None, limit: 0 },
        (Some(with), Some(limit)) => {
            Command::History { with: Some(to_name(with)?), limit: count(limit)? }
        }
        // A name may be all digits; a short number is meant as a count more often.
        (Some(word), None) if word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit()) => {
            Command::History { with: None, limit: count(word)? }
        }
        (Some(with), None) => Command::History { with: Some(to_name(with)?), limit: 0 },
    })
}

fn parse_delete(word: &str) -> Result<Command, String> {
    let seq = word.strip_prefix('#').map(str::parse);
    Ok(Command::Delete(match (word, seq, id::parse(word)) {
        ("last", ..) => Which::Last,
        (_, Some(Ok(seq)), _) => Which::Seq(seq),
        (_, None, Some(id)) => Which::Id(id),
        _ => return Err(format!("{word:?} is not a message")),
    }))
}

fn maybe_name(rest: &str) -> Result<Option<String>, String> {
    match at_most_one(rest)? {
        "" => Ok(None),
        name => to_name(name).map(Some),
    }
}

fn none(rest: &str) -> Result<(), String> {
    match rest.trim().is_empty() {
        true => Ok(()),
        false => Err("takes no arguments".to_string()),
    }
}

fn at_most_one(rest: &str) -> Result<&str, String> {
    let rest = rest.trim();
    match rest.contains(char::is_whitespace) {
        true => Err("too many words".to_string()),
        false => Ok(rest),
    }
}

fn one(rest: &str) -> Result<&str, String> {
    match at_most_one(rest)? {
        "" => Err("an argument is missing".to_string()),
        word => Ok(word),
    }
}

fn unknown(word: &str) -> String {
    let near = |spec: &&Spec| is_near(&word.to_ascii_lowercase(), spec.name);
    match COMMANDS.iter().find(near) {
        Some(spec) => format!("unknown command {word}; did you mean {}?", spec.name),
        None => format!("unknown command {word}; /help lists the commands"),
    }
}

/// The beginning of a command, or one slip of the fingers away from it.
fn is_near(typed: &str, name: &str) -> bool {
    if typed.len() >= 3 && name.starts_with(typed) {
        return true;
    }
    let (typed, name): (Vec<char>, Vec<char>) = (typed.chars().collect(), name.chars().collect());
    let same = typed.iter().zip(&name).take_while(|(a, b)| a == b).count();
    let (typed, name) = (&typed[same..], &name[same..]);
    let replaced = typed.len() == name.len() && typed.get(1..) == name.get(1..);
    let swapped = typed.len() == name.len()
        && typed.len() >= 2
        && (typed[0], typed[1]) == (name[1], name[0])
        && typed[2..] == name[2..];
    replaced || swapped || typed.get(1..) == Some(name) || Some(typed) == name.get(1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Command {
        parse(line).expect("it is understood").expect("it is no blank line")
    }

    #[test]
    fn lines_are_understood() {
        let text = |to: Option<&str>, text: &str| Command::Send {
            to: to.map(str::to_string),
            text: text.to_string(),
        };
        assert_eq!(command("hello there"), text(None, "hello there"));
        assert_eq!(command("//msg is a command"), text(None, "/msg is a command"));
        assert_eq!(command("/msg Bob  two words "), text(Some("bob"), " two words "));
        assert_eq!(command("/MSG bob a\nb"), text(Some("bob"), "a\nb"));
        assert_eq!(command("/msg Bob"), Command::Open("bob".to_string()));
        assert_eq!(command("/msg Bob  \t"), Command::Open("bob".to_string()));
        assert_eq!(command("/to Carol"), Command::To("carol".to_string()));
        assert_eq!(command("/close"), Command::Close(None));
        assert_eq!(command("/close Bob"), Command::Close(Some("bob".to_string())));
        assert_eq!(command("/move 12"), Command::Move(12));
        assert_eq!(command("/history"), Command::History { with: None, limit: 0 });
        let history = |with: &str, limit| Command::History { with: Some(with.to_string()), limit };
        assert_eq!(command("/history bob 7"), history("bob", 7));
        assert_eq!(command("/history 7"), Command::History { with: None, limit: 7 });
        assert_eq!(command("/delete last"), Command::Delete(Which::Last));
        assert_eq!(command("/delete #12"), Command::Delete(Which::Seq(12)));
        assert_eq!(parse("  \r\n"), Ok(None));
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (line, said) in [
            ("/msg", "a name is missing"),
            ("/msg b@b", "invalid name"),
            ("/msg b@b hi", "invalid name"),
            ("/to", "/to NAME"),
            ("/move", "/move N"),
            ("/move 0", "1 or more"),
            ("/close bob carol", "/close [NAME]"),
            ("/history bob 0", "1 to 1000"),
            ("/quit now", "takes no arguments"),
            ("/account", "/account delete"),
            ("/delete that", "last|#SEQ|ID"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(said), "{line}: {error}");
        }
        let long = "x".repeat(limits::BODY_BYTES + 1);
        assert!(parse(&long).expect_err("too long").contains("the maximum is 65535"));
    }

    #[test]
    fn a_slip_of_the_fingers_gets_a_suggestion_and_nonsense_gets_help() {
        for (typed, meant) in
            [("/mgs", "/msg"), ("/hist", "/history"), ("/inbx", "/inbox"), ("/quitt", "/quit")]
        {
            assert!(unknown(typed).contains(&format!("did you mean {meant}?")), "{typed}");
        }
        assert!(unknown("/frobnicate").contains("/help"));
    }

    #[test]
    fn help_names_every_command() {
        let help = help().join("\n");
        assert!(
            COMMANDS.iter().all(|spec| help.contains(spec.name) && help.contains(spec.summary))
        );
        assert!(help.lines().all(|line| line.len() <= 80), "a terminal has no more: {help}");
    }
}
