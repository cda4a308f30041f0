//! One copy of the conversation: the consensus core, the log and the state machine, tied together.
//! Pure: what it wants written or sent is done by somebody else, who says what has become of it.
//!
//! ```text
//! propose -> [core] -> append -> next_batch -> (written, synced) -> batch_durable -> [core]
//!         -> committed -> apply_next -> effect
//! ```
//!
//! An entry is applied when it is committed and durable here, so that whatever the state names can
//! be read from this server's log.

use std::collections::VecDeque;

use crate::chat::{self, ApplyError, Effect, Member, State};
use crate::mutants::{Mutant, planted};
use crate::raft::{
    ChangeError, Config, Entry, HardState, Mark, Members, Message, Outgoing, Payload, ProposeError,
    Raft, ReadError, ReadGrant, Restored, Role, RoleChange, Run, ServerId, StartError, Wanted,
};
use crate::server::standing;
use crate::wal::boots::Met;
use crate::wal::format::RECORD_HEADER_BYTES;
use crate::wal::{Batch, Location, SpareRequest, SpareState, Wal, hard_state};

/// An entry that has been applied.
#[derive(Debug)]
pub struct Applied {
    /// Its place in the log.
    pub index: u64,
    /// Its command.
    pub payload: Payload,
    /// What it did.
    pub effect: Effect,
}

/// What a restarted server goes on from.
pub struct Recovered {
    /// The newest hard state that was saved.
    pub hard_state: HardState,
    /// The number of the log's copy, as it was saved.
    pub copy: u64,
    /// The log.
    pub wal: Wal,
    /// The state, which has applied all up to `commit`.
    pub state: State,
    /// The log's last index known to be committed.
    pub commit: u64,
    /// The log's entries behind `commit`.
    pub tail: Vec<Entry>,
    /// The servers as the log has them up to `commit`, or as they are known before the log has this
    /// one among them; none for a server that is alone.
    pub members: Vec<Member>,
}

/// What is to be done outside, in the order in which it came up. Whoever does it takes it out.
#[derive(Debug, Default)]
pub struct Wishes {
    /// To be saved: see [`Replica::next_save`].
    pub hard_state: Option<HardState>,
    /// To be saved along, as the number of the log's copy.
    pub copy: Option<u64>,
    /// Send these.
    pub messages: Vec<Outgoing>,
    /// Read these entries from the log, for [`Replica::provide`].
    pub wanted: Vec<Wanted>,
    /// Tell these to the operator, and to the clients what concerns them.
    pub changes: Vec<RoleChange>,
    /// These are the servers from now on.
    pub members: Option<Vec<Member>>,
    /// Let in [`Replica::possible_members`].
    pub let_in: bool,
}

/// The copy.
pub struct Replica {
    core: Raft,
    wal: Wal,
    state: State,
    /// What is to be done outside.
    pub wishes: Wishes,
    /// Which batch makes which state of the core's log durable.
    marks: VecDeque<(u64, Mark)>,
    /// The servers as the entry at each index has them: the newest that is known to be committed, and
    /// those after it. The last counts.
    members: Vec<(u64, Vec<Member>)>,
    /// Entries in the log that are not applied yet, as far as they are committed.
    committed: VecDeque<Entry>,
    /// How many payloads were proposed since the core was last asked what to do, and their bytes:
    /// they are not in the log yet.
    proposed: (usize, usize),
    /// Reads that wait for their index to be applied, and those that will get no answer here.
    granted: VecDeque<ReadGrant>,
    refused: Vec<u64>,
    /// The hard state that is on its way to the disk.
    saving: Option<HardState>,
}

/// The hard state that a directory's `server_state.txt` has.
pub fn hard_state_of(file: &hard_state::HardState) -> HardState {
    let vote = if planted(Mutant::VoteNotReadBack) { "" } else { file.voted_for.as_str() };
    HardState { term: file.term, voted_for: vote.parse().map(ServerId).ok() }
}

impl Replica {
    /// Goes on from what the disk kept.
    pub fn new(config: Config, from: Recovered, now_ms: u64) -> Result<Replica, StartError> {
        let Recovered { hard_state, copy, wal, state, commit, tail, members } = from;
        let members = match tail.first() {
            // Not even the first entry is known to be committed. It is in all logs.
            Some(first) if first.index == 1 && members.is_empty() => {
                chat::members_in(&first.payload).unwrap_or_default()
            }
            _ => members,
        };
        let config = with_members(config, &members);
        let mut members = vec![(0, members)];
        for entry in tail.iter().filter(|entry| entry.index > commit) {
            members.extend(chat::members_in(&entry.payload).map(|list| (entry.index, list)));
        }
        let run = |(first_index, term)| Run { first_index, term };
        let runs = wal.term_runs().map(run).collect();
        let last_index = wal.last_index();
        let restored = Restored { hard_state, copy, runs, last_index, tail, commit };
        let core = Raft::new(config, restored, now_ms)?;
        Ok(Replica {
            core,
            wal,
            state,
            wishes: Wishes::default(),
            marks: VecDeque::new(),
            members,
            committed: VecDeque::new(),
            proposed: (0, 0),
            granted: VecDeque::new(),
            refused: Vec::new(),
            saving: None,
        })
    }

    /// Time has come to `now_ms`. To be called after the messages that came meanwhile.
    pub fn tick(&mut self, now_ms: u64) {
        if self.core.next_deadline_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.core.tick(now_ms);
        }
    }

    /// A message came from another server.
    pub fn step(&mut self, now_ms: u64, from: ServerId, message: Message) {
        self.core.step(now_ms, from, message);
    }

    /// The last connection to another server is gone.
    pub fn peer_lost(&mut self, now_ms: u64, id: ServerId) {
        self.core.peer_lost(now_ms, id);
    }

    /// Another server is connected.
    pub fn peer_up(&mut self, now_ms: u64, id: ServerId) {
        self.core.peer_up(now_ms, id);
    }

    /// Hands over to the backup that can take over soonest; false when there is none.
    pub fn hand_over(&mut self, now_ms: u64) -> bool {
        self.core.successor().is_some_and(|to| self.core.transfer(now_ms, to).is_ok())
    }

    /// The same, to each of those that can take over in its turn: which of them will serve better is
    /// not known.
    pub fn hand_over_in_turn(&mut self, now_ms: u64, turn: u32) -> bool {
        let all = self.core.successors();
        let to = all.get(turn as usize % all.len().max(1)).copied();
        to.is_some_and(|to| self.core.transfer(now_ms, to).is_ok())
    }

    /// Takes a command into the log's order and gives its index. Nothing has happened before it is
    /// applied.
    pub fn propose(&mut self, payload: Vec<u8>) -> Result<u64, ProposeError> {
        let bytes = payload.len();
        let index = self.core.propose(vec![payload.into()])?;
        self.proposed = (self.proposed.0 + 1, self.proposed.1 + bytes);
        Ok(index)
    }

    /// Has the log say that these are the servers; the entry's index.
    pub fn change_members(&mut self, payload: Vec<u8>) -> Result<u64, ChangeError> {
        let bytes = payload.len();
        let index = self.core.change_members(payload.into())?;
        self.proposed = (self.proposed.0 + 1, self.proposed.1 + bytes);
        Ok(index)
    }

    /// The servers that count, by name; none for a server that is alone.
    pub fn members(&self) -> &[Member] {
        self.members.last().map_or(&[], |(_, list)| list)
    }

    /// Those that may be, by what of the log is not committed.
    pub fn possible_members(&self) -> Vec<Member> {
        standing::possible(self.members.iter().map(|(_, list)| list.as_slice()))
    }

    /// Whether a command of so many bytes has room in the log as it is on the disk. Where it has
    /// not, it is proposed once the next segment is made, or refused when that fails.
    pub fn has_room(&self, bytes: usize) -> bool {
        let (count, before) = self.proposed;
        self.wal.has_room(count + 1, before + bytes)
    }

    /// Asks to answer a read; `ticket` comes back from [`Replica::next_granted`] or
    /// [`Replica::take_refused`].
    pub fn read(&mut self, ticket: u64) -> Result<(), ReadError> {
        self.core.read(ticket)
    }

    /// A read that may be answered now.
    pub fn next_granted(&mut self) -> Option<u64> {
        let grant = self.granted.front()?;
        if grant.index > self.state.applied() {
            return None;
        }
        self.granted.pop_front().map(|grant| grant.ticket)
    }

    /// Reads that will get no answer here.
    pub fn take_refused(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.refused)
    }

    /// Takes what the core has decided to where it belongs: to the log, to the wishes, to what is to
    /// be applied.
    pub fn route(&mut self) {
        let output = self.core.take_output();
        self.proposed = (0, 0);
        let wishes = &mut self.wishes;
        wishes.hard_state = output.hard_state.or(wishes.hard_state);
        wishes.copy = output.copy.or(wishes.copy);
        wishes.messages.extend(output.messages);
        wishes.wanted.extend(output.wanted);
        wishes.changes.extend(output.changes);
        if let Some(index) = output.truncate_from {
            self.wal.truncate_from(index);
            let before = self.members.len();
            if !planted(Mutant::CutMembersStay) {
                self.members.retain(|(of, _)| *of < index);
            }
            if self.members.len() < before {
                self.wishes.members = Some(self.members().to_vec());
                self.wishes.let_in = true;
            }
        }
        for entry in &output.append {
            self.wal.append_entry(entry.term, entry.index, &entry.payload);
            if let Some(list) = chat::members_in(&entry.payload) {
                self.wishes.members = Some(list.clone());
                self.wishes.let_in = true;
                self.members.push((entry.index, list));
            }
        }
        self.forget_old_members();
        if let Some(mark) = output.mark {
            self.marks.push_back((self.wal.newest_batch(), mark));
        }
        if let Some(committed) = output.committed {
            for index in committed.after + 1..=committed.upto {
                let entry = self.core.entry(index).expect("the core holds what it commits");
                self.committed.push_back(entry.clone());
            }
        }
        self.granted.extend(output.reads);
        self.refused.extend(output.reads_refused);
    }

    /// The members that are committed put those before them aside.
    fn forget_old_members(&mut self) {
        let commit = self.core.commit();
        let committed = self.members.partition_point(|(of, _)| *of <= commit);
        if committed > 1 {
            self.members.drain(..committed - 1);
            self.wishes.let_in = true;
        }
    }

    /// What has gathered, to be written and synced; none while a batch is on its way: the next is
    /// written only after the one before is durable.
    pub fn next_batch(&mut self) -> Option<Batch> {
        self.wal.take_batch(self.core.durable_commit())
    }

    /// The batch is durable: what it holds may be acknowledged, and committed.
    pub fn batch_durable(&mut self, batch_no: u64) {
        self.wal.batch_durable(batch_no);
        let mut newest = None;
        let early = planted(Mutant::MarkGivenBackEarly);
        while self.marks.front().is_some_and(|(needs, _)| *needs <= batch_no || early) {
            newest = self.marks.pop_front();
        }
        if let Some((_, mark)) = newest {
            self.core.persisted(mark);
        }
    }

    /// Brings `file` up to date, with the starts of other directories that were met, where there is a
    /// peers' port. True: the caller saves it, then calls [`Replica::save_done`]. One
    /// save is under way at a time. The role is written along, and after an election, for people who
    /// look into the file.
    pub fn next_save(&mut self, file: &mut hard_state::HardState, met: Option<&[Met]>) -> bool {
        let role = self.core.role();
        let tells_role = role != Role::Candidate && file.role != role.to_string();
        let wishes = &mut self.wishes;
        let met = met.filter(|met| **met != *file.met);
        let is_asked = wishes.hard_state.is_some() || wishes.copy.is_some();
        let is_new = is_asked || tells_role || met.is_some();
        if self.saving.is_some() || !is_new {
            return false;
        }
        let state = wishes.hard_state.take().unwrap_or_else(|| hard_state_of(file));
        file.copy = wishes.copy.take().unwrap_or(file.copy);
        if let Some(met) = met {
            file.met = met.to_vec();
        }
        file.role = role.to_string();
        file.term = state.term;
        file.voted_for = state.voted_for.map(|id| id.to_string()).unwrap_or_default();
        self.saving = Some(state);
        true
    }

    /// What [`Replica::next_save`] put into `file` is durable. The core may have gone on meanwhile.
    pub fn save_done(&mut self, file: &hard_state::HardState) {
        let Some(saved) = self.saving.take() else { return };
        let newest = planted(Mutant::NewestStateSaved).then(|| self.core.hard_state());
        self.core.hard_state_persisted(newest.unwrap_or(saved));
        if file.copy > self.core.copy() {
            self.core.copy_persisted(file.copy);
        }
    }

    /// Where the entries of [`Wishes::wanted`] stand in the log: from the first on, as many as come
    /// to the bytes that are wanted. None, while the first is not durable here.
    pub fn locations_of(&self, wanted: &Wanted) -> Vec<Location> {
        let mut bytes = 0;
        let mut locations = Vec::new();
        for location in (wanted.first..=wanted.last).map_while(|index| self.location(index)) {
            bytes += location.length as usize;
            if bytes > wanted.bytes && !locations.is_empty() {
                break;
            }
            locations.push(location);
        }
        locations
    }

    /// The entries of [`Wishes::wanted`]; none: they could not be read now.
    pub fn provide(&mut self, wanted: &Wanted, payloads: Vec<Payload>) {
        self.core.provide(wanted, payloads);
    }

    /// Applies the next committed entry that is durable here.
    pub fn apply_next(&mut self) -> Result<Option<Applied>, ApplyError> {
        if !self.has_to_apply() {
            return Ok(None);
        }
        let Some(Entry { index, payload, .. }) = self.committed.pop_front() else {
            return Ok(None);
        };
        let effect = self.state.apply(index, &payload)?;
        Ok(Some(Applied { index, payload, effect }))
    }

    /// Whether [`Replica::apply_next`] has an entry to apply.
    pub fn has_to_apply(&self) -> bool {
        let persisted = self.wal.persisted_index();
        self.committed.front().is_some_and(|entry| entry.index <= persisted)
    }

    /// Whether this server is PRIMARY and knows all that is committed: an entry of its own term is
    /// applied. Before that nothing is proposed, since what it would be checked against is old.
    pub fn is_ready(&self) -> bool {
        let applied = self.core.term_at(self.state.applied());
        self.core.role() == Role::Primary && applied == Some(self.core.term())
    }

    /// The core, to be looked at.
    pub fn core(&self) -> &Raft {
        &self.core
    }

    /// The log, to be looked at.
    pub fn wal(&self) -> &Wal {
        &self.wal
    }

    /// The state as of the last entry applied.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where an applied entry stands in the log.
    pub fn location(&self, index: u64) -> Option<Location> {
        self.wal.location(index)
    }

    /// Bytes that wait for the next batch, with those that the core has not put there yet.
    pub fn gathered_bytes(&self) -> usize {
        let (count, bytes) = self.proposed;
        self.wal.gathered_bytes() + bytes + count * RECORD_HEADER_BYTES
    }

    /// Whether there is no room for the log's next segment: only what frees room is proposed.
    pub fn full(&self) -> bool {
        self.wal.full()
    }

    /// The spare segment that is to be made now, told once.
    pub fn spare_wanted(&mut self) -> Option<SpareRequest> {
        self.wal.spare_wanted()
    }

    /// What became of the spare.
    pub fn spare_changed(&mut self, state: &SpareState) {
        self.wal.spare_changed(state);
    }

    /// Whether the disk lacks what only a mark would tell it while nothing happens: that the last
    /// batch was durable, or what has been committed since.
    pub fn mark_due(&self) -> bool {
        let commit_is_new = self.core.durable_commit() > self.wal.commit();
        self.wal.mark_due() || commit_is_new && self.wal.is_idle()
    }

    /// Has a mark tell the disk so.
    pub fn append_mark(&mut self) {
        if self.mark_due() {
            self.wal.append_mark();
        }
    }
}

/// How the core finds the servers in the log's entries.
fn read_members(payload: &[u8]) -> Option<Members> {
    chat::members_in(payload).map(|list| numbers_of(&list))
}

fn numbers_of(list: &[Member]) -> Members {
    let of = |votes: bool| {
        let members = list.iter().filter(move |member| member.votes == votes);
        members.map(|member| ServerId(member.number)).collect()
    };
    Members { voters: of(true), nonvoters: of(false) }
}

/// The settings of a server of these; who is not among them yet has no vote.
fn with_members(config: Config, list: &[Member]) -> Config {
    if list.is_empty() {
        return Config { read_members, ..config };
    }
    let mut members = numbers_of(list);
    if !members.has(config.id) {
        members.nonvoters.push(config.id);
    }
    let Members { voters, nonvoters } = members;
    Config { read_members, voters, nonvoters, ..config }
}
