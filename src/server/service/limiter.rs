//! How often one address may have a password checked.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::limits;
use crate::net::Origin;

/// A bucket of attempts an address, filled again at a steady rate. One IPv6 /64 is one address, since
/// whoever has one has all of it.
pub struct Limiter {
    per_minute: u64,
    buckets: HashMap<Origin, Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// Attempts left, in 1/60,000 (so that a millisecond refills `per_minute` of them).
    left: u64,
    at_ms: u64,
}

const ATTEMPT: u64 = 60_000;

impl Limiter {
    /// Allows `per_minute` attempts a minute and as many at once; 0 for any number.
    pub fn new(per_minute: u32) -> Limiter {
        Limiter { per_minute: u64::from(per_minute), buckets: HashMap::new() }
    }

    /// Takes one attempt of `origin`, if it has one left. Addresses past
    /// [`limits::LIMITER_ADDRESSES`] that are all short of attempts are refused.
    pub fn allow(&mut self, origin: Origin, now_ms: u64) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let origin = network(origin);
        let full = self.per_minute * ATTEMPT;
        if !self.buckets.contains_key(&origin) && self.buckets.len() >= limits::LIMITER_ADDRESSES {
            let per_minute = self.per_minute;
            self.buckets.retain(|_, bucket| bucket.refilled(per_minute, now_ms) < full);
            if self.buckets.len() >= limits::LIMITER_ADDRESSES {
                return false;
            }
        }
        let bucket = self.buckets.entry(origin).or_insert(Bucket { left: full, at_ms: now_ms });
        bucket.left = bucket.refilled(self.per_minute, now_ms);
        bucket.at_ms = now_ms;
        if bucket.left < ATTEMPT {
            return false;
        }
        bucket.left -= ATTEMPT;
        true
    }
}

impl Bucket {
    fn refilled(self, per_minute: u64, now_ms: u64) -> u64 {
        let gained = now_ms.saturating_sub(self.at_ms).saturating_mul(per_minute);
        self.left.saturating_add(gained).min(per_minute * ATTEMPT)
    }
}

fn network(origin: Origin) -> Origin {
    match origin {
        Origin::Ip(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
            Some(mapped) => Origin::Ip(IpAddr::V4(mapped)),
            None => {
                let prefix = u128::from(address) & !u128::from(u64::MAX);
                Origin::Ip(IpAddr::V6(Ipv6Addr::from(prefix)))
            }
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Origin {
        Origin::Ip(text.parse().unwrap())
    }

    #[test]
    fn attempts_run_out_and_come_back_with_time() {
        let mut limiter = Limiter::new(3);
        let origin = ip("10.0.0.1");
        assert!((0..3).all(|_| limiter.allow(origin, 0)));
        assert!(!limiter.allow(origin, 19_999));
        assert!(limiter.allow(origin, 20_000));
        assert!(!limiter.allow(origin, 20_000));
        assert!(limiter.allow(ip("10.0.0.2"), 20_000), "another address has its own");
    }

    #[test]
    fn one_network_of_ipv6_is_one_address() {
        let mut limiter = Limiter::new(1);
        assert!(limiter.allow(ip("2001:db8::1"), 0));
        assert!(!limiter.allow(ip("2001:db8::2"), 0));
        assert!(limiter.allow(ip("2001:db8:0:1::1"), 0));
        assert!(limiter.allow(ip("::ffff:10.0.0.1"), 0));
        assert!(!limiter.allow(ip("10.0.0.1"), 0));
    }

    #[test]
    fn addresses_are_bounded_and_those_at_rest_make_room() {
        let mut limiter = Limiter::new(1);
        for number in 0..limits::LIMITER_ADDRESSES as u32 {
            assert!(limiter.allow(Origin::Ip(IpAddr::V4(number.into())), 0));
        }
        assert!(!limiter.allow(ip("255.0.0.1"), 1));
        assert_eq!(limiter.buckets.len(), limits::LIMITER_ADDRESSES);
        assert!(limiter.allow(ip("255.0.0.1"), 60_000));
        assert_eq!(limiter.buckets.len(), 1);
    }

    #[test]
    fn zero_allows_any_number() {
        let mut limiter = Limiter::new(0);
        assert!((0..10_000).all(|_| limiter.allow(Origin::Local, 0)));
    }
}
