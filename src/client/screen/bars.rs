//! The lines around the conversation: the title, the status, the notice, the prompt.

use super::super::session::State;
use super::super::show;
use super::super::width::text_width;
use super::asking::Asking;
use super::cells::{Colour, Style};
use super::conversation::Loaded;
use super::{Mode, OWED_MS, Panel, Screen};
use crate::limits;

/// What can be done with a selected message.
pub(super) const SELECT_KEYS: &str = "c copies text, C the id, d deletes, r reuses it, Esc leaves";

impl Screen {
    pub(super) fn title(&self) -> String {
        match &self.mode {
            Mode::Panel(panel) => self.panel_title(panel),
            Mode::Pick(picker) => picker.title(),
            Mode::Select(_) => SELECT_KEYS.to_string(),
            Mode::Chat => match self.current.as_deref() {
                Some(name) => self.conversation_title(name),
                None => "chatctl".to_string(),
            },
        }
    }

    /// The title of the terminal's window: how many messages are unread, except muted ones.
    pub fn window_title(&self) -> String {
        let loud = self.book.all().iter().filter(|talk| !self.muted.contains(&talk.name));
        let unread = loud.fold(0u64, |sum, talk| sum.saturating_add(talk.unread()));
        let me = show::line(&self.me);
        match unread {
            0 => format!("{me} - chatctl"),
            _ => format!("({unread}) {me} - chatctl"),
        }
    }

    /// Which lines of how many are in view, where they are not all.
    fn panel_title(&self, panel: &Panel) -> String {
        let (title, count) = (&panel.title, self.wrapped(&panel.lines).len());
        let end = panel.top + self.drawn.rows;
        match panel.top == 0 && end >= count {
            true => format!("{title}: Esc closes"),
            false => {
                let (first, last) = (panel.top + 1, end.min(count));
                format!("{title}: {first}-{last} of {count}, PgUp, PgDn scroll, Esc closes")
            }
        }
    }

    fn conversation_title(&self, name: &str) -> String {
        let mut title = show::line(name).into_owned();
        if self.is_online(name) {
            title.push_str(": online");
        }
        if self.muted.contains(name) {
            title.push_str(if self.is_online(name) { ", muted" } else { ": muted" });
        }
        let Some(talk) = self.book.get(name) else {
            return title;
        };
        let room = self.book.has_room(name);
        let loading = match talk.loaded {
            Loaded::Asked | Loaded::From(_) if self.status.state == State::Offline => "",
            Loaded::Asked => " - loading",
            Loaded::From(_) if talk.asked_older => " - loading older messages",
            Loaded::From(_) if !room => " - older messages are not loaded: too many are",
            _ => "",
        };
        title.push_str(loading);
        title
    }

    /// What stands above the status, and whether it is bad news.
    pub(super) fn notice_text(&self) -> Option<(String, bool)> {
        if let Some(confirm) = &self.confirm {
            return Some((confirm.question.clone(), false));
        }
        if let Some(search) = &self.search {
            return Some((search.progress(self.settings.zone), false));
        }
        let notice = self.notice.as_ref()?;
        Some((notice.text.clone(), notice.is_wrong))
    }

    pub(super) fn prompt(&self) -> String {
        self.asking.question().unwrap_or("> ").to_string()
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
            (format!(" {}  ", show::line(&self.me)), Style::BOLD),
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

    /// The status at the right: what is not in view, as much of that as has room.
    pub(super) fn status_right(&self, room: usize) -> String {
        // Under something else it is not in view either.
        let is_in_view = matches!(self.mode, Mode::Chat | Mode::Select(_));
        let is_current = |name: &str| is_in_view && self.current.as_deref() == Some(name);
        let others = self.book.all().iter().filter(|talk| !is_current(&talk.name));
        let unread = others.fold(0u64, |sum, talk| sum.saturating_add(talk.unread()));
        let mut pieces = Vec::new();
        if let Some((at, rows)) = self.drawn.typed_at {
            pieces.push(format!("typed: row {at} of {rows}"));
        }
        if self.current.is_some() && is_in_view && self.drawn.below > 0 {
            pieces.push(format!("{} more below", self.drawn.below));
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

    /// What is shown before a conversation is chosen.
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
        if self.asking == Asking::Login {
            lines.push(hint("Esc", "leaves"));
            return lines;
        }
        if count > 0 {
            lines.push(hint("Alt-1 ... Alt-0", "open one of the list"));
        }
        let hints = [
            ("/to NAME", "begins one"),
            ("/list", "shows who there is"),
            ("/help", "shows all commands and keys"),
            ("/quit", "leaves"),
        ];
        lines.extend(hints.map(|(what, does)| hint(what, does)));
        lines
    }
}

fn hint(what: &str, does: &str) -> String {
    format!(" {what:<16} {does}")
}
