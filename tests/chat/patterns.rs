//! The patterns of `list` and `who`.

use crate::support::{Rng, env_number};
use chatctl::chat::glob::Pattern;
use chatctl::limits;

fn matches(pattern: &str, name: &str) -> bool {
    Pattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).matches(name)
}

#[test]
fn an_empty_pattern_and_all_are_everyone() {
    assert!(matches("", "ann") && matches("all", "ann") && matches("ALL", "ann"));
}

#[test]
fn a_pattern_without_wildcards_is_a_substring() {
    for (name, expected) in [("ann", true), ("joanna", true), ("an-n", false), ("a", false)] {
        assert_eq!(matches("ANN", name), expected, "{name}");
    }
    assert!(!matches("b\\ob", "bob"));
}

#[test]
fn wildcards_match_the_whole_name() {
    let cases = [
        ("*", "ann", true),
        ("a*", "ann", true),
        ("a*", "joan", false),
        ("*n", "ann", true),
        ("a*n*a", "anna", true),
        ("a*n*b", "anna", false),
        ("?nn", "ann", true),
        ("?ann", "ann", false),
        ("ann?", "ann", false),
        ("???", "ann", true),
        ("**?", "a", true),
        ("[a-c]ob", "bob", true),
        ("[a-c]ob", "dob", false),
        ("[acx-z0]*", "0", true),
        ("[acx-z0]*", "y.", true),
        ("[acx-z0]*", "b", false),
        ("[!a-c]*", "d", true),
        ("[^a-c]*", "b", false),
        ("[-a]b", "-b", true),
        ("[a-]b", "-b", true),
        ("a]*", "a]", true),
        ("[A-Z]*", "ann", true),
        ("all*", "ann", false),
    ];
    for (pattern, name, expected) in cases {
        assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_a_reason() {
    for pattern in ["[", "a[b", "[]", "[!]", "[z-a]", "[a-z", "]["] {
        assert!(!Pattern::parse(pattern).unwrap_err().to_string().is_empty(), "{pattern}");
    }
    assert!(Pattern::parse(&"*".repeat(limits::PATTERN_BYTES)).is_ok());
    assert!(Pattern::parse(&"*".repeat(limits::PATTERN_BYTES + 1)).is_err());
}

#[test]
fn a_pattern_longer_than_any_name_matches_none() {
    let name = "a".repeat(limits::NAME_BYTES);
    assert!(matches(&"?".repeat(limits::NAME_BYTES), &name));
    assert!(!matches(&"?".repeat(limits::NAME_BYTES + 1), &name));
    assert!(!matches(&"?".repeat(limits::PATTERN_BYTES), &name));
    assert!(!matches(&format!("*{}", "a".repeat(200)), &name));
}

/// The meaning, said in the shortest way.
fn plainly(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', rest @ ..] => (0..=name.len()).any(|at| plainly(rest, &name[at..])),
        [b'?', rest @ ..] => !name.is_empty() && plainly(rest, &name[1..]),
        [b'[', low, b'-', high, b']', rest @ ..] => {
            let hit = name.first().is_some_and(|byte| (low..=high).contains(&byte));
            hit && plainly(rest, &name[1..])
        }
        [byte, rest @ ..] => name.first() == Some(byte) && plainly(rest, &name[1..]),
    }
}

#[test]
fn random_patterns_match_as_their_meaning_says() {
    let seed = env_number("CHAT_SEED", 11);
    println!("CHAT_SEED={seed}");
    let mut rng = Rng::new(seed);
    for _ in 0..20_000 {
        let parts = ["*", "?", "[a-b]", "[b-c]", "a", "b", "c"];
        let pattern: String =
            (0..1 + rng.below(7)).map(|_| parts[rng.below(7) as usize]).chain(["*"]).collect();
        let name: String =
            (0..rng.below(8)).map(|_| char::from(b'a' + rng.below(3) as u8)).collect();
        let expected = plainly(pattern.as_bytes(), name.as_bytes());
        assert_eq!(matches(&pattern, &name), expected, "{pattern} {name}");
        let prefix = Pattern::parse(&pattern).unwrap().prefix().to_string();
        assert!(!expected || name.starts_with(&prefix), "{pattern} {name}");
    }
}
