//! Tokens: what lets a session come back without its password. Nothing is stored for one: it is a
//! code (HMAC-SHA-256) under the cluster's secret over the account's name, when it ends, and the
//! password's verifier, so that a new password, or the account's end, makes it void everywhere.
//!
//! ```text
//! 1.1767225600000.DDLK6omz4ts82gMA7c2qv-L2qy9pH12iOd03HEcEIaY
//! |       |                        `-- the code, base64 for URLs without padding
//! |       `-- when it ends: milliseconds since the Unix epoch, decimal
//! `-- the version of the form and of what the code covers
//! ```

use super::scram::Verifier;
use super::{base64, equal_constant_time, hmac};
use crate::limits::TOKEN_BYTES;
use crate::mutants::{Mutant, planted};

const VERSION: &str = "1";
/// What keeps this code from being taken for any other that the secret makes.
const PURPOSE: &[u8] = b"chatctl resume token 1";

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadToken {
    /// It does not read like a token of this version.
    Malformed,
    /// It was made here, and its time is over.
    Expired,
    /// It was not made with this secret for this account and password, or it was changed.
    Wrong,
}

impl std::fmt::Display for BadToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            BadToken::Malformed => "not a token of this version; log in with the password",
            BadToken::Expired => "the token has expired; log in with the password",
            BadToken::Wrong => "the token is no longer valid for this account; log in again",
        })
    }
}

impl std::error::Error for BadToken {}

/// Makes a token for an account, by its folded name, good until `expires_ms` (Unix time).
pub fn issue(secret: &[u8; 32], name: &str, expires_ms: u64, verifier: &Verifier) -> String {
    let code = code(secret, name, expires_ms, verifier);
    format!("{VERSION}.{expires_ms}.{}", base64::encode_url(&code))
}

/// Whether a token is one that [`issue`] made for this account and its password, still good at
/// `now_ms` (Unix time).
pub fn check(
    secret: &[u8; 32],
    name: &str,
    now_ms: u64,
    verifier: &Verifier,
    token: &str,
) -> Result<(), BadToken> {
    let (expires_ms, given) = parse(token).ok_or(BadToken::Malformed)?;
    let expected = code(secret, name, expires_ms, verifier);
    if !equal_constant_time(&expected, &given) {
        return Err(BadToken::Wrong);
    }
    // Only who has a true token is told that its time is over.
    if now_ms >= expires_ms { Err(BadToken::Expired) } else { Ok(()) }
}

fn parse(token: &str) -> Option<(u64, [u8; 32])> {
    if token.len() > TOKEN_BYTES {
        return None;
    }
    let rest = token.strip_prefix(VERSION)?.strip_prefix('.')?;
    let (expires, code) = rest.split_once('.')?;
    let is_plain = expires.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || (expires.len() > 1 && expires.starts_with('0')) {
        return None;
    }
    Some((expires.parse().ok()?, base64::decode_url(code)?.try_into().ok()?))
}

/// The code, over fields that each have their length before them.
fn code(secret: &[u8; 32], name: &str, expires_ms: u64, verifier: &Verifier) -> [u8; 32] {
    let mut code = hmac::Key::new(secret).begin();
    let any = planted(Mutant::TokenOutlivesPassword);
    let verifier = if any { String::new() } else { verifier.to_string() };
    let fields = [PURPOSE, name.as_bytes(), &expires_ms.to_be_bytes(), verifier.as_bytes()];
    for field in fields {
        code.update(&(field.len() as u64).to_be_bytes());
        code.update(field);
    }
    code.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 32] = [9; 32];
    const END: u64 = 1_767_225_600_000;

    fn verifier() -> Verifier {
        Verifier { iterations: 4096, salt: [1; 16], stored_key: [2; 32], server_key: [3; 32] }
    }

    fn check_at(now_ms: u64, token: &str) -> Result<(), BadToken> {
        check(&SECRET, "alice", now_ms, &verifier(), token)
    }

    #[test]
    fn a_token_is_good_until_its_time_is_over() {
        let token = issue(&SECRET, "alice", END, &verifier());
        assert_eq!(check_at(0, &token), Ok(()));
        assert_eq!(check_at(END - 1, &token), Ok(()));
        assert_eq!(check_at(END, &token), Err(BadToken::Expired));
        assert_eq!(check_at(u64::MAX, &token), Err(BadToken::Expired));
        for expires_ms in [0, u64::MAX] {
            let token = issue(&SECRET, "alice", expires_ms, &verifier());
            assert_eq!(check_at(0, &token).is_ok(), expires_ms > 0);
        }
    }

    #[test]
    fn a_token_is_for_one_secret_account_and_password() {
        let token = issue(&SECRET, "alice", END, &verifier());
        let wrong = Err(BadToken::Wrong);
        assert_eq!(check(&[8; 32], "alice", 0, &verifier(), &token), wrong);
        for name in ["", "alic", "alicf", "alice1", "bob"] {
            assert_eq!(check(&SECRET, name, 0, &verifier(), &token), wrong);
        }
        let changes: [fn(&mut Verifier); 4] = [
            |verifier| verifier.iterations += 1,
            |verifier| verifier.salt[15] ^= 1,
            |verifier| verifier.stored_key[0] ^= 1,
            |verifier| verifier.server_key[31] ^= 128,
        ];
        for change in changes {
            let mut other = verifier();
            change(&mut other);
            assert_eq!(check(&SECRET, "alice", 0, &other, &token), wrong);
        }
    }

    #[test]
    fn a_token_with_any_character_changed_left_out_or_added_is_refused() {
        let token = issue(&SECRET, "alice", END, &verifier());
        let signs = (0..=127u8).map(char::from).chain(['\u{e9}', '\u{0661}', '\u{1F600}']);
        for sign in signs {
            for at in 0..token.len() {
                let (before, after) = (&token[..at], &token[at + 1..]);
                let changed = format!("{before}{sign}{after}");
                if changed != token {
                    assert!(check_at(0, &changed).is_err(), "{changed}");
                }
                let added = format!("{before}{sign}{}", &token[at..]);
                assert!(check_at(0, &added).is_err(), "{added}");
                assert!(check_at(0, &format!("{before}{after}")).is_err());
                assert!(check_at(0, before).is_err());
            }
            assert!(check_at(0, &format!("{token}{sign}")).is_err());
        }
    }

    #[test]
    fn text_that_is_no_token_is_malformed() {
        let code = "A".repeat(43);
        let long = format!("1.5.{}", "A".repeat(1 << 16));
        for text in [
            "",
            "1",
            "1.",
            "1..",
            "1.5",
            "1.5.",
            ".5.A",
            &long,
            &format!("2.5.{code}"),
            &format!("1.05.{code}"),
            &format!("1.+5.{code}"),
            &format!("1.-5.{code}"),
            &format!("1..{code}"),
            &format!("1.5.{code}A"),
            &format!("1.5.{code}="),
            &format!("1.18446744073709551616.{code}"),
        ] {
            assert_eq!(check_at(0, text), Err(BadToken::Malformed), "{text}");
        }
        assert_eq!(check_at(0, &format!("1.5.{code}")), Err(BadToken::Wrong));
    }

    #[test]
    fn the_form_does_not_change_unnoticed() {
        let token = issue(&SECRET, "alice", END, &verifier());
        assert_eq!(token, "1.1767225600000.DDLK6omz4ts82gMA7c2qv-L2qy9pH12iOd03HEcEIaY");
        assert!(token.len() <= TOKEN_BYTES);
    }
}
