//! The handshake as it is sent: one Hello, the same bytes again and again, until it is answered.
//!
//! ```text
//!          start                 write (the first builds)         finish
//!  Idle ─────────► Due(when) ───────────────────────────► Underway ─────► Idle
//!                     ▲                                      │
//!                     └── what Hello says has changed, ──────┘
//!                         or it was sent often enough
//! ```
//!
//! Pauses between two sendings start at 250 ms and double up to 1.6 s, each made up to a quarter
//! longer or shorter at random, so that the clients of a restarted server do not come all at once.

use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::secure::{InitiatorHandshake, PublicKey};
use crate::signal::{Join, MAX_MESSAGE, MAX_TOKEN, RequestId, encode};
use crate::time::{Duration, Instant};
use crate::wire::{ConnectionId, MIN_NOISE, Packet};

const FIRST_PAUSE: Duration = Duration::from_micros(FIRST_PAUSE_MICROS as u64);
const FIRST_PAUSE_MICROS: u32 = 250_000;
/// At most 2 s with what is added at random: that is how long after a server came back its clients come.
const LONGEST_PAUSE_MICROS: u32 = 1_600_000;
/// Doublings that matter.
const MAX_DOUBLINGS: u8 = 3;
/// A Hello unanswered for so many sendings, about eight seconds, is made anew: with new keys, and
/// with what is by now known of the room.
const MAX_SENDINGS: u8 = 7;
/// An attacker can forge that the server speaks another version; it is believed if no Welcome came after this many
/// sendings, about 4 s.
const SENDINGS_UNTIL_MISMATCH: u8 = 4;
/// After so many sendings on ways that an embedder tries in turn, it is not for the ways, and each gets one Hello only.
const MAX_HASTY: u8 = 20;

/// One Hello that is under way.
#[derive(Debug)]
pub(super) struct Attempt {
    handshake: Handshake,
    pub(super) client_id: ConnectionId,
    noise_len: usize,
    cookie: Option<[u8; 16]>,
    /// When to send it next.
    due: Instant,
    sendings: u8,
    /// When it was sent last.
    sent: Instant,
    /// It is sent again at once for the first Retry, not for more: there may be one for each
    /// sending, forged, or from a server whose cookies never suit.
    retried: bool,
    mismatch: Option<u8>,
    /// Whether it asks to continue an earlier connection.
    pub(super) resumes: bool,
}

/// [`InitiatorHandshake`], which must not show its secrets.
struct Handshake(InitiatorHandshake);

impl core::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("InitiatorHandshake(..)")
    }
}

#[derive(Debug)]
enum State {
    Idle,
    Due(Instant),
    Underway(Attempt),
}

/// The result of [`Joining::write`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A Hello of this length.
    Hello(usize),
    /// Nothing: nobody answers but somebody who says that the server speaks this version only.
    Mismatch(u8),
    /// Nothing: it is not time.
    Nothing,
}

/// Where the handshake stands.
#[derive(Debug)]
pub(super) struct Joining {
    state: State,
    /// Sendings without an answer, over all attempts since the last success or the last haste: they set the pace.
    unanswered: u8,
    /// The same since the last success.
    fruitless: u8,
    /// The Noise message while [`State::Underway`]; else a token that waits for the server's word.
    buffer: [u8; MAX_MESSAGE + MIN_NOISE],
    token: Option<(RequestId, usize)>,
}

impl Joining {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            state: State::Due(now),
            unanswered: 0,
            fruitless: 0,
            buffer: [0; MAX_MESSAGE + MIN_NOISE],
            token: None,
        }
    }

    /// Begins at once, unless a Hello is under way: that one is then sent at once.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.unanswered = 0;
        match &mut self.state {
            State::Underway(attempt) => attempt.hurry(now),
            _ => self.state = State::Due(now),
        }
    }

    /// Sends the Hello under way at once, by another way than before, and soon again, unless that was done often
    /// already. A pause before the first one is a pause from whoever answered: it stays.
    pub(super) fn take_another_way(&mut self, now: Instant) {
        if let State::Underway(attempt) = &mut self.state {
            attempt.hurry(now);
            if self.fruitless < MAX_HASTY {
                self.unanswered = 0;
            }
        }
    }

    /// Something came under keys that are in doubt, so the network is back: the Hello under way need not wait for longer
    /// than the first time.
    pub(super) fn hear(&mut self) {
        if let State::Underway(attempt) = &mut self.state {
            attempt.due = attempt.due.min(attempt.sent + FIRST_PAUSE);
        }
    }

    /// Makes a new Hello when it is time to send the next one, or at once if none was sent.
    pub(super) fn renew(&mut self, now: Instant) {
        if let State::Underway(attempt) = &self.state {
            let when = if self.unanswered <= 1 {
                now
            } else {
                attempt.due
            };
            self.state = State::Due(when);
        }
    }

    /// Begins again after a pause, which grows each time.
    pub(super) fn postpone(&mut self, now: Instant, rng: &mut dyn CryptoRngCore) {
        self.state = State::Due(now + next_pause(self.unanswered, rng));
    }

    /// Ends it: answered for good, or no longer wanted.
    pub(super) fn finish(&mut self) {
        self.state = State::Idle;
        (self.unanswered, self.fruitless) = (0, 0);
    }

    /// Whether nothing is under way or about to be, and no token waits that a Hello should show.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, State::Idle) && self.token.is_none()
    }

    /// When [`write`](Self::write) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Idle => None,
            State::Due(when) => Some(*when),
            State::Underway(attempt) => Some(attempt.due),
        }
    }

    /// Whether the Hello under way was sent often enough, and the last answer waited for.
    pub(super) fn is_exhausted(&self, now: Instant) -> bool {
        matches!(&self.state, State::Underway(attempt)
            if attempt.sendings >= MAX_SENDINGS && attempt.due <= now)
    }

    /// Whether the next thing to do is to make a Hello, with [`build`](Self::build).
    pub(super) fn wants_build(&mut self, now: Instant) -> bool {
        if self.is_exhausted(now) {
            self.state = State::Due(now);
        }
        matches!(self.state, State::Due(when) if when <= now)
    }

    /// Makes a Hello that says `join`. Takes the place of a token that waits: take that before.
    ///
    /// Cannot fail for a token that is short enough; if it did, it is tried again after a pause.
    pub(super) fn build(
        &mut self,
        now: Instant,
        join: &Join<'_>,
        server_key: &PublicKey,
        client_id: ConnectionId,
        rng: &mut dyn CryptoRngCore,
    ) {
        self.token = None;
        let mut payload = Zeroizing::new([0; MAX_MESSAGE]);
        let started = encode(join, payload.as_mut_slice()).ok().and_then(|len| {
            let payload = payload.get(..len)?;
            InitiatorHandshake::start(server_key, client_id, rng, payload, &mut self.buffer).ok()
        });
        let Some((handshake, noise_len)) = started else {
            self.postpone(now, rng);
            return;
        };
        self.state = State::Underway(Attempt {
            handshake: Handshake(handshake),
            client_id,
            noise_len,
            cookie: None,
            due: now,
            sendings: 0,
            sent: now,
            retried: false,
            mismatch: None,
            resumes: join.resume.is_some(),
        });
    }

    /// Writes the Hello that is under way, if it is time to.
    pub(super) fn write(
        &mut self,
        now: Instant,
        out: &mut [u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Written {
        let State::Underway(attempt) = &mut self.state else {
            return Written::Nothing;
        };
        if attempt.due > now {
            return Written::Nothing;
        }
        if let Some(supported) = attempt.mismatch
            && attempt.sendings >= SENDINGS_UNTIL_MISMATCH
        {
            return Written::Mismatch(supported);
        }
        attempt.due = now + next_pause(self.unanswered, rng);
        attempt.sent = now;
        attempt.sendings = attempt.sendings.saturating_add(1);
        self.unanswered = self.unanswered.saturating_add(1);
        self.fruitless = self.fruitless.saturating_add(1);
        let hello = Packet::Hello {
            client_id: attempt.client_id,
            cookie: attempt.cookie.as_ref(),
            noise: self.buffer.get(..attempt.noise_len).unwrap_or_default(),
        };
        hello.encode(out).map_or(Written::Nothing, Written::Hello)
    }

    /// Takes in a cookie, for the next sending; false if it is for no Hello of ours.
    pub(super) fn handle_retry(
        &mut self,
        now: Instant,
        client_id: ConnectionId,
        cookie: &[u8; 16],
    ) -> bool {
        let Some(attempt) = self.attempt(client_id) else {
            return false;
        };
        attempt.cookie = Some(*cookie);
        if !core::mem::replace(&mut attempt.retried, true) {
            attempt.due = now;
        }
        true
    }

    /// Takes in that the server speaks another version; false if that is about no Hello of ours.
    pub(super) fn handle_mismatch(&mut self, client_id: ConnectionId, supported: u8) -> bool {
        let attempt = self.attempt(client_id);
        attempt
            .map(|attempt| attempt.mismatch = Some(supported))
            .is_some()
    }

    /// The Hello under way under this id.
    pub(super) fn attempt(&mut self, client_id: ConnectionId) -> Option<&mut Attempt> {
        match &mut self.state {
            State::Underway(attempt) if attempt.client_id == client_id => Some(attempt),
            _ => None,
        }
    }

    /// Keeps a token until the server has said yes to it by answering `request`. A Hello under way is abandoned:
    /// it would speak of the former one.
    pub(super) fn keep_token(&mut self, request: RequestId, token: &str) {
        let Some(place) = self.buffer.get_mut(..token.len()) else {
            return;
        };
        place.copy_from_slice(token.as_bytes());
        self.state = State::Idle;
        self.token = Some((request, token.len()));
    }

    /// The request that the token waits for.
    pub(super) fn token_request(&self) -> Option<RequestId> {
        self.token.map(|(request, _)| request)
    }

    /// The token that waited; it does so no longer.
    pub(super) fn take_token(&mut self) -> Option<heapless::String<MAX_TOKEN>> {
        let (_, len) = self.token.take()?;
        let text = core::str::from_utf8(self.buffer.get(..len)?).ok()?;
        text.try_into().ok()
    }
}

/// The pause after this many sendings without an answer. It draws a random number, so ask only when there is a use
/// for it.
fn next_pause(unanswered: u8, rng: &mut dyn CryptoRngCore) -> Duration {
    let pause = (FIRST_PAUSE_MICROS << unanswered.min(MAX_DOUBLINGS)).min(LONGEST_PAUSE_MICROS);
    // Between three and five quarters.
    let random = rng.next_u32() % (pause / 2);
    Duration::from_micros((pause / 4 * 3 + random).into())
}

impl Attempt {
    fn hurry(&mut self, now: Instant) {
        self.due = now;
        // This end may have a new address, for which there has to be a new cookie.
        self.retried = false;
    }

    /// The handshake, to finish with a Welcome.
    pub(super) fn handshake(&self) -> &InitiatorHandshake {
        &self.handshake.0
    }

    /// How long the answer took, if that is certain because Hello was sent once only.
    pub(super) fn round_trip(&self, now: Instant) -> Option<Duration> {
        (self.sendings == 1).then(|| now.saturating_duration_since(self.sent))
    }
}
