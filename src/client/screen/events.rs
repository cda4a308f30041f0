//! Events of the session.

use std::collections::HashSet;

use super::super::session::{Draft, Event, Incoming, Refusal, State};
use super::super::show::{self, OLD_COMMANDS, OUT_OF_DATE, messages, old_messages};
use super::Screen;
use super::conversation::{Loaded, View};
use super::pane::clipped;
use super::select::QUOTED_COLUMNS;
use super::types::{Action, Notice};
use crate::protocol::id;

impl Screen {
    /// An event of the session, except an answer: see [`Screen::on_answer`].
    pub fn on_event(&mut self, event: Event) {
        let selected = self.selected_id();
        self.take_event(event);
        self.follow_selected(selected);
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::LoggedIn { name, read_only, .. } => {
                self.on_login(name);
                if read_only {
                    self.tell_cut_off(OUT_OF_DATE);
                }
            }
            Event::Message(message) => self.on_message(&message),
            Event::Sent { id, to, body, seq, time } => self.on_sent(id, to, body, seq, time),
            Event::Failed { draft, refusal } => self.on_failed(&draft, &refusal),
            Event::Held(refusal) => {
                let text = format!("the server accepts no messages now, yours wait: {refusal}");
                self.tell_cut_off(&text);
            }
            Event::Old { count, since_ms } => {
                self.tell_wrong(&format!("{}; {OLD_COMMANDS}", old_messages(count, since_ms)));
            }
            Event::OtherCluster(count) => self.tell_wrong(&format!(
                "{} written for another cluster; kept in {}",
                messages(count),
                self.status.outbox.clone()
            )),
            Event::TakenBack(ids) => self.on_taken_back(&ids),
            Event::ReadMoved { name, seq } => self.on_read_moved(&name, seq),
            Event::PasswordNeeded => {
                self.on_password_needed(Refusal::void_login());
            }
            Event::LoginRefused(refusal) => self.on_password_needed(refusal),
            Event::Cluster(_) => self.book.start_over(),
            Event::State(State::Connected) => self.forget_cut_off(),
            Event::Online(names) => self.people.online = names.into_iter().collect(),
            Event::Presence { name, online: true } => drop(self.people.online.insert(name)),
            Event::Presence { name, online: false } => drop(self.people.online.remove(&name)),
            Event::State(_) | Event::Token(_) | Event::Answer { .. } => {}
        }
    }

    fn on_login(&mut self, name: String) {
        self.people.me = name;
        self.end_login();
        self.ask_inbox();
        for talk in self.book.all_mut() {
            talk.is_stuck = false;
        }
        if let Some(current) = self.book.current().map(str::to_string) {
            self.load(&current);
        }
    }

    fn on_message(&mut self, message: &Incoming) {
        let mine = message.from == self.people.me;
        let other = if mine { &message.to } else { &message.from };
        let is_current = self.book.is_current(other);
        let talk = self.book.entry(other);
        let is_followed = talk.reading.view == View::Newest && !self.layers.covers_conversation();
        let was_read = talk.unread() == 0;
        talk.on_push(message, mine);
        // It is out of view: reading will go on there.
        if is_current && !is_followed && was_read && talk.unread() > 0 {
            talk.reading.unread_from = Some(message.seq);
        }
        self.people.note(other);
        if !mine {
            let is_muted = self.people.muted.contains(other);
            if self.settings.bell && !is_muted {
                self.actions.push(Action::Bell);
            }
            if self.settings.notify && !is_muted {
                let (from, text) = (other.clone(), message.body.clone());
                self.actions.push(Action::Notify(Notice { from, text }));
            }
        }
        self.book.trim();
    }

    fn on_sent(&mut self, sent: u128, to: String, body: String, seq: u64, time: u64) {
        self.forget_cut_off();
        self.last_sent = Some((to.clone(), sent));
        let talk = self.book.entry(&to);
        match talk.loaded {
            Loaded::Not => talk.on_sent(sent, seq),
            _ => {
                let (id, from) = (id::format(sent), self.people.me.clone());
                talk.store(&Incoming { id, from, to, body, time, seq }, true);
            }
        }
        self.book.trim();
    }

    fn on_failed(&mut self, draft: &Draft, refusal: &Refusal) {
        let talk = self.book.entry(&draft.to);
        if refusal.code == "no-such-user" {
            talk.exists = Some(false);
            self.people.forget(&draft.to);
        }
        let unsure = match refusal.code.as_str() {
            "id-expired" => "it may have been sent already; ",
            _ => "",
        };
        talk.fail(draft.id, &format!("{unsure}{refusal}"));
        self.drop_provisional(&draft.to);
        let text = match self.book.get(&draft.to) {
            Some(_) => String::new(),
            None => format!(": {}", clipped(&show::line(&draft.body), QUOTED_COLUMNS)),
        };
        self.tell_wrong(&format!("not sent to {}: {refusal}{text}", draft.to));
    }

    fn on_taken_back(&mut self, ids: &[String]) {
        let ids: HashSet<u128> = ids.iter().filter_map(|text| id::parse(text)).collect();
        for talk in self.book.all_mut() {
            talk.take_back(&ids);
        }
        self.ask_inbox();
    }

    fn on_read_moved(&mut self, name: &str, seq: u64) {
        if let Some(talk) = self.book.get_mut(name) {
            talk.on_read(seq);
            if talk.unread() > 0 {
                self.ask_inbox();
            }
        }
    }
}
