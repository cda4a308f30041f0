//! A server under attack: what its honest clients notice, and what memory it takes. `make attack`.
//!
//! Honest clients come through a Unix socket, attackers through TCP, so that what is bounded for
//! each address is bounded for them as it would be from elsewhere. All share this machine, though
//! attackers have processors of their own: here they take what the others leave. Beside each figure
//! stands how much of a processor the server and the attackers took meanwhile.

mod attackers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use attackers::{Attack, Kind};
use chatctl::limits;
use chatctl::protocol::framing::{Codec, Form};
use chatctl::sys::process;

use crate::support::bounded::{PATIENCE, WHOLE, joined_scoped, scope};
use crate::support::server::{Launch, RawClient, TestServer, ask, id, password_of};
use crate::support::{TempDir, env_number, without_other_crowds};

/// Clients that send, and wait for the answer, each on a thread of its own.
const HONEST: usize = 4;
/// Between an answer and the next send: a load that is far from the most.
const PAUSE: Duration = Duration::from_millis(4);
/// How often quiet and all attacks are played in turn.
const ROUNDS: usize = 3;
/// Where nothing else is asked for: enough to see that it works.
const MILLISECONDS: u64 = 150;
const CONNECTIONS: usize = 300;
/// What ATTACK_CONNECTIONS=most asks for, where the limit of open files allows it.
const MOST_CONNECTIONS: usize = 10_000;
/// From how long a row on every attacker has to have done something.
const MUCH_TIME: Duration = Duration::from_secs(1);
/// Sessions that ask for lists, and that read what is pushed.
const LISTERS: usize = 20;
const READERS: usize = 200;
/// Accounts whose names a pattern takes long for.
const ACCOUNTS: usize = 1_000;
/// Messages in the history that is asked for and not read.
const STORED: u128 = 200;

/// What was measured while something was going on.
struct Figures {
    latencies: Vec<Duration>,
    resident: u64,
    server_cpu: f64,
    attack_cpu: f64,
}

/// The server and those who are at home with it.
struct Scene {
    server: TestServer,
    token: String,
    clients: Vec<RawClient>,
    /// How many messages each has sent, all of them answered.
    sent: usize,
    acknowledged: Vec<Vec<u128>>,
    time: Duration,
}

impl Scene {
    fn new(home: &TempDir, connections: usize, time: Duration) -> Scene {
        let socket = format!("unix:{}", home.path().join("socket").display());
        let most = (connections + connections / 10 + 1_000).to_string();
        // What a server is told by default, where the tests tell it otherwise.
        let flags = ["--logins-per-minute", "60", "--password-iterations", "100000"];
        // The accounts of others, made where passwords cost nothing.
        let cheap = Launch::on(&home.path().join("data")).flags(&["--password-iterations", "1"]);
        let mut cheap = cheap.flags(&["--segment-mib", "64"]).start();
        let names = (0..ACCOUNTS).map(|number| format!("{}{number:06}", "a".repeat(26)));
        let creates: Vec<_> = names.map(|name| ask("create").src(&name).body("x")).collect();
        let mut maker = cheap.connect();
        for create in creates.chunks(100) {
            maker.send_all(create);
            create.iter().for_each(|_| drop(maker.reply()));
        }
        cheap.terminate();
        let server = Launch::on(&home.path().join("data"))
            .listen(&[&socket, "127.0.0.1:0"])
            .flags(&flags)
            .flags(&[
                "--max-sessions-per-account",
                "400",
                "--max-connections",
                &most,
                "--segment-mib",
                "64",
            ])
            .start();
        let mut crowd = server.create("crowd");
        let token = crowd.done(&ask("token")).body.into_owned();
        let text = "history ".repeat(500);
        for number in 1..=STORED {
            crowd.done(&ask("send").to("crowd").id(number).body(&text));
        }
        let clients = (0..HONEST).map(|place| server.create(&name_of(place))).collect();
        let acknowledged = vec![Vec::new(); HONEST];
        Scene { server, token, clients, sent: 0, acknowledged, time }
    }

    /// What the honest clients notice while these attacks are under way.
    fn play(&mut self, what: &str, kinds: &[Kind]) -> Figures {
        let address = &self.server.addresses()[1];
        let attacks: Vec<Attack> =
            kinds.iter().map(|kind| Attack::begin(*kind, address, &self.token)).collect();
        let done_before: Vec<u64> = attacks.iter().map(Attack::done).collect();
        let cpu_before = cpu_of(self.server.pid());
        let started = Instant::now();
        let (latencies, resident) = self.converse();
        let elapsed = started.elapsed().as_secs_f64();
        let server_cpu = (cpu_of(self.server.pid()) - cpu_before).as_secs_f64() / elapsed;
        let rates: Vec<String> = attacks
            .iter()
            .zip(done_before)
            .map(|(attack, before)| format!("{:.0}", (attack.done() - before) as f64 / elapsed))
            .collect();
        for (kind, attack) in kinds.iter().zip(&attacks) {
            let had_time = self.time >= MUCH_TIME;
            assert!(attack.done() > 0 || !had_time, "{kind:?}: nothing was done to the server");
        }
        let cpu: Duration = attacks.into_iter().map(Attack::end).sum();
        let attack_cpu = cpu.as_secs_f64() / elapsed;
        let figures = Figures { latencies, resident, server_cpu, attack_cpu };
        println!("{}", figures.row(what, &rates.join(" + ")));
        figures
    }

    /// All honest clients send for a while. How long each answer took, sorted; the most memory that
    /// the server had meanwhile.
    fn converse(&mut self) -> (Vec<Duration>, u64) {
        let (time, first) = (self.time, self.sent);
        let is_over = AtomicBool::new(false);
        let server = &self.server;
        let (mut latencies, mut most, mut resident) = (Vec::new(), 0, 0);
        scope(WHOLE + time, "every honest client has ended", |scope| {
            let clients = self.clients.iter_mut().zip(&mut self.acknowledged).enumerate();
            let threads: Vec<_> = clients
                .map(|(place, (client, acknowledged))| {
                    let is_over = &is_over;
                    scope.spawn(move || send_until(is_over, place, client, first, acknowledged))
                })
                .collect();
            let until = Instant::now() + time;
            while Instant::now() < until {
                resident = resident.max(server.resident_bytes());
                std::thread::park_timeout(Duration::from_millis(50));
            }
            is_over.store(true, Ordering::Release);
            for thread in threads {
                let times = joined_scoped(PATIENCE, thread, "an honest client is answered");
                let times = times.unwrap_or_else(|sentence| panic!("{sentence}"));
                most = most.max(times.len());
                latencies.extend(times);
            }
        });
        self.sent += most;
        latencies.sort_unstable();
        (latencies, resident)
    }

    /// Everything that was acknowledged is there, once, in its order.
    fn check_history(&mut self) {
        for (client, acknowledged) in self.clients.iter_mut().zip(&self.acknowledged) {
            let (mut found, mut cursor) = (Vec::new(), 0);
            loop {
                let request = ask("history").to("crowd").body("after").seq(cursor).limit(1_000);
                let (page, last) = client.pages(&request);
                found.extend(
                    page.iter().map(|message| message.msg_ids.iter().next().map(str::to_owned)),
                );
                cursor = last.seq;
                if last.body == "end" {
                    break;
                }
            }
            let expected = acknowledged.iter().map(|number| Some(id(*number)));
            assert!(
                found.into_iter().eq(expected),
                "what was acknowledged is stored once, in order"
            );
        }
    }
}

fn name_of(place: usize) -> String {
    format!("honest{place}")
}

/// Sends to the crowd until it is over; how long each answer took.
fn send_until(
    is_over: &AtomicBool,
    place: usize,
    client: &mut RawClient,
    first: usize,
    acknowledged: &mut Vec<u128>,
) -> Vec<Duration> {
    let mut times = Vec::new();
    while !is_over.load(Ordering::Acquire) {
        let number = ((place + 1) << 32 | (first + times.len())) as u128;
        let started = Instant::now();
        client.done(&ask("send").to("crowd").id(number).body("is anybody there?"));
        times.push(started.elapsed());
        acknowledged.push(number);
        std::thread::park_timeout(PAUSE);
    }
    times
}

/// Processor time that a process has taken so far.
fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("its name is in parentheses").1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(10 * ticks)
}

/// Of sorted latencies.
fn percentile(latencies: &[Duration], hundredths: usize) -> Duration {
    let place = latencies.len() * hundredths / 100;
    latencies[place.min(latencies.len() - 1)]
}

impl Figures {
    fn row(&self, what: &str, rates: &str) -> String {
        let us = |time: Duration| time.as_micros();
        format!(
            "{what:<44}{:>7}{:>8}{:>8}{:>9}{:>8.0}{:>9.0}{:>7}  {rates}",
            self.latencies.len(),
            us(percentile(&self.latencies, 50)),
            us(percentile(&self.latencies, 99)),
            us(percentile(&self.latencies, 100)),
            100.0 * self.server_cpu,
            100.0 * self.attack_cpu,
            self.resident >> 20,
        )
    }
}

/// How many connections attack, by ATTACK_CONNECTIONS and the hard limit of open files.
fn connections_of(asked: Option<&str>, hard: u64) -> Result<usize, String> {
    // Attackers of three kinds, and the rest, are in this process at the same time.
    let room = (hard.saturating_sub(4_000) / 3) as usize;
    let (connections, least) = match asked {
        None => (CONNECTIONS, CONNECTIONS),
        Some("most") => (room.min(MOST_CONNECTIONS), CONNECTIONS),
        Some(number) => {
            let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                format!("ATTACK_CONNECTIONS={number} is neither a number above 0 nor 'most'")
            })?;
            (number, number)
        }
    };
    match room >= least {
        true => Ok(connections),
        false => Err(format!(
            "{least} connections need {} open files, and the limit is {hard}: raise ulimit -Hn",
            least.saturating_mul(3).saturating_add(4_000)
        )),
    }
}

#[test]
fn as_many_connections_attack_as_are_asked_for_or_as_the_limit_of_open_files_allows() {
    assert_eq!(connections_of(None, 20_000), Ok(CONNECTIONS));
    assert_eq!(connections_of(Some("most"), 1 << 20), Ok(MOST_CONNECTIONS));
    assert_eq!(connections_of(Some("most"), 20_000), Ok(5_333));
    assert_eq!(connections_of(Some("5333"), 20_000), Ok(5_333));
    for (asked, hard) in [(None, 4_096), (Some("most"), 4_096), (Some("300"), 4_096)] {
        let error = connections_of(asked, hard).unwrap_err();
        assert!(error.contains("300 connections need 4900 open files"), "{error}");
    }
    let error = connections_of(Some("10000"), 20_000).unwrap_err();
    assert!(error.contains("10000 connections need 34000 open files"), "{error}");
    for asked in ["0", "-1", "many", ""] {
        let error = connections_of(Some(asked), 1 << 20).unwrap_err();
        assert!(error.contains(&format!("ATTACK_CONNECTIONS={asked} is neither")), "{error}");
    }
}

#[test]
fn under_attack_honest_clients_are_answered_and_memory_keeps_to_its_bound() {
    let _alone = without_other_crowds();
    let asked = std::env::var("ATTACK_CONNECTIONS").ok();
    let (_, hard) = process::open_files_limit();
    let connections = match connections_of(asked.as_deref(), hard) {
        Ok(connections) => connections,
        Err(error) if asked.is_some() => panic!("{error}"),
        Err(error) => return println!("skipped: {error}"),
    };
    println!("{connections} connections attack; at most {hard} files may be open");
    let time = Duration::from_millis(env_number("ATTACK_MS", MILLISECONDS));
    process::raise_open_files_limit();
    let home = TempDir::new("attack");
    let mut scene = Scene::new(&home, connections, time);
    let cap = limits::server_bytes(connections + connections / 10 + 1_000);
    println!(
        "{HONEST} honest clients, each {} ms behind the answer to its last send; {time:?} a row; \
         microseconds to the answer; shares of one processor in percent; memory in MiB",
        PAUSE.as_millis()
    );
    println!(
        "{:<44}{:>7}{:>8}{:>8}{:>9}{:>8}{:>9}{:>7}  attackers' doings a second",
        "", "sends", "p50", "p99", "max", "server", "attacks", "RSS"
    );
    let trickle = Kind::Trickle(connections);
    // Far more than all connections may have of unfinished requests.
    let unfinished = Kind::Unfinished(connections / 10);
    // More than the server takes at a time.
    let table = connections + connections / 10 + 1_500;
    let all = [
        trickle,
        unfinished,
        Kind::Deaf,
        Kind::Babble,
        Kind::Logins,
        Kind::Lists(LISTERS),
        Kind::Readers(READERS),
        Kind::Table(table),
        Kind::Malformed,
        Kind::MalformedFrames,
        Kind::Oversized,
    ];
    let mut rows = vec![scene.play("quiet", &[])];
    rows.push(scene.play(&format!("{connections} connections trickle bytes"), &[trickle]));
    rows.push(
        scene.play(&format!("{} leave long frames unfinished", connections / 10), &[unfinished]),
    );
    rows.push(scene.play("100 that are logged in do not read", &[Kind::Deaf]));
    rows.push(scene.play("100 write what is no request, and do not read", &[Kind::Babble]));
    rows.push(scene.play("a flood of logins", &[Kind::Logins]));
    rows.push(scene.play("20 sessions ask for lists that take long", &[Kind::Lists(LISTERS)]));
    rows.push(scene.play("200 sessions of one account read", &[Kind::Readers(READERS)]));
    rows.push(scene.play("more connections than there is room for", &[Kind::Table(table)]));
    rows.push(scene.play("a flood of malformed lines", &[Kind::Malformed]));
    rows.push(scene.play("a flood of malformed frames", &[Kind::MalformedFrames]));
    rows.push(scene.play("a flood of frames that are too long", &[Kind::Oversized]));
    // In turn, so that what else this machine and its disk do meets both.
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rows.push(scene.play("quiet again", &[]));
        quiet.extend_from_slice(&rows[rows.len() - 1].latencies);
        rows.push(scene.play("all of these", &all));
        attacked.extend_from_slice(&rows[rows.len() - 1].latencies);
    }
    let [quiet, attacked] = [quiet, attacked].map(|mut latencies| {
        latencies.sort_unstable();
        percentile(&latencies, 99)
    });
    scene.check_history();
    let resident = rows.iter().map(|row| row.resident).max().unwrap_or(0);
    println!(
        "p99 of {ROUNDS} rounds: {} us quiet, {} us under all of them, {:.1} times; most memory {} MiB, \
         by the bounds of limits.rs at most {} MiB beside the log's index",
        quiet.as_micros(),
        attacked.as_micros(),
        attacked.as_secs_f64() / quiet.as_secs_f64(),
        resident >> 20,
        cap >> 20
    );
    assert!(resident < cap as u64, "{resident} bytes, and the bounds add up to {cap}");
    // Whoever comes new is served as well.
    let mut late = RawClient::connect(scene.server.address(), Form::Frames, Codec::Json);
    late.done(&ask("login").src(&name_of(0)).body(&password_of(&name_of(0))));
}
