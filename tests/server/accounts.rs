//! create, login, token, resume, logoff, list, who, passwd, delete: each sentence of the page.

use chatctl::protocol::id as uuid;

use crate::support::server::{Ask, RawClient, TestServer, ask, code, password_of};

fn login(name: &str) -> Ask {
    ask("login").src(name).body(&password_of(name))
}

#[test]
fn only_create_login_resume_ping_and_server_status_are_heard_before_a_login() {
    let server = TestServer::start("before", &[]);
    let mut client = server.connect();
    for cmd in [
        "token",
        "logoff",
        "list",
        "who",
        "send",
        "deliver",
        "history",
        "sync",
        "inbox",
        "read",
        "delete_msgs",
        "passwd",
        "delete",
    ] {
        assert_eq!(client.refused(&ask(cmd)), "not-logged-in", "{cmd}");
    }
    assert!(client.done(&ask("ping")).time > 1_600_000_000_000);
    let status = client.done(&ask("server_status"));
    let keys: Vec<&str> = status.body.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(keys, ["id", "role", "term", "commit", "primary", "read_only"]);
    assert!(status.body.contains("role PRIMARY"));
    assert!(status.body.contains(&format!("primary {}", server.address())));
}

#[test]
fn a_create_that_comes_again_with_its_password_logs_in_and_with_another_is_name_taken() {
    let server = TestServer::start("create", &[]);
    let mut first = server.connect();
    let reply = first.done(&ask("create").src("Alice").body("pw"));
    assert_eq!((reply.to.as_ref(), reply.src.as_ref()), ("alice", ""));
    assert_eq!(first.tell("alice", "logged in").to, "alice");
    let mut again = server.connect();
    let reply = again.done(&ask("create").src("aLICE").body("pw"));
    assert_eq!(reply.to, "alice");
    assert_eq!(again.refused(&ask("create").src("alice").body("PW")), "name-taken");
    assert_eq!(again.done(&ask("who")).body, "alice");
}

#[test]
fn many_logins_at_once_are_all_answered_though_the_thread_has_few_at_a_time() {
    let server = TestServer::start("logins-at-once", &["--password-iterations", "1"]);
    for round in 0..20 {
        let mut clients: Vec<RawClient> = (0..40).map(|_| server.connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(&ask("login").src(&format!("nobody{round}-{number}")).body("x"));
        }
        let answers: Vec<String> = clients.iter_mut().map(|client| code(&client.reply())).collect();
        assert!(answers.iter().all(|code| code == "wrong-credentials"), "{answers:?}");
    }
}

#[test]
fn creates_of_one_name_that_race_make_one_account_and_only_its_password_gets_in() {
    let server = TestServer::start("race", &[]);
    let mut clients: Vec<RawClient> = (0..8).map(|_| server.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&ask("create").src("prize").body(&format!("password {}", number % 2)));
    }
    let replies: Vec<_> = clients.iter_mut().map(RawClient::reply).collect();
    let right = usize::from(replies[0].error);
    for (number, reply) in replies.iter().enumerate() {
        let expected = if number % 2 == right { "" } else { "name-taken" };
        assert_eq!(code(reply), expected, "{number}");
    }
    assert_eq!(server.create("other").done(&ask("list")).body, "other,prize");
}

#[test]
fn a_login_says_name_unread_newest_seq_and_cluster_which_outlive_a_restart() {
    let mut server = TestServer::start("login", &[]);
    let mut alice = server.create("alice");
    server.create("bob");
    let newest = (0..3).map(|_| alice.tell("bob", "x").seq).max().unwrap();
    let mut bob = server.connect();
    let reply = bob.done(&login("bob").src("BOB"));
    assert_eq!((reply.to.as_ref(), reply.limit, reply.seq), ("bob", 3, newest));
    assert!(reply.body.contains('3'), "a sentence with the count: {}", reply.body);
    assert_eq!(reply.msg_ids.len(), 1);
    let cluster = reply.msg_ids.iter().next().unwrap().to_owned();
    assert!(uuid::parse(&cluster).is_some());
    server.terminate();
    let server = server.restart();
    let mut bob = server.connect();
    let reply = bob.done(&login("bob"));
    // A start may put entries of its own into the order.
    assert!(reply.limit == 3 && reply.seq >= newest, "{reply:?}");
    assert_eq!(reply.msg_ids.iter().next(), Some(cluster.as_str()));
    assert!(server.start_line().contains(": 3 messages of 2 accounts recovered in "));
    let other = TestServer::start("login2", &[]);
    let reply = other.connect().create("bob");
    assert_ne!(reply.msg_ids.iter().next(), Some(cluster.as_str()));
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_told_alike() {
    let server = TestServer::start("wrong", &[]);
    server.create("alice");
    let mut client = server.connect();
    let wrong = client.request(&ask("login").src("alice").body("no"));
    let unknown = client.request(&ask("login").src("nobody").body("no"));
    assert_eq!(code(&wrong), "wrong-credentials");
    assert_eq!(wrong, unknown);
    client.done(&login("alice"));
}

#[test]
fn names_and_passwords_that_are_none_are_refused() {
    let server = TestServer::start("names", &[]);
    let mut client = server.connect();
    for name in ["", ".a", "-a", "_a", "a b", "é", "a,b", &"a".repeat(33), "a\nb"] {
        for cmd in ["create", "login"] {
            assert_eq!(client.refused(&ask(cmd).src(name).body("x")), "bad-name", "{name:?}");
        }
    }
    for password in [String::new(), "x".repeat(1025)] {
        let code = client.refused(&ask("create").src("a").body(&password));
        assert_eq!(code, "bad-password");
    }
    for (name, password) in [("0", "x".to_owned()), (&"a".repeat(32), "\u{0}é".repeat(341))] {
        client.done(&ask("create").src(name).body(&password));
        client.done(&ask("login").src(name).body(&password));
    }
    assert_eq!(client.refused(&ask("passwd").body(&"x".repeat(1025))), "bad-password");
    assert_eq!(client.refused(&ask("passwd")), "bad-password");
}

#[test]
fn nobody_speaks_for_another() {
    let server = TestServer::start("src", &[]);
    server.create("bob");
    let mut alice = server.create("alice");
    for cmd in ["send", "list", "history", "ping", "delete", "passwd", "logoff"] {
        assert_eq!(alice.refused(&ask(cmd).src("bob").to("bob").body("x")), "forbidden", "{cmd}");
    }
    alice.done(&ask("send").src("ALICE").to("Bob").body("x"));
    let (history, _) = alice.pages(&ask("history"));
    assert_eq!((history[0].src.as_ref(), history[0].to.as_ref()), ("alice", "bob"));
}

#[test]
fn a_token_resumes_without_the_rights_over_the_account_and_outlives_a_restart() {
    let mut server = TestServer::start("token", &[]);
    let mut alice = server.create("alice");
    server.create("bob");
    let token = alice.done(&ask("token")).body.into_owned();
    server.kill9();
    let server = server.restart();
    let resume = ask("resume").src("Alice").body(&token);
    let mut back = server.connect();
    let reply = back.done(&resume);
    assert_eq!((reply.to.as_ref(), reply.msg_ids.len()), ("alice", 1));
    back.tell("bob", "as before");
    assert_eq!(back.refused(&ask("passwd").body("x")), "forbidden");
    assert_eq!(back.refused(&ask("delete")), "forbidden");
    for (name, token) in [("bob", token.as_str()), ("alice", "x"), ("nobody", &token), ("", "")] {
        let code = server.connect().refused(&ask("resume").src(name).body(token));
        assert_eq!(code, "bad-token", "{name:?}");
    }
    // With the password it is a whole session again.
    back.done(&login("alice"));
    back.done(&ask("passwd").body("new"));
    assert_eq!(server.connect().refused(&resume), "bad-token");
    let token = back.done(&ask("token")).body.into_owned();
    back.done(&ask("delete"));
    assert_eq!(server.connect().refused(&ask("resume").src("alice").body(&token)), "bad-token");
}

#[test]
fn logoff_keeps_the_connection_and_ends_the_pushes() {
    let server = TestServer::start("logoff", &[]);
    let mut alice = server.create("alice");
    let mut bob = server.create("bob");
    bob.done(&ask("logoff"));
    alice.tell("bob", "unheard");
    assert!(bob.settle().is_empty());
    assert_eq!(bob.refused(&ask("inbox")), "not-logged-in");
    assert_eq!(alice.done(&ask("who")).body, "alice");
    bob.done(&login("bob"));
    alice.tell("bob", "heard");
    assert_eq!(bob.expect_push("deliver").body, "heard");
    // Another login on the same connection takes its place.
    bob.done(&ask("create").src("cat").body("x"));
    alice.tell("bob", "unheard");
    assert!(bob.settle().is_empty());
    assert_eq!(alice.done(&ask("who")).body, "alice,cat");
}

#[test]
fn after_passwd_the_other_sessions_are_out_and_the_old_password_is_void() {
    let server = TestServer::start("passwd", &[]);
    let mut alice = server.create("alice");
    let mut bob = server.create("bob");
    let mut other = server.login("bob");
    let token = bob.done(&ask("token")).body.into_owned();
    bob.done(&ask("passwd").body("new"));
    assert_eq!(other.refused(&ask("inbox")), "not-logged-in");
    alice.tell("bob", "hi");
    assert_eq!(bob.expect_push("deliver").body, "hi");
    assert!(other.settle().is_empty(), "one that is logged out hears nothing");
    assert_eq!(other.refused(&login("bob")), "wrong-credentials");
    assert_eq!(other.refused(&ask("resume").src("bob").body(&token)), "bad-token");
    other.done(&ask("login").src("bob").body("new"));
    alice.done(&ask("logoff"));
}

#[test]
fn a_deleted_account_leaves_what_it_sent_and_its_name_is_never_given_again() {
    let mut server = TestServer::start("delete", &[]);
    let mut alice = server.create("alice");
    let mut bob = server.create("bob");
    let mut other = server.login("bob");
    bob.tell("alice", "goodbye");
    alice.tell("bob", "no");
    bob.settle();
    bob.done(&ask("delete"));
    assert_eq!(other.refused(&ask("inbox")), "not-logged-in");
    assert_eq!(bob.refused(&ask("inbox")), "not-logged-in");
    server.kill9();
    let server = server.restart();
    let mut alice = server.login("alice");
    let mut bob = server.connect();
    assert_eq!(bob.refused(&login("bob")), "wrong-credentials");
    for password in [password_of("bob"), "x".to_owned()] {
        assert_eq!(bob.refused(&ask("create").src("BOB").body(&password)), "name-taken");
    }
    assert_eq!(alice.refused(&ask("send").to("bob").body("x")), "no-such-user");
    assert_eq!(alice.done(&ask("list")).body, "alice");
    let (history, last) = alice.pages(&ask("history").to("bob"));
    let texts: Vec<&str> = history.iter().map(|message| message.body.as_ref()).collect();
    assert_eq!((texts, last.body.as_ref()), (vec!["goodbye", "no"], "end"));
}

#[test]
fn list_and_who_page_in_order_and_match_patterns() {
    let server = TestServer::start("list", &["--password-iterations", "1"]);
    let mut client = server.connect();
    let names: Vec<String> = (0..620).map(|number| format!("user{number:03}")).collect();
    let creates: Vec<Ask> = names.iter().map(|name| ask("create").src(name).body("x")).collect();
    client.send_all(&creates);
    for name in &names {
        assert_eq!(client.reply().to, name.as_str());
    }
    let first = client.done(&ask("list"));
    assert_eq!((first.limit, first.to.as_ref()), (500, "user499"));
    assert_eq!(first.body, names[..500].join(","));
    let rest = client.done(&ask("list").body("all").to(&first.to).limit(60_000));
    assert_eq!((rest.limit, rest.to.as_ref()), (120, ""));
    assert_eq!(rest.body, names[500..].join(","));
    let exact = client.done(&ask("list").body("user00?").limit(10));
    assert_eq!((exact.limit, exact.to.as_ref()), (10, ""), "a page that holds all is the last");
    for (pattern, count) in [("*9", 62), ("user[0-1]0?", 20), ("61", 16), ("USER000", 1), ("z", 0)]
    {
        let page = client.done(&ask("list").body(pattern));
        assert_eq!(usize::from(page.limit), count, "{pattern}");
        assert_eq!(page.body.split(',').filter(|name| !name.is_empty()).count(), count);
    }
    assert_eq!(client.refused(&ask("list").body("[a")), "bad-pattern");
    assert_eq!(client.refused(&ask("who").body("[a")), "bad-pattern");
    assert_eq!(client.done(&ask("who")).body, "user619");
    let _two = server.create("ann");
    assert_eq!(client.done(&ask("who").limit(1)).to, "ann");
    let rest = client.done(&ask("who").to("ann"));
    assert_eq!((rest.body.as_ref(), rest.limit, rest.to.as_ref()), ("user619", 1, ""));
    assert_eq!(client.done(&ask("who").body("a*")).body, "ann");
}
