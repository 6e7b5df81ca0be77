//! A thread that sends what a worker has sealed.
//!
//! ```text
//!   worker ──full──► ring ──────► thread: sendmmsg, waits for the socket
//!          ◄─sent── tokio mpsc ◄─┘
//! ```
//!
//! A fixed number of batches goes round, so both queues have room for all of them and nothing is allocated. The worker
//! never waits for the thread: it has a spare batch to fill, or it does not take anything more from its rooms.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use tokio::sync::mpsc;

use super::batch::Batch;
use crate::clock::Clock;

/// Batches that a thread has at most before the worker is held back: about 2 ms of sending. More would only make what
/// is said wait longer.
pub(super) const BATCHES: usize = 8;

/// The worker's end of a thread that sends for it. Dropping it ends the thread, which sends first what it has, and waits
/// for that.
#[derive(Debug)]
pub(super) struct SendingThread {
    full: Producer<Box<Batch>>,
    sent: mpsc::Receiver<Box<Batch>>,
    /// Empty ones.
    spare: Vec<Box<Batch>>,
    under_way: usize,
    /// It panicked.
    is_gone: bool,
    shared: Arc<Shared>,
    /// The part of [`Shared::busy`] already returned.
    seen: u64,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    /// Microseconds that it has been sending.
    busy: AtomicU64,
}

impl SendingThread {
    /// Starts a thread that sends with the function that `begin` makes there. That function is told whether it should
    /// still wait.
    pub(super) fn start<S>(
        name: &str,
        begin: impl FnOnce() -> S + Send + 'static,
    ) -> io::Result<Self>
    where
        S: FnMut(&mut Batch, &dyn Fn() -> bool),
    {
        let (full, to_send) = RingBuffer::new(BATCHES);
        let (give_back, sent) = mpsc::channel(BATCHES);
        let shared = Arc::new(Shared::default());
        let (of_thread, span) = (Arc::clone(&shared), tracing::Span::current());
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || {
            let _inside = span.enter();
            run(to_send, &give_back, &of_thread, begin());
        })?;
        Ok(Self {
            full,
            sent,
            spare: (0..BATCHES).map(|_| Batch::new()).collect(),
            under_way: 0,
            is_gone: false,
            shared,
            seen: 0,
            thread: Some(thread),
        })
    }

    /// Hands over what is in `batch`, which is empty then; false if all batches are under way.
    pub(super) fn hand_over(&mut self, batch: &mut Box<Batch>) -> bool {
        let Some(spare) = self.spare.pop() else {
            return false;
        };
        let full = std::mem::replace(batch, spare);
        // There is room for all that there are.
        if self.full.push(full).is_ok() {
            self.under_way += 1;
        }
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        true
    }

    /// Takes back what is sent by now.
    pub(super) fn collect(&mut self) {
        // Not `try_recv`, which waits for a thread that is just giving something back.
        let mut nobody = Context::from_waker(Waker::noop());
        while let Poll::Ready(sent) = self.sent.poll_recv(&mut nobody) {
            match sent {
                Some(batch) => self.took(batch),
                None => return self.is_gone = true,
            }
        }
    }

    /// Waits until something more is sent, or the thread is gone.
    pub(super) fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // If it is gone, `collect` sees that.
        if let Some(batch) = ready!(self.sent.poll_recv(context)) {
            self.took(batch);
        }
        Poll::Ready(())
    }

    fn took(&mut self, batch: Box<Batch>) {
        self.under_way -= 1;
        self.spare.push(batch);
    }

    /// Whether everything handed over and [collected](Self::collect) is sent.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// Whether it will never send anything more.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The time that it has been sending since the last call.
    pub(super) fn busy(&mut self) -> Duration {
        let before = self.seen;
        self.seen = self.shared.busy.load(Ordering::Relaxed);
        Duration::from_micros(self.seen - before)
    }
}

impl Drop for SendingThread {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("a sending thread has panicked");
            }
        }
    }
}

fn run(
    mut to_send: Consumer<Box<Batch>>,
    give_back: &mpsc::Sender<Box<Batch>>,
    shared: &Shared,
    mut send: impl FnMut(&mut Batch, &dyn Fn() -> bool),
) {
    let clock = Clock::new();
    loop {
        // Before the look at the queue, so that datagrams handed over before the end are sent.
        let ends = shared.ends.load(Ordering::Acquire);
        match to_send.pop() {
            Ok(mut batch) => {
                let began = clock.now();
                send(&mut batch, &|| !shared.ends.load(Ordering::Acquire));
                let took = clock.now().as_micros().saturating_sub(began.as_micros());
                shared.busy.fetch_add(took, Ordering::Relaxed);
                // There is room for all that there are; nobody takes it when the worker is gone.
                let _ = give_back.try_send(batch);
            }
            Err(_) if ends => return,
            // An unpark since these two looks makes this return at once. One before them may be spent, for sending may
            // park, too (a subscriber of tracing, say): so nothing comes between them and this.
            Err(_) => thread::park(),
        }
    }
}
