//! The full screen of the chat, sans-I/O: bytes of a terminal and events of the session in, actions
//! and a buffer of cells out. It reads no clock, socket or file.
//!
//! ```text
//! loop                                    screen
//!   on_bytes, on_tick, on_resize    ->      keys: hands -> commands, picker, search, ...
//!   on_event, on_answer, on_status  ->      conversations
//!   draw()                          <-      cells, and where the cursor is
//!   take_actions()                  <-      Send, Ask, MarkRead, ...
//!   deadline()                      <-      when to call on_tick next
//! ```
//!
//! What holds:
//!
//! - A received message is taken for read when a row of it was drawn, not before: so [`Screen::draw`]
//!   is followed by a write, and then by what [`Screen::take_actions`] gives.
//! - Whatever other people wrote is made harmless before it becomes a cell.
//! - Everything that is kept has a bound in [`limits`](crate::limits).
//!
//! | module         | what it is |
//! | ---            | --- |
//! | [`cells`], [`paint`] | a screen as cells; two screens' difference as bytes |
//! | [`wrap`], [`input`], [`links`] | text into rows; the web addresses in it |
//! | [`conversation`], [`book`] | what is loaded, unread, waiting |
//! | [`pane`]       | a conversation's rows, and the place on them |
//! | `hands`, `complete`, `asking`, `picker`, `search` | what the user does |
//! | [`keep`]       | what outlives the screen |
//! | `orders`, `answers`, `events` | commands; what the server says |
//! | `draw`, `bars` | the layout |

mod answers;
mod asking;
mod bars;
pub mod book;
pub mod cells;
mod complete;
pub mod conversation;
mod draw;
mod events;
mod hands;
pub mod input;
pub mod keep;
pub mod links;
mod orders;
pub mod paint;
pub mod pane;
mod picker;
mod search;
pub mod wrap;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::commands::Old;
use super::editor::Editor;
use super::editor::keys::Keys;
use super::session::{Refusal, Request, State};
use crate::limits;
use answers::Asked;
use asking::Asking;
use book::Book;
use complete::Completion;
use conversation::{Conversation, Loaded, Place};
pub use hands::KEYS;
use picker::Picker;
use search::Search;

/// An answer that is owed for longer is told, milliseconds.
pub const OWED_MS: u64 = 1_000;

/// What the user has chosen, and what the environment says.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Rings for new messages.
    pub bell: bool,
    /// Asks for a notification of each new message: [`Action::Notify`].
    pub notify: bool,
    /// Columns of the list of conversations; 0 hides it, `None`: as the width asks for.
    pub sidebar: Option<usize>,
    /// Local time less UTC at a moment, both in milliseconds.
    pub zone: fn(u64) -> i64,
}

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub state: State,
    /// The server that is (or was last) spoken to.
    pub address: String,
    /// Why it is not connected.
    pub trouble: Option<String>,
    /// Messages in the outbox.
    pub waiting: usize,
    /// How long the server took for its last answer, milliseconds.
    pub latency_ms: Option<u64>,
    /// For how long it has owed one, milliseconds.
    pub owed_ms: Option<u64>,
    /// The outbox's file.
    pub outbox: String,
}

/// What the loop has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Put a message into the outbox: then [`Screen::on_taken`] or [`Screen::on_not_taken`].
    Send {
        /// To whom.
        to: String,
        /// The text.
        text: String,
    },
    /// Ask the server: then, in any case, [`Screen::on_answer`] with the tag.
    Ask {
        /// Ours.
        tag: u64,
        /// What.
        request: Request,
    },
    /// All from `name` up to `seq` was on the screen.
    MarkRead {
        /// The other party.
        name: String,
        /// The newest that was.
        seq: u64,
    },
    /// All from this party is to count as read.
    MarkAllRead(String),
    /// Log in with this password.
    SetPassword(String),
    /// Messages that wait, or have for long: [`Screen::show_waiting`] for [`Old::Show`].
    Old(Old),
    /// Put text into the clipboard.
    Copy(String),
    /// Ring.
    Bell,
    /// Tell of a new message, whatever the user looks at.
    Notify(Notice),
    /// What is typed is to be kept on the disk: [`Screen::to_keep`], then [`Screen::on_kept`].
    Keep,
    /// Draw everything anew.
    Repaint,
    /// Give the terminal back and stop.
    Suspend,
}

/// A message to tell of: both as they came, to be made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who wrote.
    pub from: String,
    /// What.
    pub text: String,
}

/// What the keys are for.
#[derive(Debug)]
enum Mode {
    /// The typed text.
    Chat,
    /// A message of the conversation is selected.
    Select(Place),
    /// A name is picked.
    Pick(Picker),
    /// Lines are shown.
    Panel(Panel),
}

/// Lines over the conversation, until they are closed.
#[derive(Debug)]
struct Panel {
    title: String,
    lines: Vec<String>,
    /// The first line shown, of those after wrapping.
    top: usize,
}

/// A question that `y` answers.
#[derive(Debug)]
struct Confirm {
    question: String,
    with: String,
    id: u128,
}

/// A line for the user above the status.
#[derive(Debug)]
struct Line {
    text: String,
    is_wrong: bool,
    /// It is none any more once there is a connection.
    until_connected: bool,
}

/// See the module's comment.
pub struct Screen {
    settings: Settings,
    me: String,
    columns: usize,
    rows: usize,
    status: Status,

    keys: Keys,
    editor: Editor,
    completion: Option<Completion>,
    /// Unsent texts and their cursors, by conversation; the empty name: without one.
    drafts: VecDeque<(String, String, usize)>,
    asking: Asking,
    confirm: Option<Confirm>,
    mode: Mode,
    search: Option<Search>,
    /// What was searched for last.
    searched: Option<String>,
    /// With whom and where it was found.
    found: Option<(String, Place)>,
    notice: Option<Line>,
    interrupted: bool,
    /// It was told that leaving loses what is typed.
    is_warned: bool,
    /// What is typed is on the disk, but for what is typed right now.
    is_kept: bool,
    /// When what is typed right now is kept.
    keep_at: Option<u64>,

    book: Book,
    current: Option<String>,
    /// Names that were heard of, for completion.
    names: BTreeSet<String>,
    online: BTreeSet<String>,
    /// Who neither rings nor notifies.
    muted: BTreeSet<String>,
    /// Whose coming and going the server was last asked to tell, in order.
    watched: Vec<String>,
    is_inbox_asked: bool,
    is_inbox_old: bool,
    last_sent: Option<(String, u128)>,

    asked: BTreeMap<u64, Asked>,
    next_tag: u64,
    actions: Vec<Action>,
    is_quitting: bool,
    is_account_gone: bool,
    refused: Option<Refusal>,
    /// The pane as it was drawn last: its size, and what was at the top and the bottom.
    drawn: draw::Drawn,
}

impl Screen {
    /// The screen of `me`.
    pub fn new(me: &str, settings: Settings, status: Status) -> Screen {
        Screen {
            settings,
            me: me.to_string(),
            columns: 0,
            rows: 0,
            status,
            keys: Keys::default(),
            editor: Editor::new(),
            completion: None,
            drafts: VecDeque::new(),
            asking: Asking::Nothing,
            confirm: None,
            mode: Mode::Chat,
            search: None,
            searched: None,
            found: None,
            notice: None,
            interrupted: false,
            is_warned: false,
            is_kept: false,
            keep_at: None,
            book: Book::default(),
            current: None,
            names: BTreeSet::new(),
            online: BTreeSet::new(),
            muted: BTreeSet::new(),
            watched: Vec::new(),
            is_inbox_asked: false,
            is_inbox_old: false,
            last_sent: None,
            asked: BTreeMap::new(),
            next_tag: 1,
            actions: Vec::new(),
            is_quitting: false,
            is_account_gone: false,
            refused: None,
            drawn: draw::Drawn::default(),
        }
    }

    /// The terminal's size.
    pub fn on_resize(&mut self, columns: usize, rows: usize) {
        self.columns = columns.min(limits::SCREEN_SIDE);
        self.rows = rows.min(limits::SCREEN_SIDE);
    }

    /// How the connection is.
    pub fn on_status(&mut self, status: Status) {
        self.status = status;
    }

    /// Time has passed: to be called at [`Screen::deadline`], harmless at any time.
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

    /// Whose coming and going the server is to tell, where that has changed: those of the first
    /// conversations of the list, of the one that is open, and of the names to pick from.
    pub fn take_watched(&mut self) -> Option<Vec<String>> {
        let listed = self.book.all().iter().map(|talk| talk.name.as_str());
        let picked = match &self.mode {
            Mode::Pick(picker) => picker.names_near(limits::WATCHED_NAMES / 2),
            _ => Vec::new(),
        };
        let all = self.current.as_deref().into_iter().chain(picked).chain(listed);
        let names: BTreeSet<&str> = all.take(limits::WATCHED_NAMES).collect();
        if names.iter().eq(self.watched.iter()) {
            return None;
        }
        self.watched = names.into_iter().map(str::to_owned).collect();
        Some(self.watched.clone())
    }

    /// What is to be done, in order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// The user has left.
    pub fn is_quitting(&self) -> bool {
        self.is_quitting
    }

    /// The account was deleted from here.
    pub fn is_account_gone(&self) -> bool {
        self.is_account_gone
    }

    /// The login was refused, and no other password would help.
    pub fn refused(&self) -> Option<&Refusal> {
        self.refused.as_ref()
    }

    /// All conversations, in the order of the list.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// The conversation that is shown.
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Whether somebody is logged in, as far as that is known: without a server nobody is.
    fn is_online(&self, name: &str) -> bool {
        self.status.state != State::Offline && (self.online.contains(name) || name == self.me)
    }

    /// What is being typed.
    pub fn typed(&self) -> &str {
        self.editor.text()
    }

    /// A message of ours is on disk, in the outbox.
    pub fn on_taken(&mut self, to: &str, text: &str, id: u128, time: u64) {
        let current = self.current.clone();
        let talk = self.book.entry(to, current.as_deref());
        talk.wait(id, text, time);
        if current.as_deref() == Some(to) {
            talk.unread_from = None;
            self.show_newest();
        }
        self.note_name(to);
        self.book.trim(current.as_deref());
    }

    /// A message could not be put into the outbox: its text can be sent again.
    pub fn on_not_taken(&mut self, to: &str, text: &str, why: &str) {
        self.tell_wrong(&format!("not sent: {why}"));
        if self.current.as_deref() == Some(to) && self.editor.text().is_empty() {
            self.editor.replace(text.to_string());
        }
    }

    /// Something for the user to know.
    pub fn tell(&mut self, text: &str) {
        self.set_notice(text, false, false);
    }

    /// Something has gone wrong.
    pub fn tell_wrong(&mut self, text: &str) {
        self.set_notice(text, true, false);
    }

    /// Something is wrong until there is a connection again.
    fn tell_cut_off(&mut self, text: &str) {
        self.set_notice(text, true, true);
    }

    fn set_notice(&mut self, text: &str, is_wrong: bool, until_connected: bool) {
        self.notice = Some(Line { text: text.to_string(), is_wrong, until_connected });
    }

    fn ask(&mut self, request: Request, asked: Asked) {
        let tag = self.next_tag;
        self.next_tag += 1;
        self.asked.insert(tag, asked);
        self.actions.push(Action::Ask { tag, request });
    }

    /// The conversations are asked for; while an answer is awaited, once more behind it.
    fn ask_inbox(&mut self) {
        if std::mem::replace(&mut self.is_inbox_asked, true) {
            self.is_inbox_old = true;
            return;
        }
        self.ask(Request::Inbox { cursor: 0 }, Asked::Inbox);
    }

    /// The newest page of a conversation is asked for, where none was.
    fn load(&mut self, name: &str) {
        let Some(talk) = self.book.get_mut(name) else {
            return;
        };
        if talk.loaded != Loaded::Not {
            return;
        }
        talk.loaded = Loaded::Asked;
        let request = Request::History { with: name.into(), before: 0, limit: talk.first_page() };
        self.ask(request, Asked::History { with: name.to_string(), before: 0 });
    }

    /// The next older page of a conversation is asked for, where there is one and room for it.
    fn load_older(&mut self, name: &str, limit: u16) {
        if !self.book.has_room(name) {
            return;
        }
        let Some(talk) = self.book.get_mut(name) else {
            return;
        };
        let Loaded::From(before) = talk.loaded else {
            return;
        };
        if std::mem::replace(&mut talk.asked_older, true) {
            return;
        }
        let request = Request::History { with: name.into(), before, limit };
        self.ask(request, Asked::History { with: name.to_string(), before });
    }

    fn note_name(&mut self, name: &str) {
        if self.names.len() < limits::SCREEN_NAMES {
            self.names.insert(name.to_string());
        }
    }

    /// Shows another conversation; the typed text stays with the one before.
    fn switch_to(&mut self, name: &str) {
        self.search = None;
        self.mode = Mode::Chat;
        if self.current.as_deref() != Some(name) {
            self.keep_draft();
            let before = self.current.replace(name.to_string());
            if before.is_none() && !self.has_draft(name) {
                // What was typed to nobody is for the first that is opened.
                let to_nobody = self.drafts.iter_mut().find(|(with, ..)| with.is_empty());
                to_nobody.into_iter().for_each(|(with, ..)| *with = name.to_string());
            }
            self.take_draft();
            self.keep();
            self.drop_provisional(&before.unwrap_or_default());
        }
        let current = self.current.clone();
        self.book.entry(name, current.as_deref());
        self.note_name(name);
        self.book.open(name);
        self.load(name);
        self.book.trim(current.as_deref());
    }

    /// A name that nobody is known to have leaves the list when another is shown, unless something
    /// was written. While the server is asked, its answer decides.
    fn drop_provisional(&mut self, name: &str) {
        let may_go = |talk: &Conversation| talk.is_provisional() && talk.loaded != Loaded::Asked;
        let is_current = self.current.as_deref() == Some(name);
        if !is_current && self.book.get(name).is_some_and(may_go) && !self.has_draft(name) {
            self.book.remove(name);
            self.names.remove(name);
        }
    }

    fn keep_draft(&mut self) {
        let name = self.current.clone().unwrap_or_default();
        self.drafts.retain(|(with, ..)| *with != name);
        let cursor = self.editor.cursor();
        let text = self.editor.replace(String::new());
        if text.is_empty() {
            return;
        }
        if self.drafts.len() >= limits::SCREEN_DRAFTS {
            self.drafts.pop_front();
        }
        self.drafts.push_back((name, text, cursor));
        self.is_warned = false;
    }

    fn take_draft(&mut self) {
        let name = self.current.clone().unwrap_or_default();
        let place = self.drafts.iter().position(|(with, ..)| *with == name);
        let Some((_, text, cursor)) = place.and_then(|place| self.drafts.remove(place)) else {
            self.editor.replace(String::new());
            return;
        };
        self.editor.replace(text);
        self.editor.set_cursor(cursor);
    }

    fn has_draft(&self, name: &str) -> bool {
        self.drafts.iter().any(|(with, ..)| with == name)
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
        assert!(self.drafts.len() <= limits::SCREEN_DRAFTS);
        assert!(self.names.len().max(self.online.len()) <= limits::SCREEN_NAMES);
    }
}
