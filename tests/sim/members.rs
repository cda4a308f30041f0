//! Machines come and go: what operators want changed, disks that are lost, servers that were removed.

use chatctl::node::Listed;
use chatctl::node::peers::change::{Change, Verb};
use chatctl::raft::ServerId;

use super::clock::Us;
use super::configs::Config;
use super::kept::Kept;
use super::operator::End;
use super::server::{Server, listed, peer_address_of};
use super::world::{Event, MS, SPARES, World};

impl World {
    /// Somebody wants something changed.
    pub fn change_members(&mut self) {
        let newest = self.checker.configs.newest();
        let busy = self.operators.iter().filter(|operator| operator.end.is_none()).count();
        // Who is new has met nobody, and would not know an old copy for one.
        if newest.members.is_empty() || busy > 1 || self.has_old_copy() {
            return;
        }
        let some = self.rng.below(newest.members.len() as u64) as usize;
        let name = newest.members[some].name.clone();
        match self.rng.below(10) {
            0..4 => self.wants_added(),
            // Who was lost a moment ago is taken for one that answers.
            4..7 if newest.members.len() > 1 && self.now_us > self.lost_at + 5_000 * MS => {
                self.wants(Verb::Remove, &name, 0);
            }
            7..9 => self.loses_disk(&newest, &name),
            // What there is nothing to do for.
            _ => {
                let verb = if self.rng.chance(1, 2) { Verb::Add } else { Verb::Replace };
                self.wants(verb, &name, 0);
            }
        }
    }

    /// An operator has it done; now and then two have.
    pub fn wants(&mut self, verb: Verb, name: &str, after: Us) {
        let address = if verb == Verb::Add { peer_address_of(name) } else { String::new() };
        let change = Change { verb, name: name.to_owned(), address };
        if self.rng.chance(1, 6) {
            let later = after + self.rng.below(2_000 * MS);
            self.add_operator(change.clone(), later, false);
        }
        self.add_operator(change, after, false);
    }

    /// A new machine, or one whose server was removed: with an empty disk, in most cases.
    fn wants_added(&mut self) {
        let newest = self.checker.configs.newest();
        let is_out = |server: &&Server| {
            let is_listed = newest.members.iter().any(|member| member.name == server.name);
            !server.is_ghost && !is_listed && server.took_part
        };
        let out = self.servers.iter().find(is_out).map(|server| server.place);
        let place = match out.filter(|_| self.rng.chance(1, 2)) {
            Some(place) => {
                if self.rng.chance(5, 6) {
                    self.wipe(place);
                }
                self.servers[place].dead = false;
                let after = self.rng.below(500) * MS;
                self.at(after, Event::Start(place));
                place
            }
            None if self.servers.len() < self.common.servers as usize + SPARES => self.add_server(),
            None => return,
        };
        let (name, after) = (self.servers[place].name.clone(), self.rng.below(3_000) * MS);
        self.wants(Verb::Add, &name, after);
    }

    fn add_server(&mut self) -> usize {
        let (place, clock) = (self.servers.len(), self.some_clock());
        let flags = self.list_with(place);
        self.servers.push(Server::new(place, flags, &mut self.rng, clock));
        let after = self.rng.below(500) * MS;
        self.at(after, Event::Start(place));
        place
    }

    /// What --cluster says on a machine that is to be let in.
    pub fn list_with(&self, place: usize) -> Vec<Listed> {
        let newest = self.checker.configs.newest();
        let member = |member: &chatctl::chat::Member| Listed {
            name: member.name.clone(),
            address: member.address.clone(),
        };
        let mut list: Vec<Listed> = newest.members.iter().map(member).collect();
        let own = listed(place);
        list.retain(|listed| listed.name != own.name);
        list.push(own);
        list.sort();
        list
    }

    /// A member's machine loses its disk, and perhaps somebody has it replaced.
    fn loses_disk(&mut self, newest: &Config, name: &str) {
        let Some(place) = self.place_named(name) else { return };
        if newest.members.len() < 2 || !self.may_lose(place) {
            return;
        }
        let power = self.rng.chance(1, 2);
        if self.servers[place].runs() {
            self.end_process(place, power);
        }
        self.wipe(place);
        self.counts.wiped += 1;
        if self.rng.chance(5, 6) {
            let after = self.rng.below(3_000) * MS;
            self.wants(Verb::Replace, name, after);
        }
    }

    /// An empty disk is in the place of a machine's own. That one may come back elsewhere, and its
    /// server take itself for the member that it was.
    pub fn wipe(&mut self, place: usize) {
        if self.servers[place].runs() {
            self.end_process(place, true);
        }
        self.note_of(place, "has an empty disk");
        self.lost_at = self.now_us;
        let flags = self.list_with(place);
        let clock = self.servers[place].clock.clone();
        let fresh = Server::new(place, flags, &mut self.rng, clock);
        let fresh = Server { epoch: self.servers[place].epoch, ..fresh };
        let old = std::mem::replace(&mut self.servers[place], fresh);
        if old.id == ServerId(0) {
            return;
        }
        let most = self.common.servers as usize + 2 * SPARES;
        if self.servers.len() < most && self.rng.chance(1, 4) {
            self.counts.ghosts += 1;
            let ghost = self.servers.len();
            self.servers.push(Server { place: ghost, is_ghost: true, ..old });
            let after = self.rng.below(4_000) * MS;
            return self.at(after, Event::Start(ghost));
        }
        let mut kept: Kept = old.kept;
        kept.lose();
        self.checker.archive.insert(old.id, kept);
    }

    /// A server that was removed does not start any more.
    pub fn is_removed(&mut self, place: usize) {
        self.note_of(place, "was removed, and does not start");
        self.counts.removed_starts += 1;
        let server = &mut self.servers[place];
        server.dead = true;
        let (id, newest) = (server.id, self.checker.configs.newest());
        assert!(!newest.has(id), "number {id} is a member, and does not start");
        self.restart_disks(place, self.servers[place].log_disk.crashed());
        let epoch = self.servers[place].epoch;
        self.server_is_gone(place, epoch, false);
    }

    /// The machine that has a name.
    pub fn place_named(&self, name: &str) -> Option<usize> {
        self.servers.iter().position(|server| server.name == name && !server.is_ghost)
    }

    /// The machine that has the directory of a number.
    pub fn place_with(&self, id: ServerId) -> Option<usize> {
        self.servers.iter().position(|server| server.id == id && !server.is_ghost)
    }

    /// Whether the directory of a number is there, and whole, and stays so.
    pub fn is_whole(&self, id: ServerId) -> bool {
        self.place_with(id).is_some_and(|place| {
            let server = &self.servers[place];
            !server.is_restoring() && !server.may_notice_loss()
        })
    }

    /// All lists of members that may count now, or may once the servers that are down are up again:
    /// the newest that is committed, and those after it.
    pub fn configs(&self) -> Vec<Vec<ServerId>> {
        let newest = self.checker.configs.newest();
        let mut lists: Vec<Vec<ServerId>> = vec![newest.voters().collect()];
        let last = self.checker.last();
        for config in self.checker.configs.after(newest.index) {
            if config.index > last {
                lists.push(config.voters().collect());
            }
        }
        for core in self.servers.iter().filter_map(Server::core) {
            if core.members_index() > newest.index {
                lists.push(core.members().voters.clone());
            }
            // What a PRIMARY asks about, it appends as soon as a majority answers, which may be on its
            // way already.
            lists.extend(core.asking().filter(|asked| self.can_answer(asked)).map(<[_]>::to_vec));
        }
        lists.retain(|voters| !voters.is_empty());
        lists
    }

    /// Whether the servers whose logs are whole are a majority of these.
    fn can_answer(&self, voters: &[ServerId]) -> bool {
        voters.iter().filter(|id| self.is_whole(**id)).count() > voters.len() / 2
    }

    /// Whether some list of members has one without a vote.
    pub fn lets_in(&self) -> bool {
        let newest = self.checker.configs.newest();
        let mut cores = self.servers.iter().filter_map(Server::core);
        newest.members.iter().any(|member| !member.votes)
            || cores.any(|core| !core.members().nonvoters.is_empty())
    }

    /// Whether a machine's log may be damaged or lost: those that are left whole are to be a majority,
    /// also when one of them is being removed.
    pub fn may_lose(&self, place: usize) -> bool {
        let id = self.servers[place].id;
        let recently = self.now_us.saturating_sub(15_000 * MS);
        let is_open = |operator: &super::operator::Operator| {
            operator.change.verb == Verb::Remove && operator.ended_at >= recently
        };
        let fewer = usize::from(self.operators.iter().any(is_open));
        let lists = self.configs();
        // Nobody restores a server that is alone.
        let has_others = lists.iter().any(|voters| voters.len() > 1);
        has_others
            && lists.iter().all(|voters| {
                let lost = |voter: &&ServerId| **voter != id && !self.is_whole(**voter);
                let lost = voters.iter().filter(lost).count() + 1;
                !voters.contains(&id) || lost <= voters.len().saturating_sub(1 + fewer) / 2
            })
    }

    /// Whether all operators are through.
    pub fn operators_are_through(&self) -> bool {
        self.operators.iter().all(|operator| operator.end.is_some())
    }

    /// Members whose machines have other directories than the cluster knows are replaced.
    pub fn replace_the_lost(&mut self) {
        for _ in 0..9 {
            let newest = self.checker.configs.newest();
            let is_lost = |member: &&chatctl::chat::Member| {
                let place = self.place_named(&member.name);
                place.is_none_or(|place| self.servers[place].incarnation != member.incarnation)
            };
            let Some(name) = newest.members.iter().find(is_lost).map(|m| m.name.clone()) else {
                return;
            };
            let (verb, address) = (Verb::Replace, String::new());
            let change = Change { verb, name: name.clone(), address };
            let operator = self.add_operator(change, 0, true);
            let until = self.operators[operator].until + MS;
            self.run(until, |world| world.operators[operator].end.is_some());
            let end = self.operators[operator].end.clone();
            // A removal that was still open may have taken it out meanwhile.
            let newest = self.checker.configs.newest();
            let is_member = newest.members.iter().any(|member| member.name == name);
            assert!(
                end == Some(End::Done) || !is_member,
                "a lost member is not replaced, but {end:?}:\n{}",
                self.waiting()
            );
        }
    }
}
