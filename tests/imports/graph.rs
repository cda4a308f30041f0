//! What each source file names of the others and of packages: `use` declarations and paths, resolved
//! through modules and re-exports to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

use super::source::words;

/// A path as it is written or as it is resolved, a name each.
type Path = Vec<String>;

/// One thing that a file names.
#[derive(Clone, Debug)]
pub struct Named {
    pub line: usize,
    /// From the crate's root, or from a package's.
    pub path: Path,
    /// The other file that defines it, and the item there; none for a module or a package's item.
    pub target: Option<(String, String)>,
}

/// A source file, read.
#[derive(Default)]
struct Source {
    module: Path,
    /// What its `use` declarations bind, with the inline module they stand in.
    bindings: Vec<(Path, String, Path)>,
    named: Vec<(Path, usize, Path)>,
    items: BTreeSet<String>,
    /// Types with an `impl` block here, and whether that is of a trait.
    implemented: BTreeSet<(String, bool)>,
}

/// All sources of a crate.
pub struct Graph {
    sources: BTreeMap<String, Source>,
    /// The file of each module.
    files: BTreeMap<Path, String>,
}

/// The module of a source file: `wal/mod.rs` is `[wal]`, `cli/table.rs` is `[cli, table]`.
pub fn module_of(file: &str) -> Path {
    let mut path: Path = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

impl Graph {
    /// Reads sources, each with its path below `src`, without what is only for tests.
    pub fn of_program(texts: &[(String, String)]) -> Graph {
        let mut tests = BTreeSet::new();
        let sources = texts.iter().map(|(file, text)| {
            let module = module_of(file);
            let words = without_tests(words(text), &module, &mut tests);
            (file.clone(), Reader::read(module, words))
        });
        let mut sources: BTreeMap<String, Source> = sources.collect();
        sources.retain(|_, source| !tests.iter().any(|test| source.module.starts_with(test)));
        Graph::new(sources)
    }

    /// Reads all of the sources.
    pub fn of_all(texts: &[(String, String)]) -> Graph {
        let read = |(file, text): &(String, String)| {
            (file.clone(), Reader::read(module_of(file), words(text)))
        };
        Graph::new(texts.iter().map(read).collect())
    }

    fn new(sources: BTreeMap<String, Source>) -> Graph {
        // The program's own file is no module of the library.
        let modules = sources.iter().filter(|(file, _)| *file != "main.rs");
        let files = modules.map(|(file, source)| (source.module.clone(), file.clone())).collect();
        Graph { sources, files }
    }

    /// The files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.sources.keys().map(String::as_str)
    }

    /// What a file names, but for the items of its own that it names without a path.
    pub fn named(&self, file: &str) -> Vec<Named> {
        let source = &self.sources[file];
        let resolved = source.named.iter().filter_map(|(module, line, path)| {
            let path = self.absolute(source, module, path, 0)?;
            let target = self.target(&path, 0).filter(|(other, _)| other != file);
            Some(Named { line: *line, path, target })
        });
        resolved.collect()
    }

    /// Whether a file has an `impl` block of a type, of a trait or not.
    pub fn implements(&self, file: &str, name: &str, of_trait: bool) -> bool {
        self.sources[file].implemented.contains(&(name.to_owned(), of_trait))
    }

    /// The file of a module.
    pub fn file_of(&self, module: &[String]) -> Option<&str> {
        self.files.get(module).map(String::as_str)
    }

    /// A path from the crate's root, or from a package's; `None` for a name of the file itself.
    fn absolute(
        &self,
        source: &Source,
        module: &[String],
        path: &[String],
        depth: u8,
    ) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let from = |module: &[String]| Some([module, rest].concat());
        match first.as_str() {
            "crate" => from(&[]),
            "self" => from(module),
            "super" => {
                let parent = &module[..module.len().checked_sub(1)?];
                match rest.first().map(String::as_str) {
                    Some("super") => self.absolute(source, parent, rest, depth),
                    _ => from(parent),
                }
            }
            name => {
                let child = [module, &[name.to_owned()]].concat();
                if self.files.contains_key(&child) {
                    return from(&child);
                }
                let bound = source
                    .bindings
                    .iter()
                    .find(|(within, bound, _)| within == module && bound == name);
                match bound {
                    Some((_, _, bound)) if depth < 9 && bound != path => {
                        let bound = self.absolute(source, module, bound, depth + 1)?;
                        Some([bound, rest.to_vec()].concat())
                    }
                    _ if is_package(name) => Some(path.to_vec()),
                    _ => None,
                }
            }
        }
    }

    /// The file that defines what a path names, and the item; `None` for a module or another package.
    fn target(&self, path: &[String], depth: u8) -> Option<(String, String)> {
        let mut module = 0;
        while module < path.len() && self.files.contains_key(&path[..=module]) {
            module += 1;
        }
        let (module, rest) = path.split_at(module);
        let file = self.files.get(module)?;
        let (name, after) = rest.split_first()?;
        let source = &self.sources[file];
        if module.is_empty() && is_package(name) {
            return None;
        }
        let bound = source.bindings.iter().find(|(within, bound, _)| {
            within == module && bound == name && !source.items.contains(name)
        });
        if let Some((_, _, bound)) = bound
            && depth < 9
            && let Some(bound) = self.absolute(source, module, bound, 0)
        {
            return self.target(&[bound, after.to_vec()].concat(), depth + 1);
        }
        Some((file.clone(), name.clone()))
    }
}

/// Whether a name that begins a path is a package's. The library is one too, for the program.
pub fn is_package(name: &str) -> bool {
    ["std", "core", "alloc", "chatctl"].contains(&name) || super::PACKAGES.contains(&name)
}

/// Reads the words of one source.
struct Reader<'a> {
    words: Vec<(usize, &'a str)>,
    at: usize,
    source: Source,
    /// The braces that are open, and for each the inline module that it began.
    braces: Vec<Option<&'a str>>,
}

impl<'a> Reader<'a> {
    fn read(module: Path, words: Vec<(usize, &'a str)>) -> Source {
        let source = Source { module, ..Source::default() };
        let mut reader = Reader { words, at: 0, source, braces: Vec::new() };
        while reader.at < reader.words.len() {
            reader.step();
        }
        reader.source
    }

    fn word(&self, step: usize) -> &'a str {
        self.words.get(self.at + step).map_or("", |word| word.1)
    }

    fn module(&self) -> Path {
        let inline = self.braces.iter().flatten().map(|name| name.to_string());
        self.source.module.iter().cloned().chain(inline).collect()
    }

    fn step(&mut self) {
        match self.word(0) {
            "{" => {
                let before = |step: usize| self.at.checked_sub(step).map(|at| self.words[at].1);
                self.braces.push(before(1).filter(|_| before(2) == Some("mod")));
            }
            "}" => drop(self.braces.pop()),
            "use" => {
                self.at += 1;
                self.tree(Vec::new());
                return;
            }
            "impl" if begins_item(self.at.checked_sub(1).map(|before| self.words[before].1)) => {
                let words = self.words[self.at..].iter().map(|word| word.1);
                let (name, of_trait) = implemented(words);
                self.source.implemented.insert((name.to_owned(), of_trait));
            }
            "fn" | "struct" | "enum" | "trait" | "type" | "static" | "const"
                if self.braces.is_empty() =>
            {
                let name = self.word(1).to_owned();
                self.source.items.insert(name);
            }
            word if is_name(word) && self.leads_on(0) => {
                let (line, mut path) = (self.words[self.at].0, vec![word.to_owned()]);
                while self.leads_on(0) && is_name(self.word(3)) {
                    self.at += 3;
                    path.push(self.word(0).to_owned());
                }
                let module = self.module();
                self.source.named.push((module, line, path));
            }
            _ => {}
        }
        self.at += 1;
    }

    fn leads_on(&self, step: usize) -> bool {
        self.word(step + 1) == ":" && self.word(step + 2) == ":"
    }

    /// Follows one tree of a `use` declaration.
    fn tree(&mut self, mut prefix: Path) {
        let line = self.words.get(self.at).map_or(0, |word| word.0);
        loop {
            match self.word(0) {
                "{" => {
                    self.at += 1;
                    while !matches!(self.word(0), "}" | "") {
                        self.tree(prefix.clone());
                        self.at += usize::from(self.word(0) == ",");
                    }
                    self.at += 1;
                    return;
                }
                ":" => self.at += 1,
                word if is_name(word) || word == "*" => {
                    prefix.push(word.to_owned());
                    self.at += 1;
                    if self.word(0) != ":" {
                        break;
                    }
                }
                _ => break,
            }
        }
        if prefix.len() > 1 && prefix.last().is_some_and(|last| last == "self") {
            prefix.pop();
        }
        let mut bound = prefix.last().cloned().unwrap_or_default();
        if self.word(0) == "as" {
            bound = self.word(1).to_owned();
            self.at += 2;
        }
        let module = self.module();
        self.source.bindings.push((module.clone(), bound, prefix.clone()));
        self.source.named.push((module, line, prefix));
    }
}

/// Whether an item may follow this word: an `impl` elsewhere is a type.
pub fn begins_item(before: Option<&str>) -> bool {
    before.is_none_or(|before| ["{", "}", ";", "]", "unsafe"].contains(&before))
}

/// The type of the `impl` block that the words begin, and whether it is of a trait.
pub fn implemented<'a>(words: impl Iterator<Item = &'a str>) -> (&'a str, bool) {
    let (mut name, mut of_trait, mut angles, mut before) = ("", false, 0, "");
    for word in words.skip(1) {
        match word {
            "<" => angles += 1,
            ">" if before != "-" => angles -= 1,
            _ if angles > 0 => {}
            "for" => of_trait = true,
            "{" | "where" | ";" | ")" | "," | "=" => break,
            word if is_name(word) => name = word,
            _ => {}
        }
        before = word;
    }
    (name, of_trait)
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The words without items that are only for tests. Modules of tests with files of their own are
/// added to `tests`.
fn without_tests<'a>(
    words: Vec<(usize, &'a str)>,
    module: &[String],
    tests: &mut BTreeSet<Path>,
) -> Vec<(usize, &'a str)> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let is_marked = words[at..].len() > MARK.len()
            && words[at..].iter().map(|word| word.1).take(MARK.len()).eq(MARK);
        if !is_marked {
            kept.push(words[at]);
            at += 1;
            continue;
        }
        at += MARK.len();
        let (begin, mut depth) = (at, 0);
        while at < words.len() {
            match words[at].1 {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            let ends = matches!(words[at].1, ";" | "}") && depth == 0;
            at += 1;
            if ends {
                break;
            }
        }
        let item: Vec<&str> = words[begin..at].iter().map(|word| word.1).collect();
        if let [.., "mod", name, ";"] = item[..] {
            tests.insert([module, &[name.to_owned()]].concat());
        }
    }
    kept
}
