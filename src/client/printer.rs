//! What happens, as lines: for a terminal, as plain text, or as JSON. Whatever another person wrote
//! is made harmless here.
//!
//! With `--json` each line is one object; `event` says what it is. Keys that a row does not name are
//! not there. `time` is milliseconds since the Unix epoch, `id` a UUID, `seq` a place in the one order.
//!
//! | `event`        | keys | when |
//! | ---            | --- | --- |
//! | `login`        | `name` `unread` `server` | logged in; again after each lost connection |
//! | `state`        | `state` `waiting` `reason` | `connected`, `electing`, `read-only` or `offline`, with the messages that wait in the outbox |
//! | `message`      | `from` `to` `text` `id` `time` `seq` `history` | a message arrived; `history` true: it was asked for |
//! | `sent`         | `to` `text` `id` `time` `seq` | a message is stored on a majority of the servers |
//! | `failed`       | `to` `text` `id` `code` `reason` | a message was refused for good |
//! | `failed`       | `command` `to` `text` `id` `kept` `code` `reason` | a run failed as a whole; `to` and what follows it only with `--send NAME TEXT`, `id` only once there is one; `kept` true: the message stays in the outbox |
//! | `held`         | `code` `reason` | messages wait, since the server cannot take them now |
//! | `taken_back`   | `ids` | messages were taken back by who sent them |
//! | `read_moved`   | `name` `seq` | another session has read up to there |
//! | `name`         | `name` | a line of `/list` and `/who` |
//! | `conversation` | `name` `unread` `seq` `time` | a line of `/inbox` |
//! | `old`          | `count` `since` | messages in the outbox have waited for more than a day, the oldest since `since`; they will not be sent by default |
//! | `waiting`      | `to` `text` `id` `time` | a line of `/waiting`; `time` is when it was written |
//! | `status`       | `key` `value` | a line of `/status` |
//! | `done`         | `command` `more` | the end of a command's lines; `more`: `/more` shows the next |
//! | `error`        | `command` `code` `reason` | a command failed |
//! | `notice`       | `text` | anything else a person should know |

use super::dates::{DAY_MS, clock, date, iso};
use super::session::{Draft, Incoming, Refusal, State};
use super::show;
use crate::protocol::id;
use crate::protocol::json::Object;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people at a terminal; with colours or without.
    Terminal { colour: bool },
    /// Plain text, an event a line.
    Text,
    /// As [`Style::Text`], but only what went wrong.
    Problems,
    /// An object a line.
    Json,
}

/// The message of a run that sends one.
#[derive(Debug, Default)]
pub struct Sending {
    /// To whom, and the text.
    pub message: Option<(String, String)>,
    /// Its id, once it has one.
    pub id: Option<u128>,
    /// It stays in the outbox.
    pub is_kept: bool,
}

#[derive(Debug)]
pub struct Printer {
    style: Style,
    out: Vec<u8>,
    /// The day of the last message, in days since the epoch.
    day: Option<u64>,
}

const DIM: &str = "2";
const BOLD: &str = "1";
const RED: &str = "31";

impl Printer {
    pub fn new(style: Style) -> Printer {
        Printer { style, out: Vec::new(), day: None }
    }

    pub fn style(&self) -> Style {
        self.style
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn is_json(&self) -> bool {
        self.style == Style::Json
    }

    fn line(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'\n');
    }

    fn object(&mut self, object: Object) {
        self.line(&object.to_string());
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        match self.style {
            Style::Terminal { colour: true } => format!("\x1b[{colour}m{text}\x1b[0m"),
            _ => text.to_string(),
        }
    }

    fn is_quiet(&self) -> bool {
        self.style == Style::Problems
    }

    pub fn login(&mut self, name: &str, unread: u16, server: &str) {
        if self.is_json() {
            let object = event("login").text("name", name).number("unread", unread.into());
            return self.object(object.text("server", server));
        }
        let text = format!("logged in as {name} at {server}");
        self.notice(&text);
    }

    pub fn state(&mut self, state: State, waiting: usize, reason: &str) {
        if self.is_json() {
            let object = event("state").text("state", &state.to_string());
            return self.object(object.number("waiting", waiting as u64).text("reason", reason));
        }
        let mut text = state.to_string();
        if waiting > 0 {
            text.push_str(&format!(" ({waiting} waiting)"));
        }
        if !reason.is_empty() {
            text.push_str(&format!(": {reason}"));
        }
        self.notice(&text);
    }

    /// A message that arrived, or a line of history.
    pub fn message(&mut self, message: &Incoming, me: &str, history: bool) {
        if self.is_json() {
            let Incoming { id, from, to, body, time, seq } = message;
            let object = event("message").text("from", from).text("to", to);
            let object = object.text("text", body).text("id", id).number("time", *time);
            return self.object(object.number("seq", *seq).flag("history", history));
        }
        let place = if history { message.seq } else { 0 };
        self.said(&message.from, &message.to, &message.body, message.time, me, place);
    }

    pub fn sent(&mut self, draft_id: u128, to: &str, text: &str, time: u64, seq: u64, me: &str) {
        if self.is_json() {
            let object = event("sent").text("to", to).text("text", text);
            let object = object.text("id", &id::format(draft_id)).number("time", time);
            return self.object(object.number("seq", seq));
        }
        self.said(me, to, text, time, me, 0);
    }

    fn said(&mut self, from: &str, to: &str, text: &str, time: u64, me: &str, place: u64) {
        if self.is_quiet() {
            return;
        }
        let (from, to) = (show::line(from), show::line(to));
        if self.style == Style::Text {
            let line = format!("{} {from} -> {to}: {}", iso(time), show::line(text));
            return self.line(&line);
        }
        let day = time / DAY_MS;
        if self.day != Some(day) {
            self.day = Some(day);
            let date = self.painted(DIM, &format!("-- {} (UTC)", date(time)));
            self.line(&date);
        }
        let mut stamp = clock(time);
        if place > 0 {
            stamp.push_str(&format!(" #{place}"));
        }
        let stamp = self.painted(DIM, &stamp);
        let who = match from == me {
            true => self.painted(DIM, &format!("you -> {to}:")),
            false => self.painted(BOLD, &format!("{from}:")),
        };
        // Further lines are set off, so that none can pass for somebody else's.
        for (place, part) in text.split('\n').enumerate() {
            let part = show::line(part.strip_suffix('\r').unwrap_or(part));
            match place {
                0 => self.line(&format!("{stamp} {who} {part}")),
                _ => self.line(&format!("      | {part}")),
            }
        }
    }

    pub fn failed(&mut self, draft: &Draft, refusal: &Refusal) {
        if self.is_json() {
            let object = event("failed").text("to", &draft.to).text("text", &draft.body);
            let object = object.text("id", &id::format(draft.id)).text("code", &refusal.code);
            return self.object(object.text("reason", &refusal.text));
        }
        let unsure = match refusal.code.as_str() {
            "id-expired" => "perhaps not sent (see /history)",
            _ => "not sent",
        };
        let (to, why) = (show::line(&draft.to), refusal.to_string());
        let text = format!("! {unsure} to {to}: {}: {}", show::line(&why), show::line(&draft.body));
        let text = self.painted(RED, &text);
        self.line(&text);
    }

    pub fn old(&mut self, count: usize, since_ms: u64) {
        if self.is_json() {
            let object = event("old").number("count", count as u64);
            return self.object(object.number("since", since_ms));
        }
        self.notice(&format!("{}; {}", show::old_messages(count, since_ms), show::OLD_COMMANDS));
    }

    /// A run failed as a whole: only scripts read it here, people read it on standard error.
    pub fn run_failed(&mut self, command: &str, sending: &Sending, code: &str, reason: &str) {
        if !self.is_json() {
            return;
        }
        let mut object = event("failed").text("command", command);
        if let Some((to, text)) = &sending.message {
            object = object.text("to", to).text("text", text);
            if let Some(id) = sending.id {
                object = object.text("id", &id::format(id));
            }
            object = object.flag("kept", sending.is_kept);
        }
        self.object(object.text("code", code).text("reason", reason));
    }

    pub fn waiting(&mut self, draft: &Draft) {
        if self.is_json() {
            let object = event("waiting").text("to", &draft.to).text("text", &draft.body);
            let object = object.text("id", &id::format(draft.id));
            return self.object(object.number("time", draft.written_ms));
        }
        let (since, to) = (date(draft.written_ms), show::line(&draft.to));
        let text = format!("? since {since}, to {to}: {}", show::line(&draft.body));
        self.line(&text);
    }

    pub fn held(&mut self, refusal: &Refusal) {
        if self.is_json() {
            let object = event("held").text("code", &refusal.code);
            return self.object(object.text("reason", &refusal.text));
        }
        self.notice(&format!("the server accepts no messages now, yours wait: {refusal}"));
    }

    pub fn taken_back(&mut self, ids: &[String]) {
        if self.is_json() {
            return self.object(event("taken_back").texts("ids", ids));
        }
        match ids.len() {
            1 => self.notice("a message was taken back"),
            many => self.notice(&format!("{many} messages were taken back")),
        }
    }

    /// Another session has read on. Only scripts care.
    pub fn read_moved(&mut self, name: &str, seq: u64) {
        if self.is_json() {
            self.object(event("read_moved").text("name", name).number("seq", seq));
        }
    }

    /// A line of `/list` and `/who`.
    pub fn name(&mut self, name: &str) {
        match self.is_json() {
            true => self.object(event("name").text("name", name)),
            false => self.line(&show::line(name)),
        }
    }

    /// A line of `/inbox`.
    pub fn conversation(&mut self, name: &str, unread: u64, seq: u64, time: u64) {
        let shown = show::line(name);
        match self.style {
            Style::Json => {
                let object = event("conversation").text("name", name);
                let object = object.number("unread", unread).number("seq", seq);
                self.object(object.number("time", time));
            }
            Style::Text | Style::Problems => {
                self.line(&format!("{}\t{unread}\t{seq}\t{}", show::field(name), iso(time)))
            }
            Style::Terminal { .. } => {
                let when = self.painted(DIM, &format!("{} {}", date(time), clock(time)));
                let text = match unread {
                    0 => format!("{when} {shown}"),
                    _ => format!("{when} {} {unread} unread", self.painted(BOLD, &shown)),
                };
                self.line(&text);
            }
        }
    }

    pub fn status(&mut self, key: &str, value: &str) {
        match self.is_json() {
            true => self.object(event("status").text("key", key).text("value", value)),
            false => self.line(&show::line(&format!("{key:>10}  {value}"))),
        }
    }

    /// The end of a command's lines.
    pub fn done(&mut self, command: &str, more: bool) {
        match self.style {
            Style::Json => self.object(event("done").text("command", command).flag("more", more)),
            Style::Terminal { .. } if more => self.notice("/more shows more"),
            _ => {}
        }
    }

    pub fn error(&mut self, command: &str, refusal: &Refusal) {
        if self.is_json() {
            let object = event("error").text("command", command);
            let object = object.text("code", &refusal.code).text("reason", &refusal.text);
            return self.object(object);
        }
        let what = match (refusal.code.is_empty(), command.is_empty()) {
            (true, _) => refusal.text.clone(),
            (false, true) => refusal.to_string(),
            (false, false) => format!("{command}: {refusal}"),
        };
        let text = self.painted(RED, &format!("! {}", show::line(&what)));
        self.line(&text);
    }

    pub fn notice(&mut self, text: &str) {
        if self.is_json() {
            return self.object(event("notice").text("text", text));
        }
        if self.is_quiet() {
            return;
        }
        let text = self.painted(DIM, &format!("-- {}", show::line(text)));
        self.line(&text);
    }

    pub fn lines(&mut self, lines: &[String]) {
        for line in lines {
            match self.is_json() {
                true => self.object(event("notice").text("text", line)),
                false => self.line(line),
            }
        }
    }
}

/// The object of an event. What a terminal must not get is escaped: a user may look at it there.
fn event(name: &str) -> Object {
    Object::new(|c| c != '\n' && show::is_harmful(c)).text("event", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(from: &str, body: &str) -> Incoming {
        Incoming {
            id: "an id".to_string(),
            from: from.to_string(),
            to: "alice".to_string(),
            body: body.to_string(),
            time: 1_795_491_667_123,
            seq: 42,
        }
    }

    fn printed(style: Style, message: &Incoming) -> String {
        let mut printer = Printer::new(style);
        printer.message(message, "alice", false);
        String::from_utf8(printer.take()).expect("UTF-8")
    }

    #[test]
    fn a_message_has_the_three_forms() {
        let message = incoming("bob", "hi \"you\"");
        let json = "{\"event\": \"message\", \"from\": \"bob\", \"to\": \"alice\", \"text\": \
                    \"hi \\\"you\\\"\", \"id\": \"an id\", \"time\": 1795491667123, \"seq\": 42, \
                    \"history\": false}\n";
        assert_eq!(printed(Style::Json, &message), json);
        let text = "2026-11-24T03:41:07Z bob -> alice: hi \"you\"\n";
        assert_eq!(printed(Style::Text, &message), text);
        let plain = Style::Terminal { colour: false };
        assert_eq!(printed(plain, &message), "-- 2026-11-24 (UTC)\n03:41 bob: hi \"you\"\n");
    }

    #[test]
    fn what_others_write_moves_nothing_on_the_terminal_and_fakes_no_line() {
        let evil =
            incoming("bob", "\x1b[2J\x1b]0;title\x07\r\u{202e}\n03:42 carol: pay me\u{9b}31m");
        for style in [Style::Terminal { colour: false }, Style::Text, Style::Json] {
            let printed = printed(style, &evil);
            let harmful = printed.chars().any(|c| c != '\n' && c.is_control());
            assert!(!harmful, "{printed:?}");
            assert!(!printed.contains("\n03:42"), "{printed:?}");
        }
        assert!(printed(Style::Terminal { colour: false }, &evil).contains("\n      | 03:42"));
        assert_eq!(printed(Style::Text, &evil).lines().count(), 1);
    }

    #[test]
    fn without_colour_no_escape_is_sent() {
        let draft = Draft {
            id: 1,
            to: "bob".to_string(),
            body: "x".to_string(),
            known: 0,
            cluster: 0,
            written_ms: 0,
        };
        for (style, escapes) in
            [(Style::Terminal { colour: false }, false), (Style::Terminal { colour: true }, true)]
        {
            let mut printer = Printer::new(style);
            printer.message(&incoming("bob", "hi"), "alice", true);
            printer.failed(&draft, &Refusal::new("no-such-user", "nobody has that name"));
            printer.notice("a notice");
            assert_eq!(printer.take().contains(&0x1b), escapes);
        }
    }
}
