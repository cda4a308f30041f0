//! `make install` and `make uninstall`, into a folder of the test's own.

use crate::support::TempDir;
use crate::support::bounded::Run;
use chatctl::cli::completions;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn make(target: &str, destination: &Path) {
    let output = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-s", target, "PREFIX=/opt/chat"])
        .arg(format!("DESTDIR={}", destination.display()))
        .arg(format!("BINARY={}", env!("CARGO_BIN_EXE_chatctl")))
        .run();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "make {target}: {error}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn install_puts_program_pages_and_completions_below_the_prefix_and_uninstall_takes_them_away() {
    let destination = TempDir::new("install");
    let prefix = destination.path().join("opt/chat");
    make("install", destination.path());
    let output = Command::new(prefix.join("bin/chatctl")).arg("--version").run();
    assert!(output.status.success(), "the installed binary runs");
    let mut pages = 0;
    for page in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("man")).unwrap() {
        let name = page.unwrap().file_name();
        let section = Path::new(&name).extension().unwrap().to_str().unwrap().to_string();
        let installed = prefix.join(format!("share/man/man{section}")).join(&name);
        assert!(installed.is_file(), "{} is not installed", installed.display());
        pages += 1;
    }
    for (shell, place) in [
        ("bash", "bash-completion/completions/chatctl"),
        ("zsh", "zsh/site-functions/_chatctl"),
        ("fish", "fish/vendor_completions.d/chatctl.fish"),
    ] {
        let installed = fs::read_to_string(prefix.join("share").join(place)).unwrap();
        assert_eq!(installed, completions::script(shell).unwrap(), "{place}");
    }
    assert_eq!(files(destination.path()).len(), pages + 4, "nothing else is installed");
    make("uninstall", destination.path());
    assert_eq!(files(destination.path()), Vec::<PathBuf>::new());
}

#[test]
fn make_tells_the_compiler_which_commit_it_builds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() {
        println!("skipped: this is not a clone");
        return;
    }
    let command = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).current_dir(root).args(arguments).run();
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let commit = command("git", &["rev-parse", "--short=12", "HEAD"]);
    let planned = command("make", &["-n", "all"]);
    let line = planned.lines().find(|line| line.contains("build --release")).unwrap();
    let given = line.strip_prefix("CHATCTL_COMMIT=").unwrap().split(' ').next().unwrap();
    assert_eq!(given.strip_suffix("-dirty").unwrap_or(given), commit.trim());
}
