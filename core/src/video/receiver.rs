//! A watcher's end of one stream: pictures in their order, and what to ask for when packets are lost.

use super::assembler::{AssembleError, Assembler, PollPictureError, Slot};
use super::feedback::{KEY_INTERVAL, Question, REPAIR_PATIENCE};
use super::missing::Missing;
use super::picture::AssembledPicture;
use crate::rtp::RtpPacket;
use crate::time::{Duration, Instant, earlier};

/// How long a picture is waited for at least before a key picture is asked for instead: for repairs.
const MIN_KEY_PATIENCE: Duration = Duration::from_millis(120);
/// When no packet comes for so long amid a picture, the next one is taken for lost: slow publishers send one in 40 ms.
const TAIL_PATIENCE: Duration = Duration::from_millis(50);

/// The first packet that is missing, and since when.
#[derive(Debug, Clone, Copy)]
struct Hole {
    number: u64,
    since: Instant,
    /// When to look at it again.
    due: Instant,
    /// No higher one came.
    is_tail: bool,
}

/// Receives the pictures of one stream: an [`Assembler`] with a clock.
///
/// It asks for lost packets as long as they can come in time, leaves out what nothing needs, and asks for a key picture if
/// nothing can be decoded. The owner gives it packets, takes pictures, and lets the client send the questions:
///
/// ```
/// use parlour_core::client::{Client, Pictures, Profile};
/// use parlour_core::rtp::RtpPacket;
/// use parlour_core::time::Instant;
/// use parlour_core::video::{AssembledPicture, PictureReceiver, Slot};
///
/// /// For a packet that [`Incoming::Media`](crate::client::Incoming::Media) brings.
/// fn watch(now: Instant, packet: &RtpPacket<'_>, receiver: &mut PictureReceiver<Vec<Slot>>) {
///     if let Err(error) = receiver.handle_packet(now, packet) {
///         println!("{error}");
///     }
/// }
///
/// /// After packets, and when `receiver.poll_timeout()` is due.
/// fn show<P: Profile>(
///     now: Instant,
///     client: &mut Client<P>,
///     ssrc: u32,
///     receiver: &mut PictureReceiver<Vec<Slot>>,
///     memory: &mut [u8],
///     mut decode: impl FnMut(AssembledPicture<'_>) -> bool,
/// ) {
///     while let Ok(Some(picture)) = receiver.poll_picture(now, memory) {
///         if !decode(picture) {
///             receiver.request_key();
///         }
///     }
///     client.send_feedback(now, ssrc, receiver);
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PictureReceiver<S> {
    assembler: Assembler<S>,
    missing: Missing,
    hole: Option<Hole>,
    /// When a key picture was asked for.
    key_asked: Option<Instant>,
    /// When the last packet came, unless the server was told since.
    arrival: Option<Instant>,
}

impl<S: AsRef<[Slot]> + AsMut<[Slot]>> PictureReceiver<S> {
    /// For a stream's first packet. `slots` are those of the [`Assembler`].
    pub const fn new(slots: S) -> Self {
        Self {
            assembler: Assembler::new(slots),
            missing: Missing::new(),
            hole: None,
            key_asked: None,
            arrival: None,
        }
    }

    /// Takes a packet of this stream.
    ///
    /// # Errors
    /// As [`Assembler::handle_packet`].
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
    ) -> Result<(), AssembleError> {
        self.arrival = Some(now);
        self.assembler.handle_packet(packet)?;
        self.missing.handle_packet(now, packet.sequence());
        Ok(())
    }

    /// The next picture in the order of decoding, written to the start of `out`; `None` if there is none now. Call it until
    /// then after packets, and when [`poll_timeout`](Self::poll_timeout) is due.
    ///
    /// # Errors
    /// As [`Assembler::poll_picture`].
    pub fn poll_picture<'o>(
        &mut self,
        now: Instant,
        out: &'o mut [u8],
    ) -> Result<Option<AssembledPicture<'o>>, PollPictureError> {
        loop {
            while self.skip(now) {}
            // Without room the next picture stays where it is; but those before it that cannot be decoded are left out, and what
            // is missing behind them may be left out, too.
            if self.assembler.poll_picture(&mut []).is_err() || !self.skip(now) {
                break;
            }
        }
        let picture = self.assembler.poll_picture(out)?;
        if picture.is_none() {
            while self.skip(now) {}
        }
        Ok(picture)
    }

    /// Leaves out what is missing, if it is time for that.
    fn skip(&mut self, now: Instant) -> bool {
        let missing = self.assembler.first_missing();
        let Some(number) = missing.or_else(|| self.assembler.missing_tail()) else {
            self.hole = None;
            // What came before the first key picture is not waited for.
            return self.assembler.skip_unneeded();
        };
        let hole = match &mut self.hole {
            Some(hole) if hole.number == number => hole,
            hole => hole.insert(Hole {
                number,
                // The truncation is the point: the low bits are what the wire carries.
                since: self.missing.since(number as u16).unwrap_or(now),
                due: now,
                is_tail: missing.is_none(),
            }),
        };
        hole.is_tail = missing.is_none();
        let end = hole.since + REPAIR_PATIENCE;
        if end <= now {
            return self.assembler.skip_unneeded() || self.assembler.skip_missing();
        }
        let patience = match hole.is_tail {
            true => TAIL_PATIENCE,
            false => self.missing.unneeded_patience(),
        };
        let has_waited = hole.since + patience <= now;
        hole.due = if has_waited {
            end
        } else {
            hole.since + patience
        };
        if hole.is_tail && has_waited {
            self.missing.expect_next(now);
        }
        (hole.is_tail || has_waited) && self.assembler.skip_unneeded()
    }

    /// The decoder has failed: nothing is given out before the next key picture, which is asked for.
    pub fn request_key(&mut self) {
        self.assembler.lose_references();
    }

    /// When to call [`poll_picture`](Self::poll_picture) and the client's
    /// [`send_feedback`](crate::client::Pictures::send_feedback), if no packet comes before. `None` means never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let skip = self.hole.map(|hole| hole.due);
        let key = self.key_due().map(|(due, _)| due);
        earlier(earlier(skip, key), self.missing.poll_timeout())
    }

    /// When to ask for a key picture of which layer.
    fn key_due(&self) -> Option<(Instant, u8)> {
        let again = self.key_asked.map(|asked| asked + KEY_INTERVAL);
        let beginning = Instant::from_micros(0);
        if let Some(layer) = self.assembler.wants_key() {
            return Some((again.unwrap_or(beginning), layer));
        }
        let patience = self
            .missing
            .round_trip()
            .saturating_mul(3)
            .max(MIN_KEY_PATIENCE);
        let (hole, layer) = (self.hole?, self.assembler.layer()?);
        let due = hole.since + patience;
        Some((again.map_or(due, |again| again.max(due)), layer))
    }

    /// When the last packet came, if one did since the last call.
    pub(crate) const fn take_arrival(&mut self) -> Option<Instant> {
        self.arrival.take()
    }

    /// What to ask for now. Call it until it is `None`.
    pub(crate) fn poll_question(
        &mut self,
        now: Instant,
        round_trip: Option<Duration>,
    ) -> Option<Question> {
        let lost = self.missing.poll(now, round_trip);
        if lost.as_lost().is_some() {
            return Some(Question::Lost(lost));
        }
        let (due, layer) = self.key_due()?;
        (due <= now).then(|| {
            self.key_asked = Some(now);
            Question::KeyWanted { layer }
        })
    }
}
