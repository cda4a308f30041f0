//! Opening the ports at the start. A name that does not resolve yet, and an address that the machine
//! does not have yet (a VPN's, or the network is late after a reboot), are waited for; what only the
//! operator can change is an error.

use std::io;
use std::net::SocketAddr;

use mio::{Interest, Registry, Token};

use super::error::Error;
use super::trace::Trace;
use super::waiting::Waiting;
use crate::limits;
use crate::net::listener::is_missing;
use crate::net::{Listen, Listener, Resolver};
use crate::sys::clock;
use crate::sys::signal::Signals;

/// What ports are opened with.
pub(super) struct Opener<'a> {
    pub waiting: &'a mut Waiting,
    pub signals: &'a mut Signals,
    pub trace: Trace,
}

/// A place to listen at, on its way.
struct Door<'a> {
    listen: &'a Listen,
    /// What it listens at; empty until it does.
    listeners: Vec<Listener>,
    is_open: bool,
    /// A look-up is under way since, milliseconds.
    asked_ms: Option<u64>,
    found: Option<Vec<SocketAddr>>,
    /// When it is tried again, and the wait before that, milliseconds.
    again_ms: u64,
    delay_ms: u64,
    /// Why it is not open yet, as the operator was told.
    told: Option<String>,
}

/// A resolver that wakes the loop.
pub(super) fn resolver_for(waiting: &Waiting) -> Resolver {
    Resolver::new(waiting.look_up.clone(), waiting.wake())
}

/// Where a listener is bound, if it is TCP.
pub(super) fn address_of(listener: &Listener) -> Option<SocketAddr> {
    match listener.address() {
        Ok(Listen::Tcp(address)) => Some(address),
        _ => None,
    }
}

/// Somebody waits at a listener.
const LISTENER: Token = Token(usize::MAX - 2);

/// Starts to watch listeners.
fn watch(listeners: &mut [Listener], registry: &Registry) -> io::Result<()> {
    let watch = |listener| registry.register(listener, LISTENER, Interest::READABLE);
    listeners.iter_mut().try_for_each(watch)
}

/// No longer does so.
fn unwatch(listeners: &mut [Listener], registry: &Registry) -> io::Result<()> {
    listeners.iter_mut().try_for_each(|listener| registry.deregister(listener))
}

/// Closes what clients have opened: they go to another server at once, and do not wait for one that
/// cannot serve them yet.
pub(super) fn turn_away(listeners: &[Listener]) {
    for listener in listeners {
        while let Ok(Some(_)) = listener.accept() {}
    }
}

impl Opener<'_> {
    /// Listens at these places, and gives the listeners in their order; none when a signal said stop
    /// before. Meanwhile clients of the listeners that are open already are turned away.
    pub(super) fn open(
        &mut self,
        listens: &[Listen],
        others: &mut [Listener],
        fails: impl Fn(&Listen, io::Error) -> Error,
    ) -> Result<Option<Vec<Listener>>, Error> {
        let unwatched = |error| Error::System("cannot watch the listeners", error);
        let mut doors = self.doors(listens);
        // All addresses of a port first: they take in what others name.
        let mut order: Vec<usize> = (0..doors.len()).collect();
        order.sort_by_key(|&place| !matches!(doors[place].listen, Listen::Everywhere(_)));
        let mut resolver = resolver_for(self.waiting);
        watch(others, self.waiting.poll.registry()).map_err(unwatched)?;
        loop {
            while let Some((name, found)) = resolver.poll() {
                self.on_found(&mut doors, &name, found);
            }
            let now_ms = clock::monotonic_ms();
            for &place in &order {
                if doors[place].is_open || doors[place].again_ms > now_ms {
                    continue;
                }
                if let Some(name) = doors[place].name_to_look_up(now_ms) {
                    resolver.ask(name);
                    continue;
                }
                self.try_to_open(&mut doors, place).map_err(|e| fails(doors[place].listen, e))?;
                let registry = self.waiting.poll.registry();
                watch(&mut doors[place].listeners, registry).map_err(unwatched)?;
            }
            if doors.iter().all(|door| door.is_open) {
                break;
            }
            doors.iter().for_each(|door| turn_away(&door.listeners));
            turn_away(others);
            let next_ms = doors.iter().filter_map(Door::next_ms).min();
            let signalled = self.waiting.wait(next_ms, |_| {})?;
            if signalled && let Some(number) = self.signals.next() {
                self.trace.info(format_args!("signal {number}: stopping"));
                return Ok(None);
            }
            self.tell_slow(&mut doors);
        }
        let registry = self.waiting.poll.registry();
        unwatch(others, registry).map_err(unwatched)?;
        let mut all: Vec<Listener> = doors.into_iter().flat_map(|door| door.listeners).collect();
        unwatch(&mut all, registry).map_err(unwatched)?;
        Ok(Some(all))
    }

    /// One for each place; a place that is given twice is one.
    fn doors<'l>(&self, listens: &'l [Listen]) -> Vec<Door<'l>> {
        let mut doors: Vec<Door<'l>> = Vec::new();
        for listen in listens {
            if doors.iter().any(|door| door.listen == listen) {
                self.trace.warning(format_args!("the address {listen} is given twice"));
                continue;
            }
            doors.push(Door {
                listen,
                listeners: Vec::new(),
                is_open: false,
                asked_ms: None,
                found: None,
                again_ms: 0,
                delay_ms: limits::OPEN_FIRST_MS,
                told: None,
            });
        }
        doors
    }

    fn on_found(&self, doors: &mut [Door<'_>], name: &str, found: Result<Vec<SocketAddr>, String>) {
        let is_it = |door: &&mut Door<'_>| matches!(door.listen, Listen::Name(own) if own == name);
        for door in doors.iter_mut().filter(is_it).filter(|door| !door.is_open) {
            door.asked_ms = None;
            match &found {
                Ok(found) if !found.is_empty() => {
                    door.found = Some(found.clone());
                    door.again_ms = 0;
                }
                Ok(_) => self.later(door, "the name has no address"),
                Err(why) => self.later(door, &format!("cannot look up the name: {why}")),
            }
        }
    }

    /// Listens at every address of a place. Where none of them is on the machine it is tried again.
    fn try_to_open(&self, doors: &mut [Door<'_>], place: usize) -> io::Result<()> {
        let opened = match doors[place].listen {
            Listen::Unix(path) => Listener::unix(path).map(|listener| vec![listener]),
            Listen::Everywhere(port) => Listener::everywhere(*port).map(|listener| vec![listener]),
            Listen::Tcp(address) => self.listen_at(doors, &[*address]),
            Listen::Name(_) => {
                let found = doors[place].found.take().unwrap_or_default();
                self.listen_at(doors, &found)
            }
        };
        let door = &mut doors[place];
        match opened {
            Ok(listeners) => {
                if door.told.is_some() {
                    self.trace.info(format_args!("now listening at {}", door.listen));
                }
                (door.listeners, door.is_open) = (listeners, true);
                Ok(())
            }
            Err(error) if is_missing(&error) => {
                self.later(door, &format!("the address is not on this machine ({error})"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn listen_at(&self, doors: &[Door<'_>], addresses: &[SocketAddr]) -> io::Result<Vec<Listener>> {
        let (mut listeners, mut missing) = (Vec::new(), Vec::new());
        let mut port = addresses.first().map_or(0, SocketAddr::port);
        for address in addresses {
            let mut address = *address;
            address.set_port(port);
            if covers(doors.iter().flat_map(|door| &door.listeners), address) {
                self.trace.warning(format_args!("the address {address} is given twice"));
                continue;
            }
            match Listener::at(address) {
                Ok(listener) => {
                    // All addresses of a name have the port that the system chose for the first.
                    if let Listen::Tcp(bound) = listener.address()? {
                        port = bound.port();
                    }
                    listeners.push(listener);
                }
                Err(error) if is_missing(&error) => missing.push((address, error)),
                Err(error) => return Err(error),
            }
        }
        if listeners.is_empty()
            && let Some((_, error)) = missing.pop()
        {
            return Err(error);
        }
        for (address, error) in missing {
            self.trace.info(format_args!("not listening at {address}: {error}"));
        }
        Ok(listeners)
    }

    /// It is tried again after a while, each time after a longer one.
    fn later(&self, door: &mut Door<'_>, why: &str) {
        door.again_ms = clock::monotonic_ms() + door.delay_ms;
        door.delay_ms = (2 * door.delay_ms).min(limits::OPEN_MOST_MS);
        self.tell_why(door, why);
    }

    fn tell_why(&self, door: &mut Door<'_>, why: &str) {
        if door.told.as_deref() != Some(why) {
            let listen = door.listen;
            self.trace.warning(format_args!("cannot listen at {listen} yet: {why}; trying again"));
            door.told = Some(why.to_owned());
        }
    }

    fn tell_slow(&self, doors: &mut [Door<'_>]) {
        let now_ms = clock::monotonic_ms();
        for door in doors.iter_mut().filter(|door| door.slow_ms().is_some_and(|ms| ms <= now_ms)) {
            let seconds = limits::PEER_LOOKUP_SLOW_MS / 1000;
            self.tell_why(door, &format!("no answer to the look-up of the name for {seconds} s"));
        }
    }
}

/// Whether one of these listens at the address already.
fn covers<'l>(listeners: impl Iterator<Item = &'l Listener>, address: SocketAddr) -> bool {
    let bound = listeners.filter_map(|listener| match listener.address() {
        Ok(Listen::Tcp(bound)) => Some(bound),
        _ => None,
    });
    let is_all =
        |bound: SocketAddr| bound.ip().is_unspecified() && (bound.is_ipv6() || address.is_ipv4());
    let mut same_port = bound.filter(|bound| bound.port() == address.port());
    same_port.any(|bound| bound == address || is_all(bound))
}

impl Door<'_> {
    /// A name whose look-up is due.
    fn name_to_look_up(&mut self, now_ms: u64) -> Option<String> {
        let Listen::Name(name) = self.listen else { return None };
        if self.found.is_some() {
            return None;
        }
        self.asked_ms = Some(now_ms);
        self.again_ms = u64::MAX;
        Some(name.clone())
    }

    /// When it is tried again, or its slow look-up is told of.
    fn next_ms(&self) -> Option<u64> {
        match self.asked_ms {
            _ if self.is_open => None,
            Some(_) => self.slow_ms(),
            None => Some(self.again_ms),
        }
    }

    fn slow_ms(&self) -> Option<u64> {
        let since_ms = self.asked_ms.filter(|_| self.told.is_none())?;
        Some(since_ms + limits::PEER_LOOKUP_SLOW_MS)
    }
}
