//! The addresses behind the servers' names: when a name is looked up, what was found, and at which
//! address the server proved last who it is. An answer belongs to a name, not to a connection: one
//! that comes late changes what is dialled next and nothing else.

use core::net::SocketAddr;

use crate::limits;
use crate::mutants::{Mutant, planted};

/// A server's address as it was given, `HOST:PORT`, and what is known of it.
struct Name {
    text: String,
    /// An IP address and a port: there is nothing to look up.
    is_literal: bool,
    /// What the last look-up that succeeded gave.
    found: Vec<SocketAddr>,
    /// Where the server proved last who it is. A look-up that fails, or gives others, leaves it.
    good: Option<SocketAddr>,
    look_up: LookUp,
    /// What the operator was told that is wrong with it.
    told: Option<String>,
}

enum LookUp {
    /// Not under way. It may begin at this instant, milliseconds; none: it never did.
    Idle(Option<u64>),
    /// Under way since this instant, milliseconds.
    Asked(u64),
}

/// What the operator is told of a look-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It does not work, and why.
    Fails(String),
    /// It works again and gave these.
    Works(Vec<SocketAddr>),
}

/// The names.
#[derive(Default)]
pub(super) struct Names {
    all: Vec<Name>,
}

impl Names {
    /// These are the names from now on. What is known of one that stays is kept.
    pub fn keep<'a>(&mut self, texts: impl Iterator<Item = &'a str> + Clone) {
        self.all.retain(|name| texts.clone().any(|text| name.text == text));
        for text in texts {
            self.add(text);
        }
    }

    /// Takes in another one.
    pub fn add(&mut self, text: &str) {
        if self.find(text).is_some() {
            return;
        }
        let literal: Option<SocketAddr> = text.parse().ok();
        self.all.push(Name {
            text: text.to_owned(),
            is_literal: literal.is_some(),
            found: literal.into_iter().collect(),
            good: None,
            look_up: LookUp::Idle(None),
            told: None,
        });
    }

    fn find(&self, text: &str) -> Option<&Name> {
        self.all.iter().find(|name| name.text == text)
    }

    fn find_mut(&mut self, text: &str) -> Option<&mut Name> {
        self.all.iter_mut().find(|name| name.text == text)
    }

    /// Whether an address is known.
    pub fn is_known(&self, text: &str) -> bool {
        self.find(text).is_some_and(|name| name.good.is_some() || !name.found.is_empty())
    }

    /// The addresses that are known, in the order in which to try them: the last good one first.
    pub fn addresses(&self, text: &str) -> Vec<SocketAddr> {
        let Some(name) = self.find(text) else { return Vec::new() };
        let others = name.found.iter().copied().filter(|address| Some(*address) != name.good);
        let mut all: Vec<SocketAddr> = name.good.into_iter().chain(others).collect();
        if planted(Mutant::FirstAddressOnly) {
            all.truncate(1);
        }
        all
    }

    /// A server proved at this address that it is the one of the name.
    pub fn is_good(&mut self, text: &str, address: SocketAddr) {
        if let Some(name) = self.find_mut(text) {
            name.good = Some(address);
        }
    }

    /// Another server answers at this address, or one that refuses this one.
    pub fn is_not_good(&mut self, text: &str, address: SocketAddr) {
        if let Some(name) = self.find_mut(text) {
            name.good = name.good.filter(|good| *good != address);
        }
    }

    /// The next name to look up: one that never was, or that is wanted and may be looked up again.
    pub fn next(&mut self, now_ms: u64, is_wanted: impl Fn(&str) -> bool) -> Option<String> {
        let is_due = |name: &&mut Name| match name.look_up {
            _ if name.is_literal => false,
            LookUp::Asked(_) => false,
            LookUp::Idle(None) => true,
            LookUp::Idle(Some(at_ms)) => at_ms <= now_ms && is_wanted(&name.text),
        };
        let name = self.all.iter_mut().find(is_due)?;
        name.look_up = LookUp::Asked(now_ms);
        Some(name.text.clone())
    }

    /// A look-up is over. Gives what to tell of it.
    pub fn on_found(
        &mut self,
        now_ms: u64,
        text: &str,
        found: Result<Vec<SocketAddr>, String>,
    ) -> Option<News> {
        let name = self.find_mut(text).filter(|name| !name.is_literal)?;
        name.look_up = LookUp::Idle(Some(now_ms + limits::PEER_LOOKUP_AGAIN_MS));
        if planted(Mutant::FailedLookUpForgets) && found.is_err() {
            (name.found, name.good) = (Vec::new(), None);
        }
        match found {
            Ok(mut found) if !found.is_empty() => {
                let mut kept: Vec<SocketAddr> = Vec::new();
                found.retain(|address| {
                    let is_new = !kept.contains(address);
                    kept.push(*address);
                    is_new
                });
                found.truncate(limits::PEER_ADDRESSES);
                name.found = found;
                name.told.take().map(|_| News::Works(name.found.clone()))
            }
            Ok(_) => name.fails("it has no address".to_owned()),
            Err(why) => name.fails(why),
        }
    }

    /// The next name whose look-up takes long and was not told of yet, and what to tell.
    pub fn next_slow(&mut self, now_ms: u64) -> Option<(String, News)> {
        let name =
            self.all.iter_mut().find(|name| name.slow_ms().is_some_and(|ms| ms <= now_ms))?;
        let why = format!("no answer for {} s", limits::PEER_LOOKUP_SLOW_MS / 1000);
        name.fails(why).map(|news| (name.text.clone(), news))
    }

    /// When something is due: a look-up of a name that is wanted from an instant on, or a line about
    /// a slow one.
    pub fn next_ms(&self, wanted_ms: impl Fn(&str) -> Option<u64>) -> Option<u64> {
        let due = |name: &Name| match name.look_up {
            _ if name.is_literal => None,
            LookUp::Asked(_) => name.slow_ms(),
            LookUp::Idle(None) => Some(0),
            LookUp::Idle(Some(at_ms)) => wanted_ms(&name.text).map(|ms| ms.max(at_ms)),
        };
        self.all.iter().filter_map(due).min()
    }
}

impl Name {
    /// Notes what is wrong with it. The same thing is told once.
    fn fails(&mut self, why: String) -> Option<News> {
        if self.told.as_ref() == Some(&why) {
            return None;
        }
        self.told = Some(why.clone());
        Some(News::Fails(why))
    }

    /// When to tell that a look-up takes long; none where something was told already.
    fn slow_ms(&self) -> Option<u64> {
        match self.look_up {
            LookUp::Asked(since_ms) if self.told.is_none() => {
                Some(since_ms + limits::PEER_LOOKUP_SLOW_MS)
            }
            _ => None,
        }
    }
}
