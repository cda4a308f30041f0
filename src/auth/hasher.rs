//! The thread that does the slow work of passwords, so that no loop waits for it. Jobs are done in
//! the order in which they come; each is answered once.
//!
//! [`Hasher::submit`] and [`Hasher::poll`] never wait for a hash, only for a lock that is held for
//! moments. The bound counts jobs from their submission until their answer is polled, so that it
//! holds for both queues.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::scram::{SALT, Verifier};
use crate::limits::VERIFIER_ITERATIONS;
use crate::sys::memory;

/// A password and what to do with it.
pub struct Job {
    /// What the answer is known by. The hasher does not look at it.
    pub id: u64,
    /// Overwritten with zeros after use.
    pub password: Vec<u8>,
    /// What to do.
    pub kind: JobKind,
}

/// What to do with a password. Iterations are from 1 to [`VERIFIER_ITERATIONS`].
pub enum JobKind {
    /// Tell whether the password is this verifier's.
    Verify(Verifier),
    /// Do the work of a [`JobKind::Verify`] and say no: so that an account that does not exist
    /// takes as long as one that does.
    VerifyUnknown {
        /// Those of the verifier that there would be.
        iterations: u32,
    },
    /// Make a verifier.
    Derive {
        /// Fresh random bytes.
        salt: [u8; SALT],
        /// How slow to make it.
        iterations: u32,
    },
}

/// The answer to a job.
#[derive(Debug)]
pub struct Done {
    /// The job's.
    pub id: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Of a verification: whether it was the password.
    Matches(bool),
    /// Of a derivation.
    Derived(Verifier),
}

/// The thread, and its queues. Dropped, it finishes the job in hand, forgets the others and all
/// answers, and ends.
pub struct Hasher {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    capacity: usize,
}

struct Shared {
    queues: Mutex<Queues>,
    /// Rung when there is a job, or the end.
    work: Condvar,
}

#[derive(Default)]
struct Queues {
    jobs: VecDeque<Job>,
    done: VecDeque<Done>,
    /// Jobs submitted whose answer was not polled.
    outstanding: usize,
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        // Nothing is done under the lock that could leave the queues half changed.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hasher {
    /// Starts the thread. `capacity` (at least 1) bounds the jobs that are not answered and polled;
    /// `wake` is called by the thread after each answer. Errors: no thread could be made.
    pub fn spawn(capacity: usize, wake: impl Fn() + Send + 'static) -> io::Result<Hasher> {
        assert!(capacity > 0, "a hasher without room does nothing");
        let queues = Mutex::new(Queues::default());
        let shared = Arc::new(Shared { queues, work: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("chatctl-hasher".into())
            .spawn(move || work_until_closed(&theirs, wake))?;
        Ok(Hasher { shared, thread: Some(thread), capacity })
    }

    /// Takes a job, or gives it back where there is no room: the answer is then `busy`.
    pub fn submit(&self, job: Job) -> Result<(), Job> {
        let iterations = job.kind.iterations();
        assert!(
            (1..=VERIFIER_ITERATIONS).contains(&iterations),
            "{iterations} iterations of a password's hash were asked for"
        );
        let mut queues = self.shared.lock();
        if queues.outstanding >= self.capacity {
            return Err(job);
        }
        queues.outstanding += 1;
        queues.jobs.push_back(job);
        drop(queues);
        self.shared.work.notify_one();
        Ok(())
    }

    /// The next answer, if there is one.
    pub fn poll(&self) -> Option<Done> {
        let mut queues = self.shared.lock();
        let done = queues.done.pop_front()?;
        queues.outstanding -= 1;
        Some(done)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        let mut queues = self.shared.lock();
        queues.closing = true;
        for mut job in queues.jobs.drain(..) {
            memory::wipe(&mut job.password);
        }
        drop(queues);
        self.shared.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked, which has been shown by then.
            let _ = thread.join();
        }
    }
}

impl JobKind {
    fn iterations(&self) -> u32 {
        match self {
            JobKind::Verify(verifier) => verifier.iterations,
            JobKind::VerifyUnknown { iterations } | JobKind::Derive { iterations, .. } => {
                *iterations
            }
        }
    }
}

fn work_until_closed(shared: &Shared, wake: impl Fn()) {
    while let Some(job) = next_job(shared) {
        let done = perform(job);
        let mut queues = shared.lock();
        if queues.closing {
            return;
        }
        queues.done.push_back(done);
        drop(queues);
        wake();
    }
}

/// Waits for a job; None at the end.
fn next_job(shared: &Shared) -> Option<Job> {
    let mut queues = shared.lock();
    loop {
        if queues.closing {
            return None;
        }
        if let Some(job) = queues.jobs.pop_front() {
            return Some(job);
        }
        queues = shared.work.wait(queues).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Does a job at once: what the thread does, for whoever has no thread.
pub fn perform(mut job: Job) -> Done {
    let outcome = match &job.kind {
        JobKind::Verify(verifier) => Outcome::Matches(verifier.matches(&job.password)),
        JobKind::VerifyUnknown { iterations } => {
            // The same work against keys that no password is known for.
            let (stored_key, server_key) = ([0; 32], [0; 32]);
            let nobody =
                Verifier { iterations: *iterations, salt: [0; SALT], stored_key, server_key };
            std::hint::black_box(nobody.matches(&job.password));
            Outcome::Matches(false)
        }
        JobKind::Derive { salt, iterations } => {
            Outcome::Derived(Verifier::derive(&job.password, *salt, *iterations))
        }
    };
    memory::wipe(&mut job.password);
    Done { id: job.id, outcome }
}

#[cfg(test)]
mod tests {
    use super::super::pbkdf2::tests::ITERATIONS;
    use super::*;
    use std::sync::mpsc;

    fn job(id: u64, password: &[u8], kind: JobKind) -> Job {
        Job { id, password: password.to_vec(), kind }
    }

    fn unknown(id: u64) -> Job {
        job(id, b"password", JobKind::VerifyUnknown { iterations: 1 })
    }

    #[test]
    fn each_kind_of_job_has_its_answer() {
        let (woken, wakes) = mpsc::channel();
        let hasher = Hasher::spawn(8, move || woken.send(()).unwrap()).unwrap();
        let verifier = Verifier::derive(b"pencil", [5; 16], 50);
        let jobs = [
            job(11, b"pencil", JobKind::Verify(verifier.clone())),
            job(12, b"pencils", JobKind::Verify(verifier.clone())),
            job(13, b"pencil", JobKind::VerifyUnknown { iterations: 50 }),
            job(14, b"pencil", JobKind::Derive { salt: [5; 16], iterations: 50 }),
        ];
        for job in jobs {
            assert!(hasher.submit(job).is_ok());
        }
        let expected = [
            (11, Outcome::Matches(true)),
            (12, Outcome::Matches(false)),
            (13, Outcome::Matches(false)),
            (14, Outcome::Derived(verifier)),
        ];
        for (id, outcome) in expected {
            wakes.recv().unwrap();
            let done = hasher.poll().expect("woken when there is an answer");
            assert_eq!((done.id, done.outcome), (id, outcome));
        }
        assert!(hasher.poll().is_none());
    }

    #[test]
    fn an_unknown_account_costs_the_iterations_of_a_known_one() {
        let count = |kind| {
            let before = ITERATIONS.get();
            perform(job(1, b"password", kind));
            ITERATIONS.get() - before
        };
        for iterations in [1, 777] {
            let known = count(JobKind::Verify(Verifier::derive(b"x", [1; 16], iterations)));
            assert_eq!(known, u64::from(iterations));
            assert_eq!(count(JobKind::VerifyUnknown { iterations }), known);
            assert_eq!(count(JobKind::Derive { salt: [1; 16], iterations }), known);
        }
    }

    #[test]
    fn jobs_past_the_bound_are_given_back_until_answers_are_polled() {
        let (woken, wakes) = mpsc::channel();
        let hasher = Hasher::spawn(2, move || woken.send(()).unwrap()).unwrap();
        assert!(hasher.submit(unknown(1)).is_ok());
        assert!(hasher.submit(unknown(2)).is_ok());
        wakes.recv().unwrap();
        wakes.recv().unwrap();
        let refused = hasher.submit(unknown(3)).expect_err("done, but not polled");
        assert_eq!((refused.id, &refused.password[..]), (3, &b"password"[..]));
        assert_eq!(hasher.poll().unwrap().id, 1);
        assert!(hasher.submit(refused).is_ok());
        wakes.recv().unwrap();
        assert_eq!(hasher.poll().unwrap().id, 2);
        assert_eq!(hasher.poll().unwrap().id, 3);
        assert!(hasher.poll().is_none());
    }

    #[test]
    fn of_many_jobs_none_is_lost_or_answered_twice() {
        let (woken, wakes) = mpsc::channel();
        let hasher = Hasher::spawn(16, move || woken.send(()).unwrap()).unwrap();
        let (mut next, mut answered) = (0, 0);
        while answered < 2_000 {
            while next < 2_000 && hasher.submit(unknown(next)).is_ok() {
                next += 1;
            }
            wakes.recv().unwrap();
            while let Some(done) = hasher.poll() {
                assert_eq!(done.id, answered, "in order, each once");
                answered += 1;
            }
        }
        assert!(hasher.poll().is_none());
    }

    #[test]
    fn dropped_with_work_left_it_ends() {
        for jobs in [0, 1, 50] {
            let (woken, wakes) = mpsc::channel();
            let wake = move || {
                let _ = woken.send(());
            };
            let hasher = Hasher::spawn(100, wake).unwrap();
            for id in 0..jobs {
                assert!(hasher.submit(unknown(id)).is_ok());
            }
            drop(hasher);
            // The callback went with the thread, so this ends.
            assert!(wakes.into_iter().count() as u64 <= jobs);
        }
    }

    #[test]
    #[should_panic(expected = "0 iterations")]
    fn no_iterations_at_all_is_a_mistake_of_the_caller() {
        let hasher = Hasher::spawn(1, || {}).unwrap();
        let _ = hasher.submit(job(1, b"x", JobKind::VerifyUnknown { iterations: 0 }));
    }
}
