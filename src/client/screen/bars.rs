//! The lines around the conversation: titles, the notice, the status, the welcome.

use super::super::cluster::text_width;
use super::super::session::State;
use super::super::show;
use super::Screen;
use super::cells::{Colour, Style};
use super::conversation::Loaded;
use super::frame::Wishes;
use super::types::OWED_MS;
use crate::limits;

impl Screen {
    /// The title of the terminal's window: how many messages are unread, except muted ones.
    pub(super) fn window_title(&self, wishes: &Wishes) -> String {
        let loud = self.book.all().iter().filter(|talk| !self.people.muted.contains(&talk.name));
        let unread = loud.fold(0u64, |sum, talk| sum.saturating_add(self.unread(talk, wishes)));
        let me = show::line(&self.people.me);
        match unread {
            0 => format!("{me} - chatctl"),
            _ => format!("({unread}) {me} - chatctl"),
        }
    }

    pub(super) fn conversation_title(&self, wishes: &Wishes) -> String {
        let Some(talk) = self.book.shown() else { return "chatctl".to_string() };
        let mut title = show::line(&talk.name).into_owned();
        let is_online = self.is_online(&talk.name);
        if is_online {
            title.push_str(": online");
        }
        if self.people.muted.contains(&talk.name) {
            title.push_str(if is_online { ", muted" } else { ": muted" });
        }
        let is_loading_older = talk.asked_older || wishes.older.is_some();
        title.push_str(match talk.loaded {
            Loaded::Asked | Loaded::From(_) if self.status.state == State::Offline => "",
            Loaded::Asked => " - loading",
            Loaded::From(_) if is_loading_older => " - loading older messages",
            Loaded::From(_) if !self.book.has_room(&talk.name) => {
                " - older messages are not loaded: the limit is reached"
            }
            _ => "",
        });
        title
    }

    /// The text above the status, and whether it is bad news.
    pub(super) fn notice_text(&self) -> Option<(String, bool)> {
        if let Some(notice) = self.layers.notice(self.settings.zone) {
            return Some((notice, false));
        }
        let notice = self.notice.as_ref()?;
        Some((notice.text.clone(), notice.is_wrong))
    }

    /// The status from the left on, what matters most first.
    pub(super) fn status_pieces(&self) -> Vec<(String, Style)> {
        let status = &self.status;
        let state_style = match status.state {
            State::Connected => Style::PLAIN,
            State::Electing => Style::BOLD.coloured(Colour::Yellow),
            State::ReadOnly | State::Offline => Style::BOLD.coloured(Colour::Red),
        };
        let mut pieces = vec![
            (format!(" {}  ", show::line(&self.people.me)), Style::BOLD),
            (status.state.to_string(), state_style),
        ];
        if status.waiting > 0 {
            pieces.push((format!("  {} waiting", status.waiting), Style::BOLD));
        }
        let owed_ms = status.owed_ms.filter(|owed_ms| *owed_ms >= OWED_MS);
        if let (State::Connected, Some(owed_ms)) = (status.state, owed_ms) {
            let style = Style::BOLD.coloured(Colour::Yellow);
            pieces.push((format!("  no answer for {} s", owed_ms / 1_000), style));
        } else if let (State::Connected, Some(latency_ms)) = (status.state, status.latency_ms) {
            let text = match latency_ms {
                0 => "  <1 ms".to_string(),
                some => format!("  {some} ms"),
            };
            pieces.push((text, Style::PLAIN));
        }
        let trouble = status.trouble.as_deref().filter(|_| status.state == State::Offline);
        let server = trouble.unwrap_or(&status.address);
        pieces.push((format!("  {}", show::line(server)), Style::PLAIN));
        pieces
    }

    /// The status at the right: what is out of view, as much of that as has room. `typed_at`: the row
    /// of the cursor, of how many, where not all are in view.
    pub(super) fn status_right(
        &self,
        room: usize,
        below: usize,
        typed_at: Option<(usize, usize)>,
    ) -> String {
        let is_in_view =
            |name: &str| self.book.is_current(name) && !self.layers.covers_conversation();
        let others = self.book.all().iter().filter(|talk| !is_in_view(&talk.name));
        let unread = others.fold(0u64, |sum, talk| sum.saturating_add(talk.unread()));
        let mut pieces = Vec::new();
        if let Some((at, rows)) = typed_at {
            pieces.push(format!("typed: row {at} of {rows}"));
        }
        if below > 0 {
            pieces.push(format!("{below} more below"));
        }
        if unread > 0 {
            pieces.push(format!("{unread} unread elsewhere"));
        }
        loop {
            let text = match pieces.is_empty() {
                true => return String::new(),
                false => format!("  {} ", pieces.join(", ")),
            };
            if text_width(&text) <= room {
                return text;
            }
            pieces.pop();
        }
    }

    /// What the pane shows before a conversation is opened.
    pub(super) fn welcome(&self) -> Vec<String> {
        let mut lines = vec![String::new()];
        if self.status.state == State::Offline {
            lines.push(" Not connected yet.".to_string());
        }
        let count = self.book.all().len();
        match count {
            0 if self.status.state == State::Offline => {}
            0 => lines.push(" There are no conversations yet.".to_string()),
            1 => lines.push(" There is one conversation.".to_string()),
            limits::SCREEN_CONVERSATIONS.. => {
                lines.push(format!(" The newest {count} conversations are listed."));
            }
            _ => lines.push(format!(" There are {count} conversations.")),
        }
        lines.push(String::new());
        if self.layers.question().is_some_and(|question| question.is_login()) {
            lines.push(hint("Esc", "quits"));
            return lines;
        }
        if count > 0 {
            lines.push(hint("Alt-1 ... Alt-0", "open one from the list"));
        }
        let hints = [
            ("/to NAME", "starts one"),
            ("/list", "lists all accounts"),
            ("/help", "shows commands and keys"),
            ("/quit", "leaves"),
        ];
        lines.extend(hints.map(|(what, does)| hint(what, does)));
        lines
    }
}

fn hint(what: &str, does: &str) -> String {
    format!(" {what:<16} {does}")
}
