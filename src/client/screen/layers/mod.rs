//! The focus stack: the layers over the composer. The layer on top gets each key first; what it
//! leaves goes to the one below, and in the end to the composer. The title, the notice and the cursor
//! are looked for in the same order. A layer is a value that knows nothing of the screen: it returns
//! what the key [wants](Want).
//!
//! | layer          | opened by | takes |
//! | ---            | --- | --- |
//! | `completion`   | Tab with more than one candidate | Tab; any other key closes it |
//! | `confirm`      | a deletion; Ctrl-C | any key; the second Ctrl-C |
//! | `question`     | a login, `/passwd`, `/account` | all keys |
//! | `search`       | `/search` | Esc |
//! | `selection`    | Alt-Up, a search that found | keys for the selected message |
//! | `picker`       | `/list`, `/who`, `/inbox` | all keys but those that open a conversation |
//! | `panel`        | `/help`, `/status`, `/waiting` | the same |
//!
//! The last three are panes: one takes the place of another.

mod completion;
mod confirm;
mod panel;
mod picker;
mod question;
mod search;
mod selection;
mod want;

use super::super::editor::keys::Key;
use super::cells::{Area, Buffer};
use super::conversation::Place;
pub(super) use completion::Completion;
pub(super) use confirm::Confirm;
pub(super) use panel::Panel;
pub(super) use picker::{Picker, Source};
pub(super) use question::Question;
pub(super) use search::Search;
pub(super) use selection::SELECT_KEYS;
pub(super) use want::{Room, Took, WHEEL_ROWS, Want};

pub(super) enum Layer {
    Completion(Completion),
    Confirm(Confirm),
    Question(Question),
    Search(Search),
    /// The selected message.
    Selection(Place),
    Picker(Picker),
    Panel(Panel),
}

/// Where the next key goes, for the user's eye.
pub(super) enum Spot {
    Notice,
    Title,
    Pane,
    Input,
}

/// The stack, its top at the end.
#[derive(Default)]
pub(super) struct Layers(Vec<Layer>);

impl Layer {
    fn on_key(&mut self, key: Key, room: Room) -> Took {
        let is_wheel = matches!(key, Key::WheelUp | Key::WheelDown);
        match self {
            // The wheel answers no question.
            Layer::Completion(_) | Layer::Confirm(_) | Layer::Question(_) if is_wheel => Took::No,
            Layer::Completion(completion) => completion.on_key(key),
            Layer::Confirm(confirm) => confirm.on_key(key),
            Layer::Question(question) => question.on_key(key),
            Layer::Search(search) => search.on_key(key),
            Layer::Selection(_) => selection::on_key(key),
            Layer::Picker(picker) => picker.on_key(key, room),
            Layer::Panel(panel) => panel.on_key(key, room),
        }
    }

    fn is_pane(&self) -> bool {
        matches!(self, Layer::Selection(_) | Layer::Picker(_) | Layer::Panel(_))
    }

    fn notice(&self, zone: fn(u64) -> i64) -> Option<String> {
        match self {
            Layer::Completion(completion) => Some(completion.notice()),
            Layer::Confirm(confirm) => Some(confirm.question().to_string()),
            Layer::Search(search) => Some(search.progress(zone)),
            _ => None,
        }
    }

    fn spot(&self) -> Option<Spot> {
        match self {
            Layer::Confirm(Confirm::Delete { .. }) => Some(Spot::Notice),
            Layer::Question(_) => Some(Spot::Input),
            Layer::Selection(_) | Layer::Picker(_) => Some(Spot::Pane),
            Layer::Panel(_) => Some(Spot::Title),
            Layer::Completion(_) | Layer::Confirm(Confirm::Leave { .. }) | Layer::Search(_) => None,
        }
    }
}

/// The layer of one kind, if it is open.
macro_rules! of_kind {
    ($layers:expr, $kind:ident) => {
        $layers.find_map(|layer| match layer {
            Layer::$kind(layer) => Some(layer),
            _ => None,
        })
    };
}

impl Layers {
    /// Offers a key from the top down. `None`: no layer took it.
    pub fn on_key(&mut self, key: Key, room: Room) -> Option<Want> {
        for at in (0..self.0.len()).rev() {
            let took = self.0[at].on_key(key, room);
            if matches!(took, Took::Gone | Took::Last(_)) {
                self.0.remove(at);
            }
            if let Took::Yes(want) | Took::Last(want) = took {
                return Some(want);
            }
        }
        None
    }

    /// Puts a layer on top. A pane takes the place of another; a question closes all but a search.
    pub fn open(&mut self, layer: Layer) {
        match &layer {
            Layer::Question(_) => self.0.retain(|other| matches!(other, Layer::Search(_))),
            layer if layer.is_pane() => self.close_panes(),
            _ => {}
        }
        self.0.push(layer);
    }

    pub fn close_panes(&mut self) {
        self.0.retain(|layer| !layer.is_pane());
    }

    pub fn close_search(&mut self) {
        self.0.retain(|layer| !matches!(layer, Layer::Search(_)));
    }

    pub fn close_question(&mut self) {
        self.0.retain(|layer| !matches!(layer, Layer::Question(_)));
    }

    /// Selects this message instead of the one that is selected, if any.
    pub fn select(&mut self, place: Place) {
        match of_kind!(self.0.iter_mut(), Selection) {
            Some(selected) => *selected = place,
            None => self.open(Layer::Selection(place)),
        }
    }

    pub fn selected(&self) -> Option<Place> {
        of_kind!(self.0.iter(), Selection).copied()
    }

    pub fn search(&mut self) -> Option<&mut Search> {
        of_kind!(self.0.iter_mut(), Search)
    }

    pub fn picker(&mut self) -> Option<&mut Picker> {
        of_kind!(self.0.iter_mut(), Picker)
    }

    pub fn panel(&mut self) -> Option<&mut Panel> {
        of_kind!(self.0.iter_mut(), Panel)
    }

    pub fn question(&self) -> Option<&Question> {
        of_kind!(self.0.iter(), Question)
    }

    /// The composer, or the selected message, gets the keys: nothing but a search is open besides.
    pub fn is_free(&self) -> bool {
        self.0.iter().all(|layer| matches!(layer, Layer::Search(_) | Layer::Selection(_)))
    }

    /// The conversation is not in view.
    pub fn covers_conversation(&self) -> bool {
        self.0.iter().any(|layer| matches!(layer, Layer::Picker(_) | Layer::Panel(_)))
    }

    /// The pane gets the whole width.
    pub fn is_wide(&self) -> bool {
        of_kind!(self.0.iter(), Panel).is_some()
    }

    pub fn notice(&self, zone: fn(u64) -> i64) -> Option<String> {
        self.0.iter().rev().find_map(|layer| layer.notice(zone))
    }

    pub fn spot(&self) -> Spot {
        self.0.iter().rev().find_map(Layer::spot).unwrap_or(Spot::Input)
    }

    /// Draws what covers the conversation. `None`: nothing does.
    pub fn draw(
        &self,
        buffer: &mut Buffer,
        area: Area,
        is_online: impl Fn(&str) -> bool,
    ) -> Option<Cover> {
        self.0.iter().rev().find_map(|layer| match layer {
            Layer::Picker(picker) => {
                let cursor = Some(picker.draw(buffer, area, &is_online));
                Some(Cover { title: picker.title(), cursor, top: None })
            }
            Layer::Panel(panel) => {
                let laid = panel.laid(area.columns, area.rows);
                buffer.put_lines(area, &laid.rows[laid.top..]);
                let title = panel.title(&laid, area.rows);
                Some(Cover { title, cursor: None, top: Some(laid.top) })
            }
            _ => None,
        })
    }
}

/// What was drawn over the conversation.
pub(super) struct Cover {
    pub title: String,
    pub cursor: Option<(usize, usize)>,
    /// The first row of a panel that is in view.
    pub top: Option<usize>,
}
