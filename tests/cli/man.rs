//! The man pages: in step with the table, and none missing.

use chatctl::cli::{man, table};
use std::fs;
use std::path::{Path, PathBuf};

/// Set to anything: the pages are rewritten instead of compared. `make man` does that.
const REWRITE: &str = "CHATCTL_REWRITE_MAN";

fn pages() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // Beside the pages there is the unit for systemd.
    let is_page = |path: &PathBuf| path.extension().is_some_and(|kind| kind != "service");
    let mut pages: Vec<PathBuf> = files.filter(is_page).collect();
    pages.sort();
    pages
}

#[test]
fn the_pages_generated_sections_are_what_the_table_says() {
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        let shown = path.display();
        let fresh = man::refreshed(&page).unwrap_or_else(|error| panic!("{shown}: {error}"));
        if std::env::var_os(REWRITE).is_some() {
            fs::write(&path, fresh).unwrap();
        } else if let Some((number, (old, new))) =
            (1..).zip(page.lines().zip(fresh.lines())).find(|(_, (old, new))| old != new)
        {
            panic!("{shown}:{number}: is '{old}', the table says '{new}': run make man");
        } else {
            assert_eq!(page, fresh, "{shown}: run make man");
        }
    }
}

#[test]
fn every_subcommand_has_a_page_whose_flags_come_from_the_table() {
    for subcommand in table::SUBCOMMANDS {
        let name = format!("chatctl-{}.1", subcommand.name);
        let path = pages().into_iter().find(|path| path.ends_with(&name));
        let path = path.unwrap_or_else(|| panic!("man/{name} is missing"));
        let page = fs::read_to_string(path).unwrap();
        let marker = format!(".\\\" begin flags {}\n", subcommand.name);
        assert!(page.contains(&marker), "{name} has no generated list of flags");
    }
}

/// The sections that every page of section 1 has, in the order in which manuals have them.
const SECTIONS: [&str; 8] = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "ENVIRONMENT",
    "FILES",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
];

#[test]
fn every_page_of_a_command_has_all_sections_in_their_order() {
    for path in pages().iter().filter(|path| path.extension().is_some_and(|section| section == "1"))
    {
        let page = fs::read_to_string(path).unwrap();
        let headings: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix(".Sh ")).collect();
        let places: Vec<usize> = SECTIONS
            .iter()
            .map(|name| headings.iter().position(|heading| heading == name))
            .map(|place| place.unwrap_or_else(|| panic!("{}: {headings:?}", path.display())))
            .collect();
        assert!(places.is_sorted(), "{}: another order: {headings:?}", path.display());
        for (name, body) in page.split("\n.Sh ").skip(1).filter_map(|part| part.split_once('\n')) {
            let words = body.lines().filter(|line| !line.starts_with(".\\\"")).count();
            assert!(words > 0, "{}: nothing in {name}", path.display());
        }
    }
}

#[test]
fn every_page_of_the_program_that_a_page_refers_to_exists() {
    let names: Vec<String> =
        pages().iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    for path in pages() {
        let page = fs::read_to_string(&path).unwrap();
        for line in page.lines().filter_map(|line| line.strip_prefix(".Xr chatctl")) {
            let mut words = line.split_whitespace();
            let (rest, section) = match line.starts_with('-') {
                true => (words.next().unwrap_or_default(), words.next().unwrap_or_default()),
                false => ("", words.next().unwrap_or_default()),
            };
            let referred = format!("chatctl{rest}.{section}");
            assert!(names.contains(&referred), "{} refers to {referred}", path.display());
        }
    }
}
