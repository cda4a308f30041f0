//! How a server stands, for an operator.

use std::fmt::{Display, Write};

use super::lines::{Line, TraceLevel};
use super::peers::mesh::Mesh;
use super::replica::Replica;
use crate::raft::{Role, RoleChange, Why};

/// What an operator is told who asks a server without a peers' port for a change of the members.
pub const ALONE: &str = "result refused\nwhy this is a single server without a peer port: start it \
                         with --id, --cluster and --cluster-secret-file first\n";

/// A `key value` a line.
pub fn text(
    replica: &Replica,
    mesh: &Mesh,
    is_alone: bool,
    connections: usize,
    sync_us: u64,
) -> String {
    let core = replica.core();
    let mut text = String::new();
    let mut put = |key: &str, value: &dyn Display| {
        let _ = writeln!(text, "{key} {value}"); // writing to a String cannot fail
    };
    put("id", &replica.file().id);
    match core.is_restoring() {
        true => put("role", &"RESTORING"),
        false => put("role", &core.role()),
    }
    put("term", &core.term());
    put("commit", &core.commit());
    put("applied", &replica.state().applied());
    put("last", &core.last_index());
    put("sync_us", &sync_us);
    put("connections", &connections);
    put("segments", &replica.wal().segments());
    put("bytes", &replica.wal().bytes());
    put("version", &env!("CARGO_PKG_VERSION"));
    let name = |id| mesh.name_of(id);
    put("primary", &core.primary().map_or("-", name));
    for member in mesh.members() {
        let (name, id) = (&member.name, member.number);
        let address = if is_alone { "-" } else { &member.address };
        let up = if id == core.id() || mesh.is_up(id) { "up" } else { "down" };
        let votes = if core.members().is_voter(id) { "voter" } else { "non-voter" };
        let directory = member.incarnation.unwrap_or(0);
        let rest = format_args!("{up} {votes} {directory:016x} {id}");
        put("member", &format_args!("{name} {address} {rest}"));
        if let Some(why) = mesh.why_down(id) {
            put("why", &format_args!("{name} {why}"));
        }
    }
    for backup in core.backups() {
        put("match", &format_args!("{} {}", name(backup.id), backup.match_index));
    }
    text
}

const NO_PRIMARY: &str = ", no PRIMARY is known";

/// A new role, or a PRIMARY newly known or lost. A server that is alone has nothing to tell.
pub fn line_of(change: &RoleChange, mesh: &Mesh, is_alone: bool) -> Line {
    let RoleChange { role, term, primary, why } = change;
    if is_alone {
        let line = format!("{role} in term {term}: {why}");
        return Line::of(TraceLevel::Debug, "role", line);
    }
    // Candidates come and go: what an operator must see is who is PRIMARY, and that it gives up.
    let (primary, state) = match (role, primary) {
        (Role::Backup, Some(id)) => (format!(", PRIMARY is {}", mesh.name_of(*id)), "BACKUP"),
        (Role::Backup, None) if *why == Why::QuorumLost => (NO_PRIMARY.to_owned(), "alone"),
        (Role::Backup, None) => (NO_PRIMARY.to_owned(), ""),
        (Role::Primary, _) => (String::new(), "PRIMARY"),
        _ => (String::new(), ""),
    };
    let state = if state.is_empty() { String::new() } else { format!("{state}{primary}") };
    if let Why::Lost { .. } | Why::OldCopy { .. } = why {
        return Line::new(TraceLevel::Error, why.to_string());
    }
    let level = match why {
        Why::Timeout | Why::PrimaryLost | Why::QuorumLost => TraceLevel::Warning,
        _ => TraceLevel::Info,
    };
    let why = match why {
        Why::NewerTerm { from } => format!("{} knows a newer term", mesh.name_of(*from)),
        why => why.to_string(),
    };
    let line = format!("{role} in term {term}{primary}: {why}");
    Line::of(level, "role", line).with_state(state)
}
