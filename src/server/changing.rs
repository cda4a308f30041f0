//! How the members change while the server runs: what an operator asks is done, one thing at a time,
//! and the peers' port follows the log.
//!
//! ```text
//! change -> (PRIMARY? possible?) -> who answers at the address? -> entry proposed -> committed -> told
//! ```

use super::cluster::Listed;
use super::peers::change::{Change, Verb};
use super::peers::handshake::Identity;
use super::peers::mesh::Member;
use super::peers::session::Block;
use super::{Server, standing};
use crate::chat::{self, Command};
use crate::limits;
use crate::net::Key;
use crate::raft::{ChangeError, ServerId};
use crate::server::service::Serving;

/// A change that an operator waits for.
pub(super) struct Changing {
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
    /// The entry with this index and term is to be committed.
    Proposed(u64, u64),
}

impl Server {
    /// An operator asks for a change.
    pub(super) fn on_change(&mut self, key: Key, change: Change) {
        if *self.service.serving() != Serving::Primary {
            return self.answer(key, "elsewhere", "this server is not PRIMARY");
        }
        if self.changing.is_some() {
            return self.answer(key, "later", "another change of the members is under way");
        }
        match self.first_step(&change) {
            Ok(Some(address)) => {
                if let Some(links) = &mut self.links {
                    links.mesh.probe(change.name.clone(), address.clone());
                }
                let until_ms = self.now.monotonic_ms + limits::CHANGE_MS;
                self.changing =
                    Some(Changing { key, change, step: Step::Asking(address), until_ms });
            }
            Ok(None) => self.propose_change(key, change, 0),
            Err(Refused::No(why)) => self.answer(key, "refused", &why),
            Err(Refused::Later(why)) => self.answer(key, "later", &why),
        }
    }

    /// Where the server is to be asked who it is first.
    fn first_step(&mut self, change: &Change) -> Result<Option<String>, Refused> {
        let members = self.service.replica.members().to_vec();
        let address = change.asks_at(&members).map_err(Refused::No)?;
        let name = &change.name;
        if let Some(address) = &address
            && let Err(why) = format!("{name}={address}").parse::<Listed>()
        {
            return Err(Refused::No(why));
        }
        let old = self.links.as_ref().and_then(|links| links.mesh.too_old(name));
        if let Some(old) = old {
            return Err(Refused::No(format!(
                "{old} runs a version of chatctl that does not know changes of the members: bring \
                 it up to date first"
            )));
        }
        if *name == self.hard_state.id && change.verb == Verb::Replace {
            return Err(Refused::No(format!(
                "{name} is PRIMARY: it runs, and needs no replacement"
            )));
        }
        if *name == self.hard_state.id && change.verb == Verb::Remove {
            let hands_over = self.service.replica.core().transferring_to().is_some()
                || self.service.replica.hand_over(self.now.monotonic_ms);
            return Err(match hands_over {
                true => Refused::Later(format!("{name} is PRIMARY, and hands over first")),
                false => Refused::No(format!("{name} is PRIMARY, and nobody can take over")),
            });
        }
        Ok(address)
    }

    /// Somebody answers at an address that was asked for, or nobody does.
    pub(super) fn on_probed(&mut self, address: &str, identity: Result<Identity, String>) {
        let waits =
            |changing: &mut Changing| matches!(&changing.step, Step::Asking(at) if at == address);
        let Some(Changing { key, change, .. }) = self.changing.take_if(waits) else { return };
        match identity.and_then(|identity| self.check_identity(&change, &identity)) {
            Ok(incarnation) => self.propose_change(key, change, incarnation),
            Err(why) => {
                let (name, own) = (&change.name, &self.hard_state.id);
                let why = format!("{name} does not answer {own} as it should at {address}: {why}");
                self.answer(key, "refused", &why);
            }
        }
    }

    /// The incarnation of a server that may become a member.
    fn check_identity(&self, change: &Change, identity: &Identity) -> Result<u64, String> {
        let state = self.service.replica.state();
        let Identity { name, cluster, incarnation, .. } = identity;
        if *name != change.name {
            return Err(format!("{} answers there", name.escape_debug()));
        }
        if *cluster != [0; 16] && *cluster != self.hard_state.cluster {
            return Err("its data directory is of another cluster".to_owned());
        }
        let present = state.members().iter().find(|member| member.name == *name);
        if present.is_some_and(|member| member.incarnation == *incarnation) {
            return Err("it has the data directory that the cluster knows: there is nothing to \
                        replace"
                .to_owned());
        }
        if state.was_member(*incarnation) {
            return Err("its data directory was a member's before: give it an empty one".to_owned());
        }
        Ok(*incarnation)
    }

    fn propose_change(&mut self, key: Key, change: Change, incarnation: u64) {
        let replica = &self.service.replica;
        // What is not applied yet might have given the number already.
        if replica.state().members() != replica.members() {
            let why = "the change of the members before is not committed";
            return self.answer(key, "later", why);
        }
        let number = replica.state().next_number();
        let members = change.apply(replica.members(), incarnation, number);
        match self.service.change_members(members.clone()) {
            Ok(index) => {
                let step = Step::Proposed(index, self.service.replica.core().term());
                let until_ms = self.now.monotonic_ms + limits::CHANGE_MS;
                self.changing = Some(Changing { key, change, step, until_ms });
            }
            Err(ChangeError::NoMajority { answering, quorum }) => {
                let why = no_majority(&members, &answering, quorum);
                self.answer(key, "refused", &format!("without {}, {why}", change.name));
            }
            Err(error @ (ChangeError::NotReady | ChangeError::Busy | ChangeError::Propose(_))) => {
                self.answer(key, "later", &error.to_string());
            }
            Err(error) => self.answer(key, "refused", &error.to_string()),
        }
    }

    /// Tells the operator once the entry is committed, or that it is not known whether it will be.
    pub(super) fn finish_change(&mut self) {
        let Some(changing) = &self.changing else { return };
        let core = self.service.replica.core();
        let is_over = changing.until_ms <= self.now.monotonic_ms;
        let (result, why) = match changing.step {
            Step::Proposed(index, term) if core.commit() >= index => {
                match core.term_at(index) == Some(term) {
                    true => ("done", ""),
                    false => ("unknown", "another server became PRIMARY, and the change is lost"),
                }
            }
            _ if *self.service.serving() != Serving::Primary => {
                ("unknown", "this server is PRIMARY no longer: look with chatctl members list")
            }
            _ if is_over => ("unknown", "it takes too long: look with chatctl members list"),
            _ => return,
        };
        let key = changing.key;
        self.changing = None;
        self.answer(key, result, why);
    }

    /// When [`Server::finish_change`] is to be called at the latest, milliseconds.
    pub(super) fn change_ms(&self) -> Option<u64> {
        self.changing.as_ref().map(|changing| changing.until_ms)
    }

    fn answer(&mut self, key: Key, result: &str, why: &str) {
        let Some(links) = &mut self.links else { return };
        links.mesh.answer(key, format!("result {result}\nwhy {why}\n"));
    }

    /// The peers' port follows the log, and who is a member for good is told so.
    pub(super) fn follow_members(&mut self) {
        if let Some(members) = self.service.replica.wishes.members.take() {
            self.on_members(&members);
        }
        let Some(links) = &mut self.links else { return };
        let uninvited = links.mesh.uninvited();
        if uninvited.is_empty() {
            return;
        }
        let members = self.service.replica.state().members();
        let is_member = |id: &ServerId| members.iter().any(|member| member.number == id.0);
        let mut entry = Vec::new();
        let time = self.service.replica.state().last_time();
        Command::Members { time, members: members.to_vec() }.encode(&mut entry);
        let entry = Block::new(entry);
        uninvited.iter().filter(|id| is_member(id)).for_each(|id| links.mesh.invite(*id, &entry));
    }

    fn on_members(&mut self, members: &[chat::Member]) {
        let Some(links) = &mut self.links else { return };
        if standing::find(members, &self.hard_state).is_some() {
            self.trace.info(format_args!("the members are now {}", list(members)));
            links.mesh.set_members(members.iter().cloned().map(Member::from).collect());
            return;
        }
        // Who catches up reads of times when it was not there.
        let own = self.service.replica.core().id();
        if self.service.replica.state().was_member(self.hard_state.incarnation) {
            self.trace.wrong(format_args!(
                "this server is taken out of the cluster, which is now {}: the others let it in no \
                 more, stop it (it was number {own})",
                list(members)
            ));
        }
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

/// Who answers of those that would have a vote.
fn no_majority(members: &[chat::Member], answering: &[ServerId], quorum: usize) -> String {
    let names = |answers: bool| {
        let voters = members.iter().filter(|member| member.votes);
        let those = voters.filter(|m| answering.contains(&ServerId(m.number)) == answers);
        those.map(|member| member.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (up, down) = (names(true), names(false));
    format!(
        "the servers with a vote that answer would be no majority: {up} of {quorum} that are needed; \
         {down} does not answer"
    )
}
