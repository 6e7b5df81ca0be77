//! The small device: the core's `Client<Small>`, recorded on request, in a loop as in firmware, with one decoder for
//! the whole room.
//!
//! It uses no part of the tokio adapter's client. Only the socket and the timers are tokio's.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use parlour_core::audio::codec::AudioEncoder as _;
use parlour_core::audio::level::level;
use parlour_core::audio::opus::{Adaptation, EncoderConfig, MAX_PAYLOAD, OpusEncoder};
use parlour_core::client::{
    CloseCause, CommandError, Commands as _, Config, Event as RoomEvent, Incoming, Small,
};
use parlour_core::room::{Codec, StreamKey, StreamKind, Topic};
use parlour_core::rtp::AudioLevel;
use parlour_core::signal::{MAX_BODY, Publish, Recipients, RequestId};
use parlour_core::ticket::Ticket;
use parlour_core::time::Instant;
use parlour_core::wire::MAX_DATAGRAM;
use parlour_record::{Client, Sink};
use parlour_tokio::{Event, Message};
use rand_core::OsRng;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::ear::{Ear, RATE, packet};
use crate::events::{EventLog, Told};
use crate::recording::{Counters, Recording, Scale};
use crate::speech::{Mouth, Speech};

const FRAME: usize = RATE.samples(20);
/// Units of Opus's 48 kHz RTP clock per step of the time scale.
const UNITS: u32 = 960;
/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Asked = oneshot::Sender<Result<Option<RequestId>, CommandError>>;

/// A command to the device.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Command {
    SetMuted(bool, Asked),
    Send {
        to: Recipients,
        topic: Topic,
        body: Bytes,
        asked: Asked,
    },
    ReplaceSocket(oneshot::Sender<std::io::Result<()>>),
}

/// The device, as the script sees it. Dropping it switches it off.
#[derive(Debug)]
pub struct Device {
    /// Its events and messages.
    pub log: EventLog,
    /// The audio that it sent and heard.
    pub recording: Recording,
    /// The times when it speaks: while its button is pressed. It sends nothing otherwise.
    pub mouth: Mouth,
    commands: mpsc::Sender<Command>,
    _task: JoinSet<()>,
}

impl Device {
    /// Joins, and publishes its microphone in the same packet.
    ///
    /// # Errors
    /// The ticket is invalid, or the server refuses the device.
    pub async fn join(
        ticket: &str,
        speech: Speech,
        scale: Scale,
        record: Option<Sink>,
    ) -> anyhow::Result<Self> {
        let ticket = Ticket::parse(ticket)?;
        let server = SocketAddr::new(ticket.host.parse()?, ticket.port);
        let config = Config {
            slots: Some(1),
            ..Config::default()
        };
        let now = now(scale);
        let client = match record {
            Some(sink) => Client::<Small>::recorded(&ticket, &config, now, &mut OsRng, sink)?,
            None => Client::new(&ticket, &config, now, &mut OsRng)?,
        };
        let mut client = Box::new(client);
        let mic = StreamKey::new("mic")?;
        client.publish(Publish {
            key: mic.clone(),
            kind: StreamKind::Audio,
            codec: Codec::Opus,
            muted: false,
        })?;
        let (commands, orders) = mpsc::channel(1);
        let device = Self {
            log: EventLog::new(scale),
            recording: Recording::new(RATE),
            mouth: Mouth::default(),
            commands,
            _task: JoinSet::new(),
        };
        let encoding = EncoderConfig::default();
        let unit = Unit {
            client,
            socket: connect(server).await?,
            server,
            mic,
            scale,
            adaptation: Adaptation::not_below(OpusEncoder::MIN_FEC_BITRATE, encoding.bitrate),
            encoder: Box::new(OpusEncoder::new(encoding)?),
            ear: Ear::new()?,
            speech,
            mouth: device.mouth.clone(),
            log: device.log.clone(),
            recording: device.recording.clone(),
        };
        let mut device = device;
        device._task.spawn(unit.run(orders));
        let joined = device
            .log
            .wait(Duration::ZERO, PATIENCE, |told| match told {
                Told::Event(Event::Room(RoomEvent::Joined { .. })) => Some(Ok(())),
                Told::Event(Event::Room(RoomEvent::Closed(cause))) => Some(Err(*cause)),
                _ => None,
            });
        let (_, joined) = joined
            .await
            .context("the server does not answer the device")?;
        joined.map(|()| device).map_err(Into::into)
    }

    /// Mutes or unmutes the microphone; returns when the server has done so.
    ///
    /// # Errors
    /// The server does not do so.
    pub async fn set_muted(&self, muted: bool) -> anyhow::Result<()> {
        self.ask(|asked| Command::SetMuted(muted, asked)).await
    }

    /// Sends a message; returns when the server has accepted it.
    ///
    /// # Errors
    /// The server does not accept it.
    pub async fn send_message(
        &self,
        to: Recipients,
        topic: &str,
        body: &'static str,
    ) -> anyhow::Result<()> {
        let (topic, body) = (Topic::new(topic)?, Bytes::from_static(body.as_bytes()));
        self.ask(|asked| Command::Send {
            to,
            topic,
            body,
            asked,
        })
        .await
    }

    /// Replaces the socket, as if the device had roamed to another access point.
    ///
    /// # Errors
    /// The operating system has no socket.
    pub async fn replace_socket(&self) -> anyhow::Result<()> {
        let (done, replaced) = oneshot::channel();
        self.commands
            .send(Command::ReplaceSocket(done))
            .await
            .ok()
            .context("the device is off")?;
        Ok(replaced.await.context("the device is off")??)
    }

    /// Waits until the device is no longer in the room, and returns the reason.
    pub async fn closed(&self, patience: Duration) -> Option<CloseCause> {
        let closed = self.log.wait(Duration::ZERO, patience, |told| match told {
            Told::Event(Event::Room(RoomEvent::Closed(cause))) => Some(*cause),
            _ => None,
        });
        closed.await.map(|(_, cause)| cause)
    }

    /// Sends a request to the server, and waits for the answer.
    async fn ask(&self, command: impl FnOnce(Asked) -> Command) -> anyhow::Result<()> {
        let (asked, request) = oneshot::channel();
        self.commands
            .send(command(asked))
            .await
            .ok()
            .context("the device is off")?;
        let Some(request) = request.await.context("the device is off")?? else {
            bail!("the device is not in the room");
        };
        let reply = self.log.wait(Duration::ZERO, PATIENCE, |told| match told {
            Told::Event(Event::Room(RoomEvent::Replied {
                request: of,
                result,
            })) if *of == request => Some(*result),
            _ => None,
        });
        let (_, result) = reply
            .await
            .context("the server does not answer the device")?;
        result
            .map(drop)
            .map_err(|failure| anyhow::anyhow!("the server says: {failure:?}"))
    }
}

/// The core's time: since the meeting began.
fn now(scale: Scale) -> Instant {
    Instant::from_micros(u64::try_from(scale.now().as_micros()).unwrap_or(u64::MAX))
}

async fn connect(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// The device itself.
struct Unit {
    client: Box<Client<Small>>,
    socket: UdpSocket,
    server: SocketAddr,
    mic: StreamKey,
    scale: Scale,
    encoder: Box<OpusEncoder>,
    adaptation: Adaptation,
    ear: Ear,
    speech: Speech,
    mouth: Mouth,
    log: EventLog,
    recording: Recording,
}

impl Unit {
    async fn run(mut self, mut orders: mpsc::Receiver<Command>) {
        let mut tick = self.scale.tick() + 1;
        let mut ticks = self.scale.ticks_from(tick);
        let mut buffer = [0; MAX_DATAGRAM + 1];
        loop {
            self.transmit(&mut buffer).await;
            self.tell(&mut buffer);
            let timeout = self.client.poll_timeout();
            let scale = self.scale;
            let due = async {
                match timeout {
                    Some(at) => tokio::time::sleep(at.saturating_duration_since(now(scale))).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                // An error is about an earlier datagram: the server may be away for a moment.
                    if let Some(datagram) = received.ok().and_then(|len| buffer.get_mut(..len)) {
                        self.receive(datagram);
                    }
                }
                () = due => self.client.handle_timeout(now(self.scale)),
                _ = ticks.tick() => {
                    self.sound(tick);
                    tick += 1;
                }
                Some(command) = orders.recv() => self.obey(command).await,
            }
        }
    }

    async fn transmit(&mut self, buffer: &mut [u8]) {
        while let Ok(Some(len)) = self.client.poll_transmit(now(self.scale), buffer) {
            // A datagram that cannot be sent is lost, which the protocol handles.
            let _ = self.socket.send(&buffer[..len]).await;
        }
    }

    /// Logs the events.
    fn tell(&mut self, buffer: &mut [u8]) {
        while let Some(event) = self.client.poll_event() {
            self.log.note(Event::Room(event));
        }
        let body = &mut buffer[..MAX_BODY];
        while let Ok(Some(message)) = self.client.poll_message(body) {
            self.log.note_message(Message::Received {
                from: message.from,
                topic: message.topic,
                body: Bytes::copy_from_slice(message.body),
            });
        }
    }

    fn receive(&mut self, datagram: &mut [u8]) {
        let now = now(self.scale);
        let ear = &mut self.ear;
        // Dropped datagrams are counted.
        let _ = self.client.handle_datagram(now, datagram, &mut |incoming| {
            if let Incoming::Audio { frame, .. } = incoming {
                ear.push(now, packet(&frame));
            }
        });
    }

    /// Processes 20 ms of microphone and loudspeaker.
    fn sound(&mut self, tick: usize) {
        let (mut said, mut heard) = ([0; FRAME], [0; FRAME]);
        if self.mouth.speaks_at(tick) {
            self.speech.next(&mut said);
            self.send(tick, &said);
        }
        let client = &self.client;
        let adapted = (self.adaptation).poll(now(self.scale), || client.statistics().uplink_loss);
        if let Some(adapted) = adapted {
            // Both are within the encoder's range.
            let _ = self.encoder.set_bitrate(adapted.bitrate);
            let _ = self.encoder.set_expected_loss(adapted.expected_loss);
        }
        self.ear.read(now(self.scale), &mut heard);
        let jitter = self.ear.statistics();
        let counters = Counters {
            sent: self.client.statistics().media_sent,
            received: jitter.received + jitter.late,
            concealed: jitter.concealed,
        };
        self.recording.note(tick, &said, &heard, counters);
    }

    fn send(&mut self, tick: usize, pcm: &[i16; FRAME]) {
        let mut payload = [0; MAX_PAYLOAD];
        let Ok(encoded) = self.encoder.encode(pcm, &mut payload) else {
            return;
        };
        let level = AudioLevel {
            voice: true,
            level: level(pcm),
        };
        // Timestamps continue in silence.
        let timestamp = (tick as u32).wrapping_mul(UNITS);
        if let Some(payload) = encoded.payload(&payload) {
            // While it is muted, or the connection is being restored, its audio is dropped.
            let _ = self
                .client
                .send_audio(now(self.scale), &self.mic, timestamp, level, payload);
        }
    }

    async fn obey(&mut self, command: Command) {
        // A caller that no longer waits does not need the answer.
        match command {
            Command::SetMuted(muted, asked) => {
                let _ = asked.send(self.client.set_muted(&self.mic, muted));
            }
            Command::Send {
                to,
                topic,
                body,
                asked,
            } => {
                let _ = asked.send(self.client.send_message(&to, &topic, &body).map(Some));
            }
            Command::ReplaceSocket(done) => {
                let connected = connect(self.server).await;
                let _ = done.send(connected.map(|socket| {
                    self.socket = socket;
                    self.client.network_changed(now(self.scale));
                }));
            }
        }
    }
}
