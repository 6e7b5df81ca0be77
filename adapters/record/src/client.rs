//! A client whose inputs are recorded.

use parlour_core::client::{
    self, BufferTooSmall, CommandError, Commands, Config, Dropped, Event, Incoming, Message,
    PictureFlow, Pictures, Profile, SendError, Small,
};
use parlour_core::rand_core::CryptoRngCore;
use parlour_core::room::{StreamKey, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{MAX_BODY, Operation, Recipients, RequestId};
use parlour_core::ticket::{Ticket, TicketError};
use parlour_core::time::{Duration, Instant};
use parlour_core::video::Feedback;
use parlour_core::wire::{Arrived, Lost, MAX_DATAGRAM};
use serde::{Deserialize, Serialize};

use crate::log::Checksum;
use crate::make::{Made, MadeClient};
use crate::recorder::Machine;
use crate::tape::Tape;
use crate::{Recorder, Sink};

/// The core's [`Client`](client::Client), recorded if it was made by [`recorded`](Self::recorded).
pub type Client<P = Small> = Recorder<client::Client<P>>;

/// A call of a client, as a log keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Call<'a> {
    Datagram(&'a [u8]),
    Timeout,
    NetworkChanged,
    Ping,
    Transmit {
        capacity: usize,
    },
    Event,
    Message {
        capacity: usize,
    },
    #[serde(borrow)]
    Ask(Operation<'a>),
    LossyMessage {
        to: Recipients,
        topic: Topic,
        body: &'a [u8],
    },
    Audio {
        key: StreamKey,
        timestamp: u32,
        voice: bool,
        level: u8,
        payload: &'a [u8],
    },
    Media {
        key: StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &'a [u8],
    },
    Leave,
    PicturePacket {
        key: StreamKey,
        packet: &'a [u8],
    },
    /// With a list as the protocol has it.
    LostPackets {
        ssrc: u32,
        lost: &'a [u8],
    },
    KeyWanted {
        ssrc: u32,
        layer: u8,
    },
    Arrived {
        highest: u32,
        opened: u32,
        clock: u32,
    },
    /// With a time in µs.
    ReportArrivals {
        at: u64,
    },
}

impl<P: Profile> Machine for client::Client<P> {
    type Call<'a> = Call<'a>;
    type Context = ();

    fn make(&mut self, (): &mut (), now: Instant, call: Call<'_>, checksum: &mut Checksum) {
        let mut buffer = Vec::new();
        match call {
            Call::Datagram(bytes) => {
                buffer.extend_from_slice(bytes);
                let _ = datagram(self, now, &mut buffer, &mut |_| (), checksum);
            }
            Call::Timeout => checksum.add(&self.handle_timeout(now)),
            Call::NetworkChanged => checksum.add(&self.network_changed(now)),
            Call::Ping => checksum.add(&self.ping()),
            // The core writes at most one datagram, and a log may claim any capacity.
            Call::Transmit { capacity } => {
                buffer.resize(capacity.min(MAX_DATAGRAM), 0);
                let _ = transmit(self, now, &mut buffer, checksum);
            }
            Call::Event => checksum.add(&self.poll_event()),
            Call::Message { capacity } => {
                buffer.resize(capacity.min(MAX_BODY), 0);
                checksum.add(&self.poll_message(&mut buffer));
            }
            Call::Ask(operation) => checksum.add(&self.ask(operation)),
            Call::LossyMessage { to, topic, body } => {
                checksum.add(&self.send_lossy_message(&to, &topic, body));
            }
            Call::Audio {
                key,
                timestamp,
                voice,
                level,
                payload,
            } => {
                let level = AudioLevel { voice, level };
                checksum.add(&self.send_audio(now, &key, timestamp, level, payload));
            }
            Call::Media {
                key,
                timestamp,
                marker,
                payload,
            } => checksum.add(&self.send_media(now, &key, timestamp, marker, payload)),
            Call::Leave => checksum.add(&self.leave(now)),
            Call::PicturePacket { key, packet } => {
                checksum.add(&self.send_picture_packet(now, &key, packet));
            }
            Call::LostPackets { ssrc, lost } => {
                if let Some(lost) = Lost::parse(lost) {
                    self.send_feedback_frame(now, ssrc, Feedback::Lost(lost));
                }
                checksum.add(&());
            }
            Call::KeyWanted { ssrc, layer } => {
                checksum.add(&self.send_feedback_frame(now, ssrc, Feedback::KeyWanted { layer }));
            }
            Call::Arrived {
                highest,
                opened,
                clock,
            } => {
                let arrived = Feedback::Arrived(Arrived {
                    highest,
                    opened,
                    clock,
                });
                checksum.add(&self.send_feedback_frame(now, 0, arrived));
            }
            Call::ReportArrivals { at } => {
                checksum.add(&self.report_arrivals(Instant::from_micros(at)));
            }
        }
    }
}

fn datagram<P: Profile>(
    client: &mut client::Client<P>,
    now: Instant,
    bytes: &mut [u8],
    receive: &mut dyn FnMut(Incoming<'_>),
    checksum: &mut Checksum,
) -> Result<(), Dropped> {
    let handled = client.handle_datagram(now, bytes, &mut |incoming| {
        checksum.add(&incoming);
        receive(incoming);
    });
    checksum.add(&handled);
    handled
}

fn transmit<P: Profile>(
    client: &mut client::Client<P>,
    now: Instant,
    out: &mut [u8],
    checksum: &mut Checksum,
) -> Result<Option<usize>, BufferTooSmall> {
    let sent = client.poll_transmit(now, out);
    checksum.add(&sent);
    checksum.bytes(out.get(..sent.ok().flatten().unwrap_or(0)));
    sent
}

/// The methods of the core's client under the same names; see its documentation.
#[allow(missing_docs, clippy::missing_errors_doc)]
impl<P: Profile> Client<P> {
    pub fn new(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Self, TicketError> {
        client::Client::new(ticket, config, now, rng).map(Self::unrecorded)
    }

    /// Like [`new`](Self::new), and writes all inputs of the client to `sink`, **including its token and the seed of
    /// its keys**.
    pub fn recorded(
        ticket: &Ticket<'_>,
        config: &Config,
        now: Instant,
        rng: &mut dyn CryptoRngCore,
        sink: Sink,
    ) -> Result<Self, TicketError> {
        let mut tape = Tape {
            rng,
            bytes: Vec::new(),
        };
        let client = client::Client::new(ticket, config, now, &mut tape)?;
        let made = MadeClient::new::<P>(ticket, config, now, tape.bytes);
        Ok(Self::begin(client, sink, now, &Made::Client(made)))
    }

    pub fn handle_datagram(
        &mut self,
        now: Instant,
        bytes: &mut [u8],
        receive: &mut dyn FnMut(Incoming<'_>),
    ) -> Result<(), Dropped> {
        if !self.before(Some(now), |()| Call::Datagram(bytes)) {
            return self.machine.handle_datagram(now, bytes, receive);
        }
        let mut checksum = Checksum::default();
        let handled = datagram(&mut self.machine, now, bytes, receive, &mut checksum);
        self.after(checksum);
        handled
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let make = |client: &mut client::Client<P>| client.handle_timeout(now);
        self.call(Some(now), |()| Call::Timeout, make);
    }

    pub fn ping(&mut self) {
        self.call(None, |()| Call::Ping, client::Client::ping);
    }

    pub fn network_changed(&mut self, now: Instant) {
        let make = |client: &mut client::Client<P>| client.network_changed(now);
        self.call(Some(now), |()| Call::NetworkChanged, make);
    }

    pub fn poll_transmit(
        &mut self,
        now: Instant,
        out: &mut [u8],
    ) -> Result<Option<usize>, BufferTooSmall> {
        let capacity = out.len();
        if !self.before(Some(now), |()| Call::Transmit { capacity }) {
            return self.machine.poll_transmit(now, out);
        }
        let mut checksum = Checksum::default();
        let sent = transmit(&mut self.machine, now, out, &mut checksum);
        self.after(checksum);
        sent
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.call(None, |()| Call::Event, client::Client::poll_event)
    }

    pub fn poll_message<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> Result<Option<Message<'b>>, BufferTooSmall> {
        let capacity = buffer.len();
        let is_recorded = self.before(None, |()| Call::Message { capacity });
        let message = self.machine.poll_message(buffer);
        if is_recorded {
            self.after(Checksum::default().with(&message));
        }
        message
    }

    pub fn send_lossy_message(
        &mut self,
        to: &Recipients,
        topic: &Topic,
        body: &[u8],
    ) -> Result<(), CommandError> {
        let call = |(): &mut ()| Call::LossyMessage {
            to: to.clone(),
            topic: topic.clone(),
            body,
        };
        self.call(None, call, |client| {
            client.send_lossy_message(to, topic, body)
        })
    }

    pub fn leave(&mut self, now: Instant) -> Result<(), CommandError> {
        self.call(Some(now), |()| Call::Leave, |client| client.leave(now))
    }

    pub fn send_audio(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        level: AudioLevel,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let call = |(): &mut ()| Call::Audio {
            key: key.clone(),
            timestamp,
            voice: level.voice,
            level: level.level,
            payload,
        };
        self.call(Some(now), call, |client| {
            client.send_audio(now, key, timestamp, level, payload)
        })
    }

    pub fn send_media(
        &mut self,
        now: Instant,
        key: &StreamKey,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let call = |(): &mut ()| Call::Media {
            key: key.clone(),
            timestamp,
            marker,
            payload,
        };
        self.call(Some(now), call, |client| {
            client.send_media(now, key, timestamp, marker, payload)
        })
    }
}

impl<P: Profile> Pictures for Client<P> {
    fn picture_flow(&self, key: &StreamKey) -> Result<Option<PictureFlow>, SendError> {
        self.machine.picture_flow(key)
    }

    fn send_picture_packet(
        &mut self,
        now: Instant,
        key: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError> {
        let call = |(): &mut ()| Call::PicturePacket {
            key: key.clone(),
            packet,
        };
        self.call(Some(now), call, |client| {
            client.send_picture_packet(now, key, packet)
        })
    }

    fn send_feedback_frame(&mut self, now: Instant, ssrc: u32, feedback: Feedback<'_>) {
        let call = |(): &mut ()| match feedback {
            Feedback::Lost(lost) => Call::LostPackets {
                ssrc,
                lost: lost.as_bytes(),
            },
            Feedback::KeyWanted { layer } => Call::KeyWanted { ssrc, layer },
            Feedback::Arrived(Arrived {
                highest,
                opened,
                clock,
            }) => Call::Arrived {
                highest,
                opened,
                clock,
            },
        };
        self.call(Some(now), call, |client| {
            client.send_feedback_frame(now, ssrc, feedback);
        });
    }

    fn report_arrivals(&mut self, at: Instant) {
        let call = |(): &mut ()| Call::ReportArrivals { at: at.as_micros() };
        self.call(None, call, |client| client.report_arrivals(at));
    }

    fn round_trip(&self) -> Option<Duration> {
        self.machine.round_trip()
    }
}

impl<P: Profile> Commands for Client<P> {
    fn ask(&mut self, operation: Operation<'_>) -> Result<Option<RequestId>, CommandError> {
        if self.before(None, |()| Call::Ask(operation.clone())) {
            let asked = self.machine.ask(operation);
            self.after(Checksum::default().with(&asked));
            return asked;
        }
        self.machine.ask(operation)
    }
}
