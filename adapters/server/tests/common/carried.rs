//! A participant of the bare core, and the carriages that foreign libraries give it.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parlour_tokio::core::client::{Client, Commands as _, Config, Desktop, Incoming};
use parlour_tokio::core::rand_core::OsRng;
use parlour_tokio::core::rtp::AudioLevel;
use parlour_tokio::core::signal::Publish;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::core::time::Instant;
use parlour_tokio::{AudioOptions, Codec, Room, SampleRate, StreamKey, StreamKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::within;

/// Samples in 20 ms of G.711.
const FRAME: usize = 160;

/// The client's end of a carriage.
pub struct Way {
    pub outgoing: mpsc::UnboundedSender<Message>,
    incoming: mpsc::UnboundedReceiver<Vec<u8>>,
    /// How it ends: the code and the reason of the server, if it gives any.
    pub ended: JoinHandle<Option<(u64, String)>>,
}

/// A WebSocket by tungstenite.
///
/// # Errors
/// The status and the body of a refusal.
pub async fn web_socket(url: &str, headers: &[(&'static str, &str)]) -> Result<Way, (u16, String)> {
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let socket = match within(tokio_tungstenite::connect_async(request)).await {
        Ok((socket, _)) => socket,
        Err(Error::Http(refused)) => {
            let body = refused.body().clone().unwrap_or_default();
            let body = String::from_utf8(body).unwrap();
            return Err((refused.status().as_u16(), body));
        }
        Err(error) => panic!("{error}"),
    };
    let (mut sink, mut stream) = socket.split();
    let (outgoing, mut to_send) = mpsc::unbounded_channel();
    let (received, incoming) = mpsc::unbounded_channel();
    let ended = tokio::spawn(async move {
        loop {
            tokio::select! {
                message = to_send.recv() => match message {
                    Some(message) => drop(sink.send(message).await),
                    None => return None,
                },
                message = stream.next() => match message {
                    Some(Ok(Message::Binary(datagram))) => drop(received.send(datagram.to_vec())),
                    Some(Ok(Message::Close(frame))) => {
                        // Answers it.
                        while let Some(Ok(_)) = stream.next().await {}
                        return frame.map(|frame| (u16::from(frame.code).into(), frame.reason.to_string()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                },
            }
        }
    });
    Ok(Way {
        outgoing,
        incoming,
        ended,
    })
}

/// A session of WebTransport by wtransport. Datagrams above `longest` go as streams.
///
/// # Errors
/// Why there is none.
#[cfg(feature = "webtransport")]
pub async fn web_transport(
    url: &str,
    origin: Option<&str>,
    hashes: &[[u8; 32]],
    longest: usize,
) -> Result<Way, wtransport::error::ConnectingError> {
    use wtransport::endpoint::ConnectOptions;
    use wtransport::tls::Sha256Digest;
    use wtransport::{ClientConfig, Endpoint};

    let hashes = hashes.iter().map(|hash| Sha256Digest::new(*hash));
    let config = ClientConfig::builder()
        .with_bind_address(([127, 0, 0, 1], 0).into())
        .with_server_certificate_hashes(hashes)
        .build();
    let endpoint = Endpoint::client(config).unwrap();
    let mut options = ConnectOptions::builder(url);
    if let Some(origin) = origin {
        options = options.add_header("origin", origin);
    }
    let connection = within(endpoint.connect(options.build())).await?;
    let (outgoing, mut to_send) = mpsc::unbounded_channel::<Message>();
    let (received, incoming) = mpsc::unbounded_channel();
    let ended = tokio::spawn(async move {
        loop {
            tokio::select! {
                message = to_send.recv() => {
                    let datagram = message?.into_data();
                    if datagram.len() > longest {
                        let mut stream = connection.open_uni().await.ok()?.await.ok()?;
                        stream.write_all(&datagram).await.ok()?;
                        stream.finish().await.ok()?;
                    } else {
                        drop(connection.send_datagram(datagram));
                    }
                }
                datagram = connection.receive_datagram() => match datagram {
                    Ok(datagram) => drop(received.send(datagram.to_vec())),
                    Err(error) => return closed(&error),
                },
                stream = connection.accept_uni() => {
                    let mut datagram = Vec::new();
                    let mut part = [0; 2_000];
                    let mut stream = match stream {
                        Ok(stream) => stream,
                        Err(error) => return closed(&error),
                    };
                    while let Ok(Some(len)) = stream.read(&mut part).await {
                        datagram.extend_from_slice(&part[..len]);
                    }
                    drop(received.send(datagram));
                }
            }
        }
    });
    Ok(Way {
        outgoing,
        incoming,
        ended,
    })
}

#[cfg(feature = "webtransport")]
fn closed(error: &wtransport::error::ConnectionError) -> Option<(u64, String)> {
    match error {
        wtransport::error::ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8_lossy(close.reason()).into_owned();
            Some((close.code().into_inner(), reason))
        }
        _ => None,
    }
}

/// A participant that says a loud tone, and counts the frames that it hears.
pub struct Carried {
    pub client: Box<Client<Desktop>>,
    way: Way,
    began: tokio::time::Instant,
    pub heard: usize,
    said: u32,
}

impl Carried {
    pub fn new(ticket: &str, way: Way) -> Self {
        let make = || {
            let ticket = Ticket::parse(ticket).unwrap();
            let now = Instant::from_micros(0);
            let client = Client::new(&ticket, &Config::default(), now, &mut OsRng);
            Box::new(client.unwrap())
        };
        // A debug build copies it several times on the stack.
        let mut client = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(8 << 20);
            let made = thread.spawn_scoped(scope, make).unwrap();
            made.join().unwrap()
        });
        let mic = Publish {
            key: StreamKey::new("mic").unwrap(),
            kind: StreamKind::Audio,
            codec: Codec::Pcmu,
            muted: false,
        };
        client.publish(mic).unwrap();
        Self {
            client,
            way,
            began: tokio::time::Instant::now(),
            heard: 0,
            said: 0,
        }
    }

    pub fn now(&self) -> Instant {
        Instant::from_micros(self.began.elapsed().as_micros() as u64)
    }

    /// Goes on by another way, as after a redirect.
    pub fn go_by(&mut self, way: Way) -> Way {
        std::mem::replace(&mut self.way, way)
    }

    /// Sends what there is to send, and takes in what comes next. Cancellation-safe.
    pub async fn step(&mut self) {
        self.speak();
        self.flush();
        while self.client.poll_event().is_some() {}
        let next_frame = Instant::from_micros(u64::from(self.said) * 20_000);
        let due = self.client.poll_timeout().unwrap_or(next_frame);
        let wait = due.min(next_frame).saturating_duration_since(self.now());
        match tokio::time::timeout(wait, self.way.incoming.recv()).await {
            Ok(Some(mut datagram)) => {
                let now = self.now();
                let heard = &mut self.heard;
                let hear = &mut |_: Incoming<'_>| *heard += 1;
                let _ = self.client.handle_datagram(now, &mut datagram, hear);
            }
            Ok(None) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(_) => self.client.handle_timeout(self.now()),
        }
    }

    fn speak(&mut self) {
        let now = self.now();
        while Instant::from_micros(u64::from(self.said) * 20_000) <= now {
            // A square wave of 400 Hz.
            let tone: Vec<u8> = (0..FRAME)
                .map(|n| if n / 10 % 2 == 0 { 0x90 } else { 0x10 })
                .collect();
            let timestamp = self.said * FRAME as u32;
            let mic = StreamKey::new("mic").unwrap();
            let level = AudioLevel::from_byte(0x8a);
            // Before the join there is nowhere to send it.
            let _ = self.client.send_audio(now, &mic, timestamp, level, &tone);
            self.said += 1;
        }
    }

    pub fn flush(&mut self) {
        let mut buffer = [0; 1_200];
        while let Some(len) = self.client.poll_transmit(self.now(), &mut buffer).unwrap() {
            let datagram = buffer[..len].to_vec().into();
            let _ = self.way.outgoing.send(Message::Binary(datagram));
        }
    }

    /// Goes on until that is so.
    pub async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        within(async {
            while !is_so(self) {
                self.step().await;
            }
        })
        .await;
    }

    pub fn is_in_session(&self) -> bool {
        self.client.is_joined()
    }

    pub async fn way_ended(self) -> Option<(u64, String)> {
        within(self.way.ended).await.unwrap()
    }
}

/// Both speak until each has heard the other for half a second.
pub async fn converse(carried: &mut Carried, native: &Room) {
    let rate = SampleRate::Hz48000;
    let key = format!("tone-{}", carried.said);
    let mic = native.publish_audio(&key, AudioOptions::opus(rate)).await;
    let mut mic = mic.unwrap();
    let mut mixed = native.mixed_audio(rate).unwrap();
    let (mut pcm, mut loud) = ([0; 960], 0);
    let until = carried.heard + 25;
    within(async {
        while loud < 25 || carried.heard < until {
            tokio::select! {
                () = mixed.next_frame(&mut pcm) => {
                    let power: i64 = pcm.iter().map(|s| i64::from(*s).pow(2)).sum();
                    loud += usize::from(power / 960 > 1_000_000);
                    let tone: Vec<i16> = (0..960).map(|n| if n / 40 % 2 == 0 { 8_000 } else { -8_000 }).collect();
                    mic.write(&tone).unwrap();
                }
                () = carried.step() => {}
            }
        }
    })
    .await;
}
