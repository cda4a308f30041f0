//! How often one network may have a password checked.

use std::collections::HashMap;

use crate::limits;
use crate::net::Network;

/// A bucket of attempts per network, refilled at a steady rate.
pub struct Limiter {
    per_minute: u64,
    buckets: HashMap<Network, Bucket>,
    /// When full buckets may be looked for again, milliseconds: a search costs a step per network.
    sweep_ms: u64,
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
        Limiter { per_minute: u64::from(per_minute), buckets: HashMap::new(), sweep_ms: 0 }
    }

    /// Takes one attempt of `network`, if it has one left. Networks past
    /// [`limits::LIMITER_ADDRESSES`] that are all short of attempts are refused.
    pub fn allow(&mut self, network: Network, now_ms: u64) -> bool {
        if self.per_minute == 0 {
            return true;
        }
        let full = self.per_minute * ATTEMPT;
        if !self.buckets.contains_key(&network) && self.buckets.len() >= limits::LIMITER_ADDRESSES {
            if now_ms >= self.sweep_ms {
                self.sweep_ms = now_ms + limits::SWEEP_MS;
                let per_minute = self.per_minute;
                self.buckets.retain(|_, bucket| bucket.refilled(per_minute, now_ms) < full);
            }
            if self.buckets.len() >= limits::LIMITER_ADDRESSES {
                return false;
            }
        }
        let bucket = self.buckets.entry(network).or_insert(Bucket { left: full, at_ms: now_ms });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Origin;
    use std::net::IpAddr;

    fn ip(text: &str) -> Network {
        Origin::Ip(text.parse().unwrap()).network()
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
    fn addresses_are_bounded_and_those_at_rest_make_room() {
        let mut limiter = Limiter::new(1);
        for number in 0..limits::LIMITER_ADDRESSES as u32 {
            assert!(limiter.allow(Origin::Ip(IpAddr::V4(number.into())).network(), 0));
        }
        assert!(!limiter.allow(ip("255.0.0.1"), 1));
        assert_eq!(limiter.buckets.len(), limits::LIMITER_ADDRESSES);
        assert!(limiter.allow(ip("255.0.0.1"), 60_000));
        assert_eq!(limiter.buckets.len(), 1);
    }

    #[test]
    fn zero_allows_any_number() {
        let mut limiter = Limiter::new(0);
        assert!((0..10_000).all(|_| limiter.allow(Origin::Local.network(), 0)));
    }
}
