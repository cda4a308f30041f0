//! The server's answers.

use super::super::line::{self, conversations};
use super::super::session::{Incoming, Refusal, Request};
use super::Screen;
use super::conversation::Loaded;
use super::types::{Action, Asked, End, Inbox};
use crate::limits;
use crate::protocol::Message;

impl Screen {
    /// The answer to [`Action::Ask`]: the reply's frames, or why it was refused.
    pub fn on_answer(&mut self, tag: u64, result: Result<Vec<Message<'static>>, Refusal>) {
        let Some(asked) = self.owed.remove(&tag) else { return };
        let selected = self.selected_id();
        self.take_answer(asked, result);
        self.follow_selected(selected);
    }

    fn take_answer(&mut self, asked: Asked, result: Result<Vec<Message<'static>>, Refusal>) {
        let frames = match result {
            Ok(frames) => frames,
            Err(refusal) => return self.on_refusal(asked, &refusal),
        };
        let Some((last, page)) = frames.split_last() else { return };
        match asked {
            Asked::Inbox => self.on_inbox(last),
            Asked::History { with, before } => self.on_history(&with, before, page, last),
            Asked::Names { picker } => self.on_names(picker, last),
            Asked::Complete { text } => self.on_completion(&text, last),
            Asked::Delete { with, id } => self.on_deleted(&with, id, last.limit),
            Asked::Status => self.on_server_status(last),
            Asked::ChangePassword => self.tell("password changed"),
            Asked::DeleteAccount => self.end = Some(End::AccountGone),
        }
    }

    fn on_refusal(&mut self, asked: Asked, refusal: &Refusal) {
        match asked {
            Asked::Inbox => self.inbox = Inbox::Idle,
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
                self.layers.close_search();
                self.drop_provisional(&with);
            }
            Asked::Names { picker: number } => {
                self.layers.picker().into_iter().for_each(|picker| picker.on_refusal(number));
            }
            // A connection does not make this obsolete: the user waits for it.
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
        for line in conversations(&last.body).take(limits::LIST_PAGE) {
            let line::Conversation { name, unread, seq, .. } = line;
            if self.book.is_closed(name, seq) {
                continue;
            }
            let talk = self.book.entry(name);
            talk.on_inbox(unread, seq);
            // The server has not heard yet that it was read here.
            if unread > talk.unread() {
                let (name, seq) = (name.to_string(), talk.read_to());
                self.actions.push(Action::MarkRead { name, seq });
            }
            self.people.note(name);
        }
        self.book.order();
        if std::mem::replace(&mut self.inbox, Inbox::Idle) == Inbox::AskedTwice {
            self.ask_inbox();
        }
    }

    fn on_history(&mut self, with: &str, asked: u64, page: &[Message<'_>], last: &Message<'_>) {
        let page: Vec<Incoming> =
            page.iter().filter(|frame| frame.cmd == "deliver").map(Incoming::of).collect();
        if let Some(talk) = self.book.get_mut(with) {
            talk.add_page(asked, &page, &self.people.me, (last.seq, last.body == "more"));
        }
        self.book.trim();
        self.on_searched_page(with);
    }

    fn on_names(&mut self, number: u64, last: &Message<'_>) {
        let names: Vec<String> =
            last.body.split(',').filter(|name| !name.is_empty()).map(str::to_string).collect();
        names.iter().for_each(|name| self.people.note(name));
        let picker = self.layers.picker();
        if let Some(request) = picker.and_then(|picker| picker.on_page(number, names, &last.to)) {
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
        if let Some(panel) = self.layers.panel() {
            panel.extend(last.body.lines().map(|line| {
                let (key, value) = line.split_once(' ').unwrap_or((line, ""));
                format!("{key:>12}  {value}")
            }));
        }
    }
}
