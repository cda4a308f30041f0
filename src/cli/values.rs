//! The values of flags and operands: a struct for each subcommand, whose fields the table's rows set.
//! A field without a comment has the value of the flag of its name.

use std::path::PathBuf;
use std::str::FromStr;

use crate::node::peers::change::Verb;
use crate::protocol::framing::Codec;
use crate::{client, server};

/// The values of all subcommands; a run sets those of one.
#[derive(Debug, Default)]
pub struct Values {
    /// The home directory, which a `~` at the beginning of a path stands for.
    pub home: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub target: Target,
    pub serve: Serve,
    pub chat: Chat,
    pub status: Status,
    pub members: Members,
    pub recover: Recover,
    pub dump_log: DumpLog,
    pub bench_codec: BenchCodec,
    pub bench_load: BenchLoad,
    pub completions: Completions,
}

#[derive(Debug, Default)]
pub struct Serve {
    /// All but the following two.
    pub options: server::Options,
    pub no_read_only_logins: bool,
    /// The file for a new secret, if one is wanted instead of a server.
    pub new_secret: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub struct Chat {
    /// All but the action.
    pub options: client::Options,
    pub send: Option<String>,
    pub history: Option<String>,
    pub list: bool,
    pub inbox: bool,
    /// The operand of `--send` or `--list`.
    pub operand: Option<String>,
}

/// The servers that `status` and `members` ask.
#[derive(Debug, Default)]
pub struct Target {
    /// The data directory of a server on this machine, if that is asked.
    pub data_dir: Option<PathBuf>,
    /// Otherwise: peer addresses, `HOST:PORT`.
    pub servers: Vec<String>,
    pub cluster_secret_file: Option<PathBuf>,
    pub timeout_ms: u64,
}

#[derive(Debug, Default)]
pub struct Status {
    /// Seconds between two looks; `None`: look once.
    pub watch: Option<u64>,
    pub json: bool,
}

#[derive(Debug, Default)]
pub struct Members {
    /// The change; `None`: list the members.
    pub verb: Option<Verb>,
    /// The server to change, `NAME` or `NAME=HOST[:PORT]`.
    pub server: Option<String>,
    pub json: bool,
}

#[derive(Debug, Default)]
pub struct Recover {
    /// The data directory.
    pub path: PathBuf,
    pub force: bool,
    pub yes: bool,
}

#[derive(Debug, Default)]
pub struct DumpLog {
    /// A data directory or a segment.
    pub path: PathBuf,
    pub json: bool,
    pub records: Records,
    pub follow: bool,
    pub verify: bool,
    pub stats: bool,
    pub digest: Option<u64>,
    pub export: Option<PathBuf>,
    pub force: bool,
    pub with_secrets: bool,
    pub colour: Option<bool>,
    pub no_pager: bool,
}

/// The records that `dump-log` prints: those that match all of these.
#[derive(Debug, Default)]
pub struct Records {
    pub from: Option<u64>,
    pub to: Option<u64>,
    /// Milliseconds since the start of 1970, as `until_ms`.
    pub since_ms: Option<u64>,
    pub until_ms: Option<u64>,
    /// The account, folded.
    pub user: Option<String>,
    /// Empty: all kinds.
    pub kinds: Vec<String>,
}

#[derive(Debug, Default)]
pub struct BenchCodec {
    pub runs: u32,
    pub json: bool,
    pub colour: Option<bool>,
}

#[derive(Debug, Default)]
pub struct BenchLoad {
    /// `HOST:PORT` or `unix:PATH`, to try in turn.
    pub servers: Vec<String>,
    pub clients: usize,
    pub pipeline: usize,
    pub size: usize,
    pub seconds: u64,
    pub messages: Option<u64>,
    pub idle: usize,
    pub codec: Codec,
    pub json: bool,
    pub keep: bool,
    pub server_pid: Option<u32>,
}

#[derive(Debug, Default)]
pub struct Completions {
    pub shell: Shell,
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shell {
    #[default]
    Bash,
    Zsh,
    Fish,
}

impl FromStr for Shell {
    type Err = String;

    fn from_str(name: &str) -> Result<Shell, String> {
        match name {
            "bash" => Ok(Shell::Bash),
            "zsh" => Ok(Shell::Zsh),
            "fish" => Ok(Shell::Fish),
            _ => {
                let name = name.escape_debug();
                Err(format!("no completions for '{name}'; expected one of bash, zsh, fish"))
            }
        }
    }
}
