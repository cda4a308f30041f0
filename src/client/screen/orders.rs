//! Commands that were typed.

use super::super::commands::{self, Command, Which};
use super::super::dates;
use super::super::line::asking::Asking;
use super::super::session::{Draft, Request, State};
use super::super::show;
use super::Screen;
use super::conversation::{Entry, Fate};
use super::keys::KEYS;
use super::layers::{Layer, Panel, Picker, Source};
use super::pane::clipped;
use super::select::QUOTED_COLUMNS;
use super::types::{Action, Asked};
use crate::limits;

impl Screen {
    pub(super) fn on_line(&mut self, line: &str) {
        match commands::parse(line) {
            Ok(None) => {}
            Ok(Some(command)) => self.on_command(command, line),
            Err(why) => {
                self.composer.editor.replace(line.to_string());
                self.tell_wrong(&why);
            }
        }
    }

    fn on_command(&mut self, command: Command, line: &str) {
        match command {
            Command::Send { to, text } => match self.or_current(to) {
                Some(to) => {
                    if !self.book.is_current(&to) {
                        // It goes to a conversation that is out of view.
                        let text = clipped(&show::line(&text), QUOTED_COLUMNS);
                        self.tell(&format!("to {to}: {text}"));
                    }
                    self.actions.push(Action::Send { to, text });
                }
                None => {
                    self.composer.editor.replace(line.to_string());
                    self.tell_wrong(
                        "no recipient: pick one with /to NAME or Alt-1, or use /msg NAME TEXT",
                    );
                }
            },
            Command::To(name) | Command::Open(name) => self.switch_to(&name),
            Command::Close(name) => self.with_name(name, "/close", Screen::on_close),
            Command::Move(number) => self.on_move(number),
            Command::History { with, .. } => self.with_name(with, "/history", |screen, name| {
                screen.switch_to(name);
                screen.scroll(true, screen.drawn.rows);
            }),
            Command::More => self.scroll(true, self.drawn.rows),
            Command::Inbox => self.pick(Source::Inbox, String::new()),
            Command::List { pattern } => self.pick(Source::List, pattern),
            Command::Who { pattern } => self.pick(Source::Who, pattern),
            Command::Read(name) => self.with_name(name, "/read", Screen::on_read_all),
            Command::Mute(name) => self.with_name(name, "/mute", Screen::on_mute),
            Command::Delete(which) => self.on_delete(which),
            Command::Search(text) => self.start_search(text),
            Command::Select => self.select_last(),
            Command::ChangePassword => self.start_asking(Asking::OldPassword),
            Command::DeleteAccount => self.start_asking(Asking::ConfirmDelete),
            Command::Waiting(old) => self.actions.push(Action::Old(old)),
            Command::Status => self.show_status(),
            Command::Help => self.show_help(),
            Command::Quit => self.leave(),
        }
    }

    /// Does something with the name that was given to a command, or else with the open conversation.
    fn with_name(
        &mut self,
        name: Option<String>,
        command: &str,
        then: impl FnOnce(&mut Screen, &str),
    ) {
        match self.or_current(name) {
            Some(name) => then(self, &name),
            None => self.tell_wrong(&format!("no conversation is open: use {command} NAME")),
        }
    }

    /// The name that was given, or else the open conversation's.
    fn or_current(&self, name: Option<String>) -> Option<String> {
        name.or_else(|| self.book.current().map(str::to_string))
    }

    fn on_read_all(&mut self, name: &str) {
        if let Some(talk) = self.book.get_mut(name) {
            talk.on_read(talk.newest_known());
            (talk.reading.unread_from, talk.reading.unread_back) = (None, None);
        }
        self.actions.push(Action::MarkAllRead(name.to_string()));
    }

    fn on_close(&mut self, name: &str) {
        let Some(talk) = self.book.get(name) else {
            return self.tell_wrong(&format!("there is no conversation with {name} in the list"));
        };
        if talk.is_waiting() {
            let why =
                format!("a message to {name} is not sent yet; close the conversation after that");
            return self.tell_wrong(&why);
        }
        if self.book.is_current(name) {
            self.composer.switch(name, "");
        }
        self.book.close(name);
        self.tell(&format!(
            "{name} is hidden until a new message arrives; /to {name} shows it again"
        ));
    }

    fn on_move(&mut self, number: usize) {
        match self.book.place(number - 1) {
            Some(at) if at + 1 < number => {
                self.tell(&format!("the list is shorter: moved to place {}", at + 1))
            }
            Some(_) => {}
            None => self.tell_wrong("no conversation is open: open one with /to NAME"),
        }
    }

    fn on_mute(&mut self, name: &str) {
        if self.people.muted.remove(name) {
            return self.tell(&format!("{name} is no longer muted"));
        }
        if self.people.muted.len() >= limits::MUTED_NAMES {
            let most = limits::MUTED_NAMES;
            return self.tell_wrong(&format!("{most} names are muted; unmute one first"));
        }
        self.tell(&format!("{name} is muted; /mute {name} again unmutes"));
        self.people.muted.insert(name.to_string());
    }

    fn on_delete(&mut self, which: Which) {
        let found = match which {
            Which::Last if self.status.waiting > 0 => {
                let why = "the last message is not sent yet: delete it once it is sent";
                return self.tell_wrong(why);
            }
            Which::Last => self.last_sent.clone(),
            Which::Id(id) => Some((self.book.current().unwrap_or_default().to_string(), id)),
            Which::Seq(seq) => self.book.shown().and_then(|talk| {
                let stored = |entry: &&Entry| entry.fate == Fate::Stored;
                let entry = talk.entries.iter().filter(stored).find(|e| e.place.seq == seq)?;
                Some((talk.name.clone(), entry.id))
            }),
        };
        let Some((with, id)) = found else {
            return self.tell_wrong("no such message; select one with Alt-Up");
        };
        let talk = self.book.get(&with);
        let entry = talk.and_then(|talk| talk.entries.iter().find(|entry| entry.id == id));
        let mine = entry.is_none_or(|entry| entry.mine);
        self.ask_to_delete(with, id, mine);
    }

    fn pick(&mut self, source: Source, filter: String) {
        let number = self.next_tag;
        let mut own: Vec<_> = self.book.all().iter().collect();
        own.sort_by_key(|talk| std::cmp::Reverse(talk.recency()));
        let own = own.iter().map(|talk| (talk.name.clone(), talk.unread())).collect();
        let (picker, request) = Picker::new(number, source, filter, own);
        self.layers.open(Layer::Picker(picker));
        if let Some(request) = request {
            self.ask(request, Asked::Names { picker: number });
        }
    }

    fn show_help(&mut self) {
        let mut lines = vec!["Commands".to_string(), String::new()];
        lines.extend(commands::help());
        lines.extend([String::new(), "Keys".to_string(), String::new()]);
        let column = KEYS.iter().map(|(keys, _)| keys.len()).max().unwrap_or(0) + 2;
        lines.extend(KEYS.iter().map(|(keys, does)| format!("{keys:column$}{does}")));
        lines.extend(
            ["", "Marks", "", "● online   … waiting   ✓ sent   ! not sent   * draft"]
                .map(str::to_string),
        );
        self.show_lines("help", lines);
    }

    pub(super) fn show_lines(&mut self, title: &str, lines: Vec<String>) {
        self.layers.open(Layer::Panel(Panel::new(title, lines)));
    }

    fn show_status(&mut self) {
        let status = &self.status;
        let latency = match status.latency_ms {
            Some(latency_ms) => format!("{latency_ms} ms"),
            None => "not measured".to_string(),
        };
        let (messages, bytes) = self.book.size();
        let pairs = [
            ("account", self.people.me.clone()),
            ("state", status.state.to_string()),
            ("server", status.address.clone()),
            ("trouble", status.trouble.clone().unwrap_or_default()),
            ("waiting", status.waiting.to_string()),
            ("latency", latency),
            ("outbox", status.outbox.clone()),
            ("loaded", format!("{messages} messages, {} KiB", bytes >> 10)),
        ];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let lines = pairs.map(|(key, value)| format!("{key:>12}  {value}")).collect();
        let is_offline = status.state == State::Offline;
        self.show_lines("status", lines);
        if !is_offline {
            self.ask(Request::ServerStatus, Asked::Status);
        }
    }

    /// Shows the messages of the outbox: those that have waited for more than a day, and the others.
    pub fn show_waiting<'a>(
        &mut self,
        old: impl Iterator<Item = &'a Draft>,
        young: impl Iterator<Item = &'a Draft>,
    ) {
        let zone = self.settings.zone;
        let line = |draft: &Draft| {
            let at = draft.written_ms.saturating_add_signed(zone(draft.written_ms));
            let (date, clock) = (dates::date(at), dates::clock(at));
            let (to, text) = (show::line(&draft.to), show::line(&draft.body));
            format!("since {date} {clock}, to {to}: {text}")
        };
        let mut lines: Vec<String> = old.map(line).collect();
        if !lines.is_empty() {
            lines.insert(0, "Waiting for more than a day, not sent until you say so:".to_string());
            let what_to_do = "/waiting send sends them, /waiting drop discards them";
            lines.extend(["", what_to_do, ""].map(str::to_string));
        }
        let mut young = young.map(line).peekable();
        if young.peek().is_some() {
            lines.push("Sent as soon as a server accepts them:".to_string());
            lines.extend(young);
        }
        match lines.is_empty() {
            true => self.tell("no messages are waiting to be sent"),
            false => self.show_lines("waiting", lines),
        }
    }

    /// Old messages were discarded: takes them off the screen.
    pub fn on_dropped(&mut self, ids: &[u128]) {
        for talk in self.book.all_mut() {
            for id in ids {
                talk.settle(*id);
            }
        }
    }
}
