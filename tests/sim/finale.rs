//! The end of a history: a random majority is healed while the rest stays dead, or lives with full
//! disks, and must serve soon; then the rest comes back, or has room, and all must have the same.

use chatctl::limits;
use chatctl::protocol::framing::{self, Codec, Form};
use chatctl::raft::{Role, ServerId};

use super::clock::Us;
use super::faults::Mend;
use super::losses::NOTICED;
use super::process::{Input, Line, LinkId};
use super::server::Server;
use super::world::{MS, World};
use crate::support::bounded::Rounds;
use crate::support::raw_client::ask;

/// How long clients may take to bring everything home, once there is a PRIMARY: a client that has
/// just begun to wait for a silent server waits half a minute for an answer, then starts anew.
const HOME: Us = 120_000 * MS;
/// For how long a PRIMARY without room may stay before it hands over again.
const FULL: Us = 64 * limits::WAL_SPARE_RETRY_MS * MS;

impl World {
    /// The whole history.
    pub fn play(&mut self) {
        self.run(self.faults.until, |_| false);
        // Until a loss is noticed, the PRIMARY that alone has what was lost must not be left dead.
        self.run(self.now_us + NOTICED, |world| world.unnoticed.is_none());
        self.note(format_args!("the faults end"));
        self.faults.clear();
        for place in 0..self.servers.len() {
            let wrong_ms = self.some_difference(0);
            self.servers[place].clock.set(wrong_ms);
        }
        let mut leaves_full = self.servers.len() > 1 && self.rng.chance(1, 4);
        let (majority, rest) = self.some_majority(&mut leaves_full);
        self.cut.clear();
        self.client_cut.clear();
        for &place in &rest {
            let lives = leaves_full && !self.servers[place].is_ghost;
            if lives { self.leave_full(place) } else { self.leave_dead(place) }
        }
        self.heal(&majority);
        let longer = if leaves_full { FULL } else { 0 };
        self.finds_a_primary(longer);
        for place in 0..self.machines.len() {
            self.drive(place, |client, now_ms, _| client.calm(now_ms));
        }
        let is_home = |world: &World| world.is_quiet() && world.operators_are_through();
        let home = self.run(self.now_us + HOME + longer, is_home);
        assert!(home, "what was asked is not answered:\n{}", self.waiting());
        self.note(format_args!("all clients are home"));
        let rest: Vec<usize> =
            rest.into_iter().filter(|place| !self.servers[*place].is_ghost).collect();
        self.heal(&rest);
        self.finds_old_copies();
        self.replace_the_lost();
        self.comes_together();
        self.times_are_right();
        self.comes_together();
        match self.rng.chance(1, 2) {
            true => self.stops_the_primary(),
            false => self.damages_the_primary(),
        }
        self.finds_a_primary(0);
        self.comes_together();
        self.finish();
    }

    /// A random majority of the members, whatever list of them may count, and the rest; the PRIMARY is
    /// among the rest where that lives with full disks, which it does not where too many logs are
    /// damaged for that. Some of those that were removed and do not know
    /// it are in neither, and live on.
    fn some_majority(&mut self, leaves_full: &mut bool) -> (Vec<usize>, Vec<usize>) {
        let servers = self.servers.len();
        let mut places: Vec<usize> = (0..servers).collect();
        for place in (1..servers).rev() {
            places.swap(place, self.rng.below(place as u64 + 1) as usize);
        }
        places.sort_by_key(|place| *leaves_full && self.servers[*place].is_primary());
        let mut lists = self.configs();
        if lists.is_empty() {
            // Nothing is formed yet, and nothing can be before all are there; or there is one alone.
            lists.push(Vec::new());
        }
        let forms = lists[0].is_empty();
        // Whoever lives with a full disk answers, and counts where a removal is weighed: one that is
        // still asked for may take a server that has room. And whoever is being let in has a vote as
        // soon as it has caught up, also with a full disk.
        let changes = !self.operators_are_through() || self.lets_in();
        let spare = usize::from(*leaves_full && changes);
        let is_enough = |world: &World, kept: &[usize], spare: usize| {
            !forms
                && lists.iter().all(|voters| {
                    let lives = |id: &&ServerId| {
                        let place = world.place_with(**id);
                        place.is_some_and(|place| kept.contains(&place)) && world.is_whole(**id)
                    };
                    voters.iter().filter(lives).count() > voters.len() / 2 + spare
                })
        };
        let (mut kept, mut rest) = (Vec::new(), Vec::new());
        for place in places {
            let server = &self.servers[place];
            let counts = lists.iter().any(|voters| voters.contains(&server.id));
            let is_first = forms && place < self.common.servers as usize && !server.is_ghost;
            // What is damaged is a minority, and cannot elect a PRIMARY.
            let lives = is_first || counts && self.is_whole(server.id) && !server.is_ghost;
            if lives && !is_enough(self, &kept, spare) {
                kept.push(place);
                continue;
            }
            let is_out = server.runs() && server.took_part && !counts && self.rng.chance(1, 2);
            if is_out {
                self.note_of(place, "is no longer a member, and lives on");
                continue;
            }
            rest.push(place);
        }
        *leaves_full &= is_enough(self, &kept, spare);
        assert!(forms || is_enough(self, &kept, 0), "a majority is whole: {lists:?}");
        (kept, rest)
    }

    fn leave_dead(&mut self, place: usize) {
        let server = &mut self.servers[place];
        server.dead = true;
        if server.runs() {
            let power = self.rng.chance(1, 2);
            self.end_process(place, power);
        }
    }

    /// It lives, and its log can begin no further segment.
    fn leave_full(&mut self, place: usize) {
        self.counts.left_full += 1;
        let disk = &self.servers[place].log_disk;
        disk.set_capacity(disk.used());
        self.note_of(place, "is left with a full disk");
        self.revive(place);
    }

    /// These servers live, are reached by all that live, and have room.
    fn heal(&mut self, places: &[usize]) {
        self.note(format_args!("healed: {places:?}"));
        for &place in places {
            self.mend(Mend::Room(place));
            self.revive(place);
        }
    }

    pub fn revive(&mut self, place: usize) {
        let now_us = self.now_us;
        let server = &mut self.servers[place];
        server.dead = false;
        server.paused_until = server.paused_until.min(now_us);
        server.clock.resume(now_us);
        self.start(place);
        self.wake_server(place, 0);
    }

    /// One that can take changes.
    fn finds_a_primary(&mut self, longer: Us) {
        // Clocks may be a twentieth slow; disks that were stalled when the faults ended first finish
        // what they were doing. So do look-ups: until then two servers may not be connected, though
        // both live, where the one that dials has not found the other yet.
        let timeout = self.common.election_timeout_ms * MS * 21 / 20;
        let found_at = self.now_us.max(self.look_ups_end());
        let until = found_at + 2_500 * MS + 10 * timeout + longer;
        let has_room = |server: &Server| server.replica().is_some_and(|replica| !replica.full());
        let serves = |server: &Server| server.is_primary() && has_room(server);
        let found = self.run(until, |world| world.servers.iter().any(serves));
        assert!(found, "no PRIMARY within ten election timeouts:\n{}", self.waiting());
    }

    /// Every member has all, and a vote.
    fn comes_together(&mut self) {
        let same = |world: &World| {
            let last = world.checker.last();
            let newest = world.checker.configs.newest();
            let all_vote = newest.members.iter().all(|member| member.votes);
            let places = world.members();
            let places = places.iter().map(|place| &world.servers[*place]);
            all_vote
                && places.clone().count() == newest.members.len().max(1)
                && places.into_iter().all(|server| {
                    let applied = server.replica().map(|replica| replica.state().applied());
                    !server.is_restoring() && applied == Some(last)
                })
        };
        // A log may have to be sent entry by entry.
        let until = self.now_us + 60_000 * MS + self.checker.last() * 20 * MS;
        let mut last = None;
        let mut rounds = Rounds::new(100, "nothing more is committed once all clients are home");
        // What an operator asked for who did not hear the answer may still be done, and a server that
        // was told to stop before stops, and starts again.
        while last != Some(self.checker.last())
            || !self.members().iter().all(|at| self.servers[*at].replica().is_some())
        {
            rounds.count();
            let together = self.run(until, same);
            assert!(together, "the servers do not come together:\n{}", self.waiting());
            last = Some(self.checker.last());
            // A moment of idleness later a restart alone would find all of it committed.
            self.run(self.now_us + 1_000 * MS, |_| false);
        }
        for place in self.members() {
            let server = &self.servers[place];
            let replica = server.replica().expect("all servers are back");
            let knows = replica.wal().commit() == self.checker.last();
            assert!(knows, "{} does not know all:\n{}", server.name, self.waiting());
        }
    }

    /// The clocks have been right for long enough: so is the time of an entry made now.
    fn times_are_right(&mut self) {
        let look_ms = if self.members().len() == 1 { limits::CLOCK_LOOK_MS } else { 1_000 };
        let wait_ms = (self.common.clock_stands_ms + look_ms) * 21 / 20;
        self.run(self.now_us + wait_ms * MS, |_| false);
        let (before, link) = (self.checker.last(), LinkId::MAX);
        let (place, _) = self.primary();
        let mut bytes = Vec::new();
        let ask = ask("create").src("last").body("password");
        framing::put(&mut bytes, Form::Frames, Codec::Binary, &ask);
        self.tell(place, 0, Input::Opened(Line::Link(link)));
        self.tell(place, MS, Input::Bytes(Line::Link(link), bytes));
        let until = self.now_us + 10_000 * MS;
        let is_made = self.run(until, |world| world.checker.last() > before);
        assert!(is_made, "the last account is not made:\n{}", self.waiting());
        self.checker.times.are_right();
    }

    /// A PRIMARY that is told to stop hands over first, where there is somebody.
    fn stops_the_primary(&mut self) {
        let (place, epoch) = self.primary();
        let is_alone = self.members().len() == 1;
        let mut bytes = Vec::new();
        let send = ask("send").to("last").body("goodbye").id(1);
        framing::put(&mut bytes, Form::Frames, Codec::Binary, &send);
        self.tell(place, 0, Input::Bytes(Line::Link(LinkId::MAX), bytes));
        self.tell(place, 200, Input::Stop);
        let until = self.now_us + 2 * limits::STOP_MS * MS;
        let has_ended = self.run(until, |world| world.servers[place].epoch != epoch);
        assert!(has_ended, "it does not stop:\n{}", self.waiting());
        let role = if is_alone { Role::Primary } else { Role::Backup };
        assert_eq!(self.stopped_as, Some(role), "who stops hands over");
        self.revive(place);
    }

    /// A PRIMARY that reads what is damaged ends where others can go on without it, and only there.
    fn damages_the_primary(&mut self) {
        let (place, epoch) = self.primary();
        self.tell(place, 0, Input::Damaged);
        let until = self.now_us + 1_000 * MS;
        let has_ended = self.run(until, |world| world.servers[place].epoch != epoch);
        assert_eq!(has_ended, self.members().len() > 2, "whether it ends:\n{}", self.waiting());
        self.revive(place);
    }

    /// The machine of the PRIMARY, and its process.
    fn primary(&self) -> (usize, u64) {
        let primary = self.members().into_iter().find(|place| self.servers[*place].is_primary());
        let place = primary.expect("the servers have come together under a PRIMARY");
        (place, self.servers[place].epoch)
    }

    /// The machines of the members, or of the server that is alone.
    fn members(&self) -> Vec<usize> {
        let newest = self.checker.configs.newest();
        match newest.members.is_empty() {
            true => vec![0],
            false => {
                let ids = newest.members.iter().map(|member| ServerId(member.number));
                ids.filter_map(|id| self.place_with(id)).collect()
            }
        }
    }

    /// Who waits for what.
    pub fn waiting(&self) -> String {
        let mut text = format!("{:?}\n", self.checker.configs.newest());
        for server in &self.servers {
            let (name, id, dead) = (&server.name, server.id, server.dead);
            let (waits, is_ghost) = (server.runs() && !server.takes_part, server.is_ghost);
            text.push_str(&format!(
                "{name}, number {id}: waits {waits}, dead {dead}, ghost {is_ghost}\n"
            ));
            if let Some(mesh) = server.mesh() {
                let up = mesh.members().iter().filter(|member| mesh.is_up(member.number));
                let up: Vec<&str> = up.map(|member| member.name.as_str()).collect();
                let all: Vec<&str> = mesh.members().iter().map(|m| m.name.as_str()).collect();
                text.push_str(&format!("knows {all:?}, connected {up:?}\n"));
            }
            let Some(process) = &server.process else { continue };
            let Some(replica) = process.replica() else { continue };
            let serving = process.node.served().map(|served| served.serving());
            let outline = replica.core().outline();
            let (applied, jobs) = (replica.state().applied(), server.jobs.len());
            let full = replica.full();
            text.push_str(&format!(
                "{outline:?} applied {applied}, {serving:?}, {jobs} disk jobs, full {full}, {:?}\n",
                replica.core().backups()
            ));
        }
        for machine in &self.machines {
            text.push_str(&machine.client.waits_for());
            text.push('\n');
        }
        text
    }

    fn finish(&mut self) {
        for place in self.members() {
            let server = &self.servers[place];
            let state = server.replica().expect("all servers are back").state();
            self.checker.on_applied(server.id, state.applied(), state.digest());
        }
        self.check_disks();
        for machine in &self.machines {
            machine.client.check(&self.checker);
            machine.client.count(&mut self.counts);
        }
        self.counts.simulated_ms = self.now_us / MS;
        self.counts.committed = self.checker.last();
        self.counts.elections = self.checker.primaries.len() as u64;
        self.counts.answers = self.checker.answers;
        self.counts.went_back = self.checker.times.went_back;
        self.counts.by_median = self.checker.times.by_median;
        self.trace.good = true;
    }
}
