//! Pure parts: they reach no clock, file, socket or thread; their tests may.

use super::graph::Graph;
use super::sources;

/// The folders and files whose code is pure, and what they may not name, as the beginnings of paths.
const PURE: [(&str, &[&str]); 7] = [
    ("auth/", &SYSTEM),
    ("protocol/", &SYSTEM),
    ("node/", &OUTSIDE),
    ("client/agent", &OUTSIDE),
    ("client/session/", &OUTSIDE),
    ("client/screen/", &OUTSIDE),
    ("client/editor/", &OUTSIDE),
];
/// What is not there yet.
const ABSENT: &[&str] = &[];

/// What reaches outside.
const OUTSIDE: [&str; 7] =
    ["mio", "std::fs", "std::net", "std::thread", "std::time", "sys::clock", "sys::entropy"];
/// All of `sys`, but for what only computes.
const SYSTEM: [&str; 1] = ["sys"];
const COMPUTES: [&str; 3] = ["sys::memory", "sys::sha", "sys::text"];

/// Whether a path is `begin`, of it, or takes all of a module that it is in.
fn is_of(path: &[String], begin: &str) -> bool {
    let begin: Vec<&str> = begin.split("::").collect();
    let same = path.iter().zip(&begin).take_while(|(name, of)| name == of).count();
    same == begin.len() || same > 0 && path.get(same).is_some_and(|name| name == "*")
}

/// Where pure parts reach outside, each as `FILE:LINE: names PATH`.
fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, forbidden) in PURE {
        for file in graph.files().filter(|file| file.starts_with(place)) {
            for named in graph.named(file) {
                let computes = COMPUTES.iter().any(|computes| is_of(&named.path, computes));
                let is_forbidden = forbidden.iter().any(|forbidden| is_of(&named.path, forbidden));
                if is_forbidden && !computes {
                    faults.push(format!("{file}:{}: names {}", named.line, named.path.join("::")));
                }
            }
        }
    }
    faults
}

#[test]
fn the_pure_parts_reach_no_clock_file_socket_or_thread() {
    let graph = Graph::of_program(&sources());
    let is_there = |place: &str| graph.files().any(|file| file.starts_with(place));
    let absent = PURE.iter().map(|(place, _)| *place).filter(|place| !is_there(place));
    assert_eq!(absent.collect::<Vec<_>>(), ABSENT);
    let faults = faults(&graph);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn planted(file: &str, text: &str) -> Vec<String> {
    let clock = ("sys/clock.rs".to_owned(), "pub fn now_ms() -> u64 { 0 }".to_owned());
    let sys = ("sys/mod.rs".to_owned(), "pub mod clock; pub use clock::now_ms as now;".to_owned());
    faults(&Graph::of_program(&[clock, sys, (file.to_owned(), text.to_owned())]))
}

#[test]
fn a_planted_clock_file_socket_or_thread_is_found() {
    for (file, text, path) in [
        ("node/mod.rs", "use mio::Token;", "mio::Token"),
        ("node/replica.rs", "use std::{fmt, fs::File};", "std::fs::File"),
        ("node/clients/mod.rs", "fn f(x: std::net::SocketAddr) {}", "std::net::SocketAddr"),
        ("node/peers/mesh.rs", "use std::thread;", "std::thread"),
        ("client/agent.rs", "use std::time::Duration;", "std::time::Duration"),
        (
            "client/agent/mod.rs",
            "use std as s; fn f() { s::time::Instant::now(); }",
            "std::time::Instant::now",
        ),
        ("client/session/mod.rs", "use crate::sys::clock;", "sys::clock"),
        (
            "client/screen/draw.rs",
            "use crate::sys::{self, text}; fn f() { sys::entropy::fill() }",
            "sys::entropy::fill",
        ),
        ("client/editor/keys.rs", "use std::*;", "std::*"),
        ("auth/token.rs", "use crate::sys::file;", "sys::file"),
        ("protocol/id.rs", "fn f() { crate::sys::entropy::fill() }", "sys::entropy::fill"),
    ] {
        let faults = planted(file, text);
        assert!(faults.iter().any(|fault| fault.ends_with(path)), "{text}: {faults:?}");
    }
}

#[test]
fn what_only_computes_and_what_tests_name_reaches_nothing() {
    for (file, text) in [
        ("node/mod.rs", "use core::{net::SocketAddr, time::Duration}; use std::fmt;"),
        ("node/replica.rs", "#[cfg(test)] mod tests { use std::{fs, thread}; }"),
        ("client/screen/draw.rs", "// std::fs\nconst A: &str = \"std::fs\"; use crate::sys::text;"),
        ("protocol/name.rs", "use crate::sys::{memory, sha, text::is_plain};"),
        ("server/mod.rs", "use std::{fs, net, thread, time}; use crate::sys::clock;"),
        ("client/shell/mod.rs", "use mio::Poll; use crate::sys::clock::now_ms;"),
    ] {
        assert_eq!(planted(file, text), Vec::<String>::new(), "{text}");
    }
}
