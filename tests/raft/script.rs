//! Scripted histories: each file of `scripts/` is a list of events, and below each event, indented,
//! all that the servers did on it. The whole is compared with what happens now; `RAFT_REWRITE=1`
//! writes that into the files, to be read before it is kept.
//!
//! Servers are `a`, `b`, ...; lines with `#` and empty ones are kept as they are.
//!
//! | event | what happens |
//! | --- | --- |
//! | `servers 3` | the cluster, first of all; `window=2 batch=100 cache=0` adjust it |
//! | `stand a` | two seconds pass, and `a` notices |
//! | `elect a` | `stand a`, then `settle` |
//! | `pass 100` | milliseconds pass for all |
//! | `tick a 100` | milliseconds pass, and only `a` notices |
//! | `propose a x y` | entries |
//! | `read a`, `transfer a b`, `lost a b` | (`a` loses its connection to `b`) |
//! | `deliver a->b` | the oldest message of that link arrives; `deliver a->b 3` the oldest three |
//! | `drop a->b` | the oldest message of that link is lost |
//! | `double a->b` | the oldest message arrives, and stays under way |
//! | `late a->b` | the oldest message is put behind the others |
//! | `persist a` | all that `a`'s disk was given is durable; `persist a log`, `persist a vote` a part |
//! | `fetch a`, `fetch a fails` | the driver reads what was wanted |
//! | `crash a`, `start a` | what was not durable is gone |
//! | `damage a 2` | of the log of `a`, which is down, two entries are left |
//! | `lose a 2` | the same, and nothing on its disk tells |
//! | `cut a`, `cut a->b`, `heal` | links lose all |
//! | `settle` | all is delivered and made durable until nothing is left |
//! | `logs` | shows each server's role, term, log and commit index |
//! | `wire` | shows the messages under way |

use std::path::{Path, PathBuf};

use chatctl::raft::{Config, Entry, Output, ServerId};

use super::cluster::{Cluster, Server, propose_all};
use super::shown::Shown;

/// Adds what an output says to the story.
pub fn tell_output(cluster: &mut Cluster, id: ServerId, output: &Output) {
    if cluster.story.is_none() {
        return;
    }
    let who = letter(id);
    let mut lines = Vec::new();
    for change in &output.changes {
        let primary = change.primary.map_or("nobody".to_string(), |id| letter(id).to_string());
        let (role, term, why) = (change.role, change.term, change.why);
        lines.push(format!("{who} is {role} in t{term}, PRIMARY {primary}: {why}"));
    }
    if let Some(hard_state) = output.hard_state {
        let vote = hard_state.voted_for.map_or("nobody".to_string(), |id| letter(id).to_string());
        lines.push(format!("{who} saves t{} vote {vote}", hard_state.term));
    }
    if let Some(copy) = output.copy {
        lines.push(format!("{who} saves copy {copy}"));
    }
    if let Some(index) = output.truncate_from {
        lines.push(format!("{who} cuts from {index}"));
    }
    if !output.append.is_empty() {
        lines.push(format!("{who} appends {}", show(&output.append)));
    }
    for outgoing in &output.messages {
        let lost = if cluster.cut.contains(&(id, outgoing.to)) { " (lost)" } else { "" };
        let shown = Shown(&outgoing.message);
        lines.push(format!("{who}->{} {shown}{lost}", letter(outgoing.to)));
    }
    for wanted in &output.wanted {
        let (to, first, last) = (letter(wanted.to), wanted.first, wanted.last);
        lines.push(format!("{who} wants {first}..{last} for {to}"));
    }
    if let Some(committed) = output.committed {
        lines.push(format!("{who} commits {}..{}", committed.after + 1, committed.upto));
    }
    for grant in &output.reads {
        lines.push(format!("{who} grants read {} at {}", grant.ticket, grant.index));
    }
    for ticket in &output.reads_refused {
        lines.push(format!("{who} refuses read {ticket}"));
    }
    lines.into_iter().for_each(|line| cluster.tell(|| line));
}

fn letter(id: ServerId) -> char {
    char::from(b'a' + (id.0 - 1) as u8)
}

/// `1/1:- 2/1:x`: index, term and payload of each.
fn show(entries: &[Entry]) -> String {
    let texts = Server::texts(entries);
    let entry = |(entry, text): (&Entry, &String)| format!("{}/{}:{text}", entry.index, entry.term);
    let shown: Vec<String> = entries.iter().zip(&texts).map(entry).collect();
    shown.join(" ")
}

/// A server's number from its letter.
fn server(word: &str) -> u32 {
    match word.as_bytes() {
        [letter @ b'a'..=b'i'] => u32::from(letter - b'a') + 1,
        _ => panic!("{word} is no server"),
    }
}

/// `a->b`.
fn link(word: &str) -> (u32, u32) {
    let (from, to) = word.split_once("->").unwrap_or_else(|| panic!("{word} is no link"));
    (server(from), server(to))
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
}

/// Carries out one event.
fn event(cluster: &mut Cluster, words: &[&str]) {
    match *words {
        ["stand", who] => cluster.stand(server(who)),
        ["elect", who] => {
            cluster.stand(server(who));
            cluster.settle();
        }
        ["pass", ms] => cluster.pass(number(ms)),
        ["tick", who, ms] => {
            cluster.now_ms += number(ms);
            cluster.tick(ServerId(server(who)));
        }
        ["propose", who, ref texts @ ..] => {
            let id = ServerId(server(who));
            if let Some(Err(error)) = cluster.input(id, |raft, _| propose_all(raft, texts)) {
                cluster.tell(|| format!("refused: {error}"));
            }
        }
        ["read", who] => match cluster.read(server(who)) {
            Some(ticket) => cluster.tell(|| format!("read {ticket}")),
            None => cluster.tell(|| "refused".to_string()),
        },
        ["transfer", who, to] => {
            let to = ServerId(server(to));
            let id = ServerId(server(who));
            if let Some(Err(error)) = cluster.input(id, |raft, now_ms| raft.transfer(now_ms, to)) {
                cluster.tell(|| format!("refused: {error}"));
            }
        }
        ["lost", who, lost] => cluster.peer_lost(server(who), server(lost)),
        ["fetch", who] => drop(cluster.fetch(ServerId(server(who)), true)),
        ["fetch", who, "fails"] => drop(cluster.fetch(ServerId(server(who)), false)),
        ["crash", who] => cluster.crash(ServerId(server(who))),
        ["damage", who, left] => {
            cluster.damage(ServerId(server(who)), number(left) as usize);
        }
        ["lose", who, left] => cluster.lose(ServerId(server(who)), number(left) as usize),
        ["start", who] => cluster.start(ServerId(server(who))),
        ["persist", who] => cluster.persist(ServerId(server(who))),
        ["persist", who, "log"] => while cluster.persist_log(ServerId(server(who))) {},
        ["persist", who, "vote"] => while cluster.persist_hard_state(ServerId(server(who))) {},
        ["heal"] => cluster.heal(),
        ["settle"] => cluster.settle(),
        ["logs"] => logs(cluster),
        ["wire"] => wire(cluster),
        _ => link_event(cluster, words),
    }
}

/// Carries out an event of a link.
fn link_event(cluster: &mut Cluster, words: &[&str]) {
    let count = match words {
        ["cut", who] if !who.contains("->") => return cluster.isolate(server(who)),
        [_, _] => 1,
        [_, _, count] => number(count),
        _ => panic!("no such event: {}", words.join(" ")),
    };
    let (from, to) = link(words[1]);
    let (from_id, to_id) = (ServerId(from), ServerId(to));
    for _ in 0..count {
        let first = |flight: &super::cluster::Flight| (flight.from, flight.to) == (from_id, to_id);
        let place = cluster.wire.iter().position(first);
        match (words[0], place) {
            ("cut", _) => drop(cluster.cut.insert((from_id, to_id))),
            (_, None) => cluster.tell(|| "nothing is under way".to_string()),
            ("deliver", Some(place)) => {
                let flight = cluster.wire.remove(place);
                cluster.arrive(flight);
            }
            ("drop", Some(place)) => drop(cluster.wire.remove(place)),
            ("double", Some(place)) => {
                let flight = cluster.wire[place].clone();
                cluster.arrive(flight);
            }
            ("late", Some(place)) => {
                let flight = cluster.wire.remove(place);
                cluster.wire.push(flight);
            }
            _ => panic!("no such event: {}", words.join(" ")),
        }
    }
}

fn logs(cluster: &mut Cluster) {
    for place in 0..cluster.servers.len() {
        let server = &cluster.servers[place];
        let who = letter(server.id);
        let line = if server.runs() {
            let raft = server.raft();
            let (role, term, commit) = (raft.role(), raft.term(), raft.commit());
            format!("{who} {role} t{term} commit {commit} log {}", show(&server.view))
        } else {
            format!("{who} down t{} log {}", server.disk.hard_state.term, show(&server.disk.log))
        };
        cluster.tell(|| line);
    }
}

fn wire(cluster: &mut Cluster) {
    for place in 0..cluster.wire.len() {
        let flight = &cluster.wire[place];
        let shown = Shown(&flight.message);
        let line = format!("{}->{} {shown}", letter(flight.from), letter(flight.to));
        cluster.tell(|| line);
    }
}

/// `servers 3 window=2`.
fn cluster(words: &[&str]) -> Cluster {
    let ["servers", count, ref settings @ ..] = *words else {
        panic!("a script begins with `servers`");
    };
    let adjust = |config: &mut Config| {
        for setting in settings {
            match setting.split_once('=') {
                Some(("window", value)) => config.window = number(value) as usize,
                Some(("batch", value)) => config.batch_bytes = number(value) as usize,
                Some(("cache", value)) => config.cache_bytes = number(value) as usize,
                _ => panic!("no such setting: {setting}"),
            }
        }
    };
    Cluster::with(number(count) as u32, adjust)
}

/// The script with what happens now.
fn transcript(script: &str) -> String {
    let mut cluster_now: Option<Cluster> = None;
    let mut told = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        told.push_str(line);
        told.push('\n');
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || line.starts_with('#') {
            continue;
        }
        match &mut cluster_now {
            None => cluster_now = Some(cluster(&words)),
            Some(cluster) => {
                cluster.story = Some(Vec::new());
                event(cluster, &words);
                for line in cluster.story.take().unwrap_or_default() {
                    told.push_str("    ");
                    told.push_str(&line);
                    told.push('\n');
                }
            }
        }
    }
    told
}

#[test]
fn scripted_histories_go_as_they_are_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/raft/scripts");
    let listed = std::fs::read_dir(&folder).expect("the scripts are there");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(paths.len() >= 6, "the scripts are there");
    let rewrite = std::env::var("RAFT_REWRITE").is_ok_and(|value| value == "1");
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let script = std::fs::read_to_string(&path).expect("a script is text");
        println!("{name}");
        let now = transcript(&script);
        if rewrite {
            std::fs::write(&path, &now).expect("a script can be written");
            continue;
        }
        for (number, (written, now)) in (1..).zip(script.lines().zip(now.lines())) {
            assert_eq!(written, now, "{name}, line {number} (written, now)");
        }
        assert_eq!(script.lines().count(), now.lines().count(), "{name}: lines");
    }
}
