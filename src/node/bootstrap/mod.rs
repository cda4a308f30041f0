//! From a data directory and the flags to a server's place in its cluster: the log is read back, and
//! where it does not say yet what this server is, the others are waited for. Pure but for its disks,
//! on which it works synchronously: nobody is served meanwhile.
//!
//! ```text
//! start -> Opening -> Waiting (forms a cluster, or joins one) -> Opened -> Ready
//!             `------------------------------------------------->'
//! ```
//!
//! | file        | what it has |
//! | ---         | --- |
//! | this one    | the steps |
//! | [`state`]   | what `server_state.txt` says at a start |
//! | [`log`]     | the log is read back; what is damaged is set aside, where others can restore it |
//! | [`former`]  | a server that is no member yet |
//! | [`forming`] | how empty servers become a cluster, and why that is safe |

pub mod disks;
mod former;
pub mod forming;
mod log;
mod state;

use core::net::SocketAddr;

use disks::Disks;
use former::{Former, Means, Outcome};

use super::end::End;
use super::flags::{Flags, Listed};
use super::lines::{Line, TraceLevel};
use super::members::{self, LONE};
use super::payload;
use super::peers::handshake::{Identity, Kind};
use super::peers::mesh::{self, Member, Mesh};
use super::peers::wire::Stage;
use super::random::Random;
use super::replica::Recovered;
use super::standing::{self, Known, Standing};
use super::time::Now;

use crate::auth::hmac;
use crate::auth::sha256::Sha256;
use crate::chat;
use crate::limits;
use crate::net::Listen;
use crate::raft::{self, ServerId};
use crate::wal::Disk;
use crate::wal::hard_state::{self, HardState};

/// A server that starts.
pub struct Bootstrap<D> {
    flags: Flags,
    disks: Disks<D>,
    random: Random,
    file: HardState,
    step: Option<Step<D>>,
    /// Lines for the operator.
    pub lines: Vec<Line>,
}

enum Step<D> {
    /// The ports for the others are being opened, for these servers; what comes then.
    Opening { members: Vec<Member>, survives: String, then: Then },
    /// It is no member yet. Who only waits to be told where it stands has a log already.
    Waiting(Former<D>, Option<Recovered>),
    /// The cluster is formed. Next comes reading the log: that which it began, or that of these
    /// servers.
    Formed(Option<Vec<chat::Member>>),
    /// It knows what it is.
    Known(Recovered, ServerId),
}

enum Then {
    Form,
    Join(Recovered),
    Go(Recovered, ServerId),
}

/// What a server goes on with.
pub struct Ready {
    /// What it was told.
    pub flags: Flags,
    /// The log and the state.
    pub recovered: Recovered,
    /// Its number.
    pub id: ServerId,
    /// Where what is random comes from.
    pub random: Random,
}

impl<D: Disk + Clone> Bootstrap<D> {
    /// Reads what the directory has. What is random comes from `seed`.
    pub fn start(flags: Flags, mut disks: Disks<D>, seed: [u8; 32]) -> Result<Bootstrap<D>, End> {
        let mut random = Random::new(seed);
        let file = state::load(&mut disks, &flags, &mut random)?;
        let mut boot = Bootstrap { flags, disks, random, file, step: None, lines: Vec::new() };
        boot.step = Some(match boot.file.term == 0 && !boot.flags.cluster.is_empty() {
            true => boot.open_listed(Then::Form),
            false => boot.enter()?,
        });
        Ok(boot)
    }

    /// What the directory says.
    pub fn file(&self) -> &HardState {
        &self.file
    }

    /// Where to open the port for the other servers; none for a server that needs no such port.
    pub fn address(&self) -> Result<Option<Listen>, End> {
        let Some(Step::Opening { members, .. }) = &self.step else { return Ok(None) };
        let id = &self.file.id;
        let own = members.iter().find(|member| member.name == *id);
        let address = own.map_or("", |member| &member.address);
        if members.len() == 1 && address.is_empty() {
            return Ok(None);
        }
        self.secret()?;
        let listen = address.parse().map_err(|error| {
            End::Cluster(format!("cannot use the peer address of {id}: {error}"))
        })?;
        Ok(Some(listen))
    }

    fn secret(&self) -> Result<hmac::Key, End> {
        match &self.flags.secret {
            Some(Ok(secret)) => Ok(secret.clone()),
            Some(Err(why)) => Err(End::Secret(why.clone())),
            None => Err(End::Cluster("the peer port needs --cluster-secret-file".to_owned())),
        }
    }

    /// The ports are open, that for the other servers at these addresses.
    pub fn opened(&mut self, now: Now, bound: Vec<SocketAddr>) -> Result<Mesh, End> {
        let Some(Step::Opening { members, survives, then }) = self.step.take() else {
            unreachable!("ports are opened once");
        };
        let mut mesh = match bound.is_empty() {
            // Operators on this machine reach it, and nobody else.
            true => {
                let nobody_knows = hmac::Key::new(&self.random.key());
                self.mesh(members, nobody_knows, "", now)
            }
            false => {
                let address = self.flags.clients.address.clone();
                let mesh = self.mesh(members, self.secret()?, &address, now);
                self.tell_cluster(&mesh, &bound, &survives);
                mesh
            }
        };
        mesh.set_listening(bound);
        self.step = Some(match then {
            Then::Form => {
                let disks = self.disks.clone();
                let segment_bytes = self.flags.segment_bytes;
                let former = Former::form(disks, segment_bytes, &mut self.means(&mut mesh, now))?;
                Step::Waiting(former, None)
            }
            Then::Join(recovered) => {
                let disks = self.disks.clone();
                let segment_bytes = self.flags.segment_bytes;
                let former = Former::join(disks, segment_bytes, &mut self.means(&mut mesh, now));
                Step::Waiting(former, Some(recovered))
            }
            Then::Go(recovered, id) => Step::Known(recovered, id),
        });
        Ok(mesh)
    }

    fn means<'b>(&'b mut self, mesh: &'b mut Mesh, now: Now) -> Means<'b> {
        let (now_ms, unix_ms) = (now.monotonic_ms, now.unix_ms);
        Means { own: &mut self.file, mesh, now_ms, unix_ms }
    }

    /// Does what can be done now. The mesh has the frames that it sends.
    pub fn turn(mut self: Box<Self>, mesh: &mut Mesh, now: Now) -> Result<Turned<D>, End> {
        loop {
            match self.step.take() {
                Some(Step::Waiting(mut former, recovered)) => {
                    let outcome = former.turn(&mut self.means(mesh, now))?;
                    self.step = Some(match (outcome, recovered) {
                        (None, recovered) => {
                            self.step = Some(Step::Waiting(former, recovered));
                            return Ok(Turned::Waits(self));
                        }
                        (Some(Outcome::Formed), _) => Step::Formed(None),
                        (Some(Outcome::Joined(members)), None) => Step::Formed(Some(members)),
                        (Some(Outcome::Joined(members)), Some(recovered)) => {
                            self.joined(recovered, members)
                        }
                    });
                }
                Some(Step::Formed(None)) => {
                    // The ports are open already.
                    self.step = Some(match self.enter()? {
                        Step::Opening { then: Then::Go(recovered, id), .. } => {
                            Step::Known(recovered, id)
                        }
                        _ => unreachable!("who has formed a cluster is a member of it"),
                    });
                }
                Some(Step::Formed(Some(members))) => {
                    let recovered = self.recover()?;
                    self.step = Some(self.joined(recovered, members));
                }
                Some(Step::Known(recovered, id)) => {
                    let Bootstrap { flags, random, lines, .. } = *self;
                    let ready = Ready { flags, recovered, id, random };
                    return Ok(Turned::Ready(Box::new(ready), lines));
                }
                step => {
                    self.step = step;
                    return Ok(Turned::Waits(self));
                }
            }
        }
    }

    fn joined(&self, mut recovered: Recovered, members: Vec<chat::Member>) -> Step<D> {
        let own = members::find(&members, &self.file);
        let id = ServerId(own.expect("who is let in is a member").number);
        recovered.members = members;
        recovered.file.clone_from(&self.file);
        Step::Known(recovered, id)
    }

    /// The log is read, and says what this server is.
    fn enter(&mut self) -> Result<Step<D>, End> {
        let recovered = self.recover()?;
        let mut lists = vec![recovered.members.clone()];
        lists.extend(payload::lists_in(&recovered.tail));
        let was_member = recovered.state.was_member(self.file.incarnation);
        let known = Known { lists: &lists, was_member };
        Ok(match standing::of(&self.flags, &self.file, &known)? {
            Standing::Alone => {
                self.rename()?;
                let mut recovered = recovered;
                recovered.file.clone_from(&self.file);
                match self.flags.cluster.is_empty() {
                    false => self.open_listed(Then::Go(recovered, LONE)),
                    true => {
                        let own = Member {
                            name: self.file.id.clone(),
                            address: String::new(),
                            incarnation: Some(self.file.incarnation),
                            number: LONE,
                        };
                        let (members, survives) = (vec![own], String::new());
                        Step::Opening { members, survives, then: Then::Go(recovered, LONE) }
                    }
                }
            }
            Standing::Member(id) => {
                let survives = members::survive(known.newest());
                let members = known.possible();
                // Who is on its way out goes on listening until it knows that for good.
                let members = match members::find(&members, &self.file) {
                    Some(_) => members.into_iter().map(Member::from).collect(),
                    None => self.listed(),
                };
                Step::Opening { members, survives, then: Then::Go(recovered, id) }
            }
            Standing::Joining => self.open_listed(Then::Join(recovered)),
        })
    }

    /// A server that was alone gets the name that the flags give it.
    fn rename(&mut self) -> Result<(), End> {
        match &self.flags.id {
            Some(id) if *id != self.file.id => {
                self.file.id.clone_from(id);
                hard_state::save(&mut self.disks.state, &self.file).map_err(End::State)
            }
            _ => Ok(()),
        }
    }

    /// The instant at which [`Bootstrap::turn`] must be called if nothing happens, milliseconds.
    pub fn next_ms(&self) -> Option<u64> {
        match &self.step {
            Some(Step::Waiting(former, _)) => Some(former.next_ms()),
            Some(Step::Formed(_) | Step::Known(..)) => Some(0),
            _ => None,
        }
    }

    fn open_listed(&self, then: Then) -> Step<D> {
        let members = self.listed();
        let survives = members::survives(members.len());
        Step::Opening { members, survives, then }
    }

    /// The members, as the flags list them before the cluster is formed. Only the own incarnation is
    /// known then.
    fn listed(&self) -> Vec<Member> {
        let file = &self.file;
        let member = |(place, listed): (usize, &Listed)| Member {
            name: listed.name.clone(),
            address: listed.address.clone(),
            incarnation: (listed.name == file.id).then_some(file.incarnation),
            number: mesh::id_of(place),
        };
        self.flags.cluster.iter().enumerate().map(member).collect()
    }

    /// What is known of the other servers, without connections yet.
    fn mesh(
        &mut self,
        members: Vec<Member>,
        secret: hmac::Key,
        client_address: &str,
        now: Now,
    ) -> Mesh {
        let HardState { id, cluster, incarnation, boots, met, term, .. } = self.file.clone();
        let mut about = mesh::empty_about(digest(&members), client_address.to_owned());
        about.cluster = cluster;
        if term > 0 {
            about.stage = Stage::Started;
        }
        let settings = mesh::Settings {
            me: Identity { kind: Kind::Server, name: id, cluster, incarnation, boots },
            met,
            members,
            secret,
            about,
            silence_ms: limits::PEER_SILENCE_TIMEOUTS * self.flags.core.election_timeout_ms,
            seed: self.random.key(),
        };
        Mesh::new(settings, now.monotonic_ms)
    }

    /// What a server of a cluster says of itself at its start.
    fn tell_cluster(&mut self, mesh: &Mesh, bound: &[SocketAddr], survives: &str) {
        let (members, id) = (mesh.members(), &self.file.id);
        let own = members.iter().find(|member| member.name == *id);
        let given = own.map_or("?", |member| &member.address);
        let bound: Vec<String> = bound.iter().map(ToString::to_string).collect();
        let bound = bound.join(" and ");
        let peer_address = match given == bound {
            true => bound,
            false => format!("{given}, which is {bound}"),
        };
        let others = members.iter().filter(|member| member.name != *id);
        let others: Vec<&str> = others.map(|member| member.name.as_str()).collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!("; with {}", others.join(", ")),
        };
        let clients = &self.flags.clients.address;
        self.lines.push(Line::new(
            TraceLevel::Info,
            format!("clients at {clients}, peers at {peer_address}{others}: {survives}"),
        ));
        let same = |(listed, member): (&Listed, &Member)| {
            listed.name == member.name && listed.address == member.address
        };
        let listed = &self.flags.cluster;
        let differs = listed.len() != members.len() || !listed.iter().zip(members).all(same);
        if differs && !listed.is_empty() {
            let text = "--cluster differs from the members in the log: using those in the log";
            self.lines.push(Line::new(TraceLevel::Warning, text));
        }
    }
}

/// What has become of a start.
pub enum Turned<D> {
    /// It goes on waiting.
    Waits(Box<Bootstrap<D>>),
    /// It knows what it is; lines for the operator.
    Ready(Box<Ready>, Vec<Line>),
}

/// A digest of a list of servers, by which two find out whether they were given the same.
fn digest(members: &[Member]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for Member { name, address, .. } in members {
        hash.update(format!("{name}={address}\n").as_bytes());
    }
    hash.finish()
}

/// That the log is to be restored.
pub fn restoring() -> Line {
    let text = "the log is damaged: this server neither votes nor acknowledges until the PRIMARY has \
                restored it. If a majority of the servers is damaged or lost, there may be no \
                PRIMARY: see DAMAGE in chatctl-serve(1)";
    Line::new(TraceLevel::Error, text)
}

/// Whether the log of a server with this copy is being restored, or about to be.
pub fn is_damaged(file: &HardState) -> bool {
    raft::is_damaged(file.copy)
}
