//! Connecting by name while waiting for it, as a command does: the look-up and all addresses of the
//! name share one deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::LookUp;
use crate::limits;

/// The addresses of `HOST:PORT`. The look-up cannot be broken off; past the deadline it is left alone.
pub fn addresses(look_up: &LookUp, name: &str, by: Instant) -> Result<Vec<SocketAddr>, String> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let (sender, answer) = mpsc::channel();
    let (look_up, asked) = (look_up.clone(), name.to_owned());
    spawn(move || drop(sender.send(look_up(&asked))))?;
    let found = match answer.recv_timeout(by.saturating_duration_since(Instant::now())) {
        Ok(found) => found.map_err(|why| format!("cannot look up the name: {why}"))?,
        Err(_) => return Err("looking up the name timed out".to_owned()),
    };
    match found.is_empty() {
        true => Err("the name has no address".to_owned()),
        false => Ok(found),
    }
}

/// Has `connect` called for each address, one a moment after the other or as soon as the one before
/// has failed, and gives what the first that works gives. `connect` keeps to the deadline by itself.
///
/// # Errors
/// Why none worked; of several addresses with the address before each reason.
pub fn first<T: Send + 'static>(
    addresses: &[SocketAddr],
    by: Instant,
    connect: impl Fn(SocketAddr) -> Result<T, String> + Send + Sync + 'static,
) -> Result<T, String> {
    let addresses = &addresses[..addresses.len().min(limits::PEER_ADDRESSES)];
    let (connect, (sender, ended)) = (Arc::new(connect), mpsc::channel());
    let mut whys: Vec<(SocketAddr, String)> = Vec::new();
    let mut rest = addresses.iter();
    loop {
        let begun = rest.next();
        if let Some(&address) = begun {
            let (connect, sender) = (connect.clone(), sender.clone());
            spawn(move || drop(sender.send((address, connect(address)))))?;
        } else if whys.len() == addresses.len() {
            break;
        }
        let next = Instant::now() + Duration::from_millis(limits::PEER_STAGGER_MS);
        let until = if begun.is_some() { next.min(by) } else { by };
        match ended.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((_, Ok(connected))) => return Ok(connected),
            Ok((address, Err(why))) => whys.push((address, why)),
            Err(RecvTimeoutError::Timeout) if Instant::now() < by => {}
            Err(_) => break,
        }
    }
    Err(why_none(addresses, &whys))
}

fn why_none(addresses: &[SocketAddr], whys: &[(SocketAddr, String)]) -> String {
    let why = |address: &SocketAddr| {
        let known = whys.iter().find(|(of, _)| of == address);
        known.map_or("no answer in time", |(_, why)| why)
    };
    match addresses {
        [one] => why(one).to_owned(),
        several => {
            let each = several.iter().map(|address| format!("{address}: {}", why(address)));
            each.collect::<Vec<String>>().join("; ")
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name("connect".into()).spawn(work);
    thread.map(drop).map_err(|error| format!("cannot start a thread: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    fn address(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number], 1))
    }

    /// Address 1 works at once, 2 fails at once, 3 never answers, 4 works after a while.
    fn connect(address: SocketAddr) -> Result<u8, String> {
        let SocketAddr::V4(v4) = address else { unreachable!() };
        match v4.ip().octets()[3] {
            1 => Ok(1),
            2 => Err("refused".to_owned()),
            3 => loop {
                std::thread::park();
            },
            _ => {
                std::thread::sleep(Duration::from_millis(400));
                Ok(4)
            }
        }
    }

    fn all(numbers: &[u8]) -> Vec<SocketAddr> {
        numbers.iter().copied().map(address).collect()
    }

    #[test]
    fn the_first_address_that_works_is_taken_whatever_the_others_do() {
        for numbers in [&[1][..], &[3, 1], &[2, 1], &[2, 3, 2, 1], &[4, 1]] {
            let started = Instant::now();
            assert_eq!(first(&all(numbers), soon(), connect), Ok(1), "{numbers:?}");
            assert!(started.elapsed() < Duration::from_secs(30), "{numbers:?}");
        }
        assert_eq!(first(&all(&[3, 4]), soon(), connect), Ok(4), "a slow one is waited for");
    }

    #[test]
    fn without_one_that_works_it_is_said_of_each_why() {
        let error = |numbers: &[u8], ms| {
            first(&all(numbers), Instant::now() + Duration::from_millis(ms), connect).unwrap_err()
        };
        assert_eq!(error(&[2], 60_000), "refused");
        let expected = "10.0.0.2:1: refused; 10.0.0.3:1: no answer in time";
        assert_eq!(error(&[2, 3], 300), expected);
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_left_alone() {
        let never: LookUp = Arc::new(|_| {
            loop {
                std::thread::park();
            }
        });
        let by = Instant::now() + Duration::from_millis(50);
        assert!(addresses(&never, "h:1", by).unwrap_err().contains("timed out"));
        assert_eq!(addresses(&never, "10.0.0.1:1", by), Ok(all(&[1])), "nothing to look up");
        let none: LookUp = Arc::new(|_| Err("unknown".to_owned()));
        assert!(addresses(&none, "h:1", soon()).unwrap_err().contains("look up the name: unknown"));
    }
}
