//! `make install` and `make uninstall`, into a folder of the test's own.

use crate::support::TempDir;
use crate::support::bounded::Run;
use chatctl::cli::completions;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn make(target: &str, destination: &Path) {
    make_with(target, &["PREFIX=/opt/chat", &format!("DESTDIR={}", destination.display())]);
}

fn make_with(target: &str, variables: &[&str]) {
    let output = Command::new("make")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-s", target])
        .args(variables)
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
        if section == "service" {
            continue;
        }
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
    let unit = prefix.join("lib/systemd/system/chatctl.service");
    let unit = fs::read_to_string(unit).expect("the unit is installed");
    assert!(unit.contains("\nExecStart=/opt/chat/bin/chatctl serve --config "), "{unit}");
    assert_eq!(files(destination.path()).len(), pages + 5, "nothing else is installed");
    make("uninstall", destination.path());
    assert_eq!(files(destination.path()), Vec::<PathBuf>::new());
}

#[test]
fn the_manual_shows_the_unit_that_is_installed() {
    let man = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let unit = fs::read_to_string(man.join("chatctl.service")).unwrap();
    let (_, unit) = unit.split_once("\n\n").expect("what the file is stands first");
    let plain: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    let page = fs::read_to_string(man.join("chatctl-serve.1")).unwrap();
    let shown = page.split_once("/systemd/system/chatctl.service\n").expect("the page has it").1;
    let (shown, _) = shown.split_once("\n.Ed\n").expect("it ends");
    assert_eq!(shown.lines().collect::<Vec<_>>(), plain);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let there = Command::new("systemd-analyze").arg("--version").try_run();
    if !there.is_ok_and(|output| output.status.success()) {
        return println!("skipped: systemd-analyze is not installed");
    }
    let home = TempDir::new("unit");
    let prefix = format!("PREFIX={}", home.path().display());
    make_with("install", &[&prefix]);
    let unit = home.path().join("lib/systemd/system/chatctl.service");
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).arg(&unit).run();
    let said = String::from_utf8_lossy(&output.stderr);
    // Of other units of the machine it may say what it wants.
    let of_this: Vec<&str> = said.lines().filter(|line| line.contains("chatctl")).collect();
    assert_eq!(of_this, [""; 0], "{said}");
    let text = fs::read_to_string(&unit).unwrap();
    let wrong = unit.with_file_name("chatctl-wrong.service");
    fs::write(&wrong, text.replace("Type=exec", "Type=nothing")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&wrong).run();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("chatctl-wrong"), "it would say what is wrong: {said}");
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
