//! The threads that wait for the disk, so that the loop does not: one writes batches, one makes
//! spare segments, so that no batch waits behind 64 MiB of zeros.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Batch;
use super::disk::Disk;
use super::hard_state::{self, HardState};
use super::perform::{SpareRequest, SpareState, make_spare, perform};
use crate::limits;

/// What a [`Writer`] has to say.
#[derive(Debug)]
pub enum Done {
    /// A batch was written, or was not: then the process ends, and nothing is tried again.
    Batch {
        /// Its number.
        batch_no: u64,
        /// Whether it is durable.
        result: io::Result<()>,
        /// How long the write and the sync took, microseconds.
        sync_us: u64,
    },
    /// The hard state was saved, or was not: then the process ends.
    HardState {
        /// Which.
        hard_state: HardState,
        /// Whether it is durable.
        result: Result<(), hard_state::Error>,
    },
    /// A spare segment was made, or could not be: it is tried again every
    /// [`WAL_SPARE_RETRY_MS`](limits::WAL_SPARE_RETRY_MS).
    Spare(SpareState),
}

/// The writer's threads. Dropped, it finishes the batch in flight and joins them.
#[derive(Debug)]
pub struct Writer {
    /// `None` only while being dropped: a closed queue ends its thread.
    jobs: Option<SyncSender<Job>>,
    spares: Option<SyncSender<SpareRequest>>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

/// What the writing thread does, in order.
#[derive(Debug)]
enum Job {
    Batch(Batch),
    HardState(HardState),
}

impl Writer {
    /// Starts the threads: `disk` is the log's directory, `state_disk` that of the hard state. `wake`
    /// is called after every [`Done`], from their threads.
    pub fn spawn<D, W>(disk: D, state_disk: D, wake: W) -> io::Result<Writer>
    where
        D: Disk + Clone + Send + 'static,
        W: Fn() + Send + Sync + 'static,
    {
        let wake = Arc::new(wake);
        let (done_sender, done) = mpsc::channel();
        // One batch is in flight, one hard state and one spare asked for at a time: no queue fills.
        let (jobs, job_queue) = mpsc::sync_channel(2);
        let (spares, spare_queue) = mpsc::sync_channel(1);
        let mut threads = Vec::new();
        let (sender, waker, spare_disk) = (done_sender.clone(), Arc::clone(&wake), disk.clone());
        threads.push(
            std::thread::Builder::new()
                .name("wal-writer".into())
                .spawn(move || write(disk, state_disk, &job_queue, &sender, &*waker))?,
        );
        threads.push(
            std::thread::Builder::new()
                .name("wal-spare".into())
                .spawn(move || make_spares(spare_disk, &spare_queue, &done_sender, &*wake))?,
        );
        Ok(Writer { jobs: Some(jobs), spares: Some(spares), done, threads })
    }

    /// Hands over a batch; the one before was reported done.
    pub fn submit(&mut self, batch: Batch) {
        self.give(Job::Batch(batch));
    }

    /// Hands over a hard state; the one before was reported done.
    pub fn save(&mut self, hard_state: HardState) {
        self.give(Job::HardState(hard_state));
    }

    fn give(&mut self, job: Job) {
        let jobs = self.jobs.as_ref().expect("the queue is open until the drop");
        // The thread ends early only by a panic, which then shows as a batch never done.
        let _ = jobs.try_send(job);
    }

    /// Asks for a spare segment; the one before was reported ready.
    pub fn make_spare(&mut self, request: SpareRequest) {
        let spares = self.spares.as_ref().expect("the queue is open until the drop");
        let _ = spares.try_send(request);
    }

    /// What was done since the last call, one at a time; never waits.
    pub fn poll(&mut self) -> Option<Done> {
        self.done.try_recv().ok()
    }

    /// Waits until something is done: for whoever has no loop to be woken.
    pub fn wait(&mut self) -> Option<Done> {
        self.done.recv().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        self.spares = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn write(
    mut disk: impl Disk,
    mut state_disk: impl Disk,
    queue: &Receiver<Job>,
    done: &Sender<Done>,
    wake: &dyn Fn(),
) {
    while let Ok(job) = queue.recv() {
        let (failed, told) = match job {
            Job::Batch(batch) => {
                let started = Instant::now();
                let result = perform(&mut disk, &batch);
                let sync_us = started.elapsed().as_micros() as u64;
                let failed = result.is_err();
                (failed, done.send(Done::Batch { batch_no: batch.number, result, sync_us }))
            }
            Job::HardState(hard_state) => {
                let result = hard_state::save(&mut state_disk, &hard_state);
                (result.is_err(), done.send(Done::HardState { hard_state, result }))
            }
        };
        wake();
        // After a failure nothing more may reach the disk.
        if failed || told.is_err() {
            return;
        }
    }
}

fn make_spares(
    mut disk: impl Disk,
    queue: &Receiver<SpareRequest>,
    done: &Sender<Done>,
    wake: &dyn Fn(),
) {
    let retry = Duration::from_millis(limits::WAL_SPARE_RETRY_MS);
    while let Ok(request) = queue.recv() {
        loop {
            let state = make_spare(&mut disk, &request);
            let ready = matches!(state, SpareState::Ready);
            if done.send(Done::Spare(state)).is_err() {
                return;
            }
            wake();
            if ready {
                break;
            }
            // A nap that the end of the queue cuts short.
            match queue.recv_timeout(retry) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(_) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
