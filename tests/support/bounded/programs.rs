//! Programs that a test starts: what goes into them, what comes out, and their end.

use std::io::{self, BufReader, Read, Write};
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio,
};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::streams::Bounded;
use super::{END, PATIENCE, RUN, eventually_or};

/// The pipes of a child, each of which can be taken once.
pub trait Pipes {
    /// Its standard input.
    fn input(&mut self) -> Bounded<ChildStdin>;

    /// Its standard output, a line at a time; `what` names what comes: "the start line".
    fn lines(&mut self, what: impl Into<String>) -> BufReader<Bounded<ChildStdout>>;

    /// The same, with a bound of the caller's.
    fn lines_within(
        &mut self,
        patience: Duration,
        what: impl Into<String>,
    ) -> BufReader<Bounded<ChildStdout>>;

    /// Its standard error.
    fn errors(&mut self) -> Bounded<ChildStderr>;

    /// Closes its standard output, which nobody reads any more.
    fn close_output(&mut self);

    /// Closes its standard input.
    fn close_input(&mut self);
}

impl Pipes for Child {
    fn input(&mut self) -> Bounded<ChildStdin> {
        let input = self.stdin.take().expect("standard input is a pipe, taken once");
        Bounded::new(input, "standard input of a program")
    }

    fn lines(&mut self, what: impl Into<String>) -> BufReader<Bounded<ChildStdout>> {
        self.lines_within(PATIENCE, what)
    }

    fn lines_within(
        &mut self,
        patience: Duration,
        what: impl Into<String>,
    ) -> BufReader<Bounded<ChildStdout>> {
        let output = self.stdout.take().expect("standard output is a pipe, taken once");
        BufReader::new(Bounded::within(patience, output, what))
    }

    fn errors(&mut self) -> Bounded<ChildStderr> {
        let errors = self.stderr.take().expect("standard error is a pipe, taken once");
        Bounded::new(errors, "the end of standard error")
    }

    fn close_output(&mut self) {
        drop(self.stdout.take());
    }

    fn close_input(&mut self) {
        drop(self.stdin.take());
    }
}

/// Waits until a child has ended; kills it and fails when it runs on. Standard input, which the
/// child may be reading, is closed first.
pub fn exit_of(child: &mut Child) -> ExitStatus {
    drop(child.stdin.take());
    exit_within(child, END, "the child ends").unwrap_or_else(|sentence| panic!("{sentence}"))
}

fn exit_within(child: &mut Child, patience: Duration, what: &str) -> Result<ExitStatus, String> {
    let ended = eventually_or(what, patience, || child.try_wait().expect("the child is ours"));
    if ended.is_err() {
        killed(child);
    }
    ended
}

/// Kills a child that may have ended already, and waits until it has; fails when it does not end,
/// unless the test fails already.
pub fn killed(child: &mut Child) {
    let _ = child.kill();
    let ended = eventually_or("a child that was killed ends", END, || {
        child.try_wait().expect("the child is ours")
    });
    if let Err(sentence) = ended
        && !std::thread::panicking()
    {
        panic!("{sentence}");
    }
}

/// What a program does that a test kills; it ends by itself where nobody does.
pub fn until_killed() -> ! {
    std::thread::sleep(END);
    panic!("after {END:?} still not so: the program is killed");
}

/// Waits until a child has ended and gives what it wrote to the pipes that it has; kills it and fails,
/// showing that, when it runs on. Standard input is closed first.
pub fn output_of(child: Child) -> Output {
    output_within(child, END, "the child ends", None)
}

pub(super) fn output_within(
    mut child: Child,
    patience: Duration,
    what: &str,
    input: Option<&[u8]>,
) -> Output {
    let out = child.stdout.take().map(Gathered::start);
    let error = child.stderr.take().map(Gathered::start);
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        let input = input.to_vec();
        // The thread ends with the child, if not before. What it does not read, it did not want.
        std::thread::spawn(move || drop(pipe.write_all(&input)));
    }
    let ended = exit_within(&mut child, patience, what);
    let [stdout, stderr] =
        [out, error].map(|gathered| gathered.map_or(Vec::new(), |gathered| gathered.all(what)));
    match ended {
        Ok(status) => Output { status, stdout, stderr },
        Err(sentence) => panic!(
            "{sentence}; it wrote {:?} and to standard error {:?}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        ),
    }
}

/// What comes through a pipe, gathered by a thread.
#[derive(Default)]
pub struct Gathered {
    read: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl Gathered {
    /// Gathers what a child writes to its standard output, where that is a pipe.
    pub fn output(child: &mut Child) -> Arc<Gathered> {
        Gathered::from(child.stdout.take())
    }

    /// The same of its standard error.
    pub fn errors(child: &mut Child) -> Arc<Gathered> {
        Gathered::from(child.stderr.take())
    }

    fn from(pipe: Option<impl Read + Send + 'static>) -> Arc<Gathered> {
        match pipe {
            Some(pipe) => Gathered::start(pipe),
            None => {
                Arc::new(Gathered { read: Mutex::new((Vec::new(), true)), ..Gathered::default() })
            }
        }
    }

    fn start(mut pipe: impl Read + Send + 'static) -> Arc<Gathered> {
        let gathered = Arc::<Gathered>::default();
        let (own, mut chunk) = (gathered.clone(), vec![0; 64 << 10]);
        std::thread::spawn(move || {
            loop {
                let result = pipe.read(&mut chunk);
                if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
                    continue;
                }
                let count = result.unwrap_or(0);
                let mut read = own.locked();
                read.0.extend_from_slice(&chunk[..count]);
                read.1 = count == 0;
                own.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        gathered
    }

    fn locked(&self) -> MutexGuard<'_, (Vec<u8>, bool)> {
        self.read.lock().expect("no reader fails")
    }

    /// What came so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.locked().0).into_owned()
    }

    /// What came, once `enough` says so of it and of whether that is all; fails, showing it, when
    /// that takes longer than [`PATIENCE`]. `what` names what lacks then.
    pub fn until(&self, what: &str, enough: impl Fn(&str, bool) -> bool) -> String {
        let lacking =
            |read: &mut (Vec<u8>, bool)| !enough(&String::from_utf8_lossy(&read.0), read.1);
        let waited = self.changed.wait_timeout_while(self.locked(), PATIENCE, lacking);
        let (read, timeout) = waited.expect("no reader fails");
        let text = String::from_utf8_lossy(&read.0).into_owned();
        drop(read);
        assert!(!timeout.timed_out(), "after {PATIENCE:?} {what} is still missing from:\n{text}");
        text
    }

    /// All of it, once the pipe is closed, which a child's children may put off.
    fn all(&self, what: &str) -> Vec<u8> {
        let open = |read: &mut (Vec<u8>, bool)| !read.1;
        let waited = self.changed.wait_timeout_while(self.locked(), PATIENCE, open);
        let (mut read, timeout) = waited.expect("no reader fails");
        let open = timeout.timed_out();
        let all = std::mem::take(&mut read.0);
        drop(read);
        assert!(!open, "after {PATIENCE:?} a pipe is still open: {what}");
        all
    }
}

/// Programs that a test runs to their end.
pub trait Run {
    /// Runs it with nothing on standard input, and gives what it wrote; fails past [`RUN`].
    fn run(&mut self) -> Output;

    /// The same, where the program may not be there.
    fn try_run(&mut self) -> io::Result<Output>;

    /// The same, with this on its standard input, of which it reads what it wants.
    fn try_run_with(&mut self, input: &[u8]) -> io::Result<Output>;
}

impl Run for Command {
    fn run(&mut self) -> Output {
        self.try_run().unwrap_or_else(|error| panic!("{self:?} cannot be run: {error}"))
    }

    fn try_run(&mut self) -> io::Result<Output> {
        self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(output_within(self.spawn()?, RUN, &format!("{self:?} ends"), None))
    }

    fn try_run_with(&mut self, input: &[u8]) -> io::Result<Output> {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(output_within(self.spawn()?, RUN, &format!("{self:?} ends"), Some(input)))
    }
}
