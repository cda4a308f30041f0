//! `make install` and `make uninstall`, into a folder of the test's own.

use crate::support::bounded::Run;
use crate::support::{PROGRAM, TempDir};
use chatctl::cli::completions;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn make(target: &str, destination: &Path) {
    make_with(target, &["PREFIX=/opt/chat", &format!("DESTDIR={}", destination.display())]);
}

fn make_with(target: &str, variables: &[&str]) {
    let binary = format!("BINARY={PROGRAM}");
    done(make_command(target).args(variables).arg(binary).run());
}

/// `make` as somebody runs it who is told nothing by whoever runs the tests.
fn make_command(target: &str) -> Command {
    let mut command = Command::new("make");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["-s", target]);
    for variable in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "CARGO_BUILD_TARGET"] {
        command.env_remove(variable);
    }
    for variable in ["RUSTC", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "MAKEFLAGS", "PREFIX"] {
        command.env_remove(variable);
    }
    command
}

/// What a run wrote to standard output; it succeeded.
fn done(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it failed: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a run wrote to standard error; it failed.
fn refused(output: Output) -> String {
    assert!(!output.status.success(), "it succeeded: {output:?}");
    String::from_utf8(output.stderr).unwrap()
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
        assert_eq!(installed, completions::script(shell.parse().unwrap()), "{place}");
    }
    let unit = prefix.join("lib/systemd/system/chatctl.service");
    let unit = fs::read_to_string(unit).expect("the unit is installed");
    assert!(unit.contains("\nExecStart=/opt/chat/bin/chatctl serve --config "), "{unit}");
    assert_eq!(files(destination.path()).len(), pages + 5, "nothing else is installed");
    make("uninstall", destination.path());
    assert_eq!(files(destination.path()), Vec::<PathBuf>::new());
}

#[test]
fn what_is_installed_is_readable_by_all_under_a_strict_umask() {
    let home = TempDir::new("umask");
    let binary = format!("BINARY={PROGRAM}");
    let destination = format!("DESTDIR={}/root", home.path().display());
    let make = make_command("install");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec make \"$@\"", "make"]).args(make.get_args());
    let environment: Vec<_> = make.get_envs().map(|(name, _)| name.to_owned()).collect();
    for name in &environment {
        shell.env_remove(name);
    }
    shell.current_dir(make.get_current_dir().unwrap()).args([&binary, &destination]);
    done(shell.run());
    let root = home.path().join("root");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for file in files(&root) {
        let wanted = if file.ends_with("bin/chatctl") { 0o755 } else { 0o644 };
        assert_eq!(mode(&file), wanted, "{}", file.display());
        for folder in file.ancestors().skip(1).take_while(|folder| *folder != home.path()) {
            assert_eq!(mode(folder), 0o755, "{}", folder.display());
        }
    }
}

#[test]
fn a_program_that_cannot_be_installed_is_refused_and_nothing_is_installed() {
    let home = TempDir::new("refused");
    let path = |name: &str| home.path().join(name).display().to_string();
    // The machine that an ELF file is for is a number of two bytes at 18: none has this one.
    let mut foreign = fs::read(PROGRAM).unwrap();
    foreign[18..20].copy_from_slice(&[0xfe, 0xca]);
    fs::write(path("foreign"), foreign).unwrap();
    fs::set_permissions(path("foreign"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path("data"), "").unwrap();
    for (binary, said) in [
        ("missing", "missing is not built; run make first, with the same CARGO_TARGET_DIR"),
        ("foreign", "foreign does not run here: "),
        ("data", "data does not run here: "),
    ] {
        let binary = format!("BINARY={}", path(binary));
        let destination = format!("DESTDIR={}", path("root"));
        let error = refused(make_command("install").args([&binary, &destination]).run());
        assert!(error.contains(said), "{error}");
    }
    let binary = format!("BINARY={PROGRAM}");
    let destination = format!("DESTDIR={}/", path("root"));
    let relative = [binary.as_str(), &destination, "PREFIX=usr"];
    let error = refused(make_command("install").args(relative).run());
    assert!(error.contains("PREFIX must be an absolute path, not 'usr'"), "{error}");
    assert!(!home.path().join("root").exists(), "something was installed");
}

#[test]
fn install_finds_the_program_where_cargo_built_it() {
    let home = TempDir::new("target");
    for (variables, folder) in [
        (vec![("CARGO_TARGET_DIR", "")], "release"),
        (vec![("CARGO_BUILD_TARGET_DIR", "")], "release"),
        (
            vec![("CARGO_TARGET_DIR", ""), ("CARGO_BUILD_TARGET", "some-linux")],
            "some-linux/release",
        ),
    ] {
        let release = home.path().join(folder);
        fs::create_dir_all(&release).unwrap();
        fs::copy(PROGRAM, release.join("chatctl")).unwrap();
        let mut make = make_command("install");
        for (name, value) in &variables {
            make.env(name, if value.is_empty() { home.path() } else { Path::new(value) });
        }
        let root = home.path().join("root");
        let said = done(make.arg(format!("DESTDIR={}", root.display())).run());
        let binary = release.join("chatctl").display().to_string();
        assert!(said.contains(&format!(" from {binary}")), "{said}");
        assert!(root.join("usr/local/bin/chatctl").is_file(), "{variables:?}");
        fs::remove_dir_all(&root).unwrap();
        fs::remove_dir_all(&release).unwrap();
    }
}

/// The Makefile beside a package of a few lines, which depends on one below the folder of cargo:
/// built in a second, where the project takes minutes.
#[test]
fn make_leaves_no_path_of_its_machine_in_the_program_and_keeps_the_flags_it_is_given() {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let rust =
        |arguments: &[&str]| done(Command::new("rustc").args(arguments).run()).trim().to_string();
    let home = TempDir::new("remap");
    let (checkout, registry) = (home.path().join("my chat"), home.path().join("cargo/registry"));
    let package = |folder: &Path, manifest: &str, source: &str, text: &str| {
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        fs::write(folder.join("src").join(source), text).unwrap();
    };
    package(
        &registry,
        "[package]\nname = \"found\"\nedition = \"2024\"\n",
        "lib.rs",
        "pub fn item(list: &[u8], place: usize) -> u8 { list[place] }",
    );
    package(
        &checkout,
        "[package]\nname = \"chatctl\"\nedition = \"2024\"\nrust-version = \"1.85\"\n\
         [dependencies]\nfound = { path = \"../cargo/registry\" }\n\
         [profile.release]\ndebug = \"line-tables-only\"\n",
        "main.rs",
        "fn main() { let text: Vec<String> = std::env::args().collect();
         assert!(cfg!(given = \"1\")); println!(\"{}\", found::item(b\"abc\", text.len())) }",
    );
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile"), checkout.join("Makefile"))
        .unwrap();
    let target = home.path().join("target");
    let mut make = make_command("all");
    make.current_dir(&checkout)
        .env("HOME", home.path())
        .env("CARGO_HOME", home.path().join("cargo"))
        .env("RUSTC", PathBuf::from(rust(&["--print", "sysroot"])).join("bin/rustc"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "--cfg  given=\"1\"")
        .arg(format!("CARGO={} --offline", Path::new(&cargo).display()));
    done(make.run());
    let program = target.join("release/chatctl");
    done(Command::new(&program).run());
    let bytes = fs::read(program).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("cargo/registry/src/lib.rs"), "the test would see a path");
    assert!(!has(&home.path().display().to_string()), "the program has a path of its builder");
    assert!(!has(&rust(&["--print", "sysroot"])), "the program has the path of its compiler");
}

#[test]
fn make_names_the_version_of_rust_that_an_old_compiler_is_not() {
    let home = TempDir::new("old-rust");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let wanted = manifest.split_once("\nrust-version = \"").unwrap().1.split('"').next().unwrap();
    let (_, minor) = wanted.split_once('.').unwrap();
    let minor: u32 = minor.parse().unwrap();
    let compiler = home.path().join("rustc");
    let under = |version: &str| {
        fs::write(&compiler, format!("#!/bin/sh\necho 'rustc {version}'\n")).unwrap();
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
        make_command("all").env("RUSTC", &compiler).arg("CARGO=echo cargo").run()
    };
    for version in [format!("1.{}.9 (abc 2020-01-01)", minor - 1), "0.99.0".to_string()] {
        let error = refused(under(&version));
        let said = format!("chatctl needs Rust {wanted} or later");
        assert!(error.contains(&said) && error.contains(&version), "{error}");
    }
    for version in [format!("1.{minor}.0-nightly"), format!("1.{}.0", minor + 100), "2.0.0".into()]
    {
        assert!(done(under(&version)).contains("cargo build --release"), "{version}");
    }
    let missing = make_command("all").env("RUSTC", home.path().join("none")).run();
    assert!(refused(missing).contains(&format!("chatctl needs Rust {wanted} or later")));
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
