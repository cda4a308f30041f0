//! Passwords that wait for the hashing thread: a queue per network, served in turn, so that a flood
//! of logins from one network makes nobody else wait for more than one of its passwords.

use std::collections::{HashMap, VecDeque};

use crate::auth::hasher::Job;
use crate::limits;
use crate::mutants::{Mutant, planted};
use crate::net::{Key, Network, Origin};
use crate::sys::memory;

/// A job, and whose it is.
type Waiting = (Key, Job);

/// The queues.
#[derive(Default)]
pub(super) struct HashQueue {
    /// Networks that have something in `waiting`, the next to be served first.
    turns: VecDeque<Network>,
    waiting: HashMap<Network, VecDeque<Waiting>>,
    len: usize,
    /// Jobs given to the thread and not answered.
    at_thread: usize,
}

impl HashQueue {
    /// Puts a job behind the others of its network. Where too many wait in all, the newest of the
    /// network that has most makes room and is given back; or this one, as an error, when its own
    /// network has most.
    pub(super) fn push(
        &mut self,
        network: Network,
        key: Key,
        job: Job,
    ) -> Result<Option<Waiting>, Job> {
        let mut dropped = None;
        if self.len + self.at_thread >= limits::HASH_JOBS {
            let count = |network: &Network| self.waiting.get(network).map_or(0, VecDeque::len);
            let own = count(&network);
            let Some(most) = self.turns.iter().copied().max_by_key(count) else { return Err(job) };
            if count(&most) <= own + 1 {
                return Err(job);
            }
            dropped = self.waiting.get_mut(&most).and_then(VecDeque::pop_back);
            self.len -= usize::from(dropped.is_some());
        }
        let network =
            if planted(Mutant::LoginsInOneQueue) { Origin::Local.network() } else { network };
        let queue = self.waiting.entry(network).or_default();
        if queue.is_empty() {
            self.turns.push_back(network);
        }
        queue.push_back((key, job));
        self.len += 1;
        Ok(dropped)
    }

    /// The next job for the thread, unless that has enough.
    pub(super) fn next(&mut self) -> Option<Job> {
        if self.at_thread >= limits::HASH_JOBS_AHEAD {
            return None;
        }
        let network = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&network)?;
        let (_, job) = queue.pop_front()?;
        match queue.is_empty() {
            true => drop(self.waiting.remove(&network)),
            false => self.turns.push_back(network),
        }
        self.len -= 1;
        self.at_thread += 1;
        Some(job)
    }

    /// The thread has answered a job.
    pub(super) fn on_answer(&mut self) {
        self.at_thread -= 1;
    }

    /// Drops the jobs of a connection that has gone; gives their ids.
    pub(super) fn forget(&mut self, network: Network, key: Key) -> Vec<u64> {
        let mut ids = Vec::new();
        let Some(queue) = self.waiting.get_mut(&network) else { return ids };
        queue.retain_mut(|(other, job)| {
            if *other == key {
                memory::wipe(&mut job.password);
                ids.push(job.id);
            }
            *other != key
        });
        self.len -= ids.len();
        if queue.is_empty() {
            self.waiting.remove(&network);
            self.turns.retain(|other| *other != network);
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hasher::JobKind;

    fn network(number: u32) -> Network {
        Origin::Ip(std::net::Ipv4Addr::from(number).into()).network()
    }

    fn job(id: u64) -> Job {
        Job { id, password: b"x".to_vec(), kind: JobKind::VerifyUnknown { iterations: 1 } }
    }

    fn key(number: u64) -> Key {
        Key::from_number(number)
    }

    fn next_id(queue: &mut HashQueue) -> Option<u64> {
        let id = queue.next().map(|job| job.id);
        if id.is_some() {
            queue.on_answer();
        }
        id
    }

    #[test]
    fn networks_are_served_in_turn_each_in_its_order() {
        let mut queue = HashQueue::default();
        for id in 0..100 {
            assert!(queue.push(network(1), key(id), job(id)).is_ok());
        }
        assert!(queue.push(network(2), key(100), job(100)).is_ok());
        assert!(queue.push(network(2), key(101), job(101)).is_ok());
        let order: Vec<u64> = (0..5).filter_map(|_| next_id(&mut queue)).collect();
        assert_eq!(order, [0, 100, 1, 101, 2]);
    }

    #[test]
    fn when_too_many_wait_the_network_with_most_makes_room() {
        let mut queue = HashQueue::default();
        for id in 0..limits::HASH_JOBS as u64 {
            assert!(queue.push(network(1), key(id), job(id)).is_ok());
        }
        assert!(queue.push(network(1), key(900), job(900)).is_err(), "its own network has most");
        let dropped = queue.push(network(2), key(901), job(901));
        let dropped = dropped.ok().flatten().expect("the newest of the other makes room");
        assert_eq!(dropped.1.id, limits::HASH_JOBS as u64 - 1);
        assert_eq!((next_id(&mut queue), next_id(&mut queue)), (Some(0), Some(901)));
    }

    #[test]
    fn the_thread_has_few_at_a_time_and_those_who_have_gone_are_dropped() {
        let mut queue = HashQueue::default();
        for id in 0..10 {
            assert!(queue.push(network(1), key(id % 2), job(id)).is_ok());
        }
        for _ in 0..limits::HASH_JOBS_AHEAD {
            assert!(queue.next().is_some());
        }
        assert!(queue.next().is_none(), "the others wait here, where they can be dropped");
        assert_eq!(queue.forget(network(1), key(0)), [2, 4, 6, 8]);
        (0..limits::HASH_JOBS_AHEAD).for_each(|_| queue.on_answer());
        assert_eq!(next_id(&mut queue), Some(3));
        assert_eq!(queue.forget(network(1), key(1)), [5, 7, 9]);
        assert_eq!((next_id(&mut queue), queue.len), (None, 0));
    }
}
