//! Before and after the load: accounts are made, and deleted again. One after the other: the server
//! hashes passwords one at a time anyway.

use std::os::fd::AsRawFd;

use super::error::Error;
use super::wire::{Space, Wire, connect};
use crate::auth::hex;
use crate::cli::progress::Progress;
use crate::cli::values::BenchLoad;
use crate::limits;
use crate::protocol::Message;
use crate::sys::clock;
use crate::sys::poll::{self, PollFd};
use crate::sys::signal::Signals;

/// How long an account may be refused for being one too many at a time.
const REFUSED_MS: u64 = 60_000;
/// The first and the longest wait before asking again.
const BACK_OFF_MS: (u64, u64) = (50, 2_000);

pub struct Setup<'a> {
    options: &'a BenchLoad,
    /// The server's address: one of the list, or the one that a redirect named.
    pub address: String,
    run: [u8; 6],
    password: String,
    /// Clients whose sessions do nothing.
    pub idle: Vec<Wire>,
    signals: &'a mut Signals,
    progress: &'a mut Progress,
}

impl<'a> Setup<'a> {
    /// Finds the first server of the list that takes a connection.
    pub fn new(
        options: &'a BenchLoad,
        run: [u8; 6],
        password: String,
        signals: &'a mut Signals,
        progress: &'a mut Progress,
    ) -> Result<Setup<'a>, Error> {
        let mut last = None;
        for address in &options.servers {
            match connect(address) {
                Ok(_) => {
                    let (address, idle) = (address.clone(), Vec::new());
                    return Ok(Setup { options, address, run, password, idle, signals, progress });
                }
                Err(error) => last = Some(Error::Unreachable(address.clone(), error)),
            }
        }
        Err(last.unwrap_or_else(|| Error::Redirected(String::new())))
    }

    /// Makes `count` accounts and logs them in.
    pub fn clients(&mut self, count: usize, space: &mut Space) -> Result<Vec<Wire>, Error> {
        let mut wires = Vec::new();
        let mut redirects = 0;
        while wires.len() < count {
            self.progress.tell(|| format!("{} of {count} accounts created", wires.len()));
            match self.create(&wires.len().to_string(), space) {
                Ok(wire) => wires.push(wire),
                Err(Error::Redirected(to)) if redirects < limits::REDIRECTS && !to.is_empty() => {
                    redirects += 1;
                    self.address = to;
                    wires.clear();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(wires)
    }

    /// Opens `count` sessions of one account, which never say anything again.
    pub fn idle(&mut self, count: usize, space: &mut Space) -> Result<(), Error> {
        if count == 0 {
            return Ok(());
        }
        let mut first = self.create("idle", space)?;
        let request = Message { cmd: "token".into(), ..Message::default() };
        let answer = first.ask(&request, space)?;
        let token = checked("token", &first, answer)?;
        let name = first.name.clone();
        self.idle.push(first);
        while self.idle.len() < count {
            if self.signals.next().is_some() {
                return Err(Error::Interrupted);
            }
            self.progress.tell(|| format!("{} of {count} idle connections", self.idle.len()));
            let mut wire = self.connect(&name)?;
            let request = Message {
                cmd: "resume".into(),
                src: name.as_str().into(),
                body: token.body.as_ref().into(),
                ..Message::default()
            };
            let answer = wire.ask(&request, space)?;
            checked("resume", &wire, answer)?;
            self.idle.push(wire);
        }
        Ok(())
    }

    fn connect(&self, name: &str) -> Result<Wire, Error> {
        let socket = connect(&self.address)
            .map_err(|error| Error::Unreachable(self.address.clone(), error))?;
        Wire::new(socket, name.to_string(), self.options.codec)
    }

    /// Makes one account, and stays logged in. Refused for being one too many at a time, it waits and
    /// asks again, for a while.
    fn create(&mut self, suffix: &str, space: &mut Space) -> Result<Wire, Error> {
        let name = format!("bench-{}-{suffix}", hex::encode(&self.run[..4]));
        let mut wire = self.connect(&name)?;
        let request = Message {
            cmd: "create".into(),
            src: name.as_str().into(),
            body: self.password.as_str().into(),
            ..Message::default()
        };
        let give_up_ms = clock::monotonic_ms() + REFUSED_MS;
        let mut wait_ms = BACK_OFF_MS.0;
        loop {
            if self.signals.next().is_some() {
                return Err(Error::Interrupted);
            }
            let answer = wire.ask(&request, space)?;
            let waits = answer.error && is_passing(&answer.body);
            if !waits || clock::monotonic_ms() >= give_up_ms {
                checked("create", &wire, answer)?;
                return Ok(wire);
            }
            self.progress
                .tell(|| format!("waiting to create {name}: {}", answer.body.escape_debug()));
            let mut watched = [PollFd::new(self.signals.as_raw_fd(), true, false)];
            poll::wait(&mut watched, Some(wait_ms))
                .map_err(|error| Error::System("cannot wait", error))?;
            wait_ms = (2 * wait_ms).min(BACK_OFF_MS.1);
        }
    }
}

pub fn delete(wires: &mut [Wire], space: &mut Space) -> Result<(), Error> {
    for wire in wires {
        let answer = wire.ask(&Message { cmd: "delete".into(), ..Message::default() }, space)?;
        checked("delete", wire, answer)?;
    }
    Ok(())
}

/// Whether an error's text has a code that says: later.
fn is_passing(body: &str) -> bool {
    matches!(body.split(':').next(), Some("busy" | "rate-limited"))
}

fn checked(
    cmd: &'static str,
    wire: &Wire,
    answer: Message<'static>,
) -> Result<Message<'static>, Error> {
    match answer.error {
        true => Err(Error::Refused(cmd, wire.name.clone(), answer.body.into_owned())),
        false => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_waited_for() {
        assert!(is_passing("busy: too many log in at once"));
        assert!(is_passing("rate-limited: wait a minute"));
        assert!(!is_passing("name-taken: somebody has this name") && !is_passing(""));
    }
}
