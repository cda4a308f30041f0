//! What requests cost, by how much is stored: it must not grow. Run it in a release build, with
//! some 3 GB of disk and 1 GB of memory: `cargo test --release chat::flat -- --ignored --nocapture`

use std::hint::black_box;
use std::time::Instant;

use chatctl::auth::scram::Verifier;
use chatctl::chat::{AccountId, Command, Direction, State, view};
use chatctl::limits::LIST_PAGE;
use chatctl::protocol::framing::{self, Codec, Form};
use chatctl::wal::{Location, Reader};

use crate::support::Rng;
use crate::support::log::{TestLog, bench_directory, median};

/// Accounts that write to each other: few, so that already a thousand messages fill every page.
const ACCOUNTS: u64 = 20;
/// Messages in a page of history.
const PAGE: usize = 50;
const RUNS: usize = 301;
const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
                        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

/// A server's log, state and reader, without the server.
struct Stored {
    log: TestLog,
    state: State,
    reader: Reader,
    rng: Rng,
    names: Vec<String>,
    payload: Vec<u8>,
}

impl Stored {
    fn new(log: TestLog) -> Stored {
        let names = (0..ACCOUNTS).map(|number| format!("user-{number:02}")).collect();
        let reader = log.reader();
        let (state, rng, payload) = (State::new(), Rng::new(1), Vec::new());
        let mut stored = Stored { log, state, reader, rng, names, payload };
        let token_secret = [2; 32];
        stored.change(&Command::Found { time: 1, cluster: [7; 16], token_secret, members: vec![] });
        for name in stored.names.clone() {
            stored.change(&Command::Create { time: 1, name: &name, verifier: VERIFIER });
        }
        // Everybody has a conversation with everybody, however few messages follow.
        for (from, to) in (0..ACCOUNTS).flat_map(|one| (0..one).map(move |other| (one, other))) {
            stored.send_between(from, to, "hello");
        }
        stored
    }

    fn change(&mut self, command: &Command<'_>) {
        self.payload.clear();
        command.encode(&mut self.payload);
        let index = self.log.append(&self.payload);
        self.state.apply(index, &self.payload).expect("it is well-formed");
    }

    /// A message, from its request to its being applied, but for the sync.
    fn send(&mut self, body: &str) {
        let from = self.rng.below(ACCOUNTS);
        let to = (from + 1 + self.rng.below(ACCOUNTS - 1)) % ACCOUNTS;
        self.send_between(from, to, body);
    }

    fn send_between(&mut self, from: u64, to: u64, body: &str) {
        let id = u128::from(self.rng.next()) << 64 | u128::from(self.rng.next());
        let names = std::mem::take(&mut self.names);
        let (from, to) = (&names[from as usize], &names[to as usize]);
        let time = self.state.last_time() + 1;
        self.change(&Command::Send { time, from, to, id, known: 0, body });
        self.names = names;
    }

    fn fill(&mut self, count: u64, body: &str) {
        while (self.state.message_count() as u64) < count {
            self.send(body);
            if self.log.wal.gathered_bytes() > 4 << 20 {
                self.log.sync();
            }
        }
        self.log.sync();
    }

    fn someone(&mut self) -> AccountId {
        let name = &self.names[self.rng.below(ACCOUNTS) as usize];
        self.state.account(name).expect("it lives")
    }

    /// A page of history as it leaves, from a cursor (0: from the newest).
    fn page(&mut self, account: AccountId, cursor: u64, out: &mut Vec<u8>) {
        let mut seqs = Vec::new();
        let direction = Direction::Before;
        self.state.history(account, None, cursor, direction, PAGE, &mut seqs);
        assert_eq!(seqs.len(), PAGE, "every page is full");
        let place = |seq: &u64| self.log.wal.location(*seq).expect("it is on the disk");
        let places: Vec<Location> = seqs.iter().map(place).collect();
        let payloads = self.reader.try_read(&places).expect("they are whole");
        for (seq, payload) in seqs.into_iter().zip(payloads) {
            let message = view::deliver(seq, payload).expect("it is a message");
            framing::put(out, Form::Frames, Codec::Binary, &message);
        }
    }
}

/// The median of some runs of a call, microseconds.
fn us(mut call: impl FnMut()) -> f64 {
    let timed = |()| {
        let begin = Instant::now();
        call();
        begin.elapsed().as_secs_f64() * 1e6
    };
    median(std::iter::repeat_n((), RUNS).map(timed).collect())
}

#[test]
#[ignore = "a measurement of a release build"]
fn what_requests_cost_at_a_thousand_a_million_and_ten_million_messages() {
    let dir = bench_directory("flat");
    let mut stored = Stored::new(TestLog::new(dir.path()));
    let body = "b".repeat(128);
    println!("flat: microseconds, by the messages stored:");
    println!(
        "flat: {:>9}{:>9}{:>12}{:>12}{:>9}{:>9}",
        "messages", "send", "newest page", "some page", "inbox", "login"
    );
    for count in [1_000, 1_000_000, 10_000_000] {
        stored.fill(count, &body);
        let mut out = Vec::new();
        let newest = us(|| {
            out.clear();
            let account = stored.someone();
            stored.page(account, 0, &mut out);
            black_box(&out);
        });
        let some = us(|| {
            out.clear();
            let account = stored.someone();
            // From the last quarter on there is a full page before any place.
            let last = stored.log.wal.last_index();
            let cursor = last - stored.rng.below(last / 4);
            stored.page(account, cursor, &mut out);
            black_box(&out);
        });
        let inbox = us(|| {
            let account = stored.someone();
            let (rows, _) = stored.state.conversations(account, 0, LIST_PAGE);
            assert_eq!(rows.len() as u64, ACCOUNTS - 1);
            black_box(rows.iter().map(|row| stored.state.name(row.other).len()).sum::<usize>());
        });
        let login = us(|| {
            let name = stored.names[stored.rng.below(ACCOUNTS) as usize].clone();
            let account = stored.state.account(&name).expect("it lives");
            let verifier: Result<Verifier, _> = stored.state.verifier(account).unwrap().parse();
            black_box((verifier.is_ok(), stored.state.unread_total(account)));
        });
        let send = us(|| stored.send(&body));
        stored.log.sync();
        println!("flat: {count:>9}{send:>9.2}{newest:>12.1}{some:>12.1}{inbox:>9.2}{login:>9.2}");
    }
}
