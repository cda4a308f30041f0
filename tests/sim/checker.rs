//! What must hold of all servers and clients together, checked at every turn, disk operation and
//! answer. Nothing here is told by a server about itself alone: what is durable is what the
//! simulator saw synced, what is committed is read from those bytes, and what a client may see is
//! what a plain model says of them.

use std::collections::BTreeMap;
use std::rc::Rc;

use chatctl::chat::{Command, Direction};
use chatctl::limits;
use chatctl::raft::{Body, HardState, Outgoing, Role, ServerId, is_damaged};
use chatctl::wal::Batch;
use chatctl::wal::boots::Met;
use chatctl::wal::format::RECORD_HEADER_BYTES;

use super::clock::Us;
use super::configs::{Config, Configs};
use super::kept::{Brief, Kept};
use super::server::Server;
use super::times::Times;
use crate::chat::model::{Letter, Model, Outcome};
use crate::wal::machine::{Change, changes_of};

/// Between two copies of the model that are kept, entries.
const SNAPSHOT_EVERY: u64 = 32;

/// An entry that is committed.
#[derive(Clone)]
pub struct Committed {
    pub brief: Brief,
    pub payload: Rc<[u8]>,
    /// The term in which it was committed, its own or a later one.
    in_term: u64,
    /// The members that counted when it was committed.
    pub under: Config,
}

/// What one server was last seen as.
#[derive(Clone, Copy, Default)]
struct Seen {
    epoch: u64,
    primary_in: Option<u64>,
    cuts: u64,
    last_index: u64,
    commit: u64,
}

/// What has been seen so far.
pub struct Checker {
    /// The PRIMARY of each term.
    pub primaries: BTreeMap<u64, ServerId>,
    /// What each (index, term) holds.
    entries: BTreeMap<(u64, u64), Rc<[u8]>>,
    /// Who got the vote of each (voter, term).
    votes: BTreeMap<(ServerId, u64), ServerId>,
    /// The entry at index i is at i - 1.
    pub committed: Vec<Committed>,
    /// Which servers there are.
    pub configs: Configs,
    /// Directories that are no machine's any more, by their numbers: what they had.
    pub archive: BTreeMap<ServerId, Kept>,
    seen: Vec<Seen>,
    pub times: Times,
    digests: BTreeMap<u64, u64>,
    model: Model,
    snapshots: Vec<Model>,
    /// Where the message of each (sender, id) is.
    stored: BTreeMap<(String, u128), u64>,
    /// The newest message that somebody was told is stored.
    pub acknowledged: u64,
    /// Answers that were held against the model.
    pub answers: u64,
}

impl Checker {
    pub fn new(id_window: usize) -> Checker {
        let model = Model { window: id_window, ..Model::default() };
        Checker {
            primaries: BTreeMap::new(),
            entries: BTreeMap::new(),
            votes: BTreeMap::new(),
            committed: Vec::new(),
            configs: Configs::default(),
            archive: BTreeMap::new(),
            seen: Vec::new(),
            times: Times::default(),
            digests: BTreeMap::new(),
            snapshots: vec![model.clone()],
            model,
            stored: BTreeMap::new(),
            acknowledged: 0,
            answers: 0,
        }
    }

    /// A server is about to write a batch.
    pub fn on_written(&mut self, batch: &Batch) {
        for change in changes_of(batch).0 {
            let Change::Append(entry) = change else { continue };
            self.on_entry(entry.index, entry.term, &entry.payload);
        }
    }

    /// A server has an entry, or will.
    pub fn on_entry(&mut self, index: u64, term: u64, payload: &[u8]) {
        let key = (index, term);
        self.configs.on_written(index, term, payload);
        let first = self.entries.entry(key).or_insert_with(|| payload.into());
        assert!(**first == *payload, "same index and term, same entry (§5.3): {key:?}");
    }

    /// A server's hard state becomes durable.
    pub fn on_saved(&self, before: HardState, after: HardState) {
        assert!(before.term <= after.term, "a term never goes back: {before:?} {after:?}");
        let revoked = before.term == after.term
            && before.voted_for.is_some()
            && before.voted_for != after.voted_for;
        assert!(!revoked, "one vote a term (§5.2): {before:?} {after:?}");
    }

    /// A server sends a message while its disk has `kept`.
    pub fn on_sent(&mut self, now_us: Us, from: ServerId, outgoing: &Outgoing, kept: &Kept) {
        self.configs.on_sent(now_us, from, outgoing);
        let term = outgoing.message.term;
        let promised = |voted_for| {
            let said = HardState { term, voted_for };
            assert_eq!(kept.hard_state, said, "server {from}: durable before said (§5.2)");
        };
        let acknowledged = |match_index: u64| {
            let durable = kept.log.len() as u64;
            assert!(kept.hard_state.term == term, "server {from}: a term, then what is said in it");
            assert!(durable >= match_index, "server {from}: synced before acknowledged (§5.3)");
        };
        let (body, votes) = match &outgoing.message.body {
            Body::OfCopy { copy, answer } => {
                // That there is a newer one may be durable, and not known yet.
                assert!(*copy <= kept.copy, "server {from}: of a copy that is on the disk");
                (answer.as_ref(), false)
            }
            body => (body, matches!(body, Body::Vote { .. } | Body::VoteReply { granted: true })),
        };
        assert!(!votes || !is_damaged(kept.copy), "server {from} votes while it is restored");
        match *body {
            Body::Vote { .. } => promised(Some(from)),
            Body::VoteReply { granted: true } => {
                promised(Some(outgoing.to));
                let first = *self.votes.entry((from, term)).or_insert(outgoing.to);
                assert_eq!(first, outgoing.to, "server {from}: one vote a term (§5.2)");
            }
            Body::Accepted { match_index } => acknowledged(match_index),
            Body::HeartbeatReply { match_index, .. } if match_index > 0 => {
                acknowledged(match_index);
            }
            _ => {}
        }
    }

    /// A server has taken a turn.
    pub fn on_turn(&mut self, now_us: Us, place: usize, servers: &[Server]) {
        let server = &servers[place];
        let Some(core) = server.core() else { return };
        self.check_heard(server);
        self.seen.resize(servers.len(), Seen::default());
        let seen = self.seen[place];
        let primary_in = (core.role() == Role::Primary).then(|| core.term());
        let outline = core.outline();
        if primary_in.is_some() && seen.primary_in == primary_in && seen.epoch == server.epoch {
            let kept_all = outline.cuts == seen.cuts && outline.last_index >= seen.last_index;
            assert!(kept_all, "a PRIMARY never overwrites its log (§5.3): {outline:?}");
        } else if let Some(term) = primary_in {
            let first = *self.primaries.entry(term).or_insert(server.id);
            assert_eq!(first, server.id, "one PRIMARY a term (§5.2), term {term}");
            self.configs.on_elected(core);
            // What later terms have committed may be missing: a server that stood still as candidate
            // can find the votes of an old term when it goes on.
            let earlier = |(_, entry): &(u64, &Committed)| entry.in_term < term;
            for (index, entry) in (1..).zip(&self.committed).filter(earlier) {
                let has = core.term_at(index) == Some(entry.brief.term);
                assert!(has, "PRIMARY {} of {term} lacks committed {index} (§5.4)", server.id);
            }
        }
        let commit = core.commit();
        assert!(
            commit >= seen.commit || seen.epoch != server.epoch,
            "what is committed stays committed"
        );
        for index in self.committed.len() as u64 + 1..=commit {
            let term = core.term_at(index).expect("what is committed is in the log");
            // A turn may commit, and then begin a change: what counted is one of the two.
            let now = self.configs.of_core(core);
            let before = self.configs.of_log(seen.last_index, |index| core.term_at(index));
            let before = if before.members.is_empty() { now.clone() } else { before };
            self.on_committed(now_us, index, term, (servers, [now, before]));
            // The PRIMARY that commits it knows of it first.
            self.committed.last_mut().expect("it was added").in_term = core.term();
        }
        if commit > 0 {
            let term = self.committed[commit as usize - 1].brief.term;
            assert_eq!(
                core.term_at(commit),
                Some(term),
                "same index, same committed entry (§5.4.3)"
            );
        }
        self.times.look_at(now_us, place, servers);
        if primary_in.is_some() && seen.epoch == server.epoch {
            for index in seen.last_index + 1..=outline.last_index {
                self.times.on_proposed(index, (now_us, place), servers, &self.entries);
            }
        }
        let (epoch, cuts, last_index) = (server.epoch, outline.cuts, outline.last_index);
        self.seen[place] = Seen { epoch, primary_in, cuts, last_index, commit };
        self.check_bounds(server);
    }

    fn on_committed(
        &mut self,
        now_us: Us,
        index: u64,
        term: u64,
        (servers, under): (&[Server], [Config; 2]),
    ) {
        let payload = self.entries.get(&(index, term)).cloned();
        let payload = payload.expect("what is committed was written somewhere");
        let brief = Brief { term, crc: crc32fast::hash(&payload) };
        let had = |id: &ServerId| self.kept_of(*id, servers).is_some_and(|k| k.had(index, brief));
        // Before there are members a server is alone.
        let copies = |under: &Config| match under.members.is_empty() {
            true => (servers.iter().filter(|server| server.kept.had(index, brief)).count(), 1),
            false => (under.voters().filter(had).count(), under.quorum()),
        };
        let is_durable = |under: &&Config| {
            let (copies, majority) = copies(under);
            copies >= majority
        };
        let Some(under) = under.iter().find(is_durable).cloned() else {
            let (copies, majority) = copies(&under[0]);
            panic!("committed entry {index} is durable on {copies} servers, not {majority}");
        };
        self.configs.on_committed(now_us, index, term);
        if !payload.is_empty() {
            let command = Command::decode(&payload).expect("a committed command can be read");
            self.times.on_committed(index, self.model.last_time, command.time());
            if let Outcome::Stored { from, id, .. } = self.model.apply(index, &command) {
                let first = *self.stored.entry((from.clone(), id)).or_insert(index);
                assert_eq!(first, index, "a message is stored once: {id:032x} of {from}");
            }
        }
        self.committed.push(Committed { brief, payload, under, in_term: term });
        if index.is_multiple_of(SNAPSHOT_EVERY) {
            self.snapshots.push(self.model.clone());
        }
    }

    /// What the directory of a number has, or had until it was lost.
    pub fn kept_of<'a>(&'a self, id: ServerId, servers: &'a [Server]) -> Option<&'a Kept> {
        let server = servers.iter().find(|server| server.id == id);
        server.map(|server| &server.kept).or_else(|| self.archive.get(&id))
    }

    /// A state after the entry at `applied`: the same on every server.
    pub fn on_applied(&mut self, id: ServerId, applied: u64, digest: u64) {
        let first = *self.digests.entry(applied).or_insert(digest);
        assert_eq!(first, digest, "server {id}: same applied index {applied}, same state");
    }

    /// What counts of other servers is of starts that are known durably, and of directories that have
    /// the numbers under which they count.
    fn check_heard(&self, server: &Server) {
        let Some(mesh) = server.mesh() else { return };
        let others = mesh.members().iter().filter(|member| member.number != mesh.id());
        for member in others.filter(|m| mesh.is_up(m.number) && !mesh.is_held(m.number)) {
            let (id, name) = (member.number, &member.name);
            let Some(boot) = mesh.boot_of(id) else { continue };
            let Some((_, incarnation)) = mesh.standing(id) else { continue };
            self.configs.on_heard(id, name, incarnation);
            let is_met = server.kept.met.contains(&Met { incarnation, boot });
            let own = &server.name;
            assert!(is_met, "{own} counts what {name} says, and has not saved that it met it");
        }
    }

    fn check_bounds(&self, server: &Server) {
        let Some(replica) = server.replica() else { return };
        let most = limits::GATHERED_BYTES + limits::WAL_BATCH_BYTES;
        assert!(replica.gathered_bytes() <= most, "the batch that gathers is bounded");
        assert!(replica.state().applied() <= replica.core().commit(), "only what is committed");
        assert!(replica.state().applied() <= server.kept.log.len() as u64, "only what is durable");
    }

    /// The newest index known to be committed.
    pub fn last(&self) -> u64 {
        self.committed.len() as u64
    }

    /// The model as of now.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The message with this seq, if one is stored there.
    pub fn letter(&self, seq: u64) -> Option<&Letter> {
        let letters = &self.model.letters;
        letters.binary_search_by_key(&seq, |letter| letter.seq).ok().map(|place| &letters[place])
    }

    /// Where a message is.
    pub fn place_of(&self, from: &str, id: u128) -> Option<u64> {
        self.stored.get(&(from.to_owned(), id)).copied()
    }

    /// A client was told that its message is stored.
    pub fn on_acknowledged(&mut self, from: &str, id: u128, to: &str, body: &str, at: (u64, u64)) {
        let (seq, time) = at;
        let Some(letter) = self.letter(seq) else {
            panic!("{from} was told that {id:032x} is at {seq}, where no message is committed");
        };
        let is = (letter.from.as_str(), letter.to.as_str(), letter.id, letter.body.as_str());
        assert_eq!(is, (from, to, id, body), "what was acknowledged is what is stored at {seq}");
        assert_eq!(letter.time, time, "the time that was acknowledged is the stored one");
        self.acknowledged = self.acknowledged.max(seq);
    }

    /// How long what is committed is, for pages.
    pub fn lengths(&self) -> Lengths {
        let length = |entry: &Committed| RECORD_HEADER_BYTES + entry.payload.len();
        Lengths(self.committed.iter().map(length).collect())
    }

    /// An answer that was asked for when `floor` was the newest acknowledged message must be true of
    /// the model after some entry from then to now.
    pub fn explain(&mut self, floor: u64, what: &str, fits: impl Fn(&Model) -> bool) {
        self.answers += 1;
        let first = (floor / SNAPSHOT_EVERY) as usize;
        let mut model = self.snapshots[first].clone();
        for index in first as u64 * SNAPSHOT_EVERY..=self.last() {
            if index > first as u64 * SNAPSHOT_EVERY {
                let payload = &self.committed[index as usize - 1].payload;
                if !payload.is_empty() {
                    let command = Command::decode(payload).expect("it was decoded before");
                    model.apply(index, &command);
                }
            }
            if index >= floor && fits(&model) {
                return;
            }
        }
        let (last, lines) = (self.last(), self.model.inbox(what.split(':').next().unwrap_or("")));
        panic!("{what}: true at no moment between entry {floor} and entry {last}: {lines:?}");
    }
}

/// How long the records of the committed entries are in the log, bytes: a page ends early when those
/// in it have more than so many.
pub struct Lengths(Vec<usize>);

impl Lengths {
    /// How many of these entries, from the first on, a page has room for.
    pub fn fitting(&self, seqs: impl Iterator<Item = u64>) -> usize {
        let mut bytes = 0;
        let fits = |(place, seq): &(usize, u64)| {
            bytes += self.0[*seq as usize - 1];
            *place == 0 || bytes <= limits::PAGE_BYTES
        };
        seqs.enumerate().take_while(fits).count()
    }

    /// As [`Model::page`], of what a page has room for.
    pub fn page(
        &self,
        seqs: &[u64],
        cursor: u64,
        way: Direction,
        limit: usize,
    ) -> (Vec<u64>, bool) {
        let (mut page, more) = Model::page(seqs, cursor, way, limit);
        let fits = match way {
            Direction::After => self.fitting(page.iter().copied()),
            Direction::Before => self.fitting(page.iter().rev().copied()),
        };
        let left_out = page.len() - fits;
        match way {
            Direction::After => page.truncate(fits),
            Direction::Before => drop(page.drain(..left_out)),
        }
        (page, more || left_out > 0)
    }
}
