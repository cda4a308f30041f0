//! One copy of the conversation: the consensus core, the log and the state machine, tied together.
//! Pure: what it wants written or sent is done by somebody else, who says what has become of it.
//!
//! ```text
//! propose -> [core] -> append -> next_batch -> (written, synced) -> batch_durable -> [core]
//!         -> committed -> next_to_apply -> apply -> effect
//! ```
//!
//! An entry is applied when it is committed and durable here, so that whatever the state names can
//! be read from this server's log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::time::{Notice, Time};
use super::{members, payload};
use crate::chat::{ApplyError, Command, Effect, Member, State};
use crate::mutants::{Mutant, planted};
use crate::raft::{
    ChangeError, Config, Entry, HardState, Mark, Members, Membership, Message, Outgoing, Payload,
    ProposeError, Raft, ReadError, ReadGrant, Restored, Role, RoleChange, Run, ServerId,
    StartError, Wanted,
};
use crate::wal::boots::Met;
use crate::wal::format::RECORD_HEADER_BYTES;
use crate::wal::hard_state;
use crate::wal::{Batch, Location, SpareRequest, SpareState, Wal};

/// What a restarted server goes on from.
pub struct Recovered {
    /// What `server_state.txt` says.
    pub file: hard_state::HardState,
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
    /// [`Replica::members`] are others than before.
    pub members: bool,
    /// Let in [`Replica::possible_members`].
    pub let_in: bool,
    /// Tell these to the operator.
    pub notices: Vec<Notice>,
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
    /// Entries in the log that are not applied yet, as far as they are committed.
    committed: VecDeque<Entry>,
    /// How many payloads were proposed since the core was last asked what to do, and their bytes:
    /// they are not in the log yet.
    proposed: (usize, usize),
    /// Reads that wait for their index to be applied, and those that will get no answer here.
    granted: VecDeque<ReadGrant>,
    refused: Vec<u64>,
    /// What `server_state.txt` says, or will once the save under way is done.
    file: hard_state::HardState,
    /// The hard state that is on its way to the disk.
    saving: Option<HardState>,
    /// What time it is, as far as the clocks of all can tell.
    pub time: Time,
    /// The time of the last entry that this server put into the order, and in which term.
    given_time: (u64, u64),
    /// The time that was offered to an entry, its term, and what to tell if it is taken.
    offered_time: Option<(u64, u64, Option<Notice>)>,
}

/// The hard state that a directory's `server_state.txt` has.
pub fn hard_state_of(file: &hard_state::HardState) -> HardState {
    let vote = if planted(Mutant::VoteNotReadBack) { "" } else { file.voted_for.as_str() };
    let term = if planted(Mutant::TermNotReadBack) { 0 } else { file.term };
    HardState { term, voted_for: vote.parse().map(ServerId).ok() }
}

impl Replica {
    /// Goes on from what the disk kept.
    pub fn new(
        config: Config,
        from: Recovered,
        time: Time,
        now_ms: u64,
    ) -> Result<Replica, StartError> {
        let Recovered { file, wal, state, commit, tail, members } = from;
        let (hard_state, copy) = (hard_state_of(&file), file.copy);
        let config = match tail.first() {
            // Not even the first entry is known to be committed. It is in all logs.
            Some(Entry { index: 1, payload: Payload::Members(first), .. })
                if members.is_empty() =>
            {
                with_members(config, Membership::clone(first))
            }
            _ if members.is_empty() => config,
            _ => with_members(config, payload::membership(0, members)),
        };
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
            committed: VecDeque::new(),
            proposed: (0, 0),
            granted: VecDeque::new(),
            refused: Vec::new(),
            file,
            saving: None,
            time,
            given_time: (0, 0),
            offered_time: None,
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
        let index = self.core.propose(payload.into())?;
        self.proposed = (self.proposed.0 + 1, self.proposed.1 + bytes);
        self.keep_time();
        Ok(index)
    }

    /// Has the log say that these are the servers, by name; the entry's index. They count at once, and
    /// for good once the entry is committed.
    pub fn change_members(&mut self, members: Vec<Member>) -> Result<u64, ChangeError> {
        self.core.may_change()?;
        let next = payload::membership(self.entry_time(), members);
        let bytes = next.bytes.len();
        let index = self.core.change_members(Arc::new(next))?;
        self.proposed = (self.proposed.0 + 1, self.proposed.1 + bytes);
        self.keep_time();
        Ok(index)
    }

    /// The time of the next entry. What is in the order and not applied yet counts too: all of it is
    /// this PRIMARY's, since it takes nothing before it has applied what others made.
    pub fn entry_time(&mut self) -> u64 {
        let term = self.core.term();
        let last_ms = match self.given_time {
            (of, given_ms) if of == term => given_ms,
            _ => self.state.last_time(),
        };
        let (time_ms, notice) = self.time.of_entry(last_ms);
        self.offered_time = Some((term, time_ms, notice));
        if planted(Mutant::RefusedTimeCounts) {
            self.keep_time();
        }
        time_ms
    }

    /// The entry that was offered a time is in the order. What was refused in between has none: the
    /// next entry must not be dated before the last one by it.
    fn keep_time(&mut self) {
        let Some((term, time_ms, notice)) = self.offered_time.take() else { return };
        if self.is_ready() {
            self.given_time = (term, time_ms);
            self.wishes.notices.extend(notice);
        }
    }

    /// The servers that count, by name; none for a server that is alone.
    pub fn members(&self) -> Vec<Member> {
        payload::members_of(self.core.membership())
    }

    /// Those that may be, by what of the log is not committed.
    pub fn possible_members(&self) -> Vec<Member> {
        let lists: Vec<_> = self.core.memberships().map(payload::members_of).collect();
        members::possible(lists.iter().map(Vec::as_slice))
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
        wishes.hard_state = match planted(Mutant::OlderStateKept) {
            true => wishes.hard_state.or(output.hard_state),
            false => output.hard_state.or(wishes.hard_state),
        };
        wishes.copy = output.copy.or(wishes.copy);
        wishes.messages.extend(output.messages);
        wishes.wanted.extend(output.wanted);
        wishes.changes.extend(output.changes);
        wishes.members |= output.members_changed;
        wishes.let_in |= output.memberships_changed;
        if let Some(index) = output.truncate_from {
            self.wal.truncate_from(index);
        }
        for entry in &output.append {
            self.wal.append_entry(entry.term, entry.index, entry.payload.bytes());
        }
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

    /// What is to be saved now, durably; [`Replica::save_done`] comes then. It has the starts of other
    /// directories that were met, and the role, for people who look into the file. One save is under
    /// way at a time.
    pub fn next_save(&mut self, met: &[Met]) -> Option<hard_state::HardState> {
        let (role, file) = (self.core.role(), &mut self.file);
        let tells_role = role != Role::Candidate && file.role != role.to_string();
        let wishes = &mut self.wishes;
        let is_asked = wishes.hard_state.is_some() || wishes.copy.is_some();
        let is_new = is_asked || tells_role || *met != *file.met;
        if self.saving.is_some() && !planted(Mutant::SavesOverlap) || !is_new {
            return None;
        }
        let same = || match planted(Mutant::OtherSaveTakesVote) {
            true => HardState { voted_for: None, ..hard_state_of(file) },
            false => hard_state_of(file),
        };
        let state = wishes.hard_state.take().unwrap_or_else(same);
        file.copy = wishes.copy.take().unwrap_or(file.copy);
        file.met = met.to_vec();
        file.role = role.to_string();
        file.term = state.term;
        file.voted_for = state.voted_for.map(|id| id.to_string()).unwrap_or_default();
        self.saving = Some(state);
        if planted(Mutant::SavedWhenHandedOut) {
            self.core.hard_state_persisted(state);
        }
        Some(file.clone())
    }

    /// What [`Replica::next_save`] gave is durable. The core may have gone on meanwhile.
    pub fn save_done(&mut self) {
        let Some(saved) = self.saving.take() else { return };
        let newest = planted(Mutant::NewestStateSaved).then(|| self.core.hard_state());
        self.core.hard_state_persisted(newest.unwrap_or(saved));
        if self.file.copy > self.core.copy() {
            self.core.copy_persisted(self.file.copy);
        }
    }

    /// What `server_state.txt` says, or will once the save under way is done.
    pub fn file(&self) -> &hard_state::HardState {
        &self.file
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

    /// The next committed entry that is durable here: for [`Replica::apply`].
    pub fn next_to_apply(&mut self) -> Option<Entry> {
        if self.has_to_apply() { self.committed.pop_front() } else { None }
    }

    /// Applies an entry's command; none, where it has no bytes.
    pub fn apply(
        &mut self,
        index: u64,
        command: Option<&Command<'_>>,
    ) -> Result<Effect, ApplyError> {
        self.state.execute(index, command)
    }

    /// Whether [`Replica::next_to_apply`] has an entry.
    pub fn has_to_apply(&self) -> bool {
        let persisted = self.wal.persisted_index();
        let early = planted(Mutant::AppliedBeforeDurable);
        self.committed.front().is_some_and(|entry| entry.index <= persisted || early)
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

/// The settings of a server of these; one that is not among them yet has no vote.
fn with_members(config: Config, mut membership: Membership) -> Config {
    if !membership.members.has(config.id) {
        let Members { voters, mut nonvoters } = membership.members;
        nonvoters.push(config.id);
        membership.members = Members::new(voters, nonvoters);
    }
    Config { membership: Arc::new(membership), ..config }
}
