//! A place where a card is plugged in, taken out, and plugged in again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use cpal::traits::StreamTrait as _;
use cpal::{ErrorKind, Stream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::card::{Found, failed};
use crate::{Card, CardError, Direction};

/// Errors for so long without sound between them are the end. While a stream of PulseAudio starts, its delay is an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a card may give or take no sound.
const SILENCE: Duration = Duration::from_secs(3);
/// From one try to the next, while no card works.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the card that was asked for is looked for, while another one has its place.
const LOOK: Duration = Duration::from_secs(3);

/// What became of a card while it was used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The card works no longer: it was unplugged, most likely. Another one is looked for, again and again.
    Lost {
        /// The card.
        card: Card,
        /// What the system says.
        error: CardError,
    },
    /// The card is used from now on.
    Found {
        /// The card.
        card: Card,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { card, error } => write!(f, "{error} ({})", card.id),
            Self::Found { card } => write!(f, "the {} is {card}", card.direction),
        }
    }
}

/// How a stream tells that it lives.
#[derive(Debug, Clone)]
pub(crate) struct Signs {
    direction: Direction,
    /// How often there was sound.
    pieces: Arc<AtomicU32>,
    first: Arc<Notify>,
    failures: mpsc::Sender<CardError>,
}

impl Signs {
    /// For the callback that gives or takes sound. Never waits.
    pub(crate) fn sounds(&self) {
        if self.pieces.fetch_add(1, Relaxed) == 0 {
            self.first.notify_one();
        }
    }

    /// The callback for errors: it tells of one that ends the sound. The card makes up for others by itself.
    pub(crate) fn on_error(&self) -> impl FnMut(cpal::Error) + Send + 'static {
        let (pieces, direction) = (Arc::clone(&self.pieces), self.direction);
        let (mut known, mut since) = (0, Instant::now());
        let mut is_passing = move || {
            let pieces = pieces.load(Relaxed);
            if pieces != known {
                (known, since) = (pieces, Instant::now());
            }
            since.elapsed() < PATIENCE
        };
        let failures = self.failures.clone();
        move |error| match error.kind() {
            ErrorKind::BackendError if is_passing() => {
                tracing::debug!(%error, %direction, "the card may go on");
            }
            ErrorKind::Xrun | ErrorKind::RealtimeDenied | ErrorKind::DeviceChanged => {
                tracing::debug!(%error, %direction, "the card goes on");
            }
            // The first is enough.
            _ => drop(failures.try_send(failed(direction, &error))),
        }
    }
}

/// A card whose stream runs.
struct Running {
    card: Card,
    _stream: Stream,
    pieces: Arc<AtomicU32>,
    first: Arc<Notify>,
    failures: mpsc::Receiver<CardError>,
    has_sounded: bool,
    /// How often there had been sound, and when that was.
    known: u32,
    since: Instant,
}

impl Running {
    /// Waits until it says that it has failed, or is silent for too long. Cancellation-safe.
    async fn failed(&mut self) -> CardError {
        loop {
            tokio::select! {
                Some(error) = self.failures.recv() => return error,
                () = sleep_until(self.since + SILENCE) => {
                    let pieces = self.pieces.load(Relaxed);
                    if pieces == self.known {
                        return CardError::Silent {
                            direction: self.card.direction,
                            seconds: SILENCE.as_secs(),
                        };
                    }
                    (self.known, self.since) = (pieces, Instant::now());
                }
            }
        }
    }
}

/// A card for as long as it works, and then the next one.
pub(crate) struct Plug {
    direction: Direction,
    /// The id of the card that was asked for.
    asked: Option<String>,
    running: Option<Running>,
    /// When to look for a card, or for the one that was asked for.
    look: Instant,
}

/// Makes the stream of a card.
pub(crate) trait Build: FnMut(&Found, &Signs) -> Result<Stream, cpal::Error> {}
impl<F: FnMut(&Found, &Signs) -> Result<Stream, cpal::Error>> Build for F {}

impl Plug {
    /// A place for the card of that id, or for the system's own choice. The card is started by [`change`](Self::change).
    pub(crate) fn new(direction: Direction, asked: Option<&str>) -> Self {
        Self {
            direction,
            asked: asked.map(str::to_owned),
            running: None,
            look: Instant::now(),
        }
    }

    /// Starts a card that was found.
    pub(crate) fn start(&mut self, found: Found, build: &mut impl Build) -> Result<(), CardError> {
        let (tell, failures) = mpsc::channel(1);
        let signs = Signs {
            direction: self.direction,
            pieces: Arc::default(),
            first: Arc::default(),
            failures: tell,
        };
        let stream = build(&found, &signs).and_then(|stream| stream.play().map(|()| stream));
        let stream = stream.map_err(|error| failed(self.direction, &error))?;
        self.running = Some(Running {
            card: found.card,
            _stream: stream,
            pieces: signs.pieces,
            first: signs.first,
            failures,
            has_sounded: false,
            known: 0,
            since: Instant::now(),
        });
        self.look = Instant::now() + LOOK;
        Ok(())
    }

    /// The card that was asked for if it is there, otherwise the system's own choice.
    fn find(&self) -> Result<Found, CardError> {
        let asked = Found::new(self.direction, self.asked.as_deref());
        match asked {
            Err(CardError::Unknown { .. }) => Found::new(self.direction, None),
            found => found,
        }
    }

    /// Whether another card has the place of the one that was asked for, which is back.
    fn is_back(&self) -> bool {
        let used = self.running.as_ref().map(|running| &running.card.id);
        let asked = self.asked.as_ref();
        asked != used && asked.is_some_and(|id| Found::new(self.direction, Some(id)).is_ok())
    }

    /// Keeps a card running, and waits until it is another one than before. Cancellation-safe.
    pub(crate) async fn change(&mut self, build: &mut impl Build) -> Change {
        loop {
            let Some(running) = &mut self.running else {
                sleep_until(self.look).await;
                self.look = Instant::now() + AGAIN;
                let started = self.find().and_then(|found| self.start(found, build));
                if let Err(error) = started {
                    tracing::debug!(%error, direction = %self.direction, "no card yet");
                }
                continue;
            };
            if !running.has_sounded {
                let first = Arc::clone(&running.first);
                let error = tokio::select! {
                    () = first.notified() => {
                        running.has_sounded = true;
                        return Change::Found { card: running.card.clone() };
                    }
                    error = running.failed() => error,
                };
                tracing::debug!(%error, direction = %self.direction, "this card does not start");
                self.running = None;
                self.look = Instant::now() + AGAIN;
                continue;
            }
            let is_other = self.asked.as_ref().is_some_and(|id| *id != running.card.id);
            let error = tokio::select! {
                error = running.failed() => Some(error),
                () = sleep_until(self.look), if is_other => None,
            };
            match error {
                Some(error) => {
                    let card = running.card.clone();
                    self.running = None;
                    self.look = Instant::now();
                    return Change::Lost { card, error };
                }
                None if self.is_back() => {
                    self.running = None;
                    self.look = Instant::now();
                }
                None => self.look = Instant::now() + LOOK,
            }
        }
    }
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plug")
            .field("direction", &self.direction)
            .field("asked", &self.asked)
            .field("card", &self.running.as_ref().map(|running| &running.card))
            .finish_non_exhaustive()
    }
}
