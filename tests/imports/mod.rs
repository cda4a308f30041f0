//! What the sources may say: imports run strictly downward and in no circle, pure parts reach nothing
//! outside, `unsafe` stands in one place, and the program has three packages.

mod circles;
mod graph;
mod node;
mod pure;
mod source;
mod waits;

use graph::{Graph, is_package, module_of};
use source::names_unsafe;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, highest first; a module may name only those below its own.
const LAYERS: [&str; 13] = [
    "cli", "server", "node", "client", "net", "wal", "chat", "raft", "protocol", "auth", "sys",
    "limits", "mutants",
];
/// Layers that may name less than all that is below them: the log knows nothing of what it keeps,
/// and the pure ones reach no clock, file or socket. The exception is `mutants`, in which nothing
/// is left to reach unless the build is for trying the tests, and of `sys` what only computes.
const NARROWER: [(&str, &[&str]); 5] = [
    ("node", &["net", "wal", "chat", "raft", "protocol", "auth", "sys", "limits", "mutants"]),
    ("wal", &["sys", "limits", "mutants"]),
    ("chat", &["protocol", "auth", "limits", "mutants"]),
    ("raft", &["limits", "mutants"]),
    ("protocol", &["sys", "limits"]),
];
/// The packages the program may have, no other.
const PACKAGES: [&str; 3] = ["crc32fast", "libc", "mio"];

/// Whether a module of the layer `own` may name the top-level module `name`. The crate's root only
/// declares the modules.
fn may_name(own: Option<&str>, name: &str) -> bool {
    let rank = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let Some(own) = own else { return name == "cli" };
    match NARROWER.iter().find(|(layer, _)| *layer == own) {
        Some((_, below)) => own == name || below.contains(&name),
        None => own == name || rank(name) > rank(own),
    }
}

/// The package's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below `folder`, as paths relative to it, in order.
pub fn rust_files(folder: &Path) -> Vec<PathBuf> {
    fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("the sources can be listed") {
            let path = entry.expect("the sources can be listed").path();
            if path.is_dir() {
                gather(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    gather(folder, &mut files);
    files.sort();
    files.iter().map(|path| path.strip_prefix(folder).unwrap().to_path_buf()).collect()
}

/// Every source file of `src`, with its path below that and its text.
fn sources() -> Vec<(String, String)> {
    let folder = root().join("src");
    let read = |file: PathBuf| {
        let text = fs::read_to_string(folder.join(&file)).unwrap();
        (file.display().to_string(), text)
    };
    rust_files(&folder).into_iter().map(read).collect()
}

/// Where a file names a module of a layer that it may not name, each as `FILE:LINE: names NAME`.
fn layer_faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    // The program's own file is not of the library; it has its own test below.
    for file in graph.files().filter(|file| *file != "main.rs") {
        let module = module_of(file);
        for named in graph.named(file) {
            let name = named.path[0].as_str();
            let is_outside = is_package(name) && name != "chatctl";
            if !is_outside && !may_name(module.first().map(String::as_str), name) {
                faults.push(format!("src/{file}:{}: names {name}", named.line));
            }
        }
    }
    faults.dedup();
    faults
}

#[test]
fn every_module_imports_only_from_the_layers_below_it() {
    let graph = Graph::of_all(&sources());
    let tops = graph.files().filter_map(|file| file.split_once('/'));
    let unknown = tops.filter(|(top, _)| !LAYERS.contains(top));
    assert_eq!(unknown.collect::<Vec<_>>(), [], "no layer has this name");
    let (faults, seen) = (layer_faults(&graph), graph.files().count());
    assert!(seen > LAYERS.len(), "only {seen} files found");
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Planted bad sources, in the module they stand in, and the layer that each wrongly names.
const PLANTED: [(&str, &str, &str); 18] = [
    ("protocol", "use crate::mutants::planted;", "mutants"),
    ("mutants", "use crate::limits;", "limits"),
    ("wal", "use crate::chat::Command;", "chat"),
    ("chat", "use crate::sys::clock;", "sys"),
    ("net", "use crate::client;", "client"),
    ("wal", "use crate::{limits, chat::{self, State}};", "chat"),
    ("wal::format", "use crate::{limits::{A, B}, sys, server};", "server"),
    ("wal", "use {std::fmt, crate::net::Token};", "net"),
    ("auth", "fn f() { crate::protocol::id::parse(\"\"); }", "protocol"),
    ("auth", "fn f(x: &crate::net::Token) {}", "net"),
    ("auth", "type T = Vec<crate :: net\n::Token>;", "net"),
    ("wal", "use super::chat::State;", "chat"),
    ("wal::format", "use super::super::chat::State;", "chat"),
    ("wal::format", "use super::{limits, super::{sys, client::run}};", "client"),
    ("wal", "mod tests { use super::super::server::run; }", "server"),
    ("limits", "const A: &str = \"\\\"\"; use crate::sys; // \"", "sys"),
    ("sys", "use crate::*;", "*"),
    ("sys", "use chatctl::net;", "chatctl"),
];

/// One planted source, in a module.
fn planted(module: &str, text: &str) -> Graph {
    Graph::of_all(&[(format!("{}.rs", module.replace("::", "/")), text.to_owned())])
}

#[test]
fn a_planted_import_of_a_higher_layer_is_found() {
    for (module, text, layer) in PLANTED {
        let faults = layer_faults(&planted(module, text));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert!(faults[0].ends_with(&format!("names {layer}")), "{text}: {faults:?}");
    }
}

#[test]
fn imports_downward_and_words_in_comments_and_strings_are_no_faults() {
    for (module, text) in [
        ("wal", "use crate::{limits, sys::file}; use crate::wal::format; use super::limits;"),
        ("wal", "// use crate::chat;\n/* crate::chat /* nested */ crate::net */"),
        ("wal", "/// [`crate::chat`]\nconst A: &str = \"crate::chat\"; const B: char = '\"';"),
        ("wal", "const A: &str = r#\"crate::chat \"# ; fn f<'a>(x: &'a str) { 'b: loop {} }"),
        ("wal", "pub(crate) fn f() { super::wal::g(); self::h(); }"),
        ("wal::format", "mod tests { use super::super::recover; use super::super::super::sys; }"),
        ("cli", "use crate::{server, client, net, wal, chat, raft, protocol, auth, sys, limits};"),
        ("cli", "use std::net::crate_like; use super_thing::x;"),
    ] {
        assert_eq!(layer_faults(&planted(module, text)), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn main_names_only_the_command_line() {
    let graph = Graph::of_program(&sources());
    let named = graph.named("main.rs").into_iter().filter(|named| named.path[0] == "chatctl");
    let named: Vec<String> = named.map(|named| named.path[1].clone()).collect();
    assert!(!named.is_empty() && named.iter().all(|name| name == "cli"), "{named:?}");
}

#[test]
fn unsafe_stands_only_in_sys_and_in_the_tests_support_for_it() {
    assert!(names_unsafe("fn f() { unsafe { g() } }"));
    assert!(names_unsafe("#![allow(unsafe_code)]"));
    assert!(!names_unsafe("// unsafe\nconst A: &str = \"unsafe\"; fn not_unsafe() {}"));
    for folder in ["src", "tests"] {
        for file in rust_files(&root().join(folder)) {
            let path = Path::new(folder).join(&file);
            let allowed = path.starts_with("src/sys") || path == Path::new("tests/support/sys.rs");
            let text = fs::read_to_string(root().join(&path)).unwrap();
            assert!(allowed || !names_unsafe(&text), "{} names unsafe", path.display());
        }
    }
}

/// The packages that a manifest's text names, in order.
fn packages(manifest: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
            if let Some((_, name)) = section.split_once("dependencies.") {
                names.push(name.to_string());
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once('=')
        {
            names.push(name.split('.').next().unwrap_or(name).trim().to_string());
        }
    }
    names.sort();
    names
}

#[test]
fn the_manifest_has_the_three_packages_and_no_other() {
    let planted = "[dependencies]\nmio = \"1\"\n[dev-dependencies]\nrand.version = \"1\"\n\
                   [target.'cfg(unix)'.dependencies.nix]\nversion = \"1\"\n";
    assert_eq!(packages(planted), ["mio", "nix", "rand"]);
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(packages(&manifest), PACKAGES);
}
