//! Answers of the server to what was asked.

use super::super::line::{self, conversations};
use super::super::session::{Incoming, Refusal, Request};
use super::conversation::Loaded;
use super::{Action, Mode, Screen};
use crate::limits;
use crate::protocol::Message;

/// What an answer is awaited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Inbox,
    /// A page of history before a seq; 0: the newest.
    History {
        with: String,
        before: u64,
    },
    /// A page of names for the picker that has this number.
    Names {
        picker: u64,
    },
    /// Names that begin as the typed word does.
    Complete {
        text: String,
    },
    Delete {
        with: String,
        id: u128,
    },
    Status,
    ChangePassword,
    DeleteAccount,
}

impl Screen {
    /// The answer to [`Action::Ask`](super::Action::Ask): the reply's frames, or why not.
    pub fn on_answer(&mut self, tag: u64, result: Result<Vec<Message<'static>>, Refusal>) {
        let Some(asked) = self.asked.remove(&tag) else {
            return;
        };
        let selected = self.selected_id();
        self.take_answer(asked, result);
        self.follow_selected(selected);
    }

    fn take_answer(&mut self, asked: Asked, result: Result<Vec<Message<'static>>, Refusal>) {
        let frames = match result {
            Ok(frames) => frames,
            Err(refusal) => return self.on_refusal(asked, &refusal),
        };
        let Some((last, page)) = frames.split_last() else {
            return;
        };
        match asked {
            Asked::Inbox => self.on_inbox(last),
            Asked::History { with, before } => self.on_history(&with, before, page, last),
            Asked::Names { picker } => self.on_names(picker, last),
            Asked::Complete { text } => self.on_completion(&text, last),
            Asked::Delete { with, id } => self.on_deleted(&with, id, last.limit),
            Asked::Status => self.on_server_status(last),
            Asked::ChangePassword => self.tell("the password is changed"),
            Asked::DeleteAccount => (self.is_account_gone, self.is_quitting) = (true, true),
        }
    }

    fn on_refusal(&mut self, asked: Asked, refusal: &Refusal) {
        match asked {
            Asked::Inbox => self.is_inbox_asked = false,
            Asked::Complete { .. } => return,
            Asked::History { with, before } => {
                if let Some(talk) = self.book.get_mut(&with) {
                    match talk.loaded {
                        Loaded::Asked if before == 0 => talk.forget(),
                        _ => talk.asked_older = false,
                    }
                    talk.is_stuck = true;
                    if refusal.code == "no-such-user" {
                        talk.exists = Some(false);
                    }
                }
                self.search = None;
                self.drop_provisional(&with);
            }
            Asked::Names { picker: number } => {
                if let Mode::Pick(picker) = &mut self.mode {
                    picker.on_refusal(number);
                }
            }
            // What a person has asked for is told until it is seen, whatever the connection does.
            Asked::ChangePassword | Asked::DeleteAccount | Asked::Delete { .. } => {
                return self.tell_wrong(&refusal.to_string());
            }
            Asked::Status => {}
        }
        match refusal.is_passing() {
            true => self.tell_cut_off(&refusal.to_string()),
            false => self.tell_wrong(&refusal.to_string()),
        }
    }

    fn on_inbox(&mut self, last: &Message<'_>) {
        self.is_inbox_asked = false;
        let current = self.current.clone();
        for line in conversations(&last.body).take(limits::LIST_PAGE) {
            let line::Conversation { name, unread, seq, .. } = line;
            if self.book.is_closed(name, seq) {
                continue;
            }
            let talk = self.book.entry(name, current.as_deref());
            talk.on_inbox(unread, seq);
            // It was read here, and the server has not heard of it.
            if unread > talk.unread() {
                let (name, seq) = (name.to_string(), talk.read_to());
                self.actions.push(Action::MarkRead { name, seq });
            }
            self.note_name(name);
        }
        self.book.order();
        if std::mem::take(&mut self.is_inbox_old) {
            self.ask_inbox();
        }
    }

    fn on_history(&mut self, with: &str, asked: u64, page: &[Message<'_>], last: &Message<'_>) {
        let page: Vec<Incoming> =
            page.iter().filter(|frame| frame.cmd == "deliver").map(Incoming::of).collect();
        if let Some(talk) = self.book.get_mut(with) {
            talk.add_page(asked, &page, &self.me, (last.seq, last.body == "more"));
        }
        let current = self.current.clone();
        self.book.trim(current.as_deref());
        self.search_on(with);
    }

    fn on_names(&mut self, number: u64, last: &Message<'_>) {
        let names: Vec<String> =
            last.body.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
        for name in &names {
            self.note_name(name);
        }
        if let Mode::Pick(picker) = &mut self.mode
            && let Some(request) = picker.on_page(number, names, &last.to)
        {
            self.ask(request, Asked::Names { picker: number });
        }
    }

    pub(super) fn delete(&mut self, with: String, id: u128) {
        let request = Request::DeleteMessages { ids: vec![id], to: with.clone() };
        self.ask(request, Asked::Delete { with, id });
    }

    fn on_deleted(&mut self, with: &str, id: u128, count: u16) {
        match count {
            0 => self.tell("there was nothing to delete"),
            _ => {
                if let Some(talk) = self.book.get_mut(with) {
                    talk.take_back(&[id].into());
                }
                self.tell("deleted");
            }
        }
    }

    fn on_server_status(&mut self, last: &Message<'_>) {
        if let Mode::Panel(panel) = &mut self.mode {
            let lines = last.body.lines().map(|line| {
                let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                format!("{key:>12}  {value}")
            });
            panel.lines.extend(lines);
        }
    }
}
