//! What a million messages cost. Run it alone, in a release build:
//! `cargo test --release chat::measure -- --ignored --nocapture`

use crate::support::{Rng, env_number};
use chatctl::chat::{Command, State};
use chatctl::sys;
use std::time::Instant;

/// The payloads of accounts and of `count` messages, each from one account to one of its 20
/// friends.
fn payloads(count: u64, accounts: u64) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let mut rng = Rng::new(1);
    let names: Vec<String> = (0..accounts).map(|number| format!("user-{number:05}")).collect();
    let encoded = |command: Command| {
        let mut payload = Vec::new();
        command.encode(&mut payload);
        payload
    };
    let creates = names
        .iter()
        .map(|name| encoded(Command::Create { time: 1, name, verifier: &"v".repeat(133) }));
    let body = "b".repeat(128);
    let sends = (0..count).map(|number| {
        let from = rng.below(accounts);
        let to = (from + 1 + rng.below(20)) % accounts;
        let id = u128::from(rng.next()) << 64 | u128::from(rng.next());
        let (from, to) = (&names[from as usize], &names[to as usize]);
        encoded(Command::Send { time: number, from, to, id, known: 0, body: &body })
    });
    (creates.collect(), sends.collect())
}

/// A state with these accounts made, and the next index.
fn with_accounts(window: u64, creates: &[Vec<u8>]) -> (State, u64) {
    let mut state = State::with_window(window as usize);
    let mut payload = Vec::new();
    Command::Found { time: 1, cluster: [1; 16], token_secret: [2; 32], members: Vec::new() }
        .encode(&mut payload);
    for (number, payload) in [payload].iter().chain(creates).enumerate() {
        state.apply(number as u64 + 1, payload).unwrap();
    }
    let next = state.applied() + 1;
    (state, next)
}

#[test]
fn a_message_takes_64_bytes_and_an_id_in_the_window_40_more_at_most() {
    let count = 100_000;
    let (creates, sends) = payloads(count, 20);
    for (window, most) in [(1, 64), (10_000, 64 + 40)] {
        let (mut state, first) = with_accounts(window, &creates);
        let before = state.memory_bytes();
        for (index, payload) in (first..).zip(&sends) {
            state.apply(index, payload).unwrap();
        }
        let each = (state.memory_bytes() - before) as f64 / count as f64;
        println!("window {window}: {each:.1} bytes a message");
        assert!(each <= f64::from(most), "window {window}: {each:.1} bytes a message");
    }
}

#[test]
#[ignore = "a measurement of a release build, alone in its process"]
fn a_million_messages() {
    let count = env_number("CHAT_MESSAGES", 1_000_000);
    let (window, accounts) =
        (env_number("CHAT_WINDOW", 10_000), env_number("CHAT_ACCOUNTS", 1_000));
    let (creates, sends) = payloads(count, accounts);
    let (mut state, first) = with_accounts(window, &creates);
    let resident = || sys::process::resident_bytes().unwrap_or(0);
    let (resident_before, estimate_before) = (resident(), state.memory_bytes());
    let begin = Instant::now();
    for (index, payload) in (first..).zip(&sends) {
        state.apply(index, payload).unwrap();
    }
    let seconds = begin.elapsed().as_secs_f64();
    let each = |bytes: u64| bytes as f64 / count as f64;
    println!(
        "window {window}, {accounts} accounts: {count} messages, {:.0}/s; resident {:.1} bytes a \
         message, estimate {:.1}",
        count as f64 / seconds,
        each(resident() - resident_before),
        each((state.memory_bytes() - estimate_before) as u64),
    );
    let begin = Instant::now();
    let digest = state.digest();
    println!("digest {digest:016x} in {:?}", begin.elapsed());
}
