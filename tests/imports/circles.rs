//! No circle between files: where one names something of another, that one must not come back to it,
//! over however many files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::graph::{Graph, module_of};
use super::sources;

/// For each file those of which it names something, and what.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<String, BTreeSet<String>>>;

fn arrows(graph: &Graph) -> Arrows<'_> {
    let mut arrows = Arrows::new();
    for file in graph.files() {
        let others = arrows.entry(file).or_default();
        for (other, item) in graph.named(file).into_iter().filter_map(|named| named.target) {
            others.entry(other).or_default().insert(item);
        }
        // A child may take the type whose methods it has from the file of its folder.
        others.retain(|other, items| {
            !is_parent(other, file) || !items.iter().all(|item| graph.implements(file, item, false))
        });
    }
    arrows
}

/// Whether `file` stands in the folder of `parent`, which is its `mod.rs` or beside it.
fn is_parent(parent: &str, file: &str) -> bool {
    let module = module_of(file);
    !file.ends_with("/mod.rs") && module.split_last().is_some_and(|(_, of)| of == module_of(parent))
}

/// The shortest way along arrows from a file back to it, if there is one.
fn way_back<'a>(arrows: &'a Arrows<'_>, file: &'a str) -> Option<Vec<&'a str>> {
    let (mut from, mut open) = (BTreeMap::new(), VecDeque::from([file]));
    while let Some(last) = open.pop_front() {
        for other in arrows.get(last).into_iter().flat_map(BTreeMap::keys) {
            if from.contains_key(other.as_str()) {
                continue;
            }
            from.insert(other.as_str(), last);
            if other != file {
                open.push_back(other);
                continue;
            }
            let mut way = vec![file];
            while way.len() == 1 || way.last() != Some(&file) {
                way.push(from[way[way.len() - 1]]);
            }
            way.reverse();
            return Some(way);
        }
    }
    None
}

/// A way as a list of arrows, each with what is named.
fn list(arrows: &Arrows<'_>, way: &[&str]) -> String {
    let arrow = |pair: &[&str]| {
        let items: Vec<&str> = arrows[pair[0]][pair[1]].iter().map(String::as_str).collect();
        format!("  {} -> {} ({})\n", pair[0], pair[1], items.join(", "))
    };
    way.windows(2).map(arrow).collect()
}

#[test]
fn there_is_no_circle_between_files() {
    let graph = Graph::of_program(&sources());
    let arrows = arrows(&graph);
    let ways: BTreeMap<&str, Vec<&str>> =
        graph.files().filter_map(|file| Some((file, way_back(&arrows, file)?))).collect();
    let (mut faults, mut shown) = (String::new(), BTreeSet::<&str>::new());
    for (file, way) in &ways {
        if !shown.contains(file) {
            faults += &format!("a circle:\n{}", list(&arrows, way));
            shown.extend(way);
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// The circles of planted sources, each the first file's way back.
fn circles(sources: &[(&str, &str)]) -> Vec<String> {
    let texts = sources.iter().map(|(file, text)| (file.to_string(), text.to_string()));
    let graph = Graph::of_program(&texts.collect::<Vec<_>>());
    let arrows = arrows(&graph);
    graph.files().filter_map(|file| Some(way_back(&arrows, file)?.join(" "))).collect()
}

#[test]
fn a_planted_circle_is_found() {
    for (sources, found) in [
        // Two files, by `use` and by a path.
        (
            &[("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B; fn f() { crate::a::g() }")][..],
            &["a.rs b.rs a.rs", "b.rs a.rs b.rs"][..],
        ),
        // Three files within a folder.
        (
            &[
                ("f/mod.rs", "mod a; mod b; mod c;"),
                ("f/a.rs", "use super::b::f;"),
                ("f/b.rs", "use super::{c, c::g}; pub fn f() {}"),
                ("f/c.rs", "pub fn g() { super::a::h() }"),
            ],
            &[
                "f/a.rs f/b.rs f/c.rs f/a.rs",
                "f/b.rs f/c.rs f/a.rs f/b.rs",
                "f/c.rs f/a.rs f/b.rs f/c.rs",
            ],
        ),
        // A child and the file of its folder, which re-exports it.
        (
            &[
                ("f/mod.rs", "mod a; pub use a::A; pub const LIMIT: u8 = 1;"),
                ("f/a.rs", "pub struct A([u8; super::LIMIT as usize]);"),
            ],
            &["f/a.rs f/mod.rs f/a.rs", "f/mod.rs f/a.rs f/mod.rs"],
        ),
        // Beside its folder; the child has methods of the type, and takes something else too.
        (
            &[
                ("f.rs", "mod a; use a::g; pub struct F; pub type T = u8;"),
                ("f/a.rs", "use super::{F, T}; impl F { fn f(t: T) {} } pub fn g() {}"),
            ],
            &["f.rs f/a.rs f.rs", "f/a.rs f.rs f/a.rs"],
        ),
        // Only a trait's methods of the type.
        (
            &[
                ("f/mod.rs", "mod a; use a::g; pub struct F;"),
                ("f/a.rs", "use super::F; impl Drop for F { fn drop(&mut self) {} } pub fn g() {}"),
            ],
            &["f/a.rs f/mod.rs f/a.rs", "f/mod.rs f/a.rs f/mod.rs"],
        ),
        // Over a module that is imported, over another name, and over a re-export.
        (
            &[
                ("f/mod.rs", "mod a; mod b; pub use b::B as C;"),
                ("f/a.rs", "use crate::f; pub fn g() { f::C::new() }"),
                ("f/b.rs", "use super::a as other; pub struct B; fn h() { other::g() }"),
            ],
            &["f/a.rs f/b.rs f/a.rs", "f/b.rs f/a.rs f/b.rs"],
        ),
    ] {
        assert_eq!(circles(sources), found, "{sources:?}");
    }
}

#[test]
fn what_comes_back_to_no_file_is_no_circle() {
    for sources in [
        // Modules that are only declared or imported, and tests.
        &[
            ("f/mod.rs", "mod a; mod b; use a::g;"),
            ("f/a.rs", "use super::b; pub fn g() { b::h() }"),
            ("f/b.rs", "pub fn h() {} #[cfg(test)] mod tests { use super::super::a::g; }"),
        ][..],
        &[
            ("a.rs", "use crate::b::B; #[cfg(test)] mod tests;"),
            ("a/tests.rs", "use super::B;"),
            ("b.rs", "pub struct B; // crate::a::A\nconst TEXT: &str = \"crate::a::A\";"),
        ],
        // A type whose methods stand in the children.
        &[
            ("f/mod.rs", "mod a; mod b; use a::g; pub struct F<T>(T);"),
            ("f/a.rs", "use super::F; impl<T: Into<u8>> F<T> { fn f() {} } pub fn g() {}"),
            ("f/b.rs", "impl super::F<u8> { fn h() { super::a::g() } }"),
        ],
        // A re-export takes nothing of the file that has it.
        &[
            ("f/mod.rs", "mod a; mod b; pub use a::A; pub use b::f;"),
            ("f/a.rs", "pub struct A;"),
            ("f/b.rs", "use super::A; pub fn f(a: A) {}"),
        ],
    ] {
        assert_eq!(circles(sources), Vec::<String>::new(), "{sources:?}");
    }
}
