//! The state machine from outside.

mod accounts;
mod delivery;
mod flat;
mod golden;
mod measure;
pub mod model;
mod patterns;
mod payloads;
mod random;
mod sending;
mod views;

use chatctl::chat::{AccountId, Command, Direction, Effect, EventRef, State, Target};

/// A state, and the log that made it: indexes and times rise by themselves.
pub struct Chat {
    pub state: State,
    pub index: u64,
    pub time: u64,
    pub log: Vec<(u64, Vec<u8>)>,
}

impl Chat {
    /// Founded, with these accounts, and this many ids known for each sender.
    pub fn with_window(window: usize, names: &[&str]) -> Chat {
        let state = State::with_window(window);
        let mut chat = Chat { state, index: 0, time: 1_000, log: Vec::new() };
        chat.apply(|time| Command::Found {
            time,
            cluster: [1; 16],
            token_secret: [2; 32],
            members: Vec::new(),
        });
        for name in names {
            let effect = chat.create(name);
            assert!(matches!(effect, Effect::Created { .. }), "{name}: {effect:?}");
        }
        chat
    }

    /// Founded, with these accounts.
    pub fn new(names: &[&str]) -> Chat {
        Chat::with_window(10_000, names)
    }

    /// Applies the command as the next entry, and checks the state.
    pub fn apply<'a>(&mut self, command: impl FnOnce(u64) -> Command<'a>) -> Effect {
        self.time += 10;
        let mut payload = Vec::new();
        command(self.time).encode(&mut payload);
        self.index += 1;
        let effect = self.state.apply(self.index, &payload).expect("a whole command");
        self.log.push((self.index, payload));
        self.state.check_invariants();
        effect
    }

    pub fn create(&mut self, name: &str) -> Effect {
        self.apply(|time| Command::Create { time, name, verifier: "v1" })
    }

    pub fn delete(&mut self, name: &str) -> Effect {
        self.apply(|time| Command::Delete { time, name })
    }

    /// Sends without saying what was known.
    pub fn send(&mut self, from: &str, to: &str, id: u128, body: &str) -> Effect {
        self.send_knowing(from, to, id, body, 0)
    }

    pub fn send_knowing(
        &mut self,
        from: &str,
        to: &str,
        id: u128,
        body: &str,
        known: u64,
    ) -> Effect {
        self.apply(|time| Command::Send { time, from, to, id, known, body })
    }

    /// Sends a new message; gives its seq.
    pub fn sent(&mut self, from: &str, to: &str, id: u128) -> u64 {
        match self.send(from, to, id, "text") {
            Effect::Stored { seq, .. } => seq,
            other => panic!("{from} to {to}: {other:?}"),
        }
    }

    /// `deliver` n, proposed and applied.
    pub fn take(&mut self, name: &str, count: usize) -> Vec<u64> {
        let seqs = self.state.to_take(self.id(name), count);
        match self.apply(|time| Command::Take { time, name, seqs }) {
            Effect::Taken { seqs, .. } => seqs,
            other => panic!("{other:?}"),
        }
    }

    /// Where the marker stands, and whether it moved.
    pub fn read(&mut self, name: &str, from: &str, upto: u64) -> (u64, bool) {
        match self.apply(|time| Command::Read { time, name, from, upto }) {
            Effect::ReadMoved { marker, moved, .. } => (marker, moved),
            other => panic!("{other:?}"),
        }
    }

    /// `delete_msgs`, proposed and applied: how many went, and whose views lost which ids.
    pub fn delete_msgs(
        &mut self,
        name: &str,
        to: Option<&str>,
        ids: &[u128],
    ) -> (usize, Vec<(String, Vec<u128>)>) {
        let to = to.map(|to| self.id(to));
        let targets = targets(&self.state, self.id(name), to, ids);
        self.delete_targets(name, targets)
    }

    pub fn delete_targets(
        &mut self,
        name: &str,
        targets: Vec<Target>,
    ) -> (usize, Vec<(String, Vec<u128>)>) {
        let effect = self.apply(|time| Command::DeleteMsgs { time, name, targets });
        let Effect::Deleted { count, gone, .. } = effect else { panic!("{effect:?}") };
        let of = |account: AccountId| self.state.name(account).to_string();
        (count, gone.into_iter().map(|gone| (of(gone.account), gone.ids)).collect())
    }

    /// The account that has or had this name.
    pub fn id(&self, name: &str) -> AccountId {
        self.state.account_ever(name).unwrap_or_else(|| panic!("{name} never was"))
    }

    pub fn unread(&self, name: &str) -> u64 {
        self.state.unread_total(self.id(name))
    }

    /// The newest page of history.
    pub fn history(&self, name: &str, with: Option<&str>) -> Vec<u64> {
        let mut page = Vec::new();
        let with = with.map(|other| self.id(other));
        self.state.history(self.id(name), with, 0, Direction::Before, 1_000, &mut page);
        page
    }

    pub fn received(&self, name: &str, cursor: u64) -> Vec<u64> {
        let mut page = Vec::new();
        assert!(!self.state.received_after(self.id(name), cursor, 1_000, &mut page));
        page
    }

    pub fn events(&self, name: &str, cursor: u64) -> Vec<EventRef> {
        let mut page = Vec::new();
        assert!(!self.state.events_after(self.id(name), cursor, 1_000, &mut page));
        page
    }

    /// The inbox: with whom, unread, newest seq.
    pub fn inbox(&self, name: &str) -> Vec<(&str, u32, u64)> {
        let (page, next) = self.state.conversations(self.id(name), 0, 500);
        assert_eq!(next, 0);
        page.iter()
            .map(|line| (self.state.name(line.other), line.unread, line.newest_seq))
            .collect()
    }
}

/// The messages that these ids mean for an account, as a `delete_msgs` finds them.
pub fn targets(
    state: &State,
    account: AccountId,
    to: Option<AccountId>,
    ids: &[u128],
) -> Vec<Target> {
    let mut found = Vec::new();
    for id in ids {
        state.add_targets(account, to, *id, &mut found);
    }
    State::tidy_targets(&mut found);
    found
}
