//! One turn of the loop: what has happened goes into the node, and what it wants is done, in its
//! order. Nothing here waits but [`Waiting::wait`].

use std::io;

use super::error::Error;
use super::opening::{self, Opener};
use super::sockets::Sockets;
use super::trace::Trace;
use super::waiting::{Waiting, now};
use super::workers::Workers;
use crate::net::{Listen, Listener};
use crate::node::{End, Input, Node, Output};
use crate::sys::signal::Signals;
use crate::wal::data_dir::operator_socket;
use crate::wal::{DataDir, RealDisk};

/// A server's loop.
pub(super) struct EventLoop {
    pub(super) node: Node<RealDisk>,
    pub(super) waiting: Waiting,
    signals: Signals,
    sockets: Sockets,
    workers: Workers,
    trace: Trace,
    /// Holds the directory's lock.
    directory: DataDir,
}

impl EventLoop {
    pub(super) fn new(
        node: Node<RealDisk>,
        waiting: Waiting,
        signals: Signals,
        listeners: Vec<Listener>,
        directory: DataDir,
        trace: Trace,
    ) -> Result<EventLoop, Error> {
        let thread = |error| Error::System("cannot start a thread", error);
        let workers = Workers::spawn(&directory, &waiting).map_err(thread)?;
        let sockets = Sockets::new(listeners);
        Ok(EventLoop { node, waiting, signals, sockets, workers, trace, directory })
    }

    /// Does what the node wants first: opens the port for the other servers, and the operators'
    /// socket. None: a signal said stop before.
    pub(super) fn open_ports(&mut self) -> Result<Option<()>, Error> {
        let mut bound = Vec::new();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Open(Some(listen)) => {
                    let id = self.node.file().map_or("?", |file| &file.id).to_owned();
                    let fails = |listen: &Listen, error: io::Error| {
                        Error::Node(End::Cluster(format!(
                            "cannot listen at {listen} for the other servers: {error}; --cluster \
                             gives this address to {id}"
                        )))
                    };
                    let (waiting, signals) = (&mut self.waiting, &mut self.signals);
                    let mut opener = Opener { waiting, signals, trace: self.trace };
                    let opened = opener.open(&[listen], self.sockets.clients_listeners(), fails)?;
                    let Some(opened) = opened else { return Ok(None) };
                    bound = opened.iter().filter_map(opening::address_of).collect();
                    self.sockets.set_peers_listeners(opened);
                }
                Output::Tell(line) => self.trace.tell(line),
                _ => {}
            }
        }
        let registry = self.waiting.poll.registry();
        let watch = |error| Error::System("cannot watch the listeners", error);
        self.sockets.register(registry).map_err(watch)?;
        let path = operator_socket(self.directory.path());
        // A server without this socket serves as well.
        if let Err(error) = self.sockets.open_local(path.clone(), registry) {
            self.trace.warning(format_args!(
                "cannot open the operator's socket {}: {error}; chatctl status and chatctl \
                 members do not work with --data-dir here",
                path.display()
            ));
        }
        self.node.handle(Input::Opened(bound));
        Ok(Some(()))
    }

    /// Takes turns until the server stops. `serves` is called when clients are served from then on.
    pub(super) fn run(&mut self, serves: impl Fn(&Node<RealDisk>)) -> Result<(), Error> {
        while !self.node.is_stopped() {
            self.turn(&serves)?;
        }
        self.node.close();
        self.do_outputs(&serves);
        Ok(())
    }

    pub(super) fn turn(&mut self, serves: &impl Fn(&Node<RealDisk>)) -> Result<(), Error> {
        let is_ready = self.sockets.is_ready(&mut self.node);
        let next_ms = if is_ready { Some(0) } else { self.node.next_ms() };
        let (node, sockets) = (&mut self.node, &mut self.sockets);
        let signalled = self.waiting.wait(next_ms, |event| sockets.on_event(event, node))?;
        self.node.begin_turn(now());
        if signalled {
            self.on_signal();
        }
        self.sockets.read_peers(&mut self.node);
        self.sockets.accept(&mut self.node, self.waiting.poll.registry());
        while let Some(conn) = self.node.next_to_serve() {
            self.sockets.read(&mut self.node, conn);
        }
        self.workers.take_done(&mut self.node);
        self.node.advance()?;
        self.do_outputs(serves);
        Ok(())
    }

    fn on_signal(&mut self) {
        while let Some(number) = self.signals.next() {
            self.trace.info(format_args!("signal {number}: stopping"));
            self.node.handle(Input::Stop);
        }
    }

    /// Does what the node wants, in its order.
    fn do_outputs(&mut self, serves: &impl Fn(&Node<RealDisk>)) {
        let registry = self.waiting.poll.registry();
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Serve => serves(&self.node),
                Output::Write(conn) => self.sockets.write(&mut self.node, conn),
                Output::Shut(conn) => self.sockets.shut(conn),
                Output::Close(conn) => self.sockets.close(conn, registry),
                Output::Dial(key, address) => {
                    self.sockets.dial(&mut self.node, key, address, registry);
                }
                Output::CloseListeners => self.sockets.close_listeners(),
                Output::Tell(line) => self.trace.tell(line),
                output => self.workers.work(&mut self.node, output),
            }
        }
    }

    /// It ends, for this reason.
    pub(super) fn end(self, end: End) -> End {
        let EventLoop { node, workers, directory: _directory, .. } = self;
        // Whatever the threads have under way is done then.
        drop(workers);
        node.end(end)
    }
}
