//! Servers are listed by name: look-ups that take long or fail, and names that have a further
//! address where nobody ever answers.

use std::net::SocketAddr;

use super::process::Input;
use super::server::place_of_peer;
use super::world::{MS, World};

/// The address of the peers' port of a machine.
pub fn address_at(place: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, place as u8 + 1], 7263))
}

/// An address of nobody, which its name has besides.
fn dead_address(place: usize) -> SocketAddr {
    SocketAddr::from(([10, 9, 9, place as u8 + 1], 7263))
}

/// The machine that has an address; none where nobody ever answers.
pub fn place_at(address: SocketAddr) -> Option<usize> {
    let SocketAddr::V4(v4) = address else { panic!("no such address: {address}") };
    let place = usize::from(v4.ip().octets()[3]).checked_sub(1);
    place.filter(|&place| address == address_at(place))
}

impl World {
    /// A server looks up a name; the answer comes in its time.
    pub fn look_up(&mut self, place: usize, name: String) {
        let Some(of) = place_of_peer(&name) else {
            panic!("{place} looks up {name}, which no server ever had");
        };
        let faults = &self.faults;
        let (slow, failing, dead) = match self.unnoticed {
            Some(_) => (0, 0, 0),
            None => (faults.slow_name, faults.failing_name, faults.dead_address),
        };
        let mut after = 50 + self.rng.below(self.faults.delay_us);
        if self.chance(slow) {
            self.counts.slow_names += 1;
            after += self.rng.below(8_000 * MS);
        }
        let addresses = if self.chance(failing) {
            self.counts.failed_names += 1;
            Err("no such name".to_owned())
        } else if self.chance(dead) {
            self.counts.dead_addresses += 1;
            Ok(vec![dead_address(of), address_at(of)])
        } else {
            Ok(vec![address_at(of)])
        };
        self.tell(place, after, Input::Found(name, addresses));
    }
}
