//! The node: its clients and its peers do not know each other, its parts are types of their own, and
//! its documentation lists the way of a `send` as it is.

use super::graph::{Graph, begins_item, implemented, module_of};
use super::source::words;
use super::sources;

/// The one file that knows both sides, has the methods of `Node`, and documents the way of a `send`.
const NODE: &str = "node/mod.rs";
/// The sides that do not know each other.
const SIDES: [&str; 2] = ["clients", "peers"];
/// A `send` passes at least so many functions.
const WAY: usize = 5;

/// Where a file knows both sides, or has methods of `Node`.
fn faults(texts: &[(String, String)]) -> Vec<String> {
    let graph = Graph::of_program(texts);
    let mut faults = Vec::new();
    for file in graph.files().filter(|file| *file != NODE) {
        let named = graph.named(file).into_iter();
        let paths: Vec<_> = named.map(|named| named.path).chain([module_of(file)]).collect();
        let knows = |side: &&str| paths.iter().any(|path| path[..].starts_with(&of_node(side)));
        if SIDES.iter().all(knows) {
            faults.push(format!("{file} knows node::clients and node::peers"));
        }
        if [false, true].iter().any(|of_trait| graph.implements(file, "Node", *of_trait)) {
            faults.push(format!("{file} implements Node"));
        }
    }
    faults
}

fn of_node(part: &str) -> [String; 2] {
    ["node".to_owned(), part.to_owned()]
}

/// The functions in the numbered list of a file's documentation, as paths.
fn listed(text: &str) -> Vec<&str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! "));
    let items = lines.filter_map(|line| line.split_once(". "));
    let numbered = items.filter(|(number, _)| number.parse::<u32>().is_ok());
    let is_path = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
    let words = numbered.flat_map(|(_, item)| item.split(move |char| !is_path(char)));
    words.filter(|word| word.trim_matches(':').contains("::")).collect()
}

/// Whether `path` names a function, `module::function` or `module::Type::function`, in the file of the
/// module, which is one of the node's unless a layer's name begins it.
fn is_there(graph: &Graph, texts: &[(String, String)], path: &str) -> bool {
    let mut module: Vec<String> = path.split("::").map(str::to_owned).collect();
    let function = module.pop().unwrap_or_default();
    let of = module.pop_if(|last| last.starts_with(char::is_uppercase)).unwrap_or_default();
    if module.first().is_none_or(|top| graph.file_of(std::slice::from_ref(top)).is_none()) {
        module.insert(0, "node".to_owned());
    }
    let file = graph.file_of(&module);
    let text = texts.iter().find(|(name, _)| Some(name.as_str()) == file);
    text.is_some_and(|(_, text)| functions(text).contains(&(of, function)))
}

/// The functions of a source, each with the type whose methods' block it stands in.
fn functions(text: &str) -> Vec<(String, String)> {
    let words: Vec<&str> = words(text).into_iter().map(|word| word.1).collect();
    let (mut of, mut depth, mut found) = ("", 0, Vec::new());
    for (at, word) in words.iter().enumerate() {
        match *word {
            "impl" if begins_item(at.checked_sub(1).map(|before| words[before])) => {
                of = implemented(words[at..].iter().copied()).0
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                of = if depth == 0 { "" } else { of };
            }
            "fn" => found.push((of.to_owned(), words.get(at + 1).unwrap_or(&"").to_string())),
            _ => {}
        }
    }
    found
}

#[test]
fn its_clients_and_its_peers_know_each_other_only_through_it() {
    let faults = faults(&sources());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_way_of_a_send_in_its_documentation_is_the_way_that_there_is() {
    let texts = sources();
    // It is not there yet.
    let Some((_, text)) = texts.iter().find(|(file, _)| file == NODE) else { return };
    let listed = listed(text);
    assert!(listed.len() >= WAY, "only {listed:?} in the numbered list of src/{NODE}");
    let graph = Graph::of_program(&texts);
    let gone: Vec<&&str> = listed.iter().filter(|path| !is_there(&graph, &texts, path)).collect();
    assert!(gone.is_empty(), "src/{NODE} lists what is not there: {gone:?}");
}

/// A node, its sides, and the file to be tried.
fn planted(file: &str, text: &str) -> Vec<(String, String)> {
    let node = "//! 1. `node::Node::receive` takes it.\n//! 2. clients::dispatch::on_send\n\
                pub mod clients; pub mod peers; use clients::Clients; use peers::Peers;\n\
                pub struct Node(Clients, Peers);\nimpl Node { pub fn receive(&mut self) {} }";
    let all = [
        (NODE, node),
        ("node/clients/mod.rs", "pub mod dispatch; pub struct Clients;"),
        ("node/clients/dispatch.rs", "pub fn on_send() {} impl Drop for X { fn drop() {} }"),
        ("node/peers/mod.rs", "pub struct Peers;"),
        (file, text),
    ];
    all.map(|(file, text)| (file.to_owned(), text.to_owned())).to_vec()
}

#[test]
fn a_planted_acquaintance_or_method_is_found() {
    for (file, text) in [
        ("node/clients/pages.rs", "use crate::node::peers::Peers;"),
        ("node/clients/pages.rs", "use super::super::peers;"),
        ("node/peers/mesh/mod.rs", "fn f(x: &crate::node::clients::Clients) {}"),
        ("node/replica.rs", "use super::{clients::Clients, peers::Peers};"),
        (
            "server/event_loop.rs",
            "use crate::node; fn f() { node::clients::f(); node::peers::g() }",
        ),
        ("node/clients/pages.rs", "use crate::node::Node; impl Node { fn f() {} }"),
        ("node/replica.rs", "impl Drop for super::Node { fn drop(&mut self) {} }"),
        ("server/mod.rs", "impl<T> crate::node::Node<T> where T: Copy {}"),
    ] {
        assert_eq!(faults(&planted(file, text)).len(), 1, "{file}: {text}");
    }
    for (file, text) in [
        ("node/clients/pages.rs", "use super::Clients; impl NodeOf { } // impl Node"),
        ("node/clients/pages.rs", "#[cfg(test)] mod tests { use crate::node::peers::Peers; }"),
        ("node/replica.rs", "use super::clients::Clients; fn f(node: &super::Node) {}"),
        ("server/mod.rs", "use crate::node::{Node, clients}; fn f() -> impl Fn(&Node) {}"),
    ] {
        assert_eq!(faults(&planted(file, text)), Vec::<String>::new(), "{file}: {text}");
    }
}

#[test]
fn a_planted_function_that_is_not_there_is_found() {
    let texts = planted("raft/mod.rs", "impl<T> Raft<T> { pub fn propose(&mut self) {} }");
    let graph = Graph::of_program(&texts);
    assert_eq!(listed(&texts[0].1), ["node::Node::receive", "clients::dispatch::on_send"]);
    for path in ["node::Node::receive", "clients::dispatch::on_send", "raft::Raft::propose"] {
        assert!(is_there(&graph, &texts, path), "{path}");
    }
    for path in [
        "node::receive",
        "Node::send",
        "clients::on_send",
        "clients::dispatch::X::on_send",
        "clients::dispatch::drop",
        "raft::propose",
        "wal::append",
    ] {
        assert!(!is_there(&graph, &texts, path), "{path}");
    }
}
