//! How two servers, or an operator and a server, prove to each other that they know the cluster's
//! secret. Pure.
//!
//! ```text
//! dialer -> acceptor   hello    "chatctlP"  u8 1  u16 version  u8 kind
//!                               cluster [16]  u64 incarnation  nonce [32]  own name  meant name
//!                               boots
//! acceptor -> dialer   welcome  u8 2  u16 version  cluster [16]  u64 incarnation  nonce [32]  name
//!                               boots  proof [32]
//! dialer -> acceptor   confirm  u8 3  proof [32]
//! either, instead      refuse   u8 4  u8 reason
//! ```
//! Each after its length, u32. Kind: 1 a server, 2 an operator (who has no name and no cluster).
//! Names: u8 length, bytes. Boots: u64 number of the directory's newest start, u8 count, the ids of so
//! many starts, u64 each, newest first; an operator has none. Both sides must speak the same version.
//!
//! With `h` the SHA-256 over the hello and the welcome up to its proof, each after its length: a
//! proof is the HMAC under the secret over a text that names the side, and `h`; the keys of the two
//! directions are made the same way with texts of their own ([`super::session`] uses them). So:
//!
//! - both nonces are in all of it: what was recorded cannot be played again to either side;
//! - the sides have different texts: a proof cannot be sent back to whoever made it;
//! - version, cluster, names, incarnations and starts are in `h`: whoever changes one on the way is
//!   noticed.
//!
//! The claims (cluster, name, incarnation, starts) are looked at only when the proof is good, so that
//! nobody without the secret learns what would be taken, and the answer to them is sealed. A refusal
//! without proof may come from anybody; it is told and tried again later, and decides nothing.

use super::bytes::{Malformed, Reader, put_number, put_text};
use super::reason::Reason;
use super::session::{LENGTH_BYTES, Opener, Sealer};
use crate::auth::sha256::Sha256;
use crate::auth::{equal_constant_time, hmac};
use crate::limits::NAME_BYTES;
use crate::wal::boots::Boots;

/// The key of the data directory's socket. It is no secret: who may open the socket may do anything
/// with the directory anyway. With it the handshake is the same as at the peers' port.
pub fn local_key() -> hmac::Key {
    hmac::Key::new(b"chatctl: the operator's socket")
}

/// The version of the peers' protocol. A server of another version is refused.
pub const VERSION: u16 = 4;

const MAGIC: &[u8; 8] = b"chatctlP";
const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const CONFIRM: u8 = 3;
const REFUSE: u8 = 4;
const PROOF_BYTES: usize = 32;

const DIALER_PROOF: &[u8] = b"chatctl peers 1: the dialer's proof";
const ACCEPTOR_PROOF: &[u8] = b"chatctl peers 1: the acceptor's proof";
const DIALER_KEY: &[u8] = b"chatctl peers 1: the dialer's key";
const ACCEPTOR_KEY: &[u8] = b"chatctl peers 1: the acceptor's key";

/// Who dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A server of the cluster.
    Server,
    /// An operator's command.
    Operator,
}

/// Who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A server or an operator.
    pub kind: Kind,
    /// Its name; an operator has none.
    pub name: String,
    /// The cluster's id; zeros before it has one.
    pub cluster: [u8; 16],
    /// The data directory's.
    pub incarnation: u64,
    /// The newest starts of the data directory; an operator has none.
    pub boots: Boots,
}

impl Identity {
    /// An operator's.
    pub fn operator() -> Identity {
        let (name, boots) = (String::new(), Boots::default());
        Identity { kind: Kind::Operator, name, cluster: [0; 16], incarnation: 0, boots }
    }
}

/// What the other side says that it is, proven to know the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who it says that it is.
    pub identity: Identity,
    /// Whom it means to talk to; empty for anybody.
    pub meant: String,
}

/// The keys of a connection whose two sides have proven the secret.
pub struct Session {
    /// For what is written.
    pub sealer: Sealer,
    /// For what is read.
    pub opener: Opener,
}

/// The side that dialled, waiting for the welcome.
pub struct Dialing {
    hello: Vec<u8>,
}

impl Dialing {
    /// Says hello to the server `meant`; empty: to whoever answers.
    pub fn new(me: &Identity, meant: &str, nonce: [u8; 32], out: &mut Vec<u8>) -> Dialing {
        let mut hello = MAGIC.to_vec();
        hello.push(HELLO);
        hello.extend_from_slice(&VERSION.to_be_bytes());
        hello.push(match me.kind {
            Kind::Server => 1,
            Kind::Operator => 2,
        });
        hello.extend_from_slice(&me.cluster);
        put_number(&mut hello, me.incarnation);
        hello.extend_from_slice(&nonce);
        put_text(&mut hello, &me.name);
        put_text(&mut hello, meant);
        put_boots(&mut hello, &me.boots);
        put_frame(out, &hello);
        Dialing { hello }
    }

    /// The welcome has come: proves the secret in its turn.
    pub fn on_welcome(
        &self,
        secret: &hmac::Key,
        welcome: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(Claim, Session), Reason> {
        if let Some(reason) = refusal(welcome) {
            return Err(reason);
        }
        let (told, proof) = welcome.split_last_chunk::<PROOF_BYTES>().ok_or(Reason::Malformed)?;
        let (version, identity) = read_welcome(told).map_err(|_| Reason::Malformed)?;
        if version != VERSION {
            return Err(Reason::Version);
        }
        let transcript = Transcript::new(secret, &self.hello, told);
        if !equal_constant_time(&transcript.mac(ACCEPTOR_PROOF), proof) {
            return Err(Reason::Secret);
        }
        let mut confirm = vec![CONFIRM];
        confirm.extend_from_slice(&transcript.mac(DIALER_PROOF));
        put_frame(out, &confirm);
        let claim = Claim { identity, meant: String::new() };
        Ok((claim, transcript.session(DIALER_KEY, ACCEPTOR_KEY)))
    }
}

/// The side that was dialled, waiting for the confirmation.
pub struct Accepting {
    claim: Claim,
    proof: [u8; PROOF_BYTES],
    session: Session,
}

impl Accepting {
    /// A hello has come: answers it.
    pub fn new(
        me: &Identity,
        secret: &hmac::Key,
        hello: &[u8],
        nonce: [u8; 32],
        out: &mut Vec<u8>,
    ) -> Result<Accepting, Reason> {
        if let Some(reason) = refusal(hello) {
            return Err(reason);
        }
        let (version, claim) = read_hello(hello).map_err(|_| Reason::Malformed)?;
        if version != VERSION {
            return Err(Reason::Version);
        }
        let mut welcome = vec![WELCOME];
        welcome.extend_from_slice(&VERSION.to_be_bytes());
        welcome.extend_from_slice(&me.cluster);
        put_number(&mut welcome, me.incarnation);
        welcome.extend_from_slice(&nonce);
        put_text(&mut welcome, &me.name);
        put_boots(&mut welcome, &me.boots);
        let transcript = Transcript::new(secret, hello, &welcome);
        welcome.extend_from_slice(&transcript.mac(ACCEPTOR_PROOF));
        put_frame(out, &welcome);
        let proof = transcript.mac(DIALER_PROOF);
        let session = transcript.session(ACCEPTOR_KEY, DIALER_KEY);
        Ok(Accepting { claim, proof, session })
    }

    /// The confirmation has come.
    pub fn on_confirm(self, confirm: &[u8]) -> Result<(Claim, Session), Reason> {
        if let Some(reason) = refusal(confirm) {
            return Err(reason);
        }
        match confirm.split_first() {
            Some((&CONFIRM, proof)) if equal_constant_time(&self.proof, proof) => {
                Ok((self.claim, self.session))
            }
            Some((&CONFIRM, proof)) if proof.len() == PROOF_BYTES => Err(Reason::Secret),
            _ => Err(Reason::Malformed),
        }
    }
}

/// Appends a refusal to a side that has not proven the secret, or to which it was not proven.
pub fn put_refusal(out: &mut Vec<u8>, reason: Reason) {
    put_frame(out, &[REFUSE, reason.code()]);
}

/// The reason, where a frame is a refusal.
fn refusal(frame: &[u8]) -> Option<Reason> {
    match *frame {
        [REFUSE, code] => Some(Reason::of_code(code).unwrap_or(Reason::Malformed)),
        _ => None,
    }
}

fn put_frame(out: &mut Vec<u8>, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("these frames are short");
    out.extend_from_slice(&length.to_be_bytes());
    const { assert!(LENGTH_BYTES == size_of::<u32>()) };
    out.extend_from_slice(frame);
}

fn read_hello(hello: &[u8]) -> Result<(u16, Claim), Malformed> {
    let mut reader = Reader { rest: hello };
    if reader.array()? != *MAGIC || reader.array()? != [HELLO] {
        return Err(Malformed("no hello"));
    }
    let version = u16::from_be_bytes(reader.array()?);
    let kind = match reader.array()? {
        [1] => Kind::Server,
        [2] => Kind::Operator,
        _ => return Err(Malformed("an unknown kind")),
    };
    let (cluster, incarnation) = (reader.array()?, reader.number()?);
    let _nonce: [u8; 32] = reader.array()?;
    let (name, meant) = (name(&mut reader)?, name(&mut reader)?);
    let identity = Identity { kind, name, cluster, incarnation, boots: boots(&mut reader, kind)? };
    match reader.rest {
        [] => Ok((version, Claim { identity, meant })),
        _ => Err(Malformed("bytes are left over")),
    }
}

fn read_welcome(welcome: &[u8]) -> Result<(u16, Identity), Malformed> {
    let mut reader = Reader { rest: welcome };
    if reader.array()? != [WELCOME] {
        return Err(Malformed("no welcome"));
    }
    let version = u16::from_be_bytes(reader.array()?);
    let (cluster, incarnation) = (reader.array()?, reader.number()?);
    let _nonce: [u8; 32] = reader.array()?;
    let (kind, name) = (Kind::Server, name(&mut reader)?);
    let identity = Identity { kind, name, cluster, incarnation, boots: boots(&mut reader, kind)? };
    match reader.rest {
        [] => Ok((version, identity)),
        _ => Err(Malformed("bytes are left over")),
    }
}

fn name(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    match reader.text()? {
        name if name.len() > NAME_BYTES => Err(Malformed("a long name")),
        name => Ok(name.to_owned()),
    }
}

fn put_boots(out: &mut Vec<u8>, boots: &Boots) {
    put_number(out, boots.newest().map_or(0, |newest| newest.number));
    out.push(u8::try_from(boots.ids().len()).expect("a few starts are remembered"));
    boots.ids().iter().for_each(|&id| put_number(out, id));
}

/// A server has been started once at least.
fn boots(reader: &mut Reader<'_>, kind: Kind) -> Result<Boots, Malformed> {
    let newest = reader.number()?;
    let [count] = reader.array()?;
    let ids: Result<Vec<u64>, Malformed> = (0..count).map(|_| reader.number()).collect();
    let boots = Boots::new(newest, ids?).ok_or(Malformed("no starts of a directory"))?;
    match boots.newest().is_some() == (kind == Kind::Server) {
        true => Ok(boots),
        false => Err(Malformed("a server has starts, and an operator none")),
    }
}

/// All that was said, under the secret.
struct Transcript<'s> {
    secret: &'s hmac::Key,
    digest: [u8; 32],
}

impl<'s> Transcript<'s> {
    fn new(secret: &'s hmac::Key, hello: &[u8], welcome: &[u8]) -> Transcript<'s> {
        let mut hash = Sha256::new();
        for part in [hello, welcome] {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Transcript { secret, digest: hash.finish() }
    }

    fn mac(&self, purpose: &[u8]) -> [u8; 32] {
        let mut code = self.secret.begin();
        code.update(&(purpose.len() as u64).to_be_bytes());
        code.update(purpose);
        code.update(&self.digest);
        code.finish()
    }

    fn session(&self, own: &[u8], other: &[u8]) -> Session {
        let (sealer, opener) = (Sealer::new(&self.mac(own)), Opener::new(&self.mac(other)));
        Session { sealer, opener }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::hex;
    use crate::limits::PEER_HANDSHAKE_BYTES;
    use crate::node::peers::session::Block;

    fn server(name: &str) -> Identity {
        let incarnation = u64::from(name.as_bytes()[0]);
        let boots = Boots::new(3, vec![33, 32]).unwrap();
        Identity { kind: Kind::Server, name: name.into(), cluster: [5; 16], incarnation, boots }
    }

    fn secret(byte: u8) -> hmac::Key {
        hmac::Key::new(&[byte; 32])
    }

    fn body(frame: &[u8]) -> &[u8] {
        assert!(frame.len() - LENGTH_BYTES <= PEER_HANDSHAKE_BYTES);
        &frame[LENGTH_BYTES..]
    }

    /// What each side has learnt, or at which step which reason was found.
    type Outcome = Result<[(Claim, Session); 2], (usize, Reason)>;

    /// Hello, welcome and confirmation between a and b, each changed by `change` on its way.
    fn run(secrets: (u8, u8), change: impl Fn(usize, &mut Vec<u8>)) -> Outcome {
        let (a, b) = (server("a"), server("b"));
        let (mut hello, mut welcome, mut confirm) = (Vec::new(), Vec::new(), Vec::new());
        let dialing = Dialing::new(&a, "b", [1; 32], &mut hello);
        change(0, &mut hello);
        let accepting = Accepting::new(&b, &secret(secrets.1), body(&hello), [2; 32], &mut welcome)
            .map_err(|reason| (1, reason))?;
        change(1, &mut welcome);
        let dialer = dialing
            .on_welcome(&secret(secrets.0), body(&welcome), &mut confirm)
            .map_err(|reason| (2, reason))?;
        change(2, &mut confirm);
        let acceptor = accepting.on_confirm(body(&confirm)).map_err(|reason| (3, reason))?;
        Ok([dialer, acceptor])
    }

    fn refused(secrets: (u8, u8), change: impl Fn(usize, &mut Vec<u8>)) -> (usize, Reason) {
        run(secrets, change).err().expect("a refusal")
    }

    #[test]
    fn both_learn_who_the_other_is_and_can_talk_both_ways() {
        let [(of_b, mut a), (of_a, mut b)] = run((1, 1), |_, _| {}).ok().unwrap();
        assert_eq!(of_b.identity, server("b"));
        assert_eq!((of_a.identity, of_a.meant.as_str()), (server("a"), "b"));
        for (from, to) in [(&mut a.sealer, &mut b.opener), (&mut b.sealer, &mut a.opener)] {
            let mut frame = Vec::new();
            from.seal(&mut frame, |out| out.push(4), &Block::default());
            assert_eq!(to.open(&frame[LENGTH_BYTES..]), Ok((&[4][..], &[][..])));
        }
        let mut frame = Vec::new();
        a.sealer.seal(&mut frame, |out| out.push(4), &Block::default());
        assert_eq!(a.opener.open(&frame[LENGTH_BYTES..]), Err(Reason::Code), "sent back");
    }

    #[test]
    fn the_wrong_secret_is_found_by_whoever_sees_a_proof_first() {
        assert_eq!(refused((1, 2), |_, _| {}), (2, Reason::Secret));
    }

    #[test]
    fn no_bit_can_be_changed_on_the_way() {
        for (step, length) in [101, 122, 37].into_iter().enumerate() {
            for bit in LENGTH_BYTES * 8..length * 8 {
                let change = |at: usize, frame: &mut Vec<u8>| {
                    if at == step {
                        assert_eq!(frame.len(), length);
                        frame[bit / 8] ^= 1 << (bit % 8);
                    }
                };
                assert!(run((1, 1), change).is_err(), "frame {step}, bit {bit}");
            }
        }
    }

    #[test]
    fn what_was_recorded_is_of_no_use_another_time() {
        let (a, b) = (server("a"), server("b"));
        let (mut hello, mut welcome, mut confirm) = (Vec::new(), Vec::new(), Vec::new());
        let dialing = Dialing::new(&a, "b", [1; 32], &mut hello);
        Accepting::new(&b, &secret(1), body(&hello), [2; 32], &mut welcome).ok().unwrap();
        dialing.on_welcome(&secret(1), body(&welcome), &mut confirm).ok().unwrap();
        // The same hello and confirmation to the same server, which draws another nonce.
        let again =
            Accepting::new(&b, &secret(1), body(&hello), [3; 32], &mut Vec::new()).ok().unwrap();
        assert_eq!(again.on_confirm(body(&confirm)).err(), Some(Reason::Secret));
        // The same welcome to the same dialer, which draws another nonce.
        let dialing = Dialing::new(&a, "b", [4; 32], &mut Vec::new());
        let result = dialing.on_welcome(&secret(1), body(&welcome), &mut Vec::new());
        assert_eq!(result.err(), Some(Reason::Secret));
    }

    #[test]
    fn a_proof_cannot_be_sent_back_to_whoever_made_it() {
        // Somebody without the secret answers the dialer with what it gets out of it as an acceptor.
        let a = server("a");
        let (mut hello, mut welcome) = (Vec::new(), Vec::new());
        let dialing = Dialing::new(&a, "", [1; 32], &mut hello);
        let accepting =
            Accepting::new(&a, &secret(1), body(&hello), [2; 32], &mut welcome).ok().unwrap();
        let mut confirm = vec![CONFIRM];
        confirm.extend_from_slice(&welcome[welcome.len() - PROOF_BYTES..]);
        assert_eq!(accepting.on_confirm(&confirm).err(), Some(Reason::Secret));
        drop(dialing);
    }

    #[test]
    fn another_version_is_refused() {
        for other in [VERSION - 1, VERSION + 1] {
            let change = |at: usize, frame: &mut Vec<u8>| {
                if at == 0 {
                    let version = &mut frame[LENGTH_BYTES + 9..LENGTH_BYTES + 11];
                    version.copy_from_slice(&other.to_be_bytes());
                }
            };
            assert_eq!(refused((1, 1), change), (1, Reason::Version));
        }
    }

    #[test]
    fn an_operator_says_no_starts_and_a_server_one_at_least() {
        let none = Boots::default();
        for (me, expected) in [
            (Identity::operator(), None),
            (server("a"), None),
            (
                Identity { boots: server("a").boots, ..Identity::operator() },
                Some(Reason::Malformed),
            ),
            (Identity { boots: none, ..server("a") }, Some(Reason::Malformed)),
        ] {
            let mut hello = Vec::new();
            Dialing::new(&me, "b", [1; 32], &mut hello);
            let (b, nonce) = (server("b"), [2; 32]);
            let result = Accepting::new(&b, &secret(1), body(&hello), nonce, &mut Vec::new());
            assert_eq!(result.err(), expected, "{me:?}");
        }
        let most = Boots::new(u64::MAX, vec![u64::MAX; crate::limits::BOOTS]).unwrap();
        let longest = Identity { name: "x".repeat(NAME_BYTES), boots: most, ..server("a") };
        let mut hello = Vec::new();
        Dialing::new(&longest, &longest.name, [1; 32], &mut hello);
        let mut welcome = Vec::new();
        let accepting =
            Accepting::new(&longest, &secret(1), body(&hello), [2; 32], &mut welcome).ok().unwrap();
        assert_eq!(accepting.claim.identity, longest);
        assert!(body(&welcome).len() <= PEER_HANDSHAKE_BYTES);
    }

    #[test]
    fn what_is_no_handshake_is_malformed_and_a_refusal_is_told() {
        let mut out = Vec::new();
        for bytes in [&b""[..], b"{\"cmd\": \"ping\"}", b"chatctlP", &[0; 256]] {
            let result = Accepting::new(&server("b"), &secret(1), bytes, [2; 32], &mut out);
            assert_eq!(result.err(), Some(Reason::Malformed));
        }
        assert!(out.is_empty());
        put_refusal(&mut out, Reason::Secret);
        let dialing = Dialing::new(&server("a"), "b", [1; 32], &mut Vec::new());
        let result = dialing.on_welcome(&secret(1), body(&out), &mut Vec::new());
        assert_eq!(result.err(), Some(Reason::Secret));
    }

    #[test]
    fn the_form_does_not_change_unnoticed() {
        let (mut hello, mut welcome, mut confirm) = (Vec::new(), Vec::new(), Vec::new());
        let dialing = Dialing::new(&server("a"), "b", [1; 32], &mut hello);
        let b = server("b");
        Accepting::new(&b, &secret(1), body(&hello), [2; 32], &mut welcome).ok().unwrap();
        dialing.on_welcome(&secret(1), body(&welcome), &mut confirm).ok().unwrap();
        let (ones, twos, fives) = ("01".repeat(32), "02".repeat(32), "05".repeat(16));
        let a = "0000000000000061";
        let boots = "0000000000000003 02 0000000000000021 0000000000000020";
        let start =
            format!("0000006163686174 63746c50 01 0004 01 {fives} {a} {ones} 0161 0162 {boots}");
        assert_eq!(hex::encode(&hello), start.replace(' ', ""));
        let start = format!("00000076 02 0004 {fives} 0000000000000062 {twos} 0162 {boots}");
        assert!(hex::encode(&welcome).starts_with(&start.replace(' ', "")));
        assert!(hex::encode(&confirm).starts_with("0000002103"));
    }
}
