//! What happened, so that a run of nothing does not look good.

use std::fmt;

macro_rules! counts {
    ($($field:ident $text:literal,)*) => {
        /// The numbers of one history, or of many.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $(pub $field: u64,)* }

        impl Counts {
            /// Adds another's.
            pub fn add(&mut self, other: &Counts) { $(self.$field += other.$field;)* }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>12} {}", self.$field, $text)?;)*
                Ok(())
            }
        }
    };
}

counts! {
    histories "histories",
    simulated_ms "simulated milliseconds",
    committed "entries committed",
    acknowledged "sends acknowledged",
    refused "sends refused for good",
    open "sends whose outcome stayed open",
    doubled_ids "sends of an id that was sent before",
    shown "messages shown to people, each once",
    answers "answers held against the model",
    looks "looks of clients for another server",
    looked "of these, those that were answered",
    elections "PRIMARYs elected",
    kills "processes killed",
    power_losses "machines that lost their power",
    unsynced_lost "times that bytes were lost that no sync covered",
    torn_tails "writes cut short by a crash",
    failed_starts "starts that the disk did not let happen",
    damaged "logs damaged at rest",
    damage_left_out "damages that look like a crash's, left out",
    forgotten "losses without a trace of what a majority of others has",
    forgotten_alone "losses without a trace of what perhaps the PRIMARY alone has",
    noticed "of these, those that the server has noticed",
    remembered "of these, those that the disk had after all, since the PRIMARY stepped down",
    restoring "starts of a server that is to be restored",
    all_at_once "crashes of all servers at once",
    stopped "clean stops",
    hand_overs "clean stops asked for",
    formed "servers that formed their cluster",
    forming_crashes "crashes of servers that waited for others",
    added "members added",
    removed "members removed",
    replaced "members replaced",
    changes_refused "changes of the members refused",
    changes_open "changes of the members whose outcome stayed open to who asked",
    wiped "members that lost their disk",
    ghosts "lost disks that came back on another machine",
    copies "copies made of disks",
    rolled_back "disks rolled back to a copy",
    condemned "old copies that were found out",
    removed_starts "starts of servers that were removed",
    partitions "partitions",
    one_way "one-way cuts",
    isolated "isolations of the PRIMARY",
    flaps "links that flapped",
    slow_names "look-ups of servers' names that took long",
    failed_names "look-ups that failed",
    dead_addresses "look-ups that gave an address of nobody too",
    pauses "pauses",
    suspended "pauses in which the monotonic clock stood still too",
    clock_jumps "clocks that jumped",
    years "clocks that may have jumped by years",
    went_back "entries whose time went back",
    by_median "times of entries held against the median of three clocks or more",
    stalls "disks that stalled",
    sync_errors "syncs that failed",
    full_disks "disks that filled up",
    left_full "disks that were full in the end, beside a majority with room",
    client_crashes "client processes that crashed",
    adopted "messages that a client took over from one that died",
    disk_told "errors of clients' disks that people were told of",
    given_up "messages that waited for a day and were given up",
    client_cuts "clients cut off from servers",
    connections "client connections",
    redirects "redirects followed",
    lagging "connections that missed pushes for reading too slowly",
    read_only "answers from read-only servers",
    durable_checks "times that all disks were recovered from what was synced",
}
