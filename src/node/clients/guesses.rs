//! Guessing at one account's password from many networks, each of which keeps to its own bound.
//!
//! Past [`limits::GUESSES`] attempts from places where nobody has logged in to the account yet,
//! further ones have to wait for each other, for [`limits::GUESS_WAIT_MS`] at most. Where the owner
//! has logged in before, nothing changes: guessing locks nobody out for good. Names that no account
//! has are counted as well, or the difference would tell which do.

use std::collections::{HashMap, VecDeque};

use crate::chat::AccountId;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Network;

/// Attempts at all names.
#[derive(Default)]
pub(super) struct Guesses {
    of_name: HashMap<Box<str>, Guessed>,
    /// When names at rest may be looked for again, milliseconds.
    sweep_ms: u64,
    /// Where each account was logged in to last, the newest first.
    known: HashMap<AccountId, Vec<Network>>,
    /// The accounts of `known`, in the order in which they came to be there.
    order: VecDeque<AccountId>,
}

#[derive(Clone, Copy, Default)]
struct Guessed {
    attempts: u32,
    /// As of when, milliseconds.
    at_ms: u64,
    /// Before this instant no further attempt is let through, milliseconds.
    next_ms: u64,
}

impl Guesses {
    /// Lets an attempt through, or says how long the next one has to wait, milliseconds. `account`
    /// is the one of that name, if there is one.
    pub(super) fn attempt(
        &mut self,
        name: &str,
        account: Option<AccountId>,
        network: Network,
        now_ms: u64,
    ) -> Result<(), u64> {
        let is_known = account.is_some_and(|account| self.is_known(account, network));
        if is_known && !planted(Mutant::OwnerLockedOut) {
            return Ok(());
        }
        if !self.of_name.contains_key(name) && !self.has_room(now_ms) {
            return Ok(());
        }
        let guessed = self.of_name.entry(name.into()).or_default();
        guessed.forgive(now_ms);
        if now_ms < guessed.next_ms {
            return Err(guessed.next_ms - now_ms);
        }
        guessed.attempts = (guessed.attempts + 1).min(2 * limits::GUESSES);
        if let Some(over) = guessed.attempts.checked_sub(limits::GUESSES) {
            let wait_ms = 1_000_u64 << over.min(16);
            guessed.next_ms = now_ms + wait_ms.min(limits::GUESS_WAIT_MS);
        }
        Ok(())
    }

    /// The password was right: this was no guess, and the next attempt from there is none either.
    pub(super) fn succeeded(&mut self, name: &str, account: AccountId, network: Network) {
        if let Some(guessed) = self.of_name.get_mut(name) {
            guessed.attempts = guessed.attempts.saturating_sub(1);
        }
        self.add_known(account, network);
    }

    /// Somebody has proven to be the account's owner there.
    pub(super) fn add_known(&mut self, account: AccountId, network: Network) {
        if !self.known.contains_key(&account) {
            if self.known.len() >= limits::KNOWN_ACCOUNTS
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
            self.order.push_back(account);
        }
        let networks = self.known.entry(account).or_default();
        networks.retain(|other| *other != network);
        networks.insert(0, network);
        networks.truncate(limits::KNOWN_NETWORKS);
    }

    fn is_known(&self, account: AccountId, network: Network) -> bool {
        self.known.get(&account).is_some_and(|networks| networks.contains(&network))
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        if self.of_name.len() >= limits::GUESSED_NAMES && now_ms >= self.sweep_ms {
            self.sweep_ms = now_ms + limits::SWEEP_MS;
            self.of_name.retain(|_, guessed| {
                guessed.forgive(now_ms);
                guessed.attempts > 0
            });
        }
        self.of_name.len() < limits::GUESSED_NAMES
    }
}

impl Guessed {
    fn forgive(&mut self, now_ms: u64) {
        let forgiven = now_ms.saturating_sub(self.at_ms) / limits::GUESS_FORGIVEN_MS;
        self.attempts = self.attempts.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
        self.at_ms = match self.attempts {
            0 => now_ms,
            _ => self.at_ms + forgiven * limits::GUESS_FORGIVEN_MS,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Origin;

    fn network(number: u32) -> Network {
        Origin::Ip(std::net::Ipv4Addr::from(number).into()).network()
    }

    #[test]
    fn guessing_from_many_networks_slows_down_and_the_owner_is_let_through() {
        let (alice, mut guesses) = (AccountId::new(0), Guesses::default());
        guesses.succeeded("alice", alice, network(1));
        let (mut let_through, mut longest_ms) = (0, 0);
        for number in 0..10_000 {
            // From another network each time, ten a second.
            let attempt =
                guesses.attempt("alice", Some(alice), network(2 + number), 100 * u64::from(number));
            let_through += u64::from(attempt.is_ok());
            longest_ms = longest_ms.max(attempt.err().unwrap_or(0));
            let from_home = guesses.attempt("alice", Some(alice), network(1), 0);
            assert_eq!(from_home, Ok(()), "where the owner was before nothing waits");
        }
        let most = u64::from(limits::GUESSES) + 1_000_000 / limits::GUESS_WAIT_MS + 8;
        assert!(let_through <= most, "{let_through} guesses were let through");
        assert_eq!(longest_ms, limits::GUESS_WAIT_MS - 100, "for the next attempt after one");
        // Whoever is the owner, at a new place, gets in within a bounded time.
        let now_ms = 1_000_000;
        let wait_ms = guesses.attempt("alice", Some(alice), network(99_999), now_ms).unwrap_err();
        assert!(wait_ms <= limits::GUESS_WAIT_MS);
        let later_ms = now_ms + wait_ms;
        assert_eq!(guesses.attempt("alice", Some(alice), network(99_999), later_ms), Ok(()));
    }

    #[test]
    fn a_name_that_no_account_has_is_slowed_down_alike() {
        let (alice, mut guesses) = (AccountId::new(0), Guesses::default());
        for number in 0..200 {
            let now_ms = 700 * u64::from(number);
            let real = guesses.attempt("alice", Some(alice), network(number), now_ms);
            assert_eq!(real, guesses.attempt("nobody", None, network(number), now_ms));
        }
    }

    #[test]
    fn names_are_bounded_and_those_at_rest_make_room() {
        let mut guesses = Guesses::default();
        for number in 0..limits::GUESSED_NAMES + 10 {
            assert_eq!(guesses.attempt(&number.to_string(), None, network(1), 0), Ok(()));
        }
        assert_eq!(guesses.of_name.len(), limits::GUESSED_NAMES);
        let later_ms = limits::GUESS_FORGIVEN_MS;
        assert_eq!(guesses.attempt("new", None, network(1), later_ms), Ok(()));
        assert_eq!(guesses.of_name.len(), 1);
    }

    #[test]
    fn places_are_bounded_for_each_account_and_in_all() {
        let mut guesses = Guesses::default();
        for number in 0..=limits::KNOWN_ACCOUNTS as u32 {
            guesses.add_known(AccountId::new(number), network(1));
        }
        assert_eq!(guesses.known.len(), limits::KNOWN_ACCOUNTS);
        let (first, last) = (AccountId::new(0), AccountId::new(1));
        assert!(!guesses.is_known(first, network(1)), "the oldest is forgotten");
        for number in 2..2 + limits::KNOWN_NETWORKS as u32 {
            guesses.add_known(last, network(number));
        }
        assert!(!guesses.is_known(last, network(1)) && guesses.is_known(last, network(2)));
    }
}
