//! The threads that do what takes time: the disk's writer and reader, passwords, look-ups.

use std::io;

use super::opening::resolver_for;
use super::waiting::Waiting;
use crate::auth::hasher::Hasher;
use crate::limits;
use crate::net::Resolver;
use crate::node::{Input, Node, Output, ReadJob};
use crate::wal::{DataDir, Reader, RealDisk, Writer};

/// All of them. Dropped, they finish what they have under way.
pub(super) struct Workers {
    writer: Writer,
    reader: Reader,
    hasher: Hasher,
    resolver: Resolver,
}

impl Workers {
    pub(super) fn spawn(directory: &DataDir, waiting: &Waiting) -> io::Result<Workers> {
        let wake = waiting.wake();
        Ok(Workers {
            writer: Writer::spawn(directory.wal_disk(), directory.disk(), wake.clone())?,
            reader: Reader::spawn(directory.wal(), limits::READ_JOBS, wake.clone())?,
            hasher: Hasher::spawn(limits::HASH_JOBS, wake)?,
            resolver: resolver_for(waiting),
        })
    }

    /// Tells the node what they have done.
    pub(super) fn take_done(&mut self, node: &mut Node<RealDisk>) {
        while let Some((name, found)) = self.resolver.poll() {
            node.handle(Input::Found(name, found));
        }
        while let Some(done) = self.hasher.poll() {
            node.handle(Input::Hashed(done));
        }
        while let Some(done) = self.reader.poll() {
            match done.result {
                Ok(payloads) => {
                    node.handle_read(done.job, payloads.iter().map(Vec::as_slice), Vec::new());
                }
                Err(error) => node.handle(Input::ReadFailed(done.job, Some(error))),
            }
        }
        while let Some(done) = self.writer.poll() {
            node.handle(Input::Disk(done));
        }
    }

    /// Gives one of them something to do.
    pub(super) fn work(&mut self, node: &mut Node<RealDisk>, output: Output) {
        match output {
            Output::Save(file) => self.writer.save(file),
            Output::Append(batch) => self.writer.submit(batch),
            Output::MakeSpare(request) => self.writer.make_spare(request),
            Output::Hash(job) => {
                let taken = self.hasher.submit(job);
                assert!(taken.is_ok(), "the node asks for no more than the thread takes");
            }
            Output::LookUp(name) => self.resolver.ask(name),
            Output::Read { job, at_once } => self.read(node, job, at_once),
            _ => unreachable!("the loop does the others"),
        }
    }

    /// Reads entries: at once where the system has them in memory, by the thread where it has not.
    fn read(&mut self, node: &mut Node<RealDisk>, job: ReadJob, at_once: usize) {
        let ReadJob { id, mut locations } = job;
        match self.reader.try_read(&locations[..at_once]) {
            Ok(payloads) if payloads.len() > 0 => {
                locations.drain(..payloads.len());
                node.handle_read(id, payloads, locations);
            }
            Ok(_) => {
                if self.reader.submit(id, locations).is_err() {
                    node.handle(Input::ReadFailed(id, None));
                }
            }
            Err(error) => node.handle(Input::ReadFailed(id, Some(error))),
        }
    }
}
