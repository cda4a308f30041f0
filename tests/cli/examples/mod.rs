//! Runs the EXAMPLES of the man pages, the guide chatctl-cluster(7) and the commands of README as
//! they are written, and compares their output with what the pages show.
//!
//! - The examples of a page run one after the other in one bash, in a fresh directory, which is
//!   `~` too. They have a network of their own, a loopback device with the addresses of the pages'
//!   machines, so that addresses and ports are those on the page; and processes of their own, so
//!   that nothing is left running.
//! - A line that begins with `$ ` is a command; in the guide also one that begins with `# `. It goes on in the next line where it ends in a
//!   backslash, a bar or `&&`. Other lines are what it prints: see [`page::matches`].
//! - The directories in [`MOVED`] mean directories below the fresh one.
//! - `cat FILE` of a file that is not there yet makes it: what follows is what it holds.
//! - `chatctl serve` runs on while the others follow, as in a terminal of its own, and takes the
//!   place of the one that an earlier example started; the next command waits until it serves.
//! - Servers that a command starts in the background keep running; the next command waits until all
//!   of them serve. They say so on standard output or in a file `*.log`.
//! - [`stage::STAGES`] prepares what a page's commands need; [`stage::NOT_RUN`] lists the commands
//!   that are not run, and why.

mod page;
mod stage;

use crate::support::bounded::{Run, WHOLE, scope};
use crate::support::{PROGRAM, TempDir};
use chatctl::sys::process;
use page::Example;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Directories of the pages' machines that are made below the test's own.
const MOVED: [&str; 5] = [
    "/var/lib/chatctl",
    "/etc/chatctl",
    "/usr/local/lib/systemd/system",
    "/run/chatctl",
    "/var/tmp",
];

/// What stands before every page's examples. `serve` starts a server, `served` waits for those that
/// were started, `stopped` ends them. A server says on its standard output that it serves.
const PRELUDE: &str = r#"
ip link set lo up
for host in 1 2 3 4; do ip address add 10.0.0.$host/32 dev lo; done
cd "$HOME"
umask 077
servers=0 waited=0 pids=()
opened() {
    servers=$((servers + 1))
    mkfifo "../said/serves.$servers"
    exec {said}<>"../said/serves.$servers"
}
serve() {
    opened
    chatctl serve --password-iterations 1 "$@" >&$said 2>>../said/servers &
    pids[$servers]=$!
}
served() {
    while [ $waited -lt $servers ]; do
        waited=$((waited + 1))
        IFS= read -r -t 30 <>"../said/serves.$waited" || echo "server $waited does not serve" >&2
    done
}
stopped() {
    kill "${pids[@]}"
    wait "${pids[@]}"
}
"#;

/// What stands before a command: notes which jobs run, and how many servers have said that they serve.
const BEFORE: &str = r#"
jobs_before=$(jobs -rp)
served_before=$(cat ./*.log 2>/dev/null | grep -c 'chatctl serves at')
"#;

/// What follows a command: waits until every server that it left in the background serves.
const UNTIL_THEY_SERVE: &str = r#"
new=$(jobs -rp | grep -vcxF -e "${jobs_before:--}")
for attempt in $(seq 600); do
    now=$(cat "$said_to" ./*.log 2>/dev/null | grep -c 'chatctl serves at')
    [ $new -gt 0 ] && [ $now -lt $((served_before + new)) ] || break
    [ $attempt -lt 600 ] || echo "after $said_to: $now of $((served_before + new)) servers serve" >&2
    sleep 0.05
done
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn man() -> PathBuf {
    root().join("man")
}

/// The guide, a page of section 7 whose commands are run. The other pages of this section have no
/// commands: the tests of the protocol check their examples.
const GUIDE: &str = "chatctl-cluster.7";

/// Returns README and the pages that have examples, by name.
fn pages() -> Vec<(String, Vec<Example>)> {
    let mut pages: Vec<(String, Vec<Example>)> = fs::read_dir(man())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|kind| kind != "7" && kind != "service"))
        .filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some((name, page::examples(&fs::read_to_string(path).unwrap())?))
        })
        .collect();
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    pages.push(("README.md".to_owned(), page::readme(&readme)));
    let guide = fs::read_to_string(man().join(GUIDE)).unwrap();
    pages.push((GUIDE.to_owned(), page::guide(&guide)));
    pages.sort_by(|a, b| a.0.cmp(&b.0));
    pages
}

/// How a command is run with a network and processes of its own, or why it cannot be.
fn apart() -> Result<Command, String> {
    let make = || {
        let mut command = Command::new("unshare");
        command.args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        if !process::is_root() {
            command.arg("--map-root-user");
        }
        command
    };
    let tried = make().args(["ip", "link", "set", "lo", "up"]).try_run();
    let tried = tried.map_err(|error| format!("unshare cannot be run: {error}"))?;
    match tried.status.success() {
        true => Ok(make()),
        false => Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()),
    }
}

/// Whether, and why, an example is passed over.
fn not_run(page: &str, example: &Example) -> Option<&'static str> {
    let mut rows = stage::NOT_RUN.iter();
    let row = rows.find(|(of, begin, _)| *of == page && example.command.starts_with(begin));
    row.map(|(_, _, why)| *why)
}

/// The script that runs a page's examples. What the nth prints goes to `said/N`, how it ends to
/// `said/N.code`.
fn script(page: &str, examples: &[Example], dir: &Path) -> String {
    let (_, stage) = stage::STAGES
        .iter()
        .find(|(of, _)| *of == page)
        .unwrap_or_else(|| panic!("{page} has no row in STAGES: what do its examples need?"));
    let mut script = format!("{PRELUDE}{}\n", stage.join("\n"));
    for (number, example) in examples.iter().enumerate() {
        if not_run(page, example).is_some() {
            continue;
        }
        let command = &example.command;
        if let Some(file) = example.shows_file() {
            script.push_str(&format!("mkdir -p \"$(dirname {file})\"\n"));
            script.push_str(&format!("[ -e {file} ] || cat >{file} <<'END'\n"));
            script.push_str(&format!("{}\nEND\n", example.output.join("\n")));
        }
        if example.is_server() {
            let command = command.trim_end_matches(" &");
            script
                .push_str("[ -z \"${example-}\" ] || { kill $example; wait $example; }\nopened\n");
            script.push_str(&format!("{command} >&$said 2>>../said/servers &\nexample=$!\n"));
            script.push_str(&format!("served\necho $? >../said/{number}.code\n"));
            continue;
        }
        script.push_str(&format!(
            "{BEFORE}said_to=../said/{number}\n\
             {{\n{command}\n}} >$said_to 2>&1 </dev/null\n\
             echo $? >$said_to.code\n{UNTIL_THEY_SERVE}"
        ));
    }
    for moved in MOVED {
        script = script.replace(moved, &format!("{}{moved}", dir.display()));
    }
    script
}

/// Runs a page's examples and gives what is wrong with them.
fn faults(page: &str, examples: &[Example], mut command: Command) -> Vec<String> {
    let dir = TempDir::new("examples");
    let (home, said) = (dir.path().join("home"), dir.path().join("said"));
    for folder in [&home, &said] {
        fs::create_dir_all(folder).unwrap();
    }
    for moved in MOVED {
        fs::create_dir_all(format!("{}{moved}", dir.path().display())).unwrap();
    }
    let binary = Path::new(PROGRAM).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = command
        .args(["bash", "-c", &script(page, examples, dir.path())])
        .stdin(Stdio::null())
        .env("HOME", &home)
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("CHATCTL_PASSWORD", "correct horse")
        .env_remove("CHATCTL_SERVERS")
        .env_remove("CHATCTL_PEERS")
        .env_remove("XDG_STATE_HOME")
        .run();
    let mut faults = Vec::new();
    if !output.stderr.is_empty() {
        let servers = fs::read_to_string(said.join("servers")).unwrap_or_default();
        faults.push(format!("{page}: {}\n{servers}", String::from_utf8_lossy(&output.stderr)));
    }
    for (number, example) in examples.iter().enumerate() {
        if not_run(page, example).is_some() {
            continue;
        }
        let text = |name: String| fs::read_to_string(said.join(name)).unwrap_or_default();
        let code = text(format!("{number}.code"));
        let printed = text(number.to_string()).replace(&dir.path().display().to_string(), "");
        let shown = example.output.join("\n");
        if code.trim() != "0" {
            faults.push(format!("{page}: {}\nended with {code}{printed}", example.command));
        } else if !example.output.is_empty() && !page::matches(&shown, &printed) {
            let command = &example.command;
            faults.push(format!("{page}: {command}\nprints\n{printed}and not\n{shown}\n"));
        }
    }
    faults
}

#[test]
fn the_commands_of_every_page_and_of_readme_do_what_the_page_says() {
    let (pages, wrong) = (Mutex::new(pages()), Mutex::new(Vec::new()));
    let next = || pages.lock().unwrap().pop();
    let run = || {
        while let Some((page, examples)) = next() {
            match apart() {
                Ok(command) => {
                    let faults = faults(&page, &examples, command);
                    wrong.lock().unwrap().extend(faults);
                }
                Err(why) => println!("skipped: {page}: {why}"),
            }
        }
    };
    // Most of the time they wait.
    scope(WHOLE, "the examples of every page have run", |scope| {
        scope.spawn(run);
        run();
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn readme_stays_short() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(readme.lines().count() <= 200, "README has {} lines", readme.lines().count());
}

#[test]
fn every_page_of_a_command_has_an_example_and_what_is_not_run_is_there() {
    let pages = pages();
    for entry in fs::read_dir(man()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let has = pages.iter().any(|(page, examples)| *page == name && !examples.is_empty());
        assert!(has || !name.ends_with(".1"), "{name} has no example");
    }
    for (page, begin, why) in stage::NOT_RUN {
        let examples = pages.iter().find(|(name, _)| name == page).map(|(_, examples)| examples);
        let is_there = examples.is_some_and(|examples| {
            examples.iter().any(|example| example.command.starts_with(begin))
        });
        assert!(is_there && !why.is_empty(), "{page} has no example that begins with {begin}");
    }
}
