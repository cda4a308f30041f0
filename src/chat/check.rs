//! What must hold of a state, its digest, and its size.

use super::accounts::{AccountId, Mailbox};
use super::hash::Digest;
use super::messages::{RECEIVER_SEES, SENDER_SEES, TAKEN};
use super::pairs::Side;
use super::state::State;
use std::collections::BTreeSet;

impl State {
    /// About how many bytes the state takes, allocator's overhead left out. Walks accounts and
    /// conversations.
    pub fn memory_bytes(&self) -> usize {
        size_of::<State>()
            + self.accounts.heap_bytes()
            + self.pairs.heap_bytes()
            + self.messages.heap_bytes()
    }

    /// A digest of everything that can be observed: two servers that have applied the same entries
    /// have the same. Walks everything: some ten nanoseconds a message, so not on a busy server's
    /// way.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for number in [self.applied, self.last_time, self.window as u64] {
            digest.number(number);
        }
        if let Some(founding) = &self.founding {
            digest.bytes(&founding.cluster);
            digest.bytes(&founding.token_secret);
        }
        for member in self.members() {
            digest.bytes(member.name.as_bytes());
            digest.bytes(member.address.as_bytes());
            digest.number(member.incarnation);
            digest.number(u64::from(member.number));
            digest.number(u64::from(member.votes));
        }
        digest.number(u64::from(self.servers.last_number));
        self.servers.incarnations.iter().for_each(|&incarnation| digest.number(incarnation));
        for ordinal in 0..self.messages.len() as u32 {
            let id = self.messages.id(ordinal);
            digest.number(self.messages.index(ordinal));
            digest.number(self.messages.time(ordinal));
            digest.number(id as u64);
            digest.number((id >> 64) as u64);
            digest.number(u64::from(self.sender(ordinal).number()));
            digest.number(u64::from(self.receiver(ordinal).number()));
            digest.number(u64::from(self.messages.flags(ordinal)));
        }
        for account in self.accounts.iter() {
            digest.bytes(account.name.as_bytes());
            digest.number(u64::from(account.mailbox.is_some()));
            if let Some(mailbox) = &account.mailbox {
                self.digest_mailbox(mailbox, &mut digest);
            }
        }
        for pair in self.pairs.iter() {
            for (account, side) in pair.accounts.iter().zip(&pair.sides) {
                digest.number(u64::from(account.number()));
                for number in [side.marker, side.moved_at, u64::from(side.unread)] {
                    digest.number(number);
                }
                side.seen.iter().for_each(|ordinal| digest.number(u64::from(ordinal)));
            }
        }
        digest.finish()
    }

    fn digest_mailbox(&self, mailbox: &Mailbox, digest: &mut Digest) {
        digest.bytes(mailbox.verifier.as_bytes());
        digest.number(mailbox.unread);
        digest.number(mailbox.window.horizon);
        for ordinal in mailbox.window.iter() {
            let print = mailbox.window.print(ordinal).unwrap_or_default();
            digest.number(u64::from(ordinal));
            digest.number(print as u64);
            digest.number((print >> 64) as u64);
        }
        for list in [&mailbox.received, &mailbox.sent, &mailbox.newest] {
            digest.number(list.len() as u64);
            list.iter().for_each(|ordinal| digest.number(u64::from(ordinal)));
        }
        for gone in mailbox.taken_back.iter() {
            digest.number(gone.seq);
            digest.number(u64::from(gone.ordinal));
        }
        mailbox.moved.keys().for_each(|&seq| digest.number(seq));
    }

    /// Asserts every invariant of the module's comment, by walking everything: for tests.
    ///
    /// # Panics
    /// Where one does not hold.
    pub fn check_invariants(&self) {
        self.check_messages();
        for number in 0..self.accounts.len() as u32 {
            let account = AccountId::new(number);
            assert_eq!(self.accounts.ever(self.name(account)), Some(account), "names are found");
            match self.accounts.mailbox(account) {
                Some(mailbox) => self.check_mailbox(account, mailbox),
                None => assert_eq!(self.account(self.name(account)), None, "no live one deleted"),
            }
        }
        let live = self.accounts.iter().filter(|account| account.mailbox.is_some()).count();
        assert_eq!(live, self.accounts.names("", "").count(), "live names are listed");
        for number in 0..self.pairs.len() as u32 {
            self.check_pair(number);
        }
    }

    /// Invariant 1, and that every message is found by its id.
    fn check_messages(&self) {
        let mut last = 0;
        for ordinal in 0..self.messages.len() as u32 {
            let index = self.messages.index(ordinal);
            assert!(index > last && index <= self.applied, "ordinals rise with indexes");
            assert_eq!(self.messages.at_index(index), Some(ordinal), "found by index");
            let mut found = self.messages.with_id(self.messages.id(ordinal));
            assert!(found.any(|one| one == ordinal), "found by id");
            last = index;
        }
    }

    /// Invariants 2, 3 (the total), 5 and 6.
    fn check_mailbox(&self, account: AccountId, mailbox: &Mailbox) {
        for list in [&mailbox.received, &mailbox.sent, &mailbox.newest] {
            list.check();
        }
        let of_all = |keep: &dyn Fn(u32) -> bool| -> Vec<u32> {
            (0..self.messages.len() as u32).filter(|&ordinal| keep(ordinal)).collect()
        };
        let received =
            of_all(&|o| self.receiver(o) == account && self.messages.has(o, RECEIVER_SEES));
        let sent = of_all(&|o| {
            let own = self.sender(o) == account && self.receiver(o) != account;
            own && self.messages.has(o, SENDER_SEES)
        });
        assert!(mailbox.received.iter().eq(received.iter().copied()), "what it received");
        assert!(mailbox.sent.iter().eq(sent), "what it sent");
        let waiting = received.iter().find(|&&ordinal| !self.messages.has(ordinal, TAKEN));
        assert!(waiting.is_none_or(|&first| first >= mailbox.queue_from), "the queue's beginning");

        let sides: Vec<&Side> =
            mailbox.pairs.iter().map(|&pair| self.pairs.get(pair).side(account)).collect();
        let unread: u64 = sides.iter().map(|side| u64::from(side.unread)).sum();
        assert_eq!(mailbox.unread, unread, "the total of what is unread");
        let newest: BTreeSet<u32> = sides.iter().filter_map(|side| side.seen.last()).collect();
        assert!(mailbox.newest.iter().eq(newest), "each conversation's newest");
        let moved: BTreeSet<u64> =
            sides.iter().map(|side| side.moved_at).filter(|&seq| seq > 0).collect();
        assert!(mailbox.moved.keys().copied().eq(moved), "the markers' latest moves");

        let own = of_all(&|ordinal| self.sender(ordinal) == account);
        let known = own.len().min(self.window);
        let (out, known) = own.split_at(own.len() - known);
        assert!(mailbox.window.iter().eq(known.iter().copied()), "the newest are known");
        let horizon = out.last().map_or(0, |&ordinal| self.messages.index(ordinal));
        assert_eq!(mailbox.window.horizon, horizon, "the highest that is not");
    }

    /// Invariants 2, 3 and 4 for the two sides.
    fn check_pair(&self, number: u32) {
        let pair = self.pairs.get(number);
        let [one, other] = pair.accounts;
        assert!(one <= other && self.pairs.find(other, one) == Some(number), "found by accounts");
        for (place, side) in pair.sides.iter().enumerate() {
            let account = pair.accounts[place];
            side.seen.check();
            let Some(mailbox) = self.accounts.mailbox(account) else {
                assert_eq!((side.seen.len(), side.marker, side.unread), (0, 0, 0), "gone");
                continue;
            };
            if one == other && place == 1 {
                assert_eq!((side.seen.len(), side.marker, side.unread), (0, 0, 0), "not used");
                continue;
            }
            assert!(mailbox.pairs.contains(&number), "the account knows the pair");
            let own = |o: &u32| self.messages.pair(*o) == number && self.sees(account, *o);
            let seen = (0..self.messages.len() as u32).filter(own);
            assert!(side.seen.iter().eq(seen), "what it sees");
            let unread = side.seen.iter().filter(|&ordinal| self.is_unread(account, ordinal));
            assert_eq!(unread.count(), side.unread as usize, "what is unread");
            assert!(side.marker <= self.applied && side.moved_at <= self.applied, "not ahead");
        }
    }
}
