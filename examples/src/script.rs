//! What happens in the meeting, in its order.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use parlour_core::room::{CloseReason, Grants, ParticipantId, StreamKey};
use parlour_core::signal::{
    JoinRefusal, ParticipantList, Recipients, StreamRef, SubscribePolicy, Targets,
};
use parlour_core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{
    AudioOptions, CloseCause, Event, JoinError, JoinOptions, RoomEvent, RoomState, Server,
    ServerConfig,
};

use crate::device::Device;
use crate::events::EventLog;
use crate::network::Network;
use crate::noise::noise;
use crate::options::Options;
use crate::party::{self, Party};
use crate::recording::{Recording, Scale, TICK};
use crate::report::Report;
use crate::speech::{Mouth, Speech, Turn};
use crate::timeline::Timeline;
use crate::verdict::Expectation;
use crate::{ear, wav};

const ROOM: &str = "parlour";
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two turns: what the network and the jitter buffers hold is heard out meanwhile.
const PAUSE: usize = 30;
/// How long the turns last together when they are not stretched, and all else.
const TURNS: f64 = 18.4;
const REST: f64 = 6.0;

/// Holds the meeting that `options` ask for.
///
/// # Errors
/// What makes it impossible: sound that cannot be read, a port in use. What goes wrong in the meeting itself is in the
/// report.
pub async fn run(options: &Options) -> anyhow::Result<Report> {
    let host_speech = Speech::new(wav::read(&options.host_wav, party::RATE)?);
    let device_speech = Speech::new(wav::read(&options.device_wav, ear::RATE)?);
    std::fs::create_dir_all(&options.out).with_context(|| {
        format!(
            "cannot make {}: choose another directory with --out",
            options.out.display()
        )
    })?;

    let mut meeting = Meeting::open(options).await?;
    let cast = meeting.assemble(host_speech, device_speech).await?;
    meeting.talk(&cast).await;
    meeting.moderate(&cast).await;
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

    for (who, recording) in recordings {
        let path = options.out.join(format!("{who}-heard.wav"));
        wav::write(&path, &recording.heard(), recording.rate())?;
    }
    Ok(meeting.report(options, gap))
}

/// Those who take part from beginning to end.
struct Cast {
    host: Party,
    listener: Party,
    device: Device,
}

struct Meeting {
    scale: Scale,
    timeline: Timeline,
    server: Server,
    network: Network,
    stretch: f64,
    seed: u64,
    expectations: Vec<Expectation>,
}

fn id(who: &str) -> anyhow::Result<ParticipantId> {
    Ok(ParticipantId::new(who)?)
}

fn mic(who: &str) -> anyhow::Result<StreamRef> {
    Ok(StreamRef {
        participant: id(who)?,
        key: StreamKey::new("mic")?,
    })
}

fn only(who: &str) -> anyhow::Result<ParticipantList> {
    let mut list = ParticipantList::new();
    list.push(id(who)?).ok().context("no place in a list")?;
    Ok(list)
}

/// A time for people to read.
fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

impl Meeting {
    async fn open(options: &Options) -> anyhow::Result<Self> {
        let scale = Scale::start();
        let mut timeline = Timeline::new(scale, Duration::from_secs(options.seconds.into()));
        timeline.part("Open");
        let address = SocketAddr::from(([127, 0, 0, 1], options.port));
        // In earnest, draw one with `openssl rand -hex 32` and keep it.
        let key = ApiKey::new("meeting", "an example needs no real secret.")?;
        let server = Server::bind(ServerConfig {
            workers: 1,
            ..ServerConfig::new(address, key)
        })
        .context("no server: choose another port with --port")?;
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
            stretch,
            seed: options.seed,
            expectations: Vec::new(),
        })
    }

    /// A ticket that leads through the network.
    fn ticket(&self, who: &str, grants: Grants) -> anyhow::Result<String> {
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

    /// How a join went that began then: what the network saw of it.
    fn joined_since(&self, began: Duration) -> String {
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

    /// Everybody joins, publishes and subscribes.
    async fn assemble(
        &mut self,
        host_speech: Speech,
        device_speech: Speech,
    ) -> anyhow::Result<Cast> {
        self.timeline.part("Join");
        let began = self.scale.now();
        let ticket = self.ticket("host", Grants::PARTICIPANT | Grants::MODERATOR)?;
        let mut host = Party::join(&ticket, JoinOptions::default(), self.scale)
            .await
            .context("the host")?;
        self.timeline.note(
            "host",
            format!("joined as moderator: {}", self.joined_since(began)),
        );

        let began = self.scale.now();
        let ticket = self.ticket("listener", Grants::PARTICIPANT)?;
        let none = JoinOptions {
            policy: SubscribePolicy::None,
            slots: 4,
            ..JoinOptions::default()
        };
        let mut listener = Party::join(&ticket, none, self.scale)
            .await
            .context("the listener")?;
        self.timeline.note(
            "listener",
            format!("joined, subscribed to nobody: {}", self.joined_since(began)),
        );

        let began = self.scale.now();
        let ticket = self.ticket("device", Grants::PARTICIPANT)?;
        let device = Device::join(&ticket, device_speech, self.scale)
            .await
            .context("the device")?;
        self.timeline.note(
            "device",
            format!(
                "joined with one decoder for the whole room: {}",
                self.joined_since(began),
            ),
        );
        let seen = host
            .expect(Duration::ZERO, &RoomEvent::ParticipantJoined(id("device")?))
            .await;
        self.timeline.step(
            "host",
            "saw the device join",
            seen.map(|at| self.after(began, at)),
        );

        self.timeline.part("Publish");
        let published = device.log.wait(Duration::ZERO, PATIENCE, |event| {
            matches!(event, Event::Room(RoomEvent::Published { .. })).then_some(())
        });
        let published = published.await.context("the server never told the device");
        let how =
            |_| "Opus at 16 kHz, asked for with the join: no round trip of its own".to_owned();
        self.timeline
            .step("device", "published", published.map(how));
        let began = self.scale.now();
        let microphone = host
            .room
            .publish_audio("mic", AudioOptions::opus(party::RATE))
            .await?;
        self.timeline.note(
            "host",
            format!(
                "published: Opus at 48 kHz with DTX and FEC, {}",
                self.answered(began, &host),
            ),
        );

        self.timeline.part("Subscribe");
        for who in ["host", "device"] {
            let stream = mic(who)?;
            // A stream may come with its participant, or after it.
            let known = listener.log.wait(Duration::ZERO, PATIENCE, |_| {
                let publishes = |state: &RoomState| {
                    state
                        .participant(&stream.participant)
                        .is_some_and(|them| !them.streams.is_empty())
                };
                listener.room.with_state(publishes).then_some(())
            });
            let known = known.await.is_some();
            let began = self.scale.now();
            let subscribed = match known {
                true => listener.room.subscribe(&stream).await.map_err(Into::into),
                false => Err(anyhow::anyhow!("was never told of the stream")),
            };
            let took = self.answered(began, &listener);
            self.timeline.step(
                "listener",
                &format!("subscribed to {who}/mic"),
                subscribed.map(|()| took),
            );
        }
        self.timeline.note(
            "device",
            "hears everybody, by its policy: the loudest in its one slot",
        );
        host.start(Some((microphone, host_speech)), self.scale)?;
        listener.start(None, self.scale)?;
        Ok(Cast {
            host,
            listener,
            device,
        })
    }

    fn after(&self, began: Duration, at: Duration) -> String {
        format!("after {}", ms(at.saturating_sub(began)))
    }

    /// How long an answer took that is here now, and what the round trip is.
    fn answered(&self, began: Duration, who: &Party) -> String {
        let took = ms(self.scale.now() - began);
        match who.round_trip() {
            Some(trip) => format!("{took}, 1 round trip (of {} lately)", ms(trip)),
            None => format!("{took}, 1 round trip"),
        }
    }

    /// Has somebody speak for about so long.
    fn speak(&self, mouth: &Mouth, seconds: f64) -> Turn {
        mouth.speak(self.scale, Duration::from_secs_f64(seconds * self.stretch))
    }

    /// Waits for the end of a turn, and until it is quiet.
    async fn hear_out(&mut self, turn: &Turn) {
        self.timeline.wait(turn.end + PAUSE).await;
    }

    fn expect(
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

    /// The device's words, as host and listener should hear them, or not.
    fn expect_of_device(&mut self, scene: &'static str, cast: &Cast, turn: &Turn, heard: bool) {
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

    /// Whether the listener was told who speaks in a turn.
    fn note_speaker(&mut self, cast: &Cast, who: &'static str, turn: &Turn) {
        let start = TICK * turn.start as u32;
        let told = (|| {
            let speaks = RoomEvent::SpeakerChanged(Some(id(who)?));
            let at = cast
                .listener
                .log
                .when(start, &speaks)
                .context("the listener was not told")?;
            Ok(self.after(start, at) + " of speech")
        })();
        self.timeline.step(who, "became the active speaker", told);
    }

    /// Turns, and messages meanwhile.
    async fn talk(&mut self, cast: &Cast) {
        let Cast {
            host,
            listener,
            device,
        } = cast;
        let (hosts, devices) = (("host", &host.recording), ("device", &device.recording));
        let listeners = ("listener", &listener.recording);

        self.timeline.part("Talk");
        let turn = self.speak(&host.mouth, 3.0);
        self.timeline.note("host", "speaks");
        let sent = self.send_messages(cast).await;
        self.hear_out(&turn).await;
        self.timeline
            .step("device", "was the only one to get the message for it", sent);
        self.note_speaker(cast, "host", &turn);
        self.expect("turn", &[hosts], devices, &turn, true);
        self.expect("turn", &[hosts], listeners, &turn, true);

        let turn = self.speak(&device.mouth, 3.0);
        self.timeline.note("device", "speaks");
        self.hear_out(&turn).await;
        self.note_speaker(cast, "device", &turn);
        self.expect_of_device("turn", cast, &turn, true);

        let turn = self.speak(&host.mouth, 2.5);
        // The same steps, though it is told a moment later.
        let both = self.speak(&device.mouth, 2.5);
        let both = both.start.max(turn.start)..both.end.min(turn.end);
        self.timeline.note("both", "speak at once");
        self.hear_out(&turn).await;
        self.expect("both", &[hosts], devices, &both, true);
        self.expect("both", &[devices], ("host", &host.recording), &both, true);
        self.expect("both", &[hosts, devices], listeners, &both, true);
    }

    /// A message to all, and one to the device alone.
    async fn send_messages(&mut self, cast: &Cast) -> anyhow::Result<String> {
        let Cast {
            host,
            listener,
            device,
        } = cast;
        let began = self.scale.now();
        let sent = host
            .room
            .send_message(&Recipients::All, "welcome", b"tea at four")
            .await;
        let sent = sent.map(|count| format!("to {count}, {}", self.answered(began, host)));
        self.timeline
            .step("host", "sent a message to all", sent.map_err(Into::into));
        for (who, log) in [("listener", &listener.log), ("device", &device.log)] {
            let got = party::message(log, "welcome", PATIENCE).await;
            let got = got.context("it never came").and_then(|(at, body)| {
                ensure!(body == "tea at four", "it says {body:?}");
                Ok(self.after(began, at))
            });
            self.timeline.step(who, "got it", got);
        }
        let began = self.scale.now();
        let to_device = Recipients::List(only("device")?);
        let count = host.room.send_message(&to_device, "kettle", b"on").await?;
        ensure!(count == 1, "it went to {count}");
        let (at, _) = party::message(&device.log, "kettle", PATIENCE)
            .await
            .context("it never came")?;
        let to_host = Recipients::List(only("host")?);
        device.send_message(to_host, "kettle", "is on").await?;
        party::message(&host.log, "kettle", PATIENCE)
            .await
            .context("its answer never came")?;
        let astray = party::message(&listener.log, "kettle", Duration::ZERO).await;
        ensure!(astray.is_none(), "the listener got it, too");
        Ok(format!("{}, and answered it", self.after(began, at)))
    }

    /// Mute, censor, kick.
    async fn moderate(&mut self, cast: &Cast) {
        let Cast { host, device, .. } = cast;
        self.timeline.part("Mute and moderate");
        let muted = self.mute(cast, true).await;
        self.timeline.step("device", "muted itself", muted);
        let turn = self.speak(&device.mouth, 1.5);
        self.hear_out(&turn).await;
        self.expect_of_device("muted", cast, &turn, false);
        let unmuted = self.mute(cast, false).await;
        self.timeline.step("device", "unmuted itself", unmuted);

        let censored = self.censor(cast, true).await;
        self.timeline.step("host", "censored the device", censored);
        let turn = self.speak(&device.mouth, 1.5);
        self.hear_out(&turn).await;
        self.expect_of_device("censored", cast, &turn, false);
        let uncensored = self.censor(cast, false).await;
        self.timeline
            .step("host", "uncensored the device", uncensored);
        let turn = self.speak(&device.mouth, 1.5);
        self.hear_out(&turn).await;
        self.expect_of_device("uncensored", cast, &turn, true);

        if let Err(error) = self.disturb(host, device).await {
            self.timeline
                .step("disturber", "joins, disturbs and is kicked", Err(error));
        }
    }

    async fn mute(&mut self, cast: &Cast, muted: bool) -> anyhow::Result<String> {
        let began = self.scale.now();
        cast.device.set_muted(muted).await?;
        let event = RoomEvent::StreamMuted {
            stream: mic("device")?,
            muted,
        };
        let at = cast.host.expect(began, &event).await?;
        Ok(format!("the host knew {}", self.after(began, at)))
    }

    async fn censor(&mut self, cast: &Cast, censored: bool) -> anyhow::Result<String> {
        let began = self.scale.now();
        let targets = Targets::List(only("device")?);
        let count = match censored {
            true => cast.host.room.censor(&targets).await?,
            false => cast.host.room.uncensor(&targets).await?,
        };
        ensure!(count == 1, "it concerned {count}");
        let event = RoomEvent::Censored {
            participant: id("device")?,
            censored,
        };
        let at = cast
            .device
            .log
            .wait_for(began, PATIENCE, &event)
            .await
            .context("the device was not told")?;
        Ok(format!("the device knew {}", self.after(began, at)))
    }

    /// Somebody disturbs, is kicked, and tries again.
    async fn disturb(&mut self, host: &Party, device: &Device) -> anyhow::Result<()> {
        let began = self.scale.now();
        let ticket = self.ticket("disturber", Grants::PARTICIPANT)?;
        let mut disturber = Party::join(&ticket, JoinOptions::default(), self.scale).await?;
        self.timeline
            .note("disturber", format!("joined: {}", self.joined_since(began)));
        let microphone = disturber
            .room
            .publish_audio("mic", AudioOptions::opus(party::RATE))
            .await?;
        disturber.start(
            Some((microphone, Speech::new(noise(self.seed)))),
            self.scale,
        )?;
        let turn = self.speak(&disturber.mouth, 1.2);
        self.timeline.note("disturber", "makes noise");
        self.hear_out(&turn).await;
        let noise = [("disturber", &disturber.recording)];
        let (hosts, devices) = (("host", &host.recording), ("device", &device.recording));
        self.expect("disturbed", &noise, hosts, &turn, true);
        self.expect("disturbed", &noise, devices, &turn, true);

        let began = self.scale.now();
        let count = host.room.kick(&Targets::List(only("disturber")?)).await?;
        ensure!(count == 1, "the kick concerned {count}");
        let answered = self.answered(began, host);
        self.timeline
            .note("host", format!("kicked the disturber: {answered}"));
        let told = tokio::time::timeout(PATIENCE, disturber.room.closed()).await;
        let told = match told {
            // The second one is what it is told if the first one got lost, and it tries to come back by itself.
            Ok(
                cause @ (CloseCause::Closed(CloseReason::Kicked)
                | CloseCause::Refused(JoinRefusal::Kicked)),
            ) => Ok(format!("“{cause}”, after {}", ms(self.scale.now() - began))),
            Ok(cause) => Err(anyhow::anyhow!("it was told “{cause}”")),
            Err(_) => Err(anyhow::anyhow!("it was never told")),
        };
        self.timeline.step("disturber", "was told", told);
        let turn = self.speak(&disturber.mouth, 1.2);
        let again = Party::join(&ticket, JoinOptions::default(), self.scale).await;
        let again = match again {
            Err(error @ JoinError::Refused(JoinRefusal::Kicked)) => Ok(format!("“{error}”")),
            Err(error) => Err(anyhow::anyhow!("it failed otherwise: {error}")),
            Ok(_) => Err(anyhow::anyhow!("it was let in")),
        };
        self.timeline
            .step("disturber", "tried again and was refused", again);
        self.hear_out(&turn).await;
        self.expect("kicked", &noise, hosts, &turn, false);
        self.expect("kicked", &noise, devices, &turn, false);
        Ok(())
    }

    /// The device's socket is replaced while it speaks. Gives the gap that is heard.
    async fn change_networks(&mut self, cast: &Cast) -> Duration {
        self.timeline.part("Resume");
        let Cast {
            host,
            listener,
            device,
        } = cast;
        let roams = self.roams().await;
        let turn = self.speak(&device.mouth, 3.0);
        self.timeline.note("device", "speaks");
        self.timeline.wait(turn.start + turn.len() / 3).await;
        let began = self.scale.now();
        let replaced = device.replace_socket().await;
        self.timeline.step(
            "device",
            "took a new socket in mid-sentence",
            replaced.map(|()| String::new()),
        );
        self.hear_out(&turn).await;
        let resumed = device.log.when(began, &RoomEvent::Joined { resumed: true });
        let went_on = match (resumed, self.roams().await > roams) {
            (Some(at), _) => Ok(format!("resumed {}", self.after(began, at))),
            (None, true) => Ok("the server followed, without a handshake".to_owned()),
            (None, false) => Err(anyhow::anyhow!("the server knows nothing of it")),
        };
        self.timeline.step("device", "went on", went_on);
        let seen = (|| {
            for (who, log) in [("host", &host.log), ("listener", &listener.log)] {
                if let Some(event) = departure(log, began, &id("device")?) {
                    bail!("{who} saw {event:?}");
                }
            }
            Ok("no leave, no join".to_owned())
        })();
        self.timeline.step("others", "saw nothing of it", seen);
        // From a fifth of a second on: the first packet has to arrive.
        let gap = host.recording.longest_gap_in(turn.start + 10, turn.end);
        let heard = match gap < Duration::from_secs(1) {
            true => Ok(format!("{} ms at most", gap.as_millis())),
            false => Err(anyhow::anyhow!("{} ms: that is too long", gap.as_millis())),
        };
        self.timeline
            .step("host", "missed the device's packets for", heard);
        self.expect_of_device("new socket", cast, &turn, true);
        gap
    }

    /// How often a participant has moved to another address so far.
    async fn roams(&self) -> u64 {
        self.server
            .statistics()
            .await
            .iter()
            .map(|worker| worker.roams + worker.resumes)
            .sum()
    }

    /// The listener leaves, and the host ends the session.
    async fn close(&mut self, host: Party, listener: Party, device: Device) {
        self.timeline.part("Leave");
        let began = self.scale.now();
        let left = tokio::time::timeout(PATIENCE, listener.room.leave()).await;
        let left = left
            .context("the server never said goodbye")
            .map(|()| self.after(began, self.scale.now()));
        self.timeline.step("listener", "left", left);
        for (who, log) in [("host", &host.log), ("device", &device.log)] {
            let told = async {
                let event = RoomEvent::ParticipantLeft {
                    participant: id("listener")?,
                    reason: CloseReason::Left,
                };
                let at = log
                    .wait_for(began, PATIENCE, &event)
                    .await
                    .context("was never told")?;
                Ok(self.after(began, at))
            };
            let told = told.await;
            self.timeline
                .step(who, "saw it leave, of its own accord", told);
        }
        let began = self.scale.now();
        // Whether it was done shows in what follows: the end may overtake the answer.
        let _ = host.room.end_session().await;
        let cause = tokio::time::timeout(PATIENCE, host.room.closed()).await;
        for (who, cause) in [
            ("host", cause.ok()),
            ("device", device.closed(PATIENCE).await),
        ] {
            let told = match cause {
                Some(cause @ CloseCause::Closed(CloseReason::SessionEnded)) => Ok(format!(
                    "“{cause}”, {}",
                    self.after(began, self.scale.now())
                )),
                Some(cause) => Err(anyhow::anyhow!("was told “{cause}”")),
                None => Err(anyhow::anyhow!("was never told")),
            };
            self.timeline.step(
                who,
                if who == "host" {
                    "ended the session"
                } else {
                    "was told"
                },
                told,
            );
        }
        let rooms = self.server.rooms().await;
        let empty = match rooms.iter().find(|room| room.session.is_some()) {
            None => Ok(String::new()),
            Some(room) => Err(anyhow::anyhow!(
                "{} are still in it",
                room.participants.len()
            )),
        };
        self.timeline
            .step("server", "has no session any more", empty);
    }

    fn report(self, options: &Options, gap: Duration) -> Report {
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

/// What was told of somebody's coming or going.
fn departure(log: &EventLog, since: Duration, who: &ParticipantId) -> Option<RoomEvent> {
    let found = log.find(since, |event| match event {
        Event::Room(
            event @ (RoomEvent::ParticipantJoined(id)
            | RoomEvent::ParticipantHidden(id)
            | RoomEvent::ParticipantLeft {
                participant: id, ..
            }
            | RoomEvent::ConnectionChanged {
                participant: id, ..
            }),
        ) if id == who => Some(event.clone()),
        _ => None,
    });
    found.map(|(_, event)| event)
}
