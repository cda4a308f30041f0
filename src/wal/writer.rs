//! The threads that wait for the disk, so that the loop does not: one writes batches, one makes
//! spare segments, so that no batch waits behind 64 MiB of zeros.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Batch;
use super::disk::Disk;
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
    /// A spare segment was made, or could not be: it is tried again every
    /// [`WAL_SPARE_RETRY_MS`](limits::WAL_SPARE_RETRY_MS).
    Spare(SpareState),
}

/// The writer's threads. Dropped, it finishes the batch in flight and joins them.
#[derive(Debug)]
pub struct Writer {
    /// `None` only while being dropped: a closed queue ends its thread.
    batches: Option<SyncSender<Batch>>,
    spares: Option<SyncSender<SpareRequest>>,
    done: Receiver<Done>,
    threads: Vec<JoinHandle<()>>,
}

impl Writer {
    /// Starts the threads on two handles of the same directory. `wake` is called after every
    /// [`Done`], from their threads.
    pub fn spawn<D, W>(disk: D, wake: W) -> io::Result<Writer>
    where
        D: Disk + Clone + Send + 'static,
        W: Fn() + Send + Sync + 'static,
    {
        let wake = Arc::new(wake);
        let (done_sender, done) = mpsc::channel();
        // One batch is in flight and one spare asked for at a time: neither queue ever fills.
        let (batches, batch_queue) = mpsc::sync_channel(1);
        let (spares, spare_queue) = mpsc::sync_channel(1);
        let mut threads = Vec::new();
        let (sender, waker, spare_disk) = (done_sender.clone(), Arc::clone(&wake), disk.clone());
        threads.push(
            std::thread::Builder::new()
                .name("wal-writer".into())
                .spawn(move || write_batches(disk, &batch_queue, &sender, &*waker))?,
        );
        threads.push(
            std::thread::Builder::new()
                .name("wal-spare".into())
                .spawn(move || make_spares(spare_disk, &spare_queue, &done_sender, &*wake))?,
        );
        Ok(Writer { batches: Some(batches), spares: Some(spares), done, threads })
    }

    /// Hands over a batch; the one before was reported done.
    pub fn submit(&mut self, batch: Batch) {
        let batches = self.batches.as_ref().expect("the queue is open until the drop");
        // The thread ends early only by a panic, which then shows as a batch never done.
        let _ = batches.try_send(batch);
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
        self.batches = None;
        self.spares = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn write_batches(
    mut disk: impl Disk,
    queue: &Receiver<Batch>,
    done: &Sender<Done>,
    wake: &dyn Fn(),
) {
    while let Ok(batch) = queue.recv() {
        let started = Instant::now();
        let result = perform(&mut disk, &batch);
        let sync_us = started.elapsed().as_micros() as u64;
        let failed = result.is_err();
        let told = done.send(Done::Batch { batch_no: batch.number, result, sync_us });
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
