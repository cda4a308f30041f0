//! No connection is forgotten: whatever is asked, and whatever the answers have to wait for, every
//! request is answered, in the order of the connection, once nothing is in the way any more. No time
//! passes meanwhile, so no deadline helps.
//!
//! ANSWERS_SEED and ANSWERS_RUNS set the first seed and how many runs there are.

use std::collections::VecDeque;

use chatctl::net::Key;
use chatctl::node::clients::{Request, TABLE};
use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form};

use super::world::{PASSWORD, World, ip, settings};
use crate::support::raw_client::{Ask, ask, id, is_push};
use crate::support::{Rng, env_number};

const ACCOUNTS: u64 = 4;
const SESSIONS: u64 = 12;
const STEPS: usize = 240;
/// Steps behind them in which nothing comes that answers wait for.
const HELD_STEPS: usize = 60;
/// So small that sends wait for room in the log.
const SEGMENT_BYTES: u32 = 256 << 10;
/// Turns in which all must be answered at the end.
const TURNS: usize = 200;

/// A client, and what it waits for.
struct Asker {
    key: Key,
    /// The requests that are not answered.
    asked: VecDeque<String>,
    /// What it has not written yet of the last of them.
    unwritten: Vec<u8>,
    /// Whether its socket takes no answers for now, and whether it writes nothing more.
    blocked: bool,
    ended: bool,
}

fn name(number: u64) -> String {
    format!("name{number}")
}

fn request(rng: &mut Rng) -> Ask {
    let other = name(rng.below(ACCOUNTS + 1));
    let limit = [0, 5, 1_000][rng.below(3) as usize];
    let long = "x".repeat(60_000);
    let body = if rng.chance(1, 2) { long.as_str() } else { "a message" };
    // Half of all are sends: what follows them has to wait for them.
    let row = &TABLE[rng.below(TABLE.len() as u64) as usize];
    match if rng.chance(1, 2) { Request::Send } else { row.request } {
        Request::Create => ask("create").src(&other).body("wrong"),
        Request::Login => ask("login").src(&other).body(PASSWORD),
        Request::Token => ask("token"),
        Request::Resume => ask("resume").src(&other).body("v1.1.AAAA"),
        Request::List => ask("list").body("*"),
        Request::Who => ask("who").body("*"),
        Request::Watch => ask("watch").body(&other),
        Request::Send => ask("send").to(&other).body(body),
        Request::Deliver => ask("deliver").limit(limit),
        Request::History => ask("history").to(&other).limit(limit),
        Request::Sync => ask("sync").limit(limit),
        Request::Inbox => ask("inbox"),
        Request::Read => ask("read").to(&other).seq(rng.below(1_000)),
        Request::DeleteMsgs => ask("delete_msgs").ids(&[&id(rng.below(100).into())]),
        Request::Ping => ask("ping"),
        Request::ServerStatus => ask("server_status"),
        // These end sessions, and then most of what follows is refused at once.
        Request::Logoff | Request::Passwd | Request::Delete => ask("nonsense"),
    }
}

/// Whether it is the last frame of an answer, or all of it.
fn is_answer(message: &Message<'_>) -> bool {
    let is_item = ["deliver", "taken_back", "read_moved"].contains(&message.cmd.as_ref());
    !is_push(message) && (message.error || !is_item)
}

impl Asker {
    /// Writes so many bytes of what it has not written.
    fn write(&mut self, world: &mut World, count: usize) {
        let count = count.min(self.unwritten.len());
        let bytes: Vec<u8> = self.unwritten.drain(..count).collect();
        world.write_raw(self.key, &bytes);
    }

    fn ask(&mut self, world: &mut World, rng: &mut Rng) {
        let request = request(rng);
        framing::put(&mut self.unwritten, Form::Frames, Codec::Json, &request);
        self.asked.push_back(request.cmd.to_string());
        // A part of it may come later.
        let count = self.unwritten.len() - rng.below(20) as usize * rng.below(2) as usize;
        self.write(world, count);
    }

    fn block(&mut self, world: &mut World, blocked: bool) {
        world.block(self.key, blocked);
        self.blocked = blocked;
    }

    fn end(&mut self, world: &mut World) {
        self.ended = true;
        world.end_writing(self.key);
    }

    fn take_answers(&mut self, world: &mut World) {
        while let Some(message) = world.read(self.key) {
            if is_answer(&message) {
                let cmd = if message.cmd == "delivered" { "deliver" } else { message.cmd.as_ref() };
                assert_eq!(Some(cmd), self.asked.pop_front().as_deref(), "{message:?}");
            }
        }
    }
}

/// A client asks, a turn goes by or, unless `held`, something that answers wait for comes or is held
/// back.
fn step(world: &mut World, askers: &mut [Asker], rng: &mut Rng, held: bool) {
    let asker = &mut askers[rng.below(SESSIONS) as usize];
    match if held { rng.below(8) } else { rng.below(16) } {
        0..3 => world.turn(),
        3..8 => asker.ask(world, rng),
        8 => world.keeps_hashes = !world.keeps_hashes,
        9 => world.keeps_reads = !world.keeps_reads,
        10 => world.keeps_batches = !world.keeps_batches,
        11 => world.keeps_spare = !world.keeps_spare,
        12 => asker.block(world, !asker.blocked),
        13 if !world.hashes.is_empty() => world.hash_one(),
        14 => world.read_first(1 + rng.below(3) as usize),
        _ => world.fail_first(),
    }
    askers.iter_mut().for_each(|asker| asker.take_answers(world));
}

fn small_world() -> World {
    let mut world = World::with(settings(), |flags| flags.segment_bytes = SEGMENT_BYTES, &[]);
    world.add_accounts(&(0..ACCOUNTS).map(name).collect::<Vec<_>>());
    world
}

fn expect_all_answered(seed: u64) {
    let (mut rng, mut world) = (Rng::new(seed), small_world());
    let session = |number| {
        let key = world.session(ip(number as u32), &name(number % ACCOUNTS));
        let (asked, unwritten) = Default::default();
        Asker { key, asked, unwritten, blocked: false, ended: false }
    };
    let mut askers: Vec<Asker> = (0..SESSIONS).map(session).collect();
    for number in 0..STEPS + HELD_STEPS {
        step(&mut world, &mut askers, &mut rng, number >= STEPS);
    }

    // A connection is touched here only where something of its own happens: a needless visit would
    // hide that it was forgotten.
    for asker in &mut askers {
        if !asker.unwritten.is_empty() {
            asker.write(&mut world, usize::MAX);
        }
        if rng.chance(1, 2) {
            asker.end(&mut world);
        }
    }
    (0..rng.below(3)).for_each(|_| world.turn());
    (0..rng.below(3)).for_each(|_| world.fail_first());
    (world.keeps_hashes, world.keeps_reads) = (false, false);
    (world.keeps_batches, world.keeps_spare) = (false, false);
    for asker in askers.iter_mut().filter(|asker| asker.blocked) {
        asker.block(&mut world, false);
    }
    for _ in 0..TURNS {
        world.turn();
        askers.iter_mut().for_each(|asker| asker.take_answers(&mut world));
    }
    for Asker { key, asked, ended, .. } in &askers {
        assert!(asked.is_empty(), "seed {seed}: {key:?} is not answered: {asked:?}");
        let is_open = world.clients().client(*key).is_some();
        assert_eq!(is_open, !ended, "seed {seed}: {key:?} is let go once it has ended, not before");
    }
}

#[test]
fn every_request_is_answered_in_its_order_whatever_the_answers_have_to_wait_for() {
    let first = env_number("ANSWERS_SEED", 1);
    for seed in first..first + env_number("ANSWERS_RUNS", 3) {
        println!("ANSWERS_SEED={seed} ANSWERS_RUNS=1");
        expect_all_answered(seed);
    }
}

#[test]
fn a_send_that_waits_for_room_in_the_log_is_answered_once_the_next_segment_is_there() {
    let mut world = small_world();
    let keys = [world.session(ip(1), &name(1)), world.session(ip(2), &name(2))];
    let send = ask("send").to(&name(0)).body(&"x".repeat(60_000));
    let quiet_turns = |world: &mut World| (0..20).for_each(|_| world.turn());
    world.keeps_spare = true;
    // One after the other, so that nothing else of this connection is under way that could wake it.
    let mut stored = 0;
    loop {
        world.write(keys[0], &send);
        quiet_turns(&mut world);
        let Some(reply) = world.read(keys[0]) else { break };
        assert!(!reply.error, "{reply:?}");
        stored += 1;
        assert!(stored < 20, "the log has room without an end");
    }
    assert!(stored > 1, "there is no room at the start");
    world.write(keys[1], &send);
    quiet_turns(&mut world);
    assert!(world.read(keys[1]).is_none(), "another finds room where the first does not");
    world.keeps_spare = false;
    for key in keys {
        let reply = world.reply(key);
        assert!(!reply.error, "{reply:?}");
    }
}
