//! How long clients are without a PRIMARY: `make failover`.

use std::time::{Duration, Instant};

use super::line::{Gone, Line, Roamer};
use super::tally::Tally;
use crate::support::fleet::Fleet;
use crate::support::raw_client::ask;
use crate::support::{Rng, env_number};

/// Failovers of each kind, where nothing else is asked for: enough to see that it works.
const ROUNDS: u64 = 3;
const SERVERS: u64 = 5;
/// What counts as broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to the PRIMARY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Kill,
    Stop,
    Terminate,
}

/// Sends that had to be made again.
#[derive(Clone, Copy, Default)]
struct Trouble {
    refused: u64,
    unanswered: u64,
}

#[test]
fn a_failover_takes_as_long_as_is_printed() {
    let servers = env_number("FAILOVER_SERVERS", SERVERS) as usize;
    let rounds = env_number("FAILOVER_ROUNDS", ROUNDS);
    let mut fleet = Fleet::start("failover", servers, &[]);
    let mut rng = Rng::new(1);
    println!(
        "{servers} servers, from the PRIMARY's end to the first send acknowledged by another,"
    );
    println!("median and worst of {rounds}, ms:");
    for (end, what) in [
        (End::Kill, "kill -9"),
        (End::Stop, "SIGSTOP: silence"),
        (End::Terminate, "SIGTERM: between two acknowledgements"),
    ] {
        let (mut gaps, mut trouble) = (Vec::new(), Trouble::default());
        for _ in 0..rounds {
            gaps.push(failover(&mut fleet, end, &mut rng, &mut trouble));
        }
        gaps.sort_unstable();
        let ms = |gap: Duration| gap.as_secs_f64() * 1_000.0;
        let (median, worst) = (ms(gaps[gaps.len() / 2]), ms(gaps[gaps.len() - 1]));
        let Trouble { refused, unanswered } = trouble;
        println!(
            "  {what:<40}{median:>8.1}{worst:>8.1}; {refused} sends were refused, {unanswered} \
             unanswered and sent again elsewhere"
        );
        assert!(end != End::Terminate || refused == 0, "a clean stop fails no request");
    }
}

/// One failover: the time without a server.
fn failover(fleet: &mut Fleet, end: End, rng: &mut Rng, trouble: &mut Trouble) -> Duration {
    fleet.wait_until_together();
    let primary = fleet.wait_for_primary();
    let mut client = Client::new(fleet, primary, rng);
    let mut last = Instant::now();
    for _ in 0..20 {
        last = client.send(trouble);
    }
    match end {
        End::Kill => fleet.kill_all(&[primary]),
        End::Stop => {
            fleet.stop(primary);
            client.leave(primary);
        }
        End::Terminate => fleet.ask_to_end(primary),
    }
    if end != End::Terminate {
        last = Instant::now();
    }
    let gap = match end {
        End::Kill | End::Stop => client.send(trouble) - last,
        End::Terminate => client.worst_gap(primary, last, trouble),
    };
    match end {
        End::Kill => fleet.start_one(primary),
        End::Stop => fleet.go_on(primary),
        End::Terminate => {
            assert!(fleet.wait(primary).success());
            fleet.start_one(primary);
        }
    }
    gap
}

/// A client with one send in flight, which looks for a server without waiting.
struct Client {
    roamer: Roamer,
    addresses: Vec<String>,
    line: Option<Line>,
    /// Not to be tried.
    away: Option<String>,
    number: u128,
    next: usize,
}

impl Client {
    fn new(fleet: &Fleet, primary: usize, rng: &mut Rng) -> Client {
        let addresses = fleet.addresses();
        let mut roamer = Roamer::new("hasty", &addresses, rng);
        roamer.go_to(&addresses[primary]);
        let line = roamer.line(&Tally::default());
        let number = u128::from(rng.next()) << 64;
        Client { roamer, addresses, line, away: None, number, next: 0 }
    }

    /// Sends one message, whoever takes it; when it was acknowledged.
    fn send(&mut self, trouble: &mut Trouble) -> Instant {
        self.number += 1;
        let request = ask("send").to("hasty").body("hello").id(self.number);
        let started = Instant::now();
        loop {
            if let Some(line) = &mut self.line {
                match line.request(request.clone()) {
                    Ok(reply) if !reply.error => return Instant::now(),
                    Ok(_) => {
                        trouble.refused += 1;
                        // A sender that was refused once is until it asks how things are.
                        let pinged = line.request(ask("ping"));
                        if pinged.is_err() {
                            self.line = None;
                        }
                    }
                    Err(gone) => {
                        trouble.unanswered += 1;
                        self.line = None;
                        self.on_gone(gone);
                    }
                }
            } else {
                self.look();
            }
            assert!(started.elapsed() < PATIENCE, "no server takes a message");
        }
    }

    fn on_gone(&mut self, gone: Gone) {
        if let Gone::To(address) = gone
            && self.away.as_ref() != Some(&address)
        {
            self.roamer.go_to(&address);
        }
    }

    /// Tries the next server.
    fn look(&mut self) {
        if !self.roamer.is_sent_on() {
            self.next += 1;
            let address = self.addresses[self.next % self.addresses.len()].clone();
            if self.away.as_ref() == Some(&address) {
                return;
            }
            self.roamer.go_to(&address);
        }
        match self.roamer.try_once() {
            Ok(line) => self.line = Some(line),
            Err(gone) => self.on_gone(gone),
        }
    }

    /// The PRIMARY is silent: to go on with it would only measure this client's patience.
    fn leave(&mut self, place: usize) {
        self.away = Some(self.addresses[place].clone());
        self.line = None;
    }

    /// The longest time between two acknowledgements until another server takes messages.
    fn worst_gap(&mut self, primary: usize, mut last: Instant, trouble: &mut Trouble) -> Duration {
        let mut worst = Duration::ZERO;
        let mut elsewhere = 0;
        while elsewhere < 50 {
            let now = self.send(trouble);
            worst = worst.max(now - last);
            last = now;
            elsewhere += u64::from(self.roamer.at() != self.addresses[primary]);
        }
        worst
    }
}
