//! The meeting: its shared state, and its parts in order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use parlour_core::room::{Grants, ParticipantId, StreamKey};
use parlour_core::signal::StreamRef;
use parlour_core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{Server, ServerConfig};

use crate::device::Device;
use crate::network::Network;
use crate::options::Options;
use crate::party::{self, Party};
use crate::record::Record;
use crate::recording::{Recording, Scale};
use crate::report::Report;
use crate::speech::{Mouth, Speech, Turn};
use crate::timeline::Timeline;
use crate::verdict::Expectation;
use crate::{ear, wav};

const ROOM: &str = "parlour";
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Steps between two turns, in which the network and the jitter buffers drain.
const PAUSE: usize = 30;
/// The total length of the unstretched turns, and of everything else.
const TURNS: f64 = 19.0;
const REST: f64 = 6.0;

/// Holds the meeting of `options`.
///
/// # Errors
/// An error that prevents the meeting: audio that cannot be read, a port in use. Failures in the meeting itself are in
/// the report.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let host_speech = Speech::new(wav::read(&options.host_wav, party::RATE)?);
    let device_speech = Speech::new(wav::read(&options.device_wav, ear::RATE)?);
    std::fs::create_dir_all(&options.out).with_context(|| {
        format!(
            "cannot make {}: choose another directory with --out",
            options.out.display()
        )
    })?;

    let squeaky = host_speech.squeaky();
    let mut meeting = Meeting::open(options).await?;
    let cast = meeting.assemble(host_speech, device_speech).await?;
    meeting.talk(&cast).await;
    meeting.moderate(&cast, squeaky).await;
    let gap = meeting.change_networks(&cast).await;
    let Cast {
        host,
        listener,
        device,
    } = cast;
    let recordings = [
        ("host", host.recording.clone()),
        ("device", device.recording.clone()),
        ("listener", listener.recording.clone()),
    ];
    meeting.close(host, listener, device).await;
    meeting.record.finish()?;

    for (who, recording) in recordings {
        let path = options.out.join(format!("{who}-heard.wav"));
        wav::write(&path, &recording.heard(), recording.rate())?;
    }
    Ok(meeting.report(options, gap))
}

/// The participants that stay from beginning to end.
pub(super) struct Cast {
    pub(super) host: Party,
    pub(super) listener: Party,
    pub(super) device: Device,
}

pub(super) struct Meeting {
    pub(super) scale: Scale,
    pub(super) timeline: Timeline,
    pub(super) server: Server,
    pub(super) network: Network,
    pub(super) record: Record,
    pub(super) stretch: f64,
    pub(super) expectations: Vec<Expectation>,
}

pub(super) fn id(who: &str) -> anyhow::Result<ParticipantId> {
    Ok(ParticipantId::new(who)?)
}

pub(super) fn mic(who: &str) -> anyhow::Result<StreamRef> {
    Ok(StreamRef {
        participant: id(who)?,
        key: StreamKey::new("mic")?,
    })
}

/// A time for display.
pub(super) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
impl Meeting {
    pub(super) async fn open(options: &Options) -> anyhow::Result<Self> {
        let scale = Scale::start();
        let mut timeline = Timeline::new(scale, Duration::from_secs(options.seconds.into()));
        timeline.part("Open");
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        // In production, draw one with `openssl rand -hex 32` and keep it.
        let key = ApiKey::new("meeting", "an example needs no real secret.")?;
        let record = Record::new(options.record.clone())?;
        let server = Server::bind(ServerConfig {
            workers: 1,
            record: record.sink("server")?.into_iter().collect(),
            ..ServerConfig::new(address, key)
        })?;
        let listens = *server
            .addresses()
            .first()
            .context("the server has no address")?;
        timeline.note("server", format!("listens at {listens}"));
        let impairment = options.impairment();
        let network = Network::start(listens, impairment, options.seed).await?;
        timeline.note(
            "network",
            format!(
                "from {} to there: loses {} %, {} ms and up to {} ms more under way, each way",
                network.address(),
                options.loss,
                options.delay,
                options.jitter,
            ),
        );
        let stretch = (f64::from(options.seconds) - REST) / TURNS;
        Ok(Self {
            scale,
            timeline,
            server,
            network,
            record,
            stretch,
            expectations: Vec::new(),
        })
    }

    /// A ticket that leads through the network.
    pub(super) fn ticket(&self, who: &str, grants: Grants) -> anyhow::Result<String> {
        let claims = Claims {
            grants,
            ..Claims::new(ROOM, who, Duration::from_secs(3_600))?
        };
        let ticket = self.server.ticket(&claims)?;
        let through = self.network.address();
        let host = through.ip().to_string();
        Ok(Ticket {
            host: &host,
            port: through.port(),
            ..Ticket::parse(&ticket)?
        }
        .to_string())
    }

    /// The network's counts of a join that began then.
    pub(super) fn joined_since(&self, began: Duration) -> String {
        let took = self.scale.now() - began;
        let flow = self.network.flows().last().copied().unwrap_or_default();
        let trips = 1 + flow.retries;
        let plural = if trips == 1 { "" } else { "s" };
        match flow.hellos {
            0 | 1 => format!("{}, {trips} round trip{plural}", ms(took)),
            hellos => format!(
                "{}, {trips} round trip{plural} after {hellos} Hellos, as some were lost",
                ms(took)
            ),
        }
    }

    pub(super) fn after(&self, began: Duration, at: Duration) -> String {
        format!("after {}", ms(at.saturating_sub(began)))
    }

    /// The time of an answer that has just come, and the round-trip time.
    pub(super) fn answered(&self, began: Duration, who: &Party) -> String {
        let took = ms(self.scale.now() - began);
        match who.round_trip() {
            Some(trip) => format!("{took}, 1 round trip (of {} lately)", ms(trip)),
            None => format!("{took}, 1 round trip"),
        }
    }

    /// Lets a participant speak for about this time.
    pub(super) fn speak(&self, mouth: &Mouth, seconds: f64) -> Turn {
        mouth.speak(self.scale, Duration::from_secs_f64(seconds * self.stretch))
    }

    /// Waits for the end of a turn, and until it is quiet.
    pub(super) async fn hear_out(&mut self, turn: &Turn) {
        self.timeline.wait(turn.end + PAUSE).await;
    }

    pub(super) fn expect(
        &mut self,
        scene: &'static str,
        speakers: &[(&'static str, &Recording)],
        hearer: (&'static str, &Recording),
        turn: &Turn,
        heard: bool,
    ) {
        let speakers = speakers
            .iter()
            .map(|(who, recording)| (*who, (*recording).clone()));
        self.expectations.push(Expectation {
            scene,
            speakers: speakers.collect(),
            hearer: (hearer.0, hearer.1.clone()),
            turn: turn.clone(),
            heard,
        });
    }

    /// Records the device's words, as host and listener should hear them, or not.
    pub(super) fn expect_of_device(
        &mut self,
        scene: &'static str,
        cast: &Cast,
        turn: &Turn,
        heard: bool,
    ) {
        let device = ("device", &cast.device.recording);
        self.expect(
            scene,
            &[device],
            ("host", &cast.host.recording),
            turn,
            heard,
        );
        self.expect(
            scene,
            &[device],
            ("listener", &cast.listener.recording),
            turn,
            heard,
        );
    }

    pub(super) fn report(self, options: &Options, gap: Duration) -> Report {
        let mut report = Report {
            passed: false,
            loss: options.loss / 100.0,
            delay_ms: options.delay,
            jitter_ms: options.jitter,
            seed: options.seed,
            socket_gap_ms: u64::try_from(gap.as_millis()).unwrap_or(u64::MAX),
            heard: self.expectations.iter().map(Expectation::judge).collect(),
            timeline: self.timeline.finish(),
        };
        report.passed = report.complaints().is_empty();
        report
    }
}
