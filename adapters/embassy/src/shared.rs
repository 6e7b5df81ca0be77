//! The state shared by the runner and the handles: the client, and the waiting tasks.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;

use embassy_net::Stack;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_sync::waitqueue::MultiWakerRegistration;
use parlour_core::client::{Client, Commands as _, Profile};
use parlour_core::secure::Generator;
use parlour_core::signal::Publish;
use parlour_core::ticket::{Ticket, TicketError};

use crate::playback::Playback;
use crate::time::now;
use crate::{Config, SoundStatistics};

/// The number of tasks that may wait for the room at a time without waking each other needlessly.
const WAITING_TASKS: usize = 4;

/// How far the runner is with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// No link, or no address.
    Down,
    /// The server's name is being asked for, perhaps for some time.
    #[cfg(feature = "dns")]
    Resolving,
    /// This build cannot find or reach the server's address.
    Unreachable,
    /// There is a socket.
    Up,
}

/// The client, and the state that outlives it when the room is joined again.
pub(crate) struct Inner<'d, P: Profile> {
    /// The client stays in place: it is too large to be moved about on a small stack.
    pub(crate) client: &'d mut Client<P>,
    /// The ticket that the client joins with, which has the server's address.
    pub(crate) ticket: Ticket<'d>,
    /// The ticket of the next client.
    next_ticket: Ticket<'d>,
    pub(crate) publication: Option<Publish>,
    rng: Generator,
    /// Whether another join needs another client: this one has been in use, or has another ticket.
    stale: bool,
    /// Whether the runner drives the client.
    pub(crate) driven: bool,
}

pub(crate) struct Shared<'d, P: Profile> {
    pub(crate) stack: Stack<'d>,
    pub(crate) config: Config,
    pub(crate) inner: RefCell<Inner<'d, P>>,
    pub(crate) playback: &'d RefCell<dyn Playback + 'd>,
    pub(crate) network: Cell<Network>,
    pub(crate) sound: Cell<SoundStatistics>,
    /// Whether a task reads the events.
    pub(crate) events_taken: Cell<bool>,
    /// Tells the runner that there is something to do.
    pub(crate) command: Signal<NoopRawMutex, ()>,
    /// Tells the tasks that something may have happened.
    progress: RefCell<MultiWakerRegistration<WAITING_TASKS>>,
}

impl<P: Profile> Inner<'_, P> {
    /// Makes the client a new one, which publishes what the last one did.
    fn renew(&mut self, config: &Config) -> Result<(), TicketError> {
        (self.client).restart(&self.next_ticket, &config.client, now(), &mut self.rng)?;
        self.ticket = self.next_ticket;
        if let Some(publish) = self.publication.clone() {
            // A new client has room for the one stream that there is.
            let _ = self.client.publish(publish);
        }
        Ok(())
    }
}

impl<'d, P: Profile> Shared<'d, P> {
    pub(crate) fn new(
        stack: Stack<'d>,
        ticket: Ticket<'d>,
        config: Config,
        client: &'d mut Client<P>,
        playback: &'d RefCell<dyn Playback + 'd>,
        rng: Generator,
    ) -> Self {
        Self {
            stack,
            config,
            inner: RefCell::new(Inner {
                client,
                ticket,
                next_ticket: ticket,
                publication: None,
                rng,
                stale: false,
                driven: false,
            }),
            playback,
            network: Cell::new(Network::Down),
            sound: Cell::default(),
            events_taken: Cell::new(false),
            command: Signal::new(),
            progress: RefCell::new(MultiWakerRegistration::new()),
        }
    }

    /// Looks at the client, also while another look is under way.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Client<P>) -> T) -> T {
        look(self.inner.borrow().client)
    }

    /// Tells the client something that causes nothing to be sent.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Client<P>) -> T) -> T {
        look(self.inner.borrow_mut().client)
    }

    /// Tells the client something, and the runner that it has.
    pub(crate) fn tell<T>(&self, command: impl FnOnce(&mut Client<P>) -> T) -> T {
        let result = self.with(command);
        self.command.signal(());
        result
    }

    /// Has the client driven; a new one if the last one is over.
    pub(crate) fn start(&self) -> Result<(), TicketError> {
        let inner = &mut *self.inner.borrow_mut();
        if inner.driven {
            return Ok(());
        }
        if inner.stale {
            inner.renew(&self.config)?;
            self.playback.borrow_mut().restart();
        }
        (inner.stale, inner.driven) = (true, true);
        self.command.signal(());
        Ok(())
    }

    /// Has the next client that is made join with `ticket`.
    pub(crate) fn set_ticket(&self, ticket: Ticket<'d>) {
        let mut inner = self.inner.borrow_mut();
        (inner.next_ticket, inner.stale) = (ticket, true);
    }

    /// Drives the client no more.
    pub(crate) fn stop(&self) {
        self.inner.borrow_mut().driven = false;
        self.command.signal(());
        self.progressed();
    }

    pub(crate) fn is_driven(&self) -> bool {
        self.inner.borrow().driven
    }

    /// Wakes every task that waits for a change.
    pub(crate) fn progressed(&self) {
        self.progress.borrow_mut().wake();
    }

    /// Waits until `look` finds what it looks for.
    pub(crate) async fn until<T>(&self, mut look: impl FnMut(&mut Inner<'d, P>) -> Option<T>) -> T {
        poll_fn(|cx| match look(&mut self.inner.borrow_mut()) {
            Some(found) => Poll::Ready(found),
            None => {
                self.progress.borrow_mut().register(cx.waker());
                Poll::Pending
            }
        })
        .await
    }
}
