//! Many sessions: of one account, of one network.

use chatctl::node::clients::Settings;
use chatctl::protocol::framing::{Codec, Form};

use super::world::{PASSWORD, World, ip, settings};
use crate::support::raw_client::{ask, code};

fn world(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.add_accounts(&["alice", "bob"].map(str::to_owned));
    world
}

#[test]
fn a_login_past_the_most_sessions_of_an_account_ends_the_one_silent_for_longest() {
    let mut world = world(Settings { max_sessions_per_account: 3, ..settings() });
    let keys: Vec<_> = (0..3).map(|_| world.session(ip(1), "alice")).collect();
    let bob = world.session(ip(1), "bob");
    let token = world.ask(keys[0], &ask("token")).body.into_owned();
    for place in [0, 2, 1] {
        world.pass(1_000);
        assert!(!world.ask(keys[place], &ask("ping")).error);
    }
    // A token does not get in past the others; the password does.
    let late = world.connect(ip(2));
    let refusal = world.ask(late, &ask("resume").src("alice").body(&token));
    assert_eq!(code(&refusal), "rate-limited");
    assert!(refusal.body.contains("already has 3 sessions"), "{}", refusal.body);
    assert!(!world.ask(late, &ask("login").src("alice").body(PASSWORD)).error);
    let told = world.read(keys[0]).expect("the session that was silent for longest is told");
    assert_eq!((told.cmd.as_ref(), code(&told).as_str()), ("error", "not-logged-in"));
    assert!(told.body.contains("a new login ended this one"), "{}", told.body);
    world.turn();
    assert!(world.clients().client(keys[0]).is_none(), "it is closed");
    for key in [keys[1], keys[2], late, bob] {
        assert!(!world.ask(key, &ask("list")).error, "the others go on");
    }
    // Logging in again on the same connection adds none.
    assert!(!world.ask(late, &ask("login").src("alice").body(PASSWORD)).error);
    assert!(!world.ask(keys[1], &ask("list")).error);
    world.hang_up(keys[1]);
    let resumed = world.connect(ip(2));
    assert!(!world.ask(resumed, &ask("resume").src("alice").body(&token)).error);
}

#[test]
fn every_session_of_an_account_gets_each_push_in_its_own_form_and_codec() {
    let mut world = world(settings());
    let forms =
        [(Form::Lines, Codec::Json), (Form::Frames, Codec::Json), (Form::Frames, Codec::Binary)];
    let readers = (0..50).map(|number| {
        let (form, codec) = forms[number % forms.len()];
        world.session_in(ip(1), "alice", form, codec)
    });
    let readers: Vec<_> = readers.collect();
    let bob = world.session(ip(2), "bob");
    for round in 0..3 {
        let text = format!("message {round}");
        assert!(!world.ask(bob, &ask("send").to("alice").body(&text)).error);
        for key in &readers {
            let push = world.reply(*key);
            assert_eq!((push.cmd.as_ref(), push.body.as_ref()), ("deliver", text.as_str()));
        }
    }
}

#[test]
fn a_push_to_many_sessions_is_encoded_once() {
    const MORE: u64 = 100;
    let mut world = world(settings());
    let bob = world.session(ip(2), "bob");
    let body = "x".repeat(10_000);
    let send = |world: &mut World| {
        let before = world.work_of_applying;
        assert!(!world.ask(bob, &ask("send").to("alice").body(&body)).error);
        world.work_of_applying - before
    };
    world.session(ip(1), "alice");
    let to_one = send(&mut world);
    for _ in 0..MORE {
        world.session(ip(1), "alice");
    }
    let each = (send(&mut world) - to_one) / MORE;
    assert!(each < body.len() as u64 / 2, "each further session costs {each} units of work");
}

#[test]
fn sessions_of_one_ipv6_network_are_counted_together() {
    use chatctl::net::Origin;
    let at = |text: &str| Origin::Ip(text.parse().unwrap());
    let mut world = world(Settings { max_sessions_per_address: 2, ..settings() });
    world.session(at("2001:db8::1"), "alice");
    world.session(at("2001:db8::2"), "alice");
    let third = world.connect(at("2001:db8::3"));
    let refusal = world.ask(third, &ask("login").src("alice").body(PASSWORD));
    assert_eq!(code(&refusal), "rate-limited");
    assert!(refusal.body.contains("2001:db8::/64 already has 2 sessions"), "{}", refusal.body);
    world.session(at("2001:db8:0:1::1"), "alice");
}
