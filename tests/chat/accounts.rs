//! Accounts: founding, creation, passwords, deletion, `list`.

use super::Chat;
use chatctl::chat::glob::Pattern;
use chatctl::chat::{Command, Effect, Member, State};
use chatctl::limits;

#[test]
fn the_cluster_is_founded_once() {
    let mut chat = Chat::new(&[]);
    assert_eq!(chat.state.cluster(), Some([1; 16]));
    let again = chat.apply(|time| Command::Found {
        time,
        cluster: [8; 16],
        token_secret: [9; 32],
        members: Vec::new(),
    });
    assert_eq!(again, Effect::AlreadyFounded);
    assert_eq!(chat.state.cluster(), Some([1; 16]));
    assert_eq!(chat.state.token_secret(), Some([2; 32]));
    assert_eq!((State::new().cluster(), State::new().token_secret()), (None, None));
}

#[test]
fn an_account_keeps_its_verifier_until_passwd_brings_another() {
    let mut chat = Chat::new(&["ann"]);
    let account = chat.id("ann");
    assert_eq!(chat.state.verifier(account), Some("v1"));
    let effect = chat.apply(|time| Command::Passwd { time, name: "ann", verifier: "v2" });
    assert_eq!(effect, Effect::PasswordChanged { account });
    assert_eq!(chat.state.verifier(account), Some("v2"));
}

#[test]
fn a_name_is_given_once_and_never_again_after_its_deletion() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let account = chat.id("ann");
    assert_eq!(chat.create("ann"), Effect::NameTaken { account: Some(account) });
    assert_eq!(chat.delete("ann"), Effect::AccountDeleted { account });
    assert_eq!(chat.create("ann"), Effect::NameTaken { account: None });
    assert_eq!((chat.state.account("ann"), chat.state.account_ever("ann")), (None, Some(account)));
    assert!(chat.state.is_tombstoned("ann") && !chat.state.is_live(account));
    assert!(!chat.state.is_tombstoned("bob") && !chat.state.is_tombstoned("nobody"));
    assert_eq!((chat.state.name(account), chat.state.verifier(account)), ("ann", None));
    assert_eq!(chat.state.account_count(), 1);
}

#[test]
fn a_deleted_accounts_mailbox_is_gone_and_what_it_sent_stays() {
    let mut chat = Chat::new(&["ann", "bob"]);
    let to_bob = chat.sent("ann", "bob", 1);
    let to_ann = chat.sent("bob", "ann", 2);
    chat.read("ann", "bob", to_ann);
    chat.delete("ann");
    assert_eq!(chat.history("ann", None), []);
    assert_eq!((chat.inbox("ann"), chat.unread("ann")), (vec![], 0));
    assert_eq!((chat.received("ann", 0), chat.events("ann", 0)), (vec![], vec![]));
    assert_eq!(chat.state.to_take(chat.id("ann"), 10), []);
    assert_eq!(chat.history("bob", None), [to_bob, to_ann]);
    assert_eq!(chat.history("bob", Some("ann")), [to_bob, to_ann]);
    assert_eq!(chat.inbox("bob"), [("ann", 1, to_ann)]);
    assert_eq!(chat.events("bob", 0).len(), 2, "its end is no event for others");
    assert_eq!(chat.read("bob", "ann", to_bob), (to_bob, true));
    assert_eq!(chat.take("bob", 1), [to_bob]);
    // The sender takes back what only he still has; the other has no view to lose it from.
    assert_eq!(chat.delete_msgs("bob", Some("ann"), &[1, 2]).1, [("bob".to_string(), vec![1, 2])]);
}

#[test]
fn entry_times_are_kept_as_they_are_also_where_they_go_back() {
    let mut chat = Chat::new(&["ann"]);
    chat.time = 100;
    let effect = chat.send("ann", "ann", 1, "text");
    assert!(matches!(effect, Effect::Stored { time: 110, .. }), "{effect:?}");
    assert_eq!(chat.state.last_time(), 110, "that of the last entry");
    assert_eq!(chat.state.applied(), chat.index);
}

fn page(state: &State, pattern: &str, after: &str, limit: usize) -> (Vec<String>, String) {
    let page = state.names(&Pattern::parse(pattern).unwrap(), after, limit);
    (page.names.iter().map(ToString::to_string).collect(), page.next.unwrap_or("").to_string())
}

#[test]
fn list_pages_through_live_names_in_order_after_its_cursor() {
    let mut chat = Chat::new(&["dan", "ann", "cat", "bob", "eve"]);
    chat.delete("cat");
    let page = |pattern, after, limit| {
        let (names, next) = page(&chat.state, pattern, after, limit);
        (names.join(","), next)
    };
    let (end, of) =
        (String::new(), |names: &str, next: &str| (names.to_string(), next.to_string()));
    assert_eq!(page("", "", 10), ("ann,bob,dan,eve".to_string(), end.clone()));
    assert_eq!(page("all", "", 4), ("ann,bob,dan,eve".to_string(), end.clone()));
    assert_eq!(page("all", "", 2), of("ann,bob", "bob"));
    assert_eq!(page("all", "bob", 2), of("dan,eve", ""));
    assert_eq!(page("all", "carl", 1), of("dan", "dan"), "a cursor need be no name");
    assert_eq!(page("all", "eve", 1), of("", ""));
    assert_eq!(page("[a-b]*", "", 10), of("ann,bob", ""));
    assert_eq!(page("b*", "", 1), of("bob", ""), "nothing else begins with b");
    assert_eq!(page("d*", "zoe", 10), of("", ""));
    assert_eq!(page("cat", "", 10), of("", ""), "deleted");
}

#[test]
fn a_page_looks_at_so_many_names_and_gives_a_cursor_to_go_on() {
    let mut state = State::new();
    for number in 0..limits::LIST_SCAN + 10 {
        let mut payload = Vec::new();
        let name = format!("n{number:06}");
        Command::Create { time: 1, name: &name, verifier: "v" }.encode(&mut payload);
        state.apply(number as u64 + 1, &payload).unwrap();
    }
    let last = format!("n{:06}", limits::LIST_SCAN + 9);
    let (names, next) = page(&state, &last, "", 10);
    assert_eq!((names.len(), next.as_str()), (0, "n004999"));
    assert_eq!(page(&state, &last, &next, 10), (vec![last.clone()], String::new()));
    assert_eq!(page(&state, &format!("{last}*"), "", 10).0, [last], "no scan to it");
}

#[test]
fn the_largest_pages_fit_into_a_body() {
    let names = limits::LIST_PAGE * (limits::NAME_BYTES + 1);
    let digits = u64::MAX.to_string().len();
    let lines = limits::LIST_PAGE * (limits::NAME_BYTES + 3 * (digits + 1) + 1);
    assert!(names <= limits::BODY_BYTES && lines <= limits::BODY_BYTES, "{names} {lines}");
}

#[test]
fn the_newest_members_count_and_no_number_or_directory_comes_back() {
    let member = |name: &str, incarnation, number, votes| Member {
        name: name.to_owned(),
        address: format!("{name}:1"),
        incarnation,
        number,
        votes,
    };
    let mut chat = Chat::new(&[]);
    assert_eq!((chat.state.members(), chat.state.next_number()), (&[][..], 2));
    let lists = [
        vec![member("a", 7, 1, true)],
        vec![member("a", 7, 1, true), member("b", 8, 2, false)],
        vec![member("a", 7, 1, true)],
    ];
    for (members, next) in lists.iter().zip([2, 3, 3]) {
        let before = chat.state.digest();
        let members = members.clone();
        let effect = chat.apply(|time| Command::Members { time, members: members.clone() });
        assert_eq!(effect, Effect::MembersChanged);
        assert_eq!(chat.state.members(), members);
        assert_eq!(chat.state.next_number(), next);
        assert_ne!(chat.state.digest(), before);
    }
    assert!(chat.state.was_member(8) && !chat.state.was_member(9));
}
