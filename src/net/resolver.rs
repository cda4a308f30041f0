//! Looks up the addresses of names, without waiting: the system's look-up cannot be broken off and
//! may take minutes, so each name has a thread, and a slow one holds up no other.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::limits;

/// How the addresses of `HOST:PORT` are found out. It may take any time.
pub type LookUp = Arc<dyn Fn(&str) -> Result<Vec<SocketAddr>, String> + Send + Sync>;
/// A name that was looked up: its addresses, or why there are none.
pub type Found = (String, Result<Vec<SocketAddr>, String>);

/// As the system does it: `/etc/hosts`, DNS, or what `/etc/nsswitch.conf` says.
pub fn system() -> LookUp {
    Arc::new(|name| name.to_socket_addrs().map(Iterator::collect).map_err(|error| reason(&error)))
}

/// Why a look-up failed, without the words that every such error begins with.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

/// The look-ups under way.
pub struct Resolver {
    look_up: LookUp,
    wake: Arc<dyn Fn() + Send + Sync>,
    running: Vec<String>,
    waiting: VecDeque<String>,
    refused: Vec<String>,
    sender: Sender<Found>,
    done: Receiver<Found>,
}

impl Resolver {
    /// `wake` is called, by another thread, when [`Resolver::poll`] has something.
    pub fn new(look_up: LookUp, wake: impl Fn() + Send + Sync + 'static) -> Resolver {
        let (sender, done) = mpsc::channel();
        let (running, waiting, refused) = (Vec::new(), VecDeque::new(), Vec::new());
        Resolver { look_up, wake: Arc::new(wake), running, waiting, refused, sender, done }
    }

    /// Looks up a name. One that is being looked up already gets that answer.
    pub fn ask(&mut self, name: String) {
        if self.running.contains(&name) || self.waiting.contains(&name) {
            return;
        }
        if self.running.len() < limits::LOOKUPS {
            self.start(name);
        } else if self.waiting.len() < limits::LOOKUPS_WAITING {
            self.waiting.push_back(name);
        } else {
            self.refused.push(name);
        }
    }

    /// Nobody waits for the thread: it ends with the look-up, or with the process.
    fn start(&mut self, name: String) {
        let (look_up, wake) = (self.look_up.clone(), self.wake.clone());
        let (sender, asked) = (self.sender.clone(), name.clone());
        let thread = std::thread::Builder::new().name("look-up".into()).spawn(move || {
            let found = look_up(&asked);
            // Nobody may be there any more.
            if sender.send((asked, found)).is_ok() {
                wake();
            }
        });
        match thread {
            Ok(_) => self.running.push(name),
            Err(_) => self.refused.push(name),
        }
    }

    /// The next name that was looked up.
    pub fn poll(&mut self) -> Option<Found> {
        if let Some(name) = self.refused.pop() {
            return Some((name, Err("too many names are being looked up".to_owned())));
        }
        let found = self.done.try_recv().ok()?;
        self.running.retain(|name| *name != found.0);
        if let Some(name) = self.waiting.pop_front() {
            self.start(name);
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::sync::{Condvar, Mutex};
    use std::time::{Duration, Instant};

    /// Look-ups that answer when they are let, and how often each was asked for.
    #[derive(Default)]
    struct Gate {
        state: Mutex<(HashMap<String, usize>, Vec<String>)>,
        changed: Condvar,
    }

    impl Gate {
        fn look_up(self: &Arc<Gate>) -> LookUp {
            let gate = self.clone();
            Arc::new(move |name| {
                let mut state = gate.state.lock().unwrap();
                *state.0.entry(name.to_owned()).or_default() += 1;
                gate.changed.notify_all();
                let state = gate
                    .changed
                    .wait_timeout_while(state, Duration::from_secs(60), |state| {
                        !state.1.contains(&name.to_owned())
                    })
                    .unwrap();
                assert!(!state.1.timed_out(), "nobody let the look-up of {name} end");
                Ok(vec!["10.0.0.1:1".parse().unwrap()])
            })
        }

        fn let_go(&self, name: &str) {
            self.state.lock().unwrap().1.push(name.to_owned());
            self.changed.notify_all();
        }

        fn asked(&self) -> usize {
            self.state.lock().unwrap().0.values().sum()
        }

        /// Waits until so many look-ups were begun.
        fn wait(&self, count: usize) {
            let state = self.state.lock().unwrap();
            let lacks =
                |state: &mut (HashMap<String, usize>, _)| state.0.values().sum::<usize>() < count;
            let waited = self.changed.wait_timeout_while(state, Duration::from_secs(60), lacks);
            let late = waited.unwrap().1.timed_out();
            assert!(!late, "fewer than {count} look-ups were begun");
        }
    }

    fn next(resolver: &mut Resolver) -> Found {
        let by = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = resolver.poll() {
                return found;
            }
            assert!(Instant::now() < by, "no look-up ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_name_that_takes_long_holds_up_no_other_and_is_asked_for_once() {
        let gate = Arc::new(Gate::default());
        let mut resolver = Resolver::new(gate.look_up(), || {});
        for name in ["slow:1", "quick:1", "slow:1"] {
            resolver.ask(name.to_owned());
        }
        gate.let_go("quick:1");
        assert_eq!(next(&mut resolver).0, "quick:1");
        assert_eq!(gate.asked(), 2);
        gate.let_go("slow:1");
        assert_eq!(next(&mut resolver).0, "slow:1");
        resolver.ask("slow:1".to_owned());
        assert_eq!(next(&mut resolver).0, "slow:1", "and again later");
    }

    #[test]
    fn so_many_names_are_looked_up_at_once_others_wait_and_past_the_bound_they_fail() {
        let gate = Arc::new(Gate::default());
        let mut resolver = Resolver::new(gate.look_up(), || {});
        let name = |number: usize| format!("h{number}:1");
        let bound = limits::LOOKUPS + limits::LOOKUPS_WAITING;
        (0..bound).for_each(|number| resolver.ask(name(number)));
        gate.wait(limits::LOOKUPS);
        assert_eq!(gate.asked(), limits::LOOKUPS);
        assert!(resolver.poll().is_none(), "the others wait");
        resolver.ask(name(bound));
        let (refused, why) = resolver.poll().expect("it is refused at once");
        assert_eq!((refused, why.is_err()), (name(bound), true));
        (0..bound).for_each(|number| gate.let_go(&name(number)));
        let mut found: Vec<String> = (0..bound).map(|_| next(&mut resolver).0).collect();
        found.sort();
        found.dedup();
        assert_eq!(found.len(), bound, "each had its turn");
    }
}
