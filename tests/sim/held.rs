//! A lone server whose disk takes nothing for a while: what gathers in memory meanwhile is bounded,
//! and when the disk works again nothing is missing.

use chatctl::auth::hasher;
use chatctl::limits;
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::wal::{self, Batch, Done, hard_state, perform};

use super::clock::Clock;
use super::process::{Act, Input, Line, LinkId};
use super::server::{Common, Server, Started};
use crate::support::Rng;
use crate::support::bounded::Rounds;
use crate::support::raw_client::{Ask, ask, code, id};

/// The server, its disk's thread, and the bytes that it has written to each connection.
struct Held {
    server: Server,
    now_us: u64,
    /// Batches are kept waiting.
    holds: bool,
    waiting: Vec<Batch>,
    heard: Vec<Vec<u8>>,
}

impl Held {
    /// Serves, with so many connections open.
    fn new(connections: usize) -> Held {
        let common = Common {
            servers: 1,
            election_timeout_ms: limits::RAFT_ELECTION_TIMEOUT_MS,
            heartbeat_ms: limits::RAFT_HEARTBEAT_MS,
            window: limits::RAFT_WINDOW,
            batch_bytes: limits::RAFT_BATCH_BYTES,
            cache_bytes: limits::RAFT_CACHE_BYTES,
            segment_bytes: limits::WAL_SEGMENT_BYTES,
            id_window: limits::ID_WINDOW,
            read_only_after_ms: limits::READ_ONLY_AFTER_MS,
            clock_stands_ms: limits::CLOCK_STANDS_MS,
            max_connections: 1_000,
            long_messages: false,
            forms: false,
        };
        let clock = Clock::new(0, 1_000, 1_000_000, 0);
        let mut server = Server::new(0, Vec::new(), &mut Rng::new(1), clock);
        assert_eq!(server.start(&common, 0, 1), Started::Runs, "its disk is whole");
        let (waiting, heard) = (Vec::new(), vec![Vec::new(); connections]);
        let mut held = Held { server, now_us: 0, holds: false, waiting, heard };
        held.settle();
        for link in 0..connections as LinkId {
            held.give(Input::Opened(Line::Link(link)));
        }
        held.settle();
        held
    }

    fn give(&mut self, input: Input) {
        self.server.process.as_mut().expect("it runs").inbox.push(input);
    }

    fn ask(&mut self, link: usize, requests: &[Ask]) {
        let mut bytes = Vec::new();
        for request in requests {
            framing::put(&mut bytes, Form::Frames, Codec::Binary, request);
        }
        self.give(Input::Bytes(Line::Link(link as LinkId), bytes));
    }

    /// Takes turns until there is nothing to do but wait.
    fn settle(&mut self) {
        let mut rounds = Rounds::new(100_000, "the process has nothing more to do");
        loop {
            rounds.count();
            self.now_us += 1_000;
            let now = self.server.now(self.now_us);
            let process = self.server.process.as_mut().expect("it runs");
            let (acts, _) = process.turn(now).expect("its disk works");
            process.check_bounds();
            let gathered = process.replica().map_or(0, |replica| replica.gathered_bytes());
            let most = limits::GATHERED_BYTES + limits::WAL_ENTRY_BYTES;
            assert!(gathered <= most, "{gathered} bytes wait for the disk");
            acts.into_iter().for_each(|act| self.act(act));
            let next_ms = self.server.process.as_mut().expect("it runs").next_ms();
            if next_ms.is_none_or(|at_ms| at_ms > now.monotonic_ms + 1_000) {
                return;
            }
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Write(batch) if self.holds => self.waiting.push(batch),
            Act::Write(batch) => self.write(&batch),
            Act::Save(file) => {
                let result = hard_state::save(&mut self.server.state_disk, &file);
                self.give(Input::Disk(Done::HardState { hard_state: file, result }));
            }
            Act::MakeSpare(request) => {
                let spare = wal::make_spare(&mut self.server.log_disk, &request);
                self.give(Input::Disk(Done::Spare(spare)));
            }
            Act::Hash(job) => self.give(Input::Hashed(hasher::perform(job))),
            Act::Send(Line::Link(link), bytes) => {
                self.heard[link as usize].extend_from_slice(&bytes);
                self.give(Input::Read(link, bytes.len()));
            }
            Act::Close(line) => panic!("connection {line:?} is closed"),
            Act::Fetch { .. } => unreachable!("nobody asks for these"),
            Act::Send(Line::Wire(_), _) | Act::Dial { .. } | Act::LookUp(_) => {
                unreachable!("it is alone")
            }
        }
    }

    fn write(&mut self, batch: &Batch) {
        let result = perform(&mut self.server.log_disk, batch);
        let done = Done::Batch { batch_no: batch.number, result, sync_us: 0 };
        self.give(Input::Disk(done));
    }

    /// From here on the disk works.
    fn release(&mut self) {
        self.holds = false;
        for batch in std::mem::take(&mut self.waiting) {
            self.write(&batch);
        }
        self.settle();
    }

    fn gathered_bytes(&self) -> usize {
        self.server.replica().expect("it runs").gathered_bytes()
    }

    /// The newest entry that was put into the order, durable or not.
    fn last_index(&self) -> u64 {
        self.server.core().expect("it runs").last_index()
    }

    /// What a connection was answered since the last time: `cmd`, the first id and the seq of each.
    fn answers(&mut self, link: usize) -> Vec<(String, String, u64)> {
        let heard = std::mem::take(&mut self.heard[link]);
        let (mut rest, mut answers, mut scanned) = (heard.as_slice(), Vec::new(), 0);
        while !rest.is_empty() {
            let split = framing::split(Form::Frames, rest, &mut scanned);
            let Split::Payload { start, end, consumed, codec } = split else {
                panic!("the server writes whole frames");
            };
            let answer = framing::decode(codec, &rest[start..end]).expect("a message");
            assert!(!answer.error, "{}: {}", answer.cmd, code(&answer));
            let first = answer.msg_ids.iter().next().unwrap_or_default().to_owned();
            answers.push((answer.cmd.into_owned(), first, answer.seq));
            rest = &rest[consumed..];
        }
        answers
    }
}

#[test]
fn sends_wait_in_their_connections_while_the_disk_takes_nothing_and_none_is_lost() {
    const CONNECTIONS: usize = 5;
    let text = "x".repeat(60_000);
    let each = limits::GATHERED_BYTES / text.len();
    let mut held = Held::new(CONNECTIONS);
    for link in 0..CONNECTIONS {
        held.ask(link, &[ask("create").src(&format!("user{link}")).body("x")]);
    }
    held.settle();
    for link in 0..CONNECTIONS {
        assert_eq!(held.answers(link).len(), 1);
    }
    held.holds = true;
    // One is alone in the batch that the disk does not take; the others' gather behind it.
    held.ask(0, &[ask("send").to("user0").body("first").id(1)]);
    held.settle();
    let number = |link: usize, place: usize| (1_000 * link + place) as u128;
    for link in 1..CONNECTIONS {
        let send = |place| ask("send").to("user0").body(&text).id(number(link, place));
        held.ask(link, &(0..each).map(send).collect::<Vec<_>>());
    }
    held.settle();
    assert!(held.gathered_bytes() >= limits::GATHERED_BYTES, "there is more than the bound allows");
    assert!((0..CONNECTIONS).all(|link| held.answers(link).is_empty()), "nothing is durable");
    held.ask(0, &[ask("send").to("user0").body("last").id(2)]);
    held.settle();
    held.release();
    let pushes_and_own = held.answers(0);
    let own = pushes_and_own.iter().filter(|(cmd, ..)| cmd == "send");
    assert_eq!(own.map(|(_, first, _)| first.clone()).collect::<Vec<_>>(), [id(1), id(2)]);
    let mut seqs = Vec::new();
    for link in 1..CONNECTIONS {
        let answers = held.answers(link);
        let ids: Vec<&str> = answers.iter().map(|(_, first, _)| first.as_str()).collect();
        let expected: Vec<String> = (0..each).map(|place| id(number(link, place))).collect();
        assert_eq!(ids, expected, "all of them are answered, in their order");
        assert!(answers.is_sorted_by_key(|(.., seq)| *seq));
        seqs.extend(answers.iter().map(|(.., seq)| *seq));
    }
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), (CONNECTIONS - 1) * each, "each is stored once");
}

#[test]
fn a_connection_has_a_bounded_number_of_sends_in_flight_and_the_rest_wait_in_its_input() {
    let mut held = Held::new(2);
    held.ask(0, &[ask("create").src("user0").body("x")]);
    held.ask(1, &[ask("create").src("user1").body("x")]);
    held.settle();
    held.answers(0);
    held.holds = true;
    let before = held.last_index();
    let most = u64::from(limits::SENDS_IN_FLIGHT);
    let send = |number: u64| ask("send").to("user0").body("x").id(number.into());
    held.ask(0, &(1..=2 * most).map(send).collect::<Vec<_>>());
    held.settle();
    assert_eq!(held.last_index(), before + most);
    // Another connection has its own.
    held.ask(1, &[send(1)]);
    held.settle();
    assert_eq!(held.last_index(), before + most + 1);
    held.release();
    let sent = held.answers(0).into_iter().filter(|(cmd, ..)| cmd == "send");
    let expected = (1..=2 * most).map(|number| id(number.into()));
    assert!(sent.map(|(_, first, _)| first).eq(expected), "all are answered, in their order");
}
