//! The files of a client in a real folder: places, locks, what is read back and what is taken over.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chatctl::client::session::Draft;
use chatctl::client::shell::state_dir::Place;
use chatctl::client::store::Found;
use chatctl::client::store::journal::Record;
use chatctl::client::store::outbox::Outbox;
use chatctl::limits;
use chatctl::wal::RealDisk;

use crate::support::TempDir;

struct Dir(TempDir);

impl Dir {
    fn new() -> Dir {
        Dir(TempDir::new("store"))
    }

    /// Not there yet: the client makes it.
    fn path(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn open(&self) -> (Client, Found) {
        self.open_as("alice", &["a:1", "b:2"])
    }

    fn open_as(&self, user: &str, servers: &[&str]) -> (Client, Found) {
        let servers: Vec<String> = servers.iter().map(|s| s.to_string()).collect();
        let opened = Place::open(&self.path(), user, &servers);
        let (place, outbox, found) = opened.expect("the files open");
        (Client { outbox, _place: place }, found)
    }
}

/// What a client that runs has.
struct Client {
    outbox: Outbox<RealDisk>,
    _place: Place,
}

impl Client {
    fn folder(&self) -> PathBuf {
        self.outbox.path().parent().expect("it is in a folder").to_owned()
    }
}

fn draft(id: u128) -> Draft {
    Draft {
        id,
        to: "bob".to_string(),
        body: format!("text {id}"),
        known: 1,
        cluster: 5,
        written_ms: 6,
    }
}

fn ids(client: &Client) -> Vec<u128> {
    client.outbox.kept().drafts.iter().map(|draft| draft.id).collect()
}

#[test]
fn what_was_put_is_there_after_a_crash_in_order_and_what_is_gone_is_not() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    store.outbox.put(&[draft(1), draft(2)]).expect("put");
    store.outbox.put(&[draft(3)]).expect("put");
    store.outbox.note(&Record::Gone(1, 9));
    store.outbox.note(&Record::Cursor(8));
    store.outbox.note(&Record::Token("secret"));
    store.outbox.flush().expect("flush");
    drop(store); // As a kill would: no close.
    let (store, found) = dir.open();
    assert_eq!(ids(&store), [2, 3]);
    assert_eq!(store.outbox.kept().cursor, Some(8));
    assert_eq!(store.outbox.kept().own, [(9, 1)]);
    assert_eq!(store.outbox.kept().token.as_deref(), Some("secret"));
    assert_eq!(found, Found::default());
}

#[test]
fn files_and_folders_are_for_their_owner_only() {
    let dir = Dir::new();
    let (store, _) = dir.open();
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&store.outbox.path()), 0o600);
    assert_eq!(mode(&store.folder()), 0o700);
    assert_eq!(mode(&dir.path()), 0o700);
}

#[test]
fn a_torn_tail_is_cut_and_the_next_line_stands_on_its_own() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    store.outbox.put(&[draft(1), draft(2)]).expect("put");
    let path = store.outbox.path();
    drop(store);
    let whole = fs::read(&path).expect("the file");
    let first = whole.iter().position(|byte| *byte == b'\n').expect("a line") + 1;
    for cut in first..whole.len() {
        fs::write(&path, &whole[..cut]).expect("write");
        let (mut store, found) = dir.open();
        assert_eq!((ids(&store), found.damaged), (vec![1], 0), "cut at {cut}");
        store.outbox.put(&[draft(3)]).expect("put");
        drop(store);
        let (store, found) = dir.open();
        assert_eq!((ids(&store), found.damaged), (vec![1, 3], 0), "cut at {cut}");
    }
}

#[test]
fn a_damaged_line_is_told_and_the_file_as_it_was_is_kept_beside() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    store.outbox.put(&[draft(1), draft(2), draft(3)]).expect("put");
    let path = store.outbox.path();
    drop(store);
    let mut bytes = fs::read(&path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).expect("write");
    let (store, found) = dir.open();
    assert_eq!((ids(&store), found.damaged), (vec![1, 3], 1));
    let aside = store.folder().join("outbox.0.damaged");
    assert_eq!(fs::read(aside).expect("the copy"), bytes);
    drop(store);
    assert_eq!(dir.open().1.damaged, 0, "told once");
}

#[test]
fn a_rewrite_keeps_what_counts_at_every_point_where_it_may_be_cut() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    store.outbox.put(&[draft(1)]).expect("put");
    let path = store.outbox.path();
    // Cut while the new file is written: the half of it lies there, the old file says everything.
    fs::write(store.folder().join("outbox.0.new"), b"0123").expect("write");
    drop(store);
    let (mut store, _) = dir.open();
    assert_eq!(ids(&store), [1]);
    // Run through: long histories leave a short file.
    let mut longest = 0;
    for seq in 0..20_000 {
        store.outbox.note(&Record::Cursor(seq));
        if seq % 100 == 99 {
            store.outbox.flush().expect("flush");
            longest = longest.max(fs::metadata(&path).expect("the file").len());
        }
    }
    let bound = limits::OUTBOX_FILE_BYTES;
    assert!((bound * 3 / 4..=bound).contains(&longest), "{longest} bytes");
    store.outbox.put(&[draft(2)]).expect("put after a rewrite");
    drop(store);
    let (store, _) = dir.open();
    assert_eq!((ids(&store), store.outbox.kept().cursor), (vec![1, 2], Some(19_999)));
}

#[test]
fn a_second_client_has_an_outbox_of_its_own_and_the_next_first_one_takes_it_over() {
    let dir = Dir::new();
    let (mut first, found) = dir.open();
    assert!(!found.shared);
    first.outbox.put(&[draft(1)]).expect("put");
    first.outbox.note(&Record::Token("t"));
    first.outbox.note(&Record::Cursor(4));
    first.outbox.flush().expect("flush");
    let (mut second, found) = dir.open();
    assert!(found.shared);
    assert_eq!(ids(&second), [0u128; 0], "what the first has to send is not the second's");
    assert_eq!(second.outbox.kept().token.as_deref(), Some("t"));
    assert_eq!(second.outbox.kept().cursor, None, "it starts from what is newest");
    second.outbox.put(&[draft(2)]).expect("put");
    drop(second);
    drop(first);
    let (first, found) = dir.open();
    assert_eq!((ids(&first), found.adopted), (vec![1, 2], 1));
    drop(first);
    let (first, found) = dir.open();
    assert_eq!((ids(&first), found.adopted), (vec![1, 2], 0), "once");
}

#[test]
fn a_take_over_that_was_cut_leaves_one_message_not_two() {
    let dir = Dir::new();
    let (first, _) = dir.open();
    let (mut second, _) = dir.open();
    second.outbox.put(&[draft(2)]).expect("put");
    let path = second.outbox.path();
    drop((first, second));
    let before = fs::read(&path).expect("the second's outbox");
    drop(dir.open());
    fs::write(&path, before).expect("as if it had not been removed");
    let (first, _) = dir.open();
    assert_eq!(ids(&first), [2]);
}

#[test]
fn accounts_and_clusters_have_folders_of_their_own_and_one_common_server_finds_the_folder() {
    let dir = Dir::new();
    let (mut store, _) = dir.open_as("alice", &["a:1", "b:2"]);
    store.outbox.put(&[draft(1)]).expect("put");
    drop(store);
    assert!(ids(&dir.open_as("bob", &["a:1"]).0).is_empty(), "another account");
    assert!(ids(&dir.open_as("alice", &["c:3"]).0).is_empty(), "other servers");
    assert_eq!(ids(&dir.open_as("alice", &["d:4", "b:2"]).0), [1], "one in common");
    assert_eq!(ids(&dir.open_as("alice", &["d:4"]).0), [1], "the list is remembered");
}

#[test]
fn of_too_many_own_messages_the_older_half_is_forgotten() {
    let dir = Dir::new();
    let (mut store, _) = dir.open();
    let most = limits::OUTBOX_OWN as u64;
    for seq in 1..=most {
        store.outbox.note(&Record::Gone(seq.into(), seq));
    }
    assert_eq!(store.outbox.kept().own.len(), limits::OUTBOX_OWN);
    store.outbox.note(&Record::Gone(0, most + 1));
    let kept: Vec<u64> = store.outbox.kept().own.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(kept, (most / 2 + 1..=most + 1).collect::<Vec<_>>());
}

#[test]
fn more_clients_than_places_are_refused_with_a_sentence() {
    let dir = Dir::new();
    let clients: Vec<_> = (0..limits::CLIENT_SLOTS).map(|_| dir.open()).collect();
    let servers = ["a:1".to_string()];
    let error = Place::open(&dir.path(), "alice", &servers).expect_err("one too many");
    assert!(error.to_string().contains("--state-dir"), "{error}");
    drop(clients);
}
