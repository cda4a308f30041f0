//! The two directories of a server.

/// A server's directory.
#[derive(Clone)]
pub struct Disks<D> {
    /// The directory itself.
    pub state: D,
    /// That of the log.
    pub log: D,
}
