//! Ten thousand people are logged in when the PRIMARY dies.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use chatctl::protocol::Message;
use chatctl::protocol::framing::{self, Codec, Form, Split};
use chatctl::sys::process;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::support::cluster::Cluster;
use crate::support::raw_client::{ask, is_push};
use crate::support::server::{PATIENCE, password_of};
use crate::support::talker::Talker;
use crate::support::without_other_crowds;

const CLIENTS: usize = 10_000;
/// Descriptors that this process and a server need beside the clients'.
const OTHERS: usize = 600;
/// Accounts that are made at a time, so that none comes when too many passwords wait already.
const MADE_AT_A_TIME: usize = 200;
/// How long a client waits before it tries the next server, where the last one was not there.
const AGAIN: Duration = Duration::from_millis(20);

#[test]
fn ten_thousand_come_back_with_their_tokens_when_the_primary_dies() {
    let _alone = without_other_crowds();
    let limit = process::raise_open_files_limit() as usize;
    let count = CLIENTS.min(limit.saturating_sub(OTHERS));
    if count < CLIENTS {
        println!("skipped: {CLIENTS} clients need more open files than the limit of {limit}");
        return;
    }
    // Cheap passwords: ten thousand of them are hashed twice.
    let flags = ["--max-connections", "12000", "--password-iterations", "1"];
    let mut cluster = Cluster::start("crowd", 3, &flags);
    let mut crowd = Crowd::new(cluster.addresses(), count);
    let began = Instant::now();
    crowd.until_all_are_in(MADE_AT_A_TIME);
    println!("{count} accounts made and logged in within {:?}", began.elapsed());
    let primary = cluster.primary();
    let killed = Instant::now();
    cluster.kill9(primary);
    crowd.all_come_back();
    let mut times: Vec<Duration> =
        crowd.clients.iter().map(|client| client.in_at.expect("all are in") - killed).collect();
    times.sort();
    println!(
        "kill -9 of the PRIMARY with {count} clients: the first is back after {:?}, half after \
         {:?}, the last after {:?}",
        times[0],
        times[count / 2],
        times[count - 1]
    );
    // They are in: each of some hears what another one says.
    let mut alice = Talker::new(cluster.addresses(), "alice");
    for (number, place) in (0..count).step_by(count / 20).enumerate() {
        alice.send(&name_of(place), number as u128, "are you there?");
        crowd.until("a message does not come", |crowd| crowd.clients[place].heard == 1);
    }
}

fn name_of(place: usize) -> String {
    format!("client-{place}")
}

/// Somebody who is to be logged in.
struct Client {
    socket: Option<TcpStream>,
    /// Empty until the account is made; from then on that is all there is to log in with.
    token: String,
    /// The server of the list that was tried last.
    server: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    in_at: Option<Instant>,
    /// Messages that came.
    heard: usize,
}

/// All of them, in one thread.
struct Crowd {
    servers: Vec<String>,
    clients: Vec<Client>,
    poll: Poll,
    /// Who dials again, and when: the times rise.
    again: VecDeque<(Instant, usize)>,
    count_in: usize,
    chunk: Vec<u8>,
}

impl Crowd {
    fn new(servers: &[String], count: usize) -> Crowd {
        let client = |place: usize| Client {
            socket: None,
            token: String::new(),
            server: place,
            input: Vec::new(),
            output: Vec::new(),
            in_at: None,
            heard: 0,
        };
        Crowd {
            servers: servers.to_vec(),
            clients: (0..count).map(client).collect(),
            poll: Poll::new().expect("a poll can be made"),
            again: VecDeque::new(),
            count_in: 0,
            chunk: vec![0; 64 * 1024],
        }
    }

    /// Has everybody log in, so many at a time.
    fn until_all_are_in(&mut self, at_a_time: usize) {
        let mut begun = 0;
        self.until("not all can log in", |crowd| {
            while begun < crowd.clients.len() && begun < crowd.count_in + at_a_time {
                crowd.dial(begun, None);
                begun += 1;
            }
            crowd.count_in == crowd.clients.len()
        });
    }

    /// They find out by themselves that the PRIMARY is gone, from its closed connections.
    fn all_come_back(&mut self) {
        self.until("nobody notices", |crowd| crowd.count_in < crowd.clients.len());
        self.until("not all come back", |crowd| crowd.count_in == crowd.clients.len());
    }

    fn until(&mut self, lacks: &str, mut holds: impl FnMut(&mut Crowd) -> bool) {
        let by = Instant::now() + PATIENCE;
        let mut events = Events::with_capacity(1_024);
        while !holds(self) {
            assert!(Instant::now() < by, "{lacks}: {} are in", self.count_in);
            let wait = self.again.front().map_or(AGAIN, |(at, _)| *at - Instant::now().min(*at));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => panic!("{error}"),
                _ => {}
            }
            for event in &events {
                self.on_event(event.token().0);
            }
            while self.again.front().is_some_and(|(at, _)| *at <= Instant::now()) {
                let (_, place) = self.again.pop_front().expect("there is one");
                self.dial(place, None);
            }
        }
    }

    /// Goes to `address`, or to the next server of the list, and asks to be let in.
    fn dial(&mut self, place: usize, address: Option<String>) {
        let client = &mut self.clients[place];
        let address = address.unwrap_or_else(|| {
            client.server += 1;
            self.servers[client.server % self.servers.len()].clone()
        });
        client.input.clear();
        client.output.clear();
        let name = name_of(place);
        let request = match client.token.as_str() {
            "" => ask("create").src(&name).body(&password_of(&name)),
            token => ask("resume").src(&name).body(token),
        };
        framing::put(&mut client.output, Form::Frames, Codec::Binary, &request);
        let address = address.parse().expect("an address");
        let registry = self.poll.registry();
        let connected = TcpStream::connect(address).and_then(|mut socket| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            registry.register(&mut socket, Token(place), interest)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => client.socket = Some(socket),
            Err(_) => self.again.push_back((Instant::now() + AGAIN, place)),
        }
    }

    fn on_event(&mut self, place: usize) {
        match self.exchange(place) {
            Ok(None) => {}
            Ok(Some(address)) => {
                self.out(place);
                self.dial(place, Some(address));
            }
            Err(_) => {
                self.out(place);
                self.again.push_back((Instant::now() + AGAIN, place));
            }
        }
    }

    fn out(&mut self, place: usize) {
        let client = &mut self.clients[place];
        client.socket = None;
        if client.in_at.take().is_some() {
            self.count_in -= 1;
        }
    }

    /// Writes and reads what can be; gives the address of another server when it is sent there.
    fn exchange(&mut self, place: usize) -> io::Result<Option<String>> {
        loop {
            let client = &mut self.clients[place];
            let Some(socket) = &mut client.socket else { return Ok(None) };
            if !client.output.is_empty() {
                match socket.write(&client.output) {
                    Ok(count) => drop(client.output.drain(..count)),
                    // Still connecting, or the other side reads slowly.
                    Err(error) if is_early(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            match socket.read(&mut self.chunk) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => client.input.extend_from_slice(&self.chunk[..count]),
                Err(error) if is_early(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
            let mut input = std::mem::take(&mut client.input);
            let (mut used, mut scanned) = (0, 0);
            while let Split::Payload { start, end, consumed, codec } =
                framing::split(Form::Frames, &input[used..], &mut scanned)
            {
                let message = framing::decode(codec, &input[used + start..used + end]);
                let message = message.expect("the server writes messages");
                if message.cmd == "redirect" {
                    return Ok(Some(message.to.into_owned()));
                }
                self.on_message(place, &message);
                used += consumed;
            }
            input.drain(..used);
            self.clients[place].input = input;
        }
    }

    fn on_message(&mut self, place: usize, message: &Message<'_>) {
        let client = &mut self.clients[place];
        if is_push(message) {
            client.heard += usize::from(message.cmd == "deliver");
            return;
        }
        assert!(!message.error, "{message:?}");
        match message.cmd.as_ref() {
            "create" => {
                let request = ask("token");
                framing::put(&mut client.output, Form::Frames, Codec::Binary, &request);
                return;
            }
            "token" => client.token = message.body.clone().into_owned(),
            "resume" => {}
            other => panic!("nobody asked for {other}"),
        }
        client.in_at = Some(Instant::now());
        self.count_in += 1;
    }
}

fn is_early(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotConnected, WouldBlock};
    matches!(error.kind(), WouldBlock | NotConnected | Interrupted)
}
