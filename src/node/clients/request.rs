//! The requests of the protocol: their names, and who may ask them.

/// Every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Makes an account and logs in.
    Create,
    /// Logs in with a password.
    Login,
    /// Asks for a token.
    Token,
    /// Logs in with a token.
    Resume,
    /// Logs out; the connection stays.
    Logoff,
    /// Pages accounts.
    List,
    /// Pages accounts with a live session.
    Who,
    /// `watch`.
    Watch,
    /// Sends a message.
    Send,
    /// Brings received messages.
    Deliver,
    /// Brings messages sent and received.
    History,
    /// Brings all that happened after a cursor.
    Sync,
    /// Pages conversations.
    Inbox,
    /// Moves a read marker.
    Read,
    /// Deletes messages.
    DeleteMsgs,
    /// Changes the password.
    Passwd,
    /// Deletes the account.
    Delete,
    /// Asks whether the server is there.
    Ping,
    /// Asks how the server is.
    ServerStatus,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, before and after a login.
    Anyone,
    /// Names an account in `src` and proves it: `create`, `login`, `resume`.
    Names,
    /// Only who is logged in.
    LoggedIn,
    /// Only who is logged in with a password.
    WithPassword,
}

/// One row of [`TABLE`].
pub struct Row {
    /// The `cmd`.
    pub cmd: &'static str,
    /// What it stands for.
    pub request: Request,
    /// Who may ask it.
    pub access: Access,
    /// Whether it changes something (`deliver` does only with a limit).
    pub changes: bool,
}

const fn reads(cmd: &'static str, request: Request, access: Access) -> Row {
    Row { cmd, request, access, changes: false }
}

const fn changes(cmd: &'static str, request: Request, access: Access) -> Row {
    Row { cmd, request, access, changes: true }
}

/// Every request, once. The most frequent first, since it is searched from the start.
pub const TABLE: [Row; 19] = [
    changes("send", Request::Send, Access::LoggedIn),
    reads("ping", Request::Ping, Access::Anyone),
    changes("read", Request::Read, Access::LoggedIn),
    reads("sync", Request::Sync, Access::LoggedIn),
    reads("history", Request::History, Access::LoggedIn),
    reads("deliver", Request::Deliver, Access::LoggedIn),
    reads("inbox", Request::Inbox, Access::LoggedIn),
    reads("list", Request::List, Access::LoggedIn),
    reads("who", Request::Who, Access::LoggedIn),
    reads("watch", Request::Watch, Access::LoggedIn),
    changes("delete_msgs", Request::DeleteMsgs, Access::LoggedIn),
    changes("create", Request::Create, Access::Names),
    reads("login", Request::Login, Access::Names),
    reads("resume", Request::Resume, Access::Names),
    reads("token", Request::Token, Access::LoggedIn),
    reads("logoff", Request::Logoff, Access::LoggedIn),
    changes("passwd", Request::Passwd, Access::WithPassword),
    changes("delete", Request::Delete, Access::WithPassword),
    reads("server_status", Request::ServerStatus, Access::Anyone),
];

/// The row of a `cmd`.
pub fn find(cmd: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.cmd == cmd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_cmd_and_stands_once() {
        for row in &TABLE {
            assert_eq!(find(row.cmd).unwrap().request, row.request);
            assert_eq!(TABLE.iter().filter(|other| other.request == row.request).count(), 1);
        }
        assert!(find("").is_none());
        assert!(find("Send").is_none());
    }
}
