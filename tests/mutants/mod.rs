//! The planted bugs of `src/mutants.rs`. `tests/mutants.sh` plants them one after the other, each
//! in runs of the tests that its row names.

/// The rows, for the script: a line each, fields parted by tabs.
#[cfg(mutants)]
#[test]
fn the_table() {
    println!();
    for row in chatctl::mutants::TABLE {
        let (name, caught_by, breaks) = (row.name, row.caught_by.join(" "), row.breaks);
        println!("mutant\t{name}\t{caught_by}\t{breaks}");
    }
}

#[test]
fn each_has_a_name_of_its_own_and_a_test() {
    let mut names = std::collections::BTreeSet::new();
    for row in chatctl::mutants::TABLE {
        let plain = row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(plain && names.insert(row.name), "{}", row.name);
        assert!(!row.caught_by.is_empty(), "{}", row.name);
    }
    assert!(names.len() >= 30, "a simulator is trusted for the bugs that it has caught");
}

#[cfg(not(mutants))]
#[test]
fn nothing_of_them_is_in_the_program() {
    let program = std::fs::read(crate::support::PROGRAM).expect("the program is built");
    // The texts alone: searching in all of it for each takes ten seconds.
    let texts: Vec<&[u8]> = program.split(|byte| !(b' '..=b'~').contains(byte)).collect();
    let texts = String::from_utf8(texts.join(&b'\n')).expect("it is ASCII");
    let has = |text: &str| {
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "not ASCII: {text}");
        texts.contains(text)
    };
    assert!(has("CHATCTL_PASSWORD"), "texts of the program can be found in it");
    assert!(!has("CHATCTL_MUTANT"));
    assert!(!chatctl::mutants::TABLE.iter().any(|row| has(row.name) || has(row.breaks)));
}
