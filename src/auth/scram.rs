//! What is kept of a password: a SCRAM-SHA-256 verifier (RFC 5802, section 3; RFC 7677), in the
//! text form that PostgreSQL gives it. Whoever reads it can check a password but not tell it,
//! except by guessing, each guess at the cost of the iterations.
//!
//! Passwords are taken as the bytes that they are, without SASLprep: for ASCII there is no
//! difference.

use std::fmt;
use std::str::FromStr;

use super::pbkdf2::pbkdf2_sha256;
use super::sha256::{self, DIGEST};
use super::{base64, equal_constant_time, hmac};
use crate::limits::VERIFIER_ITERATIONS;
use crate::sys::memory;

/// Bytes of a salt.
pub const SALT: usize = 16;

const SCHEME: &str = "SCRAM-SHA-256";

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// Rounds of PBKDF2, from 1 to [`VERIFIER_ITERATIONS`].
    pub iterations: u32,
    /// Random bytes, made for this verifier.
    pub salt: [u8; SALT],
    /// The hash of the client key: who knows the password can prove it against this.
    pub stored_key: [u8; DIGEST],
    /// With this a server could prove that it holds the verifier.
    pub server_key: [u8; DIGEST],
}

impl Verifier {
    /// The verifier of a password. Slow, on purpose: `iterations` (at least 1) rounds.
    pub fn derive(password: &[u8], salt: [u8; SALT], iterations: u32) -> Verifier {
        let mut salted = pbkdf2_sha256(password, &salt, iterations);
        let key = hmac::Key::new(&salted);
        let mut client_key = key.mac(b"Client Key");
        let stored_key = sha256::digest(&client_key);
        let server_key = key.mac(b"Server Key");
        memory::wipe(&mut salted);
        memory::wipe(&mut client_key);
        Verifier { iterations, salt, stored_key, server_key }
    }

    /// Whether this is the password. As slow as [`Verifier::derive`], and takes the same time
    /// whatever the answer.
    pub fn matches(&self, password: &[u8]) -> bool {
        let other = Verifier::derive(password, self.salt, self.iterations);
        equal_constant_time(&other.stored_key, &self.stored_key)
            & equal_constant_time(&other.server_key, &self.server_key)
    }
}

impl fmt::Display for Verifier {
    /// `SCRAM-SHA-256$iterations:salt$stored key:server key`, the last three in base64.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let salt = base64::encode(&self.salt);
        let stored = base64::encode(&self.stored_key);
        let server = base64::encode(&self.server_key);
        write!(f, "{SCHEME}${}:{salt}${stored}:{server}", self.iterations)
    }
}

impl fmt::Debug for Verifier {
    /// Without salt and keys, so that no trace has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

/// Text that is no verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadVerifier;

impl fmt::Display for BadVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not a password verifier: it must read {SCHEME}$iterations:salt$stored-key:server-key, \
             with 1 to {VERIFIER_ITERATIONS} iterations and a salt of {SALT} bytes"
        )
    }
}

impl std::error::Error for BadVerifier {}

impl FromStr for Verifier {
    type Err = BadVerifier;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Verifier, BadVerifier> {
        parse(text).ok_or(BadVerifier)
    }
}

fn parse(text: &str) -> Option<Verifier> {
    let rest = text.strip_prefix(SCHEME)?.strip_prefix('$')?;
    let (cost, keys) = rest.split_once('$')?;
    let (iterations, salt) = cost.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    let is_plain = iterations.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || iterations.starts_with('0') {
        return None;
    }
    let iterations = iterations.parse().ok().filter(|&count| count <= VERIFIER_ITERATIONS)?;
    Some(Verifier {
        iterations,
        salt: exactly(salt)?,
        stored_key: exactly(stored)?,
        server_key: exactly(server)?,
    })
}

fn exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    base64::decode(text)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3: user `user`, password `pencil`.
    fn example() -> Verifier {
        let salt = base64::decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap().try_into().unwrap();
        Verifier::derive(b"pencil", salt, 4096)
    }

    #[test]
    fn the_conversation_of_rfc_7677_is_proved_by_both_keys() {
        let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let first_bare = "n=user,r=rOprNGfwEbeRWgbNEkqO";
        let server_first = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let auth_message = format!("{first_bare},{server_first},c=biws,r={nonce}");
        let verifier = example();

        let proof = base64::decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let signature = hmac::hmac_sha256(&verifier.stored_key, auth_message.as_bytes());
        let client_key: Vec<u8> = proof.iter().zip(signature).map(|(a, b)| a ^ b).collect();
        assert_eq!(sha256::digest(&client_key), verifier.stored_key);

        let server_signature = hmac::hmac_sha256(&verifier.server_key, auth_message.as_bytes());
        let expected = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(base64::encode(&server_signature), expected);
    }

    #[test]
    fn only_the_password_matches() {
        let verifier = Verifier::derive(b"pencil", [7; 16], 10);
        assert!(verifier.matches(b"pencil"));
        for other in [&b""[..], b"Pencil", b"pencil ", b"penci", b"pencil\0x"] {
            assert!(!verifier.matches(other), "{other:?}");
        }
        let mut other = verifier.clone();
        other.server_key[31] ^= 1;
        assert!(!other.matches(b"pencil"), "both keys must fit");
    }

    #[test]
    fn the_text_is_that_of_postgresql_and_comes_back() {
        let text = example().to_string();
        assert_eq!(
            text,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
        assert_eq!(text.parse(), Ok(example()));
    }

    #[test]
    fn text_with_any_character_changed_removed_or_doubled_is_refused_or_another_verifier() {
        let text = example().to_string();
        for at in 0..text.len() {
            for sign in ["", "$", ":", "=", "A", "0", "-", " ", "\0", "\u{e9}", "\u{0661}", "AA"] {
                let changed = format!("{}{sign}{}", &text[..at], &text[at + 1..]);
                if let Ok(verifier) = changed.parse::<Verifier>() {
                    assert_eq!(verifier.to_string(), changed);
                }
            }
            assert_eq!(text[..at].parse::<Verifier>(), Err(BadVerifier));
        }
    }

    #[test]
    fn iterations_are_bounded() {
        let text = example().to_string();
        for count in ["0", "00", "04096", "+4096", "-1", "", " 4096", "10000001", "4294967296"] {
            let changed = text.replacen("4096", count, 1);
            assert_eq!(changed.parse::<Verifier>(), Err(BadVerifier), "{count:?}");
        }
        assert!(text.replacen("4096", "10000000", 1).parse::<Verifier>().is_ok());
        assert!(BadVerifier.to_string().contains("10000000"));
    }

    #[test]
    fn a_trace_shows_no_key() {
        assert_eq!(format!("{:?}", example()), "Verifier { iterations: 4096, .. }");
    }
}
