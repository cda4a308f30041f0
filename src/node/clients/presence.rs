//! Who is logged in, told to those who watch.
//!
//! A session names the accounts that it watches with `watch`. When one of them logs in where it was
//! not, or its last session ends, each session that watches it gets a `presence`. Changes are gathered
//! for [`limits::PRESENCE_MS`], so that somebody who comes and goes costs its watchers one push in that
//! time, and a turn makes [`limits::TURN_PRESENCE`] pushes at most: a cluster whose clients all come
//! back at once serves them first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use super::Clients;
use super::apply::Push;
use super::budget;
use super::dispatch::{Asked, Next};
use super::reply::{Refusal, count, refuse_with, reply};
use crate::chat::AccountId;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::node::replica::Replica;
use crate::protocol::{Message, name};

/// Who watches whom, and what is still to be told.
#[derive(Default)]
pub(super) struct Presence {
    watches: BTreeSet<(AccountId, Key)>,
    /// Watched accounts that came or went since their watchers were told, and what those know: `None`
    /// where they may know different things.
    changed: BTreeMap<AccountId, Option<bool>>,
    /// When the changes are told.
    due_ms: Option<u64>,
    telling: VecDeque<Telling>,
}

/// Whether an account is online, on its way to its watchers.
struct Telling {
    account: AccountId,
    /// The last watcher that was told.
    after: Option<Key>,
}

impl Presence {
    fn watchers(&self, account: AccountId, after: Option<Key>) -> impl Iterator<Item = Key> {
        let first = match after {
            Some(key) => Bound::Excluded((account, key)),
            None => Bound::Included((account, Key::LEAST)),
        };
        let range = self.watches.range((first, Bound::Included((account, Key::MOST))));
        range.map(|(_, key)| *key)
    }

    /// The account's first session begins, or its last ends.
    pub(super) fn on_change(&mut self, now_ms: u64, account: AccountId, was_online: bool) {
        if self.watchers(account, None).next().is_none() {
            return;
        }
        self.changed.entry(account).or_insert(Some(was_online));
        self.due_ms.get_or_insert(now_ms + limits::PRESENCE_MS);
    }

    /// When there is something to tell.
    pub(super) fn next_ms(&self, now_ms: u64) -> Option<u64> {
        if self.telling.is_empty() { self.due_ms } else { Some(now_ms) }
    }

    /// The connection watches these and no others from now on; what it watched before.
    pub(super) fn watch(&mut self, key: Key, before: &[AccountId], accounts: &[AccountId]) {
        for account in before {
            self.watches.remove(&(*account, key));
        }
        for account in accounts {
            self.watches.insert((*account, key));
            // It learns now what the others are told later.
            if let Some(known) = self.changed.get_mut(account)
                && !planted(Mutant::PresenceUntold)
            {
                *known = None;
            }
        }
    }
}

impl Clients {
    pub(super) fn on_watch(
        &mut self,
        replica: &Replica,
        asked: &Asked<'_>,
    ) -> Result<Next, Refusal> {
        let body = asked.message.body.as_ref();
        let names = body.split(',').filter(|part| !part.is_empty());
        let names: Vec<&str> = names.take(limits::WATCHED_NAMES + 1).collect();
        if names.len() > limits::WATCHED_NAMES {
            let most = limits::WATCHED_NAMES;
            return Err(refuse_with(
                "too-long",
                format!("a session can watch at most {most} accounts"),
            ));
        }
        self.charge(asked.key, names.len() as u64 * 2 * budget::ITEM);
        let state = replica.state();
        let known = |given: &&str| state.account(&name::fold(given)?);
        let accounts: BTreeSet<AccountId> = names.iter().filter_map(known).collect();
        let accounts: Vec<AccountId> = accounts.into_iter().collect();
        let is_online = |account: &&AccountId| !self.sessions.of(**account).is_empty();
        let online: Vec<&str> =
            accounts.iter().filter(is_online).map(|account| state.name(*account)).collect();
        let message =
            Message { limit: count(online.len()), body: online.join(",").into(), ..reply("watch") };
        self.set_watched(asked.key, accounts);
        self.reply(asked.key, asked.codec, &message);
        Ok(Next::Answered)
    }

    /// What the connection watches from now on.
    pub(super) fn set_watched(&mut self, key: Key, accounts: Vec<AccountId>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        self.presence.watch(key, &client.watched, &accounts);
        client.watched = accounts;
    }

    /// Tells watchers what has changed, as far as this turn goes.
    pub(super) fn tell_presence(&mut self, replica: &Replica) {
        if self.presence.due_ms.is_some_and(|due_ms| due_ms <= self.now.monotonic_ms) {
            self.presence.due_ms = None;
            for (account, known) in std::mem::take(&mut self.presence.changed) {
                let is_online = !self.sessions.of(account).is_empty();
                if known != Some(is_online) {
                    self.presence.telling.push_back(Telling { account, after: None });
                }
            }
        }
        let mut left = limits::TURN_PRESENCE;
        while left > 0 {
            let Some(Telling { account, after }) = self.presence.telling.pop_front() else {
                return;
            };
            let watchers: Vec<Key> = self.presence.watchers(account, after).take(left).collect();
            left -= watchers.len().min(left);
            if let Some(last) = watchers.last().copied().filter(|_| left == 0) {
                self.presence.telling.push_front(Telling { account, after: Some(last) });
            }
            // As it is now, whatever it was when it changed.
            let word = if self.sessions.of(account).is_empty() { "offline" } else { "online" };
            let name = replica.state().name(account).to_owned();
            let message = Message { src: name.into(), body: word.into(), ..reply("presence") };
            // A client for which it has no room is told that it lags, and asks again.
            let seq = replica.state().applied();
            let mut push = Push::new(&message);
            watchers.iter().for_each(|key| self.push_to(*key, seq, &mut push));
        }
    }
}
