//! Commands, as they are typed.

use super::super::commands::{self, Command, Which};
use super::super::printer;
use super::super::session::{Draft, Request, State};
use super::super::show;
use super::answers::Asked;
use super::asking::Asking;
use super::conversation::Fate;
use super::hands::QUOTED_COLUMNS;
use super::pane::clipped;
use super::picker::{Picker, Source};
use super::{Action, KEYS, Mode, Panel, Screen};
use crate::limits;

impl Screen {
    /// A line was entered.
    pub(super) fn on_line(&mut self, line: &str) {
        match commands::parse(line) {
            Ok(None) => {}
            Ok(Some(command)) => self.on_command(command, line),
            Err(why) => {
                self.editor.replace(line.to_string());
                self.tell_wrong(&why);
            }
        }
    }

    fn on_command(&mut self, command: Command, line: &str) {
        match command {
            Command::Send { to, text } => match to.or_else(|| self.current.clone()) {
                Some(to) => {
                    if self.current.as_deref() != Some(to.as_str()) {
                        // It goes where nobody looks.
                        let text = clipped(&show::line(&text), QUOTED_COLUMNS);
                        self.tell(&format!("to {to}: {text}"));
                    }
                    self.actions.push(Action::Send { to, text });
                }
                None => {
                    self.editor.replace(line.to_string());
                    self.tell_wrong("to whom? /to NAME or Alt-1 chooses, /msg NAME TEXT sends one");
                }
            },
            Command::To(name) | Command::Open(name) => self.switch_to(&name),
            Command::Close(name) => match name.or_else(|| self.current.clone()) {
                Some(name) => self.on_close(&name),
                None => self.tell_wrong("no conversation is open: /close NAME"),
            },
            Command::Move(number) => self.on_move(number),
            Command::History { with, .. } => match with.or_else(|| self.current.clone()) {
                Some(name) => {
                    self.switch_to(&name);
                    self.scroll_up(self.drawn.rows);
                }
                None => self.tell_wrong("whose messages? /history NAME"),
            },
            Command::More => self.scroll_up(self.drawn.rows),
            Command::Inbox => self.pick(Source::Inbox, String::new()),
            Command::List { pattern } => self.pick(Source::List, pattern),
            Command::Who { pattern } => self.pick(Source::Who, pattern),
            Command::Read(name) => match name.or_else(|| self.current.clone()) {
                Some(name) => self.on_read_all(&name),
                None => self.tell_wrong("whose messages? /read NAME"),
            },
            Command::Mute(name) => match name.or_else(|| self.current.clone()) {
                Some(name) => self.on_mute(name),
                None => self.tell_wrong("mute whom? /mute NAME"),
            },
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

    fn on_read_all(&mut self, name: &str) {
        if let Some(talk) = self.book.get_mut(name) {
            talk.on_read(talk.newest_known());
            (talk.unread_from, talk.unread_back) = (None, None);
        }
        self.actions.push(Action::MarkAllRead(name.to_string()));
    }

    fn on_close(&mut self, name: &str) {
        let Some(talk) = self.book.get(name) else {
            return self.tell_wrong(&format!("there is no conversation with {name} in the list"));
        };
        if talk.is_waiting() {
            let why = format!("a message to {name} waits to be sent; close it after that");
            return self.tell_wrong(&why);
        }
        self.book.close(name);
        if self.current.as_deref() == Some(name) {
            self.keep_draft();
            self.current = None;
            self.take_draft();
        }
        self.tell(&format!("{name} is closed until a new message or /to {name}"));
    }

    fn on_move(&mut self, number: usize) {
        let name = self.current.clone();
        match name.and_then(|name| self.book.place(&name, number - 1)) {
            Some(at) if at + 1 < number => {
                self.tell(&format!("at the end: it is number {}", at + 1))
            }
            Some(_) => {}
            None => self.tell_wrong("no conversation is open; /to NAME opens one"),
        }
    }

    fn on_mute(&mut self, name: String) {
        if self.muted.remove(&name) {
            return self.tell(&format!("{name} is no longer muted"));
        }
        if self.muted.len() >= limits::MUTED_NAMES {
            let most = limits::MUTED_NAMES;
            return self.tell_wrong(&format!("{most} names are muted; unmute one first"));
        }
        self.tell(&format!("{name} is muted until /mute {name}"));
        self.muted.insert(name);
    }

    fn on_delete(&mut self, which: Which) {
        let found = match which {
            Which::Last if self.status.waiting > 0 => {
                let why = "the last one waits to be sent; it can be deleted after that";
                return self.tell_wrong(why);
            }
            Which::Last => self.last_sent.clone(),
            Which::Id(id) => Some((self.current.clone().unwrap_or_default(), id)),
            Which::Seq(seq) => self.current.clone().and_then(|name| {
                let talk = self.book.get(&name)?;
                let stored = |entry: &&super::conversation::Entry| entry.fate == Fate::Stored;
                let entry = talk.entries.iter().filter(stored).find(|e| e.place.seq == seq)?;
                Some((name, entry.id))
            }),
        };
        let Some((with, id)) = found else {
            return self.tell_wrong("there is no such message; Alt-Up selects one");
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
        self.mode = Mode::Pick(picker);
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
        self.mode = Mode::Panel(Panel { title: title.to_string(), lines, top: 0 });
    }

    fn show_status(&mut self) {
        let status = &self.status;
        let latency = match status.latency_ms {
            Some(latency_ms) => format!("{latency_ms} ms"),
            None => "not measured".to_string(),
        };
        let (messages, bytes) = self.book.size();
        let pairs = [
            ("account", self.me.clone()),
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

    /// What waits in the outbox: what has for more than a day, and the rest.
    pub fn show_waiting<'a>(
        &mut self,
        old: impl Iterator<Item = &'a Draft>,
        young: impl Iterator<Item = &'a Draft>,
    ) {
        let zone = self.settings.zone;
        let line = |draft: &Draft| {
            let at = draft.written_ms.saturating_add_signed(zone(draft.written_ms));
            let (date, clock) = (printer::date(at), printer::clock(at));
            let (to, text) = (show::line(&draft.to), show::line(&draft.body));
            format!("since {date} {clock}, to {to}: {text}")
        };
        let mut lines: Vec<String> = old.map(line).collect();
        if !lines.is_empty() {
            lines.insert(0, "For more than a day, and not sent unasked:".to_string());
            let what_to_do = "/waiting send sends them, /waiting drop gives them up";
            lines.extend(["", what_to_do, ""].map(str::to_string));
        }
        let mut young = young.map(line).peekable();
        if young.peek().is_some() {
            lines.push("To be sent as soon as a server takes them:".to_string());
            lines.extend(young);
        }
        match lines.is_empty() {
            true => self.tell("nothing waits to be sent"),
            false => self.show_lines("waiting", lines),
        }
    }

    /// What waited for long was given up: it is not shown any more.
    pub fn on_dropped(&mut self, ids: &[u128]) {
        for talk in self.book.all_mut() {
            for id in ids {
                talk.settle(*id);
            }
        }
    }

    /// The name that was picked.
    pub(super) fn on_picked(&mut self, name: &str) {
        self.mode = Mode::Chat;
        self.switch_to(name);
    }
}
