//! The full screen of the chat, sans-I/O: bytes of a terminal and events of the session in, actions
//! and frames out. It reads no clock, socket or file.
//!
//! ```text
//! loop                                    screen
//!   on_bytes, on_tick, on_resize    ->      keys -> layers, composer -> what they want
//!   on_event, on_answer, on_status  ->      conversations
//!   draw()                          <-      a frame, and what follows once it is on the terminal
//!   on_drawn(wishes)                ->      messages seen, older ones wanted
//!   take_actions()                  <-      Send, Ask, MarkRead, ...
//!   deadline()                      <-      when to call on_tick next
//! ```
//!
//! What holds:
//!
//! - A received message counts as read once a row of it is on the terminal: [`Screen::draw`] changes
//!   nothing, and [`Screen::on_drawn`] follows the write.
//! - Text of other people is made harmless before it becomes a cell.
//! - Everything that is kept has a bound in [`limits`](crate::limits).
//!
//! | module         | what it is |
//! | ---            | --- |
//! | [`cells`], [`paint`] | a screen as cells; two screens' difference as bytes |
//! | [`wrap`], [`input`], [`links`] | text into rows; the web addresses in it |
//! | [`conversation`], [`book`] | what is loaded, unread, waiting |
//! | [`pane`]       | a conversation's rows, and the place on them |
//! | `layers`, `composer` | the focus stack, and what is below it |
//! | `keys`, `select`, `find`, `complete`, `asking`, `orders` | what the user does |
//! | `answers`, `events` | what the server says |
//! | [`keep`]       | what outlives the screen |
//! | `draw`, `bars`, [`frame`] | the layout |

mod answers;
mod asking;
mod bars;
mod book;
pub mod cells;
mod complete;
mod composer;
mod conversation;
mod draw;
mod events;
mod find;
pub mod frame;
mod input;
pub mod keep;
mod keys;
mod layers;
mod links;
mod orders;
pub mod paint;
mod pane;
mod people;
mod select;
mod types;
pub(crate) mod wrap;

use std::collections::BTreeMap;

use super::editor::keys::Keys;
use super::session::{Refusal, Request, State};
use crate::limits;
use book::Book;
use composer::Composer;
use conversation::{Conversation, Loaded};
use find::Sought;
use frame::Drawn;
pub use keys::KEYS;
use layers::Layers;
use people::People;
pub use types::{Action, Notice, OWED_MS, Settings, Status};
use types::{Asked, End, Inbox, Remark};

/// See the module's comment.
pub struct Screen {
    settings: Settings,
    /// Columns and rows.
    size: (usize, usize),
    status: Status,
    drawn: Drawn,

    keys: Keys,
    layers: Layers,
    composer: Composer,
    /// When what is typed right now is kept.
    keep_at: Option<u64>,
    notice: Option<Remark>,
    sought: Option<Sought>,
    last_sent: Option<(String, u128)>,

    book: Book,
    people: People,
    inbox: Inbox,
    /// Requests that are not answered, by tag.
    owed: BTreeMap<u64, Asked>,
    next_tag: u64,

    actions: Vec<Action>,
    end: Option<End>,
}

impl Screen {
    /// The screen of `me`.
    pub fn new(me: &str, settings: Settings, status: Status) -> Screen {
        Screen {
            settings,
            size: (0, 0),
            status,
            drawn: Drawn::default(),
            keys: Keys::default(),
            layers: Layers::default(),
            composer: Composer::default(),
            keep_at: None,
            notice: None,
            sought: None,
            last_sent: None,
            book: Book::default(),
            people: People::new(me),
            inbox: Inbox::Idle,
            owed: BTreeMap::new(),
            next_tag: 1,
            actions: Vec::new(),
            end: None,
        }
    }

    /// The terminal's size.
    pub fn on_resize(&mut self, columns: usize, rows: usize) {
        self.size = (columns.min(limits::SCREEN_SIDE), rows.min(limits::SCREEN_SIDE));
    }

    /// The state of the connection.
    pub fn on_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Time has passed: call it at [`Screen::deadline`]; it is harmless at any time.
    pub fn on_tick(&mut self, now_ms: u64) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.expire(now_ms, |key| self.on_key(key));
        self.keys = keys;
        if self.keep_at.is_some_and(|at| at <= now_ms) {
            self.keep();
        }
    }

    /// When [`Screen::on_tick`] has something to do.
    pub fn deadline(&self) -> Option<u64> {
        [self.keys.deadline(), self.keep_at].into_iter().flatten().min()
    }

    /// The names whose presence the server should report, if these changed: the open conversation,
    /// names in the picker, and the first conversations of the list.
    pub fn take_watched(&mut self) -> Option<Vec<String>> {
        let picker = self.layers.picker();
        let near = picker.map(|picker| picker.names_near(limits::WATCHED_NAMES / 2));
        let listed = self.book.all().iter().map(|talk| talk.name.as_str());
        let current = self.book.current().into_iter();
        self.people.watch(current.chain(near.into_iter().flatten()).chain(listed))
    }

    /// Side effects to perform, in order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The user left.
    pub fn is_quitting(&self) -> bool {
        matches!(self.end, Some(End::Left | End::AccountGone))
    }

    /// The user deleted the account.
    pub fn is_account_gone(&self) -> bool {
        self.end == Some(End::AccountGone)
    }

    /// The login was refused, and no other password would help.
    pub fn refused(&self) -> Option<&Refusal> {
        match &self.end {
            Some(End::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }

    /// All conversations, in the order of the list.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The name of the open conversation.
    pub fn current(&self) -> Option<&str> {
        self.book.current()
    }

    /// Returns true if a name is known to be logged in. Without a server none is.
    fn is_online(&self, name: &str) -> bool {
        let is_online = self.people.online.contains(name) || name == self.people.me;
        self.status.state != State::Offline && is_online
    }

    /// The text in the composer.
    pub fn typed(&self) -> &str {
        self.composer.editor.text()
    }

    /// A message of the user is on disk, in the outbox.
    pub fn on_taken(&mut self, to: &str, text: &str, id: u128, time: u64) {
        let talk = self.book.entry(to);
        talk.wait(id, text, time);
        if self.book.is_current(to) {
            self.book.entry(to).reading.unread_from = None;
            self.show_newest();
        }
        self.people.note(to);
        self.book.trim();
    }

    /// A message could not be put into the outbox: its text is typed again.
    pub fn on_not_taken(&mut self, to: &str, text: &str, why: &str) {
        self.tell_wrong(&format!("not sent: {why}"));
        if self.book.is_current(to) && self.composer.editor.text().is_empty() {
            self.composer.editor.replace(text.to_string());
        }
    }

    /// Tells the user something.
    pub fn tell(&mut self, text: &str) {
        self.set_notice(text, false, false);
    }

    /// Tells the user that something went wrong.
    pub fn tell_wrong(&mut self, text: &str) {
        self.set_notice(text, true, false);
    }

    /// Tells the user of messages that are sent as soon as there is a connection.
    pub fn tell_waiting(&mut self, text: &str) {
        self.set_notice(text, false, true);
    }

    /// There is a connection, or the server accepts messages again.
    fn forget_cut_off(&mut self) {
        self.notice = self.notice.take().filter(|notice| !notice.until_connected);
    }

    /// Tells the user what is wrong until there is a connection again.
    fn tell_cut_off(&mut self, text: &str) {
        self.set_notice(text, true, true);
    }

    fn set_notice(&mut self, text: &str, is_wrong: bool, until_connected: bool) {
        self.notice = Some(Remark { text: text.to_string(), is_wrong, until_connected });
    }

    fn ask(&mut self, request: Request, asked: Asked) {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.owed.insert(tag, asked);
        self.actions.push(Action::Ask { tag, request });
    }

    /// Asks for the conversations; if that is under way, once more after it.
    fn ask_inbox(&mut self) {
        if self.inbox != Inbox::Idle {
            self.inbox = Inbox::AskedTwice;
            return;
        }
        self.inbox = Inbox::Asked;
        self.ask(Request::Inbox { cursor: 0 }, Asked::Inbox);
    }

    /// Asks for the newest page of a conversation, if none was asked for.
    fn load(&mut self, name: &str) {
        let Some(talk) = self.book.get_mut(name) else { return };
        if talk.loaded != Loaded::Not {
            return;
        }
        talk.loaded = Loaded::Asked;
        let request = Request::History { with: name.into(), before: 0, limit: talk.first_page() };
        self.ask(request, Asked::History { with: name.to_string(), before: 0 });
    }

    /// Returns true if an older page can be asked for.
    fn can_load_older(&self, talk: &Conversation) -> bool {
        let has_more = matches!(talk.loaded, Loaded::From(_));
        has_more && !talk.asked_older && self.book.has_room(&talk.name)
    }

    /// Asks for the next older page of a conversation, if there is one and room for it.
    fn load_older(&mut self, name: &str, limit: u16) {
        if !self.book.get(name).is_some_and(|talk| self.can_load_older(talk)) {
            return;
        }
        if let Some(talk) = self.book.get_mut(name)
            && let Loaded::From(before) = talk.loaded
        {
            talk.asked_older = true;
            let request = Request::History { with: name.into(), before, limit };
            self.ask(request, Asked::History { with: name.to_string(), before });
        }
    }

    /// Opens another conversation; the typed text stays with the one before.
    fn switch_to(&mut self, name: &str) {
        self.layers.close_search();
        self.layers.close_panes();
        if !self.book.is_current(name) {
            let before = self.book.current().unwrap_or_default().to_string();
            self.composer.switch(&before, name);
            self.book.open(name);
            self.keep();
            self.drop_provisional(&before);
        } else {
            self.book.open(name);
        }
        self.people.note(name);
        self.load(name);
        self.book.trim();
    }

    /// A name that is not known to exist leaves the list when another is opened, unless there is a
    /// message or a draft for it. While the server is asked, its answer decides.
    fn drop_provisional(&mut self, name: &str) {
        let may_go = |talk: &Conversation| talk.is_provisional() && talk.loaded != Loaded::Asked;
        let may_go = self.book.get(name).is_some_and(may_go);
        if may_go && !self.book.is_current(name) && !self.composer.has_draft(name) {
            self.book.remove(name);
            self.people.forget(name);
        }
    }

    /// What must hold between two inputs.
    pub fn check_invariants(&self) {
        for talk in self.book.all() {
            talk.check_invariants();
        }
        let (messages, bytes) = self.book.size();
        assert!(messages <= limits::SCREEN_MESSAGES + limits::OUTBOX_MESSAGES);
        assert!(bytes <= limits::SCREEN_BYTES + limits::OUTBOX_BYTES);
        assert!(self.book.all().len() <= limits::SCREEN_CONVERSATIONS + limits::OUTBOX_MESSAGES);
        self.composer.check_invariants();
        self.people.check_invariants();
    }
}
