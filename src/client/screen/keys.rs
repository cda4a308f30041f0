//! Keys: from the terminal's bytes through the focus stack to what they do.

use super::super::editor::keys::Key;
use super::Screen;
use super::draw::PROMPT;
use super::keep::KEEP_MS;
use super::layers::{Confirm, Layer, Room, Want};
use super::types::{Action, End};

/// The keys of the screen, as help and the man page show them; the emacs keys of the typed text are
/// named in a line of their own.
pub const KEYS: &[(&str, &str)] = &[
    ("Alt-1 ... Alt-0", "open the first to the tenth conversation of the list"),
    ("Ctrl-N, Ctrl-P", "next conversation, previous conversation"),
    ("Alt-A", "next conversation with unread messages"),
    ("PgUp, PgDn, wheel", "scroll; older messages load as you reach them"),
    ("Alt-<, Alt->", "go to the oldest loaded message, to the newest"),
    ("Enter", "send; line ends in pasted text do not send"),
    ("Alt-Enter", "start a new line"),
    ("Tab, Shift-Tab", "complete a command or name; previous completion"),
    ("Up, Down", "earlier input (or move between the lines of a text)"),
    ("Alt-Up, Alt-Down", "select a message: c copies its text, C its id, d deletes, r reuses it"),
    ("Esc", "close what is open; stop a search"),
    ("Ctrl-L", "erase and redraw the screen"),
    ("Ctrl-Z", "suspend; fg resumes"),
    ("Ctrl-C", "clear the input; twice on an empty line: quit"),
    ("Ctrl-A E B F K U W Y", "move, cut and paste, as in emacs"),
];

impl Screen {
    /// Bytes as they were read from the terminal, cut anywhere.
    pub fn on_bytes(&mut self, now_ms: u64, bytes: &[u8]) {
        let mut keys = std::mem::take(&mut self.keys);
        self.keep_at = Some(now_ms + KEEP_MS);
        keys.feed(now_ms, bytes, |key| self.on_key(key));
        self.keys = keys;
    }

    pub(super) fn on_key(&mut self, key: Key) {
        match key {
            Key::Ctrl('z') => return self.actions.push(Action::Suspend),
            Key::Ctrl('l') => return self.actions.push(Action::Repaint),
            // A slash right behind Escape: typed too fast for the two to be told from Alt-/.
            Key::Alt('/') => {
                self.on_key(Key::Escape);
                return self.on_key(Key::Char('/'));
            }
            Key::WheelUp | Key::WheelDown => {}
            // The user has seen the notice, unless a layer's own was in its place.
            _ if self.layers.notice(self.settings.zone).is_none() => self.notice = None,
            _ => {}
        }
        let room = Room { page: self.page(), input: self.input_columns(PROMPT) };
        let want = self.layers.on_key(key, room);
        let want = want.unwrap_or_else(|| self.composer.on_key(key, room));
        self.grant(want);
    }

    /// Rows that a page key scrolls.
    fn page(&self) -> usize {
        self.drawn.rows.saturating_sub(2).max(1)
    }

    fn grant(&mut self, want: Want) {
        match want {
            Want::Nothing => {}
            Want::Tell(text) => self.tell(&text),
            Want::TellWrong(text) => self.tell_wrong(&text),
            Want::Leave => self.leave(),
            Want::AskToLeave => self.ask_to_leave(),
            Want::Quit => self.end = Some(End::Left),
            Want::Line(line) => {
                self.on_line(&line);
                self.keep();
            }
            Want::Complete => self.complete(),
            Want::PutWord(start, word) => self.composer.put_word(start, &word),
            Want::OpenNamed(name) => self.switch_to(&name),
            Want::OpenNth(digit) => self.open_nth(digit),
            Want::OpenBeside(by) => self.open_beside(by),
            Want::OpenUnread => self.open_unread(),
            Want::ScrollUp(rows) => self.scroll(true, rows),
            Want::ScrollDown(rows) => self.scroll(false, rows),
            Want::ShowOldest => self.show_oldest(),
            Want::ShowNewest => self.show_newest(),
            Want::SelectLast => self.select_last(),
            Want::SelectOlder => self.select_beside(false),
            Want::SelectNewer => self.select_beside(true),
            Want::CopyText => self.copy_selected(false),
            Want::CopyId => self.copy_selected(true),
            Want::DeleteSelected => self.delete_selected(),
            Want::ReuseSelected => self.reuse_selected(),
            Want::SearchOn => self.search_on(),
            // What is typed next is for the composer again.
            Want::Delete(with, id) => {
                self.layers.close_panes();
                self.delete(with, id);
            }
            Want::DeleteNothing => {
                self.layers.close_panes();
                self.tell("nothing was deleted");
            }
            Want::Ask(request, asked) => self.ask(request, asked),
            Want::SetPassword(password) => self.actions.push(Action::SetPassword(password)),
        }
    }

    fn ask_to_leave(&mut self) {
        self.composer.is_warned = true;
        let lost = self.composer.lost().map(|lost| format!("lose {lost}? ")).unwrap_or_default();
        let question = format!("{lost}press Ctrl-C again to quit, any other key to stay");
        self.layers.open(Layer::Confirm(Confirm::Leave { question }));
    }

    /// Leaves, but warns once if that loses drafts.
    pub(super) fn leave(&mut self) {
        match self.composer.lost().filter(|_| !self.composer.is_warned) {
            Some(lost) => {
                self.composer.is_warned = true;
                self.tell_wrong(&format!("{lost} would be lost; quit again to confirm"));
            }
            None => self.end = Some(End::Left),
        }
    }

    fn open_nth(&mut self, digit: char) {
        let place = (digit as usize - '0' as usize + 9) % 10;
        match self.book.all().get(place).map(|talk| talk.name.clone()) {
            Some(name) => self.switch_to(&name),
            None => self.tell("the list is shorter than that"),
        }
    }

    fn open_beside(&mut self, by: isize) {
        let all = self.book.all();
        let next = match all.iter().position(|talk| self.book.is_current(&talk.name)) {
            None => 0,
            Some(place) => (place as isize + by).rem_euclid(all.len().max(1) as isize) as usize,
        };
        if let Some(name) = all.get(next).map(|talk| talk.name.clone()) {
            self.switch_to(&name);
        }
    }

    fn open_unread(&mut self) {
        let mut unread = self.book.all().iter().filter(|talk| talk.unread() > 0);
        match unread.find(|talk| !self.book.is_current(&talk.name)).map(|talk| talk.name.clone()) {
            Some(name) => self.switch_to(&name),
            None => self.tell("nothing else is unread"),
        }
    }
}
