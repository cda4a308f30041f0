//! What the simulated clients have in common: what they want of the network, and what they are told.

use super::checker::Checker;

/// What a client wants.
#[derive(Debug)]
pub enum Wish {
    /// Drop any connection there is and make one to this address.
    Connect(String),
    /// Drop the connection.
    Close,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Ask this server how things are, on a connection beside the other.
    Look(String),
    /// Drop that connection.
    EndLook,
}

/// A client process, or a person's machine on which one may run. Times are milliseconds.
pub trait Client {
    fn connected(&mut self, now_ms: u64);
    fn received(&mut self, now_ms: u64, bytes: &[u8], checker: &mut Checker);
    fn closed(&mut self, now_ms: u64, why: &str);
    /// What it says first on the connection that [`Wish::Look`] asked for.
    fn look_request(&self) -> Vec<u8> {
        Vec::new()
    }
    fn look_received(&mut self, _now_ms: u64, _bytes: &[u8]) {}
    fn look_closed(&mut self, _now_ms: u64) {}
    /// Time has passed; a client that is not calm may also do something new.
    fn pass(&mut self, now_ms: u64, checker: &mut Checker);
    fn next_ms(&self) -> Option<u64>;
    /// What it wants now; empty when that is nothing.
    fn wishes(&mut self, now_ms: u64, checker: &mut Checker) -> Vec<Wish>;
    /// The process ends at once; true if it had one. `power`: what was not synced may be lost.
    fn crash(&mut self, now_ms: u64, power: bool) -> bool;
    /// From here on it asks for nothing new.
    fn calm(&mut self, now_ms: u64);
    /// Everything it asked for is answered.
    fn is_done(&self) -> bool;
    /// A line about what it waits for.
    fn waits_for(&self) -> String;
    /// Holds all that it saw against what is stored.
    fn check(&self, checker: &Checker);
    /// Its share of the story in numbers.
    fn count(&self, counts: &mut super::counts::Counts);
}
