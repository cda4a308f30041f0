//! The program: passes the arguments to [`chatctl::cli`] and exits with its code.

use std::panic::PanicHookInfo;
use std::process::ExitCode;

/// The commit that this is built from, set by the Makefile. It is here and not in the library, so that
/// a new commit alone does not rebuild the library.
const COMMIT: Option<&str> = option_env!("CHATCTL_COMMIT");

fn main() -> ExitCode {
    end_on_panic();
    ExitCode::from(chatctl::cli::main(std::env::args_os().skip(1).collect(), COMMIT))
}

/// Makes a panic in any thread restore the terminal, print one line and end the process with exit code
/// 1: a server must not continue after it lost a thread, and a stack trace does not help a user.
fn end_on_panic() {
    std::panic::set_hook(Box::new(|info| {
        chatctl::cli::restore_terminal();
        chatctl::cli::last_words(&panic_line(info));
        std::process::exit(1);
    }));
}

fn panic_line(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = what.unwrap_or("no message").replace('\n', " ");
    let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
    let place = place.unwrap_or_else(|| "an unknown place".to_string());
    format!("chatctl: internal error at {place}: {what}; please report this")
}

#[cfg(test)]
mod tests {
    /// The child of the test below.
    #[test]
    #[ignore = "it ends its process"]
    fn a_thread_panics() {
        super::end_on_panic();
        let _ = std::thread::spawn(|| panic!("two\nlines")).join();
        unreachable!("the hook has ended the process");
    }

    #[test]
    fn a_panic_of_any_thread_ends_the_process_with_one_line_and_exit_code_1() {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tests::a_thread_panics", "--nocapture"])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.starts_with("chatctl: internal error at src/main.rs:"), "{error}");
        assert!(error.ends_with(": two lines; please report this\n"), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}
