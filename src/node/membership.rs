//! How the members change while the server runs: what an operator asks is done, one thing at a time,
//! and the peers' port follows the log. Pure.
//!
//! ```text
//! change -> (PRIMARY? possible?) -> who answers at the address? -> entry proposed -> committed -> told
//! ```
//!
//! Each tells the peers that are connected which members are committed. A server whose log ends
//! before they became members would not let them in otherwise: it could not be brought up to date by
//! a PRIMARY that it does not know, nor be elected by such; where it knows none of them any more, they
//! may tell it as strangers (`peers/mesh/strangers.rs`). Who counts is the log's to say alone.
//!
//! The peers' port is also open to those whom the log takes out further on than is known to be
//! committed: that may be undone, and one of them be PRIMARY.

use super::flags::Listed;
use super::lines::{Line, TraceLevel};
use super::members;
use super::peers::change::{Change, Verb};
use super::peers::handshake::Identity;
use super::peers::mesh::{Event, Member, Mesh};
use super::peers::session::Block;
use super::replica::Replica;
use crate::chat::{self, Command};
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::Key;
use crate::raft::{ChangeError, ServerId};

/// What a change is made with.
pub struct Means<'a> {
    /// The log and the state.
    pub replica: &'a mut Replica,
    /// The other servers, and the operators.
    pub mesh: &'a mut Mesh,
    /// The time, milliseconds.
    pub now_ms: u64,
}

/// The change that an operator waits for, where one does; and what servers tell each other of the
/// members.
#[derive(Default)]
pub struct Membership {
    asked: Option<Asked>,
    /// The members that the peers were told last.
    told: Vec<chat::Member>,
    /// Those that a peer has told, with the index up to which its log was applied: until the own one
    /// has come so far.
    heard: Option<(u64, Vec<chat::Member>)>,
}

struct Asked {
    /// Whom to tell.
    key: Key,
    change: Change,
    step: Step,
    /// When it is given up.
    until_ms: u64,
}

enum Step {
    /// The address is asked who answers there.
    Asking(String),
    /// The servers that would have a vote are asked whether they answer; the incarnation of the one
    /// that comes.
    Confirming(u64),
    /// The entry with this index and term is to be committed.
    Proposed(u64, u64),
}

impl Membership {
    /// Takes what has happened at the peers' port and is about the members.
    pub fn handle(&mut self, with: &mut Means<'_>, event: Event) {
        match event {
            Event::Join(_, entry) => self.on_told(with, &entry),
            Event::Told(key, entry) => {
                self.on_told(with, &entry);
                with.mesh.dismiss(key);
            }
            Event::Change(key, change) => self.on_change(with, key, change),
            Event::Probed(address, identity) => self.on_probed(with, &address, identity),
            _ => {}
        }
    }

    /// An operator asks for a change.
    fn on_change(&mut self, with: &mut Means<'_>, key: Key, change: Change) {
        if !with.replica.is_ready() {
            return with.answer(key, "elsewhere", "this server is not PRIMARY");
        }
        if self.asked.is_some() {
            return with.answer(key, "later", "another membership change is in progress");
        }
        match with.first_step(&change) {
            Ok(Some(address)) => {
                with.mesh.probe(change.name.clone(), address.clone());
                let until_ms = with.now_ms + limits::CHANGE_MS;
                self.asked = Some(Asked { key, change, step: Step::Asking(address), until_ms });
            }
            Ok(None) => {
                let until_ms = with.now_ms + limits::CHANGE_MS;
                self.propose(with, Asked { key, change, step: Step::Confirming(0), until_ms });
            }
            Err(Refused::No(why)) => with.answer(key, "refused", &why),
            Err(Refused::Later(why)) => with.answer(key, "later", &why),
        }
    }

    /// Somebody answers at an address that was asked for, or nobody does.
    fn on_probed(
        &mut self,
        with: &mut Means<'_>,
        address: &str,
        identity: Result<Identity, String>,
    ) {
        let waits = |asked: &mut Asked| matches!(&asked.step, Step::Asking(at) if at == address);
        let Some(asked) = self.asked.take_if(waits) else { return };
        match identity.and_then(|identity| with.check_identity(&asked.change, &identity)) {
            Ok(incarnation) => {
                let until_ms = with.now_ms + limits::CHANGE_MS;
                self.propose(
                    with,
                    Asked { step: Step::Confirming(incarnation), until_ms, ..asked },
                );
            }
            Err(why) => {
                let (key, name, own) =
                    (asked.key, &asked.change.name, with.replica.file().id.clone());
                let why = format!("{own} cannot admit {name} at {address}: {why}");
                with.answer(key, "refused", &why);
            }
        }
    }

    /// Has the log say it, or waits until it can: see [`ChangeError::Asking`].
    fn propose(&mut self, with: &mut Means<'_>, asked: Asked) {
        let Step::Confirming(incarnation) = asked.step else { return };
        let (key, change, replica) = (asked.key, &asked.change, &*with.replica);
        // What is not applied yet might have given the number already.
        if replica.state().members() != replica.members() {
            let why = "the previous membership change is not committed yet";
            return with.answer(key, "later", why);
        }
        let number = replica.state().next_number();
        let members = change.apply(&replica.members(), incarnation, number);
        match with.replica.change_members(members.clone()) {
            Ok(index) => {
                let step = Step::Proposed(index, with.replica.core().term());
                self.asked = Some(Asked { step, ..asked });
            }
            Err(ChangeError::Asking) => self.asked = Some(asked),
            Err(ChangeError::NoMajority { answering, quorum }) => {
                let why = no_majority(&change.name, &members, &answering, quorum);
                with.answer(key, "refused", &why);
            }
            Err(error @ (ChangeError::NotReady | ChangeError::Busy | ChangeError::Propose(_))) => {
                with.answer(key, "later", &error.to_string());
            }
            Err(error) => with.answer(key, "refused", &error.to_string()),
        }
    }

    /// Tells the operator once the entry is committed, or that it is not known whether it will be.
    pub fn finish(&mut self, with: &mut Means<'_>) {
        let confirms = |asked: &mut Asked| matches!(asked.step, Step::Confirming(_));
        if with.replica.is_ready()
            && let Some(asked) = self.asked.take_if(confirms)
        {
            self.propose(with, asked);
        }
        let Some(asked) = &self.asked else { return };
        let core = with.replica.core();
        let is_over = asked.until_ms <= with.now_ms;
        let (result, why) = match asked.step {
            Step::Proposed(index, term) if core.commit() >= index => {
                match core.term_at(index) == Some(term) {
                    true => ("done", ""),
                    false => (
                        "unknown",
                        "another server became PRIMARY and may have dropped the change: check with \
                         chatctl members list",
                    ),
                }
            }
            Step::Confirming(_) if !with.replica.is_ready() => {
                ("elsewhere", "this server is not PRIMARY")
            }
            _ if !with.replica.is_ready() => {
                ("unknown", "this server is no longer PRIMARY: check with chatctl members list")
            }
            _ if is_over => ("unknown", "timed out: check with chatctl members list"),
            _ => return,
        };
        let key = asked.key;
        self.asked = None;
        with.answer(key, result, why);
    }

    /// The peers' port follows the log, and who is a member for good is told so.
    pub fn follow(&mut self, with: &mut Means<'_>) {
        let applied = with.replica.state().applied();
        let is_old = self.heard.take_if(|(index, _)| *index <= applied).is_some();
        let wishes = &mut with.replica.wishes;
        let changed = std::mem::take(&mut wishes.let_in);
        if std::mem::take(&mut wishes.members) {
            let members = with.replica.members();
            with.note_members(&members);
        }
        if changed && !planted(Mutant::PortStaysShut) || is_old {
            self.let_in(with);
        }
        self.tell_members(with);
    }

    /// A peer tells who the members are.
    fn on_told(&mut self, with: &mut Means<'_>, entry: &[u8]) {
        let Ok(Command::Members { time: index, members }) = Command::decode(entry) else { return };
        let is_old = index <= with.replica.state().applied()
            || self.heard.as_ref().is_some_and(|(heard, _)| index <= *heard);
        if !is_old && members::find(&members, with.replica.file()).is_some() {
            self.heard = Some((index, members));
            self.let_in(with);
        }
    }

    /// The peers' port is open to whoever may be a member by the log, and to newer ones.
    fn let_in(&mut self, with: &mut Means<'_>) {
        let mut members = with.replica.possible_members();
        for newer in self.heard.iter().flat_map(|(_, members)| members) {
            // The log may end with one that was never let in, and whose number was given again.
            members.retain(|member| member.number != newer.number || member.name == newer.name);
            match members.iter_mut().find(|member| member.name == newer.name) {
                Some(member) if member.number < newer.number => *member = newer.clone(),
                Some(_) => {}
                None => members.push(newer.clone()),
            }
        }
        // Who catches up reads of times when it was not there.
        if members::find(&members, with.replica.file()).is_some() {
            members.sort_by(|one, other| one.name.cmp(&other.name));
            with.mesh.set_members(members.into_iter().map(Member::from).collect());
        }
    }

    /// Gives a non-voter that has caught up its vote.
    pub fn promote(&mut self, with: &mut Means<'_>) {
        let Some(ServerId(number)) = with.replica.core().caught_up() else { return };
        // A number is given, and a vote, only by what is known to be committed.
        if !with.replica.is_ready() || with.replica.state().members() != with.replica.members() {
            return;
        }
        let mut members = with.replica.members().to_vec();
        let Some(member) = members.iter_mut().find(|member| member.number == number) else {
            return;
        };
        member.votes = true;
        let name = member.name.clone();
        if with.replica.change_members(members).is_ok() {
            with.tell(TraceLevel::Info, format!("{name} has caught up and gets a vote"));
        }
    }

    fn tell_members(&mut self, with: &mut Means<'_>) {
        let state = with.replica.state();
        let members = state.members();
        if *members != *self.told {
            self.told = members.to_vec();
            with.mesh.tell_again();
        }
        let untold = with.mesh.untold();
        // Who was let in a moment ago has no log yet, and nothing to tell.
        if untold.is_empty() || members.is_empty() {
            return;
        }
        let is_member = |id: &ServerId| members.iter().any(|member| member.number == id.0);
        let mut entry = Vec::new();
        // Times may stand still, so how new this is says the index.
        Command::Members { time: state.applied(), members: members.to_vec() }.encode(&mut entry);
        let entry = Block::new(entry);
        untold.iter().filter(|id| is_member(id)).for_each(|id| with.mesh.tell_members(*id, &entry));
    }

    /// When [`Membership::finish`] is to be called at the latest, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        self.asked.as_ref().map(|asked| asked.until_ms)
    }
}

impl Means<'_> {
    /// Where the server is to be asked who it is first.
    fn first_step(&mut self, change: &Change) -> Result<Option<String>, Refused> {
        let members = self.replica.members();
        let address = change.asks_at(&members).map_err(Refused::No)?;
        let name = &change.name;
        if let Some(address) = &address
            && let Err(why) = format!("{name}={address}").parse::<Listed>()
        {
            return Err(Refused::No(why));
        }
        if *name == self.replica.file().id && change.verb == Verb::Replace {
            return Err(Refused::No(format!(
                "{name} is PRIMARY: it is running and needs no replacement"
            )));
        }
        if *name == self.replica.file().id && change.verb == Verb::Remove {
            let hands_over = self.replica.core().transferring_to().is_some()
                || self.replica.hand_over(self.now_ms);
            return Err(match hands_over {
                true => Refused::Later(format!("{name} is PRIMARY and must hand over first")),
                false => {
                    Refused::No(format!("{name} is PRIMARY, and no other server can take over"))
                }
            });
        }
        Ok(address)
    }

    /// The incarnation of a server that may become a member.
    fn check_identity(&self, change: &Change, identity: &Identity) -> Result<u64, String> {
        let state = self.replica.state();
        let Identity { name, cluster, incarnation, .. } = identity;
        if *name != change.name {
            return Err(format!("server {} answers there", name.escape_debug()));
        }
        if *cluster != [0; 16] && *cluster != self.replica.file().cluster {
            return Err("its data directory belongs to another cluster".to_owned());
        }
        let present = state.members().iter().find(|member| member.name == *name);
        if present.is_some_and(|member| member.incarnation == *incarnation) {
            return Err(
                "it still has its old data directory: there is nothing to replace".to_owned()
            );
        }
        if state.was_member(*incarnation) {
            return Err("its data directory was already used by a member: give it an empty \
                        one"
            .to_owned());
        }
        Ok(*incarnation)
    }

    fn answer(&mut self, key: Key, result: &str, why: &str) {
        self.mesh.answer(key, format!("result {result}\nwhy {why}\n"));
    }

    /// Tells the operator of members that are new.
    fn note_members(&mut self, members: &[chat::Member]) {
        if members::find(members, self.replica.file()).is_some() {
            return self.tell(TraceLevel::Info, format!("the members are now {}", list(members)));
        }
        let own = self.replica.core().id();
        if self.replica.state().was_member(self.replica.file().incarnation) {
            let line = format!(
                "this server was removed from the cluster, whose members are now {}: they refuse \
                 its connections, so stop it (it was number {own})",
                list(members)
            );
            self.tell(TraceLevel::Error, line);
        }
    }

    fn tell(&mut self, level: TraceLevel, line: String) {
        self.mesh.todo.tell.push(Line::new(level, line));
    }
}

/// Why a change is not made.
enum Refused {
    No(String),
    Later(String),
}

/// `a, b, c (no vote)`.
fn list(members: &[chat::Member]) -> String {
    let shown = |member: &chat::Member| match member.votes {
        true => member.name.clone(),
        false => format!("{} (no vote yet)", member.name),
    };
    members.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// Who answers of those that would have a vote after the change of `name`.
fn no_majority(
    name: &str,
    members: &[chat::Member],
    answering: &[ServerId],
    quorum: usize,
) -> String {
    let names = |answers: bool| {
        let voters = members.iter().filter(|member| member.votes);
        let those = voters.filter(|m| answering.contains(&ServerId(m.number)) == answers);
        those.map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (up, down) = (names(true), names(false));
    format!(
        "without {name} there would be no majority: {quorum} voters must answer; these do: {up}; \
         these do not: {down}"
    )
}
