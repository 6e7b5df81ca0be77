//! Everybody joins, publishes and subscribes.

use std::time::Duration;

use anyhow::Context as _;
use parlour_core::room::Grants;
use parlour_core::signal::SubscribePolicy;
use parlour_tokio::{AudioOptions, Event, JoinOptions, RoomEvent, RoomState};

use super::meeting::{Cast, Meeting, PATIENCE, id, mic};
use crate::device::Device;
use crate::events::Told;
use crate::party::{self, Party};
use crate::speech::Speech;

impl Meeting {
    /// Everybody joins, publishes and subscribes.
    pub(super) async fn assemble(
        &mut self,
        host_speech: Speech,
        device_speech: Speech,
    ) -> anyhow::Result<Cast> {
        self.timeline.part("Join");
        let began = self.scale.now();
        let ticket = self.ticket("host", Grants::PARTICIPANT | Grants::MODERATOR)?;
        let recorded = JoinOptions {
            record: self.record.sink("host")?,
            ..JoinOptions::default()
        };
        let mut host = Party::join(&ticket, recorded, self.scale)
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
            record: self.record.sink("listener")?,
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
        let record = self.record.sink("device")?;
        let device = Device::join(&ticket, device_speech, self.scale, record)
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
            .expect(
                Duration::ZERO,
                &RoomEvent::ParticipantJoined {
                    participant: id("device")?,
                    present: false,
                },
            )
            .await;
        self.timeline.step(
            "host",
            "saw the device join",
            seen.map(|at| self.after(began, at)),
        );

        self.timeline.part("Publish");
        let published = device.log.wait(Duration::ZERO, PATIENCE, |told| {
            matches!(told, Told::Event(Event::Room(RoomEvent::Published { .. }))).then_some(())
        });
        let published = published.await.context("the server never told the device");
        let how =
            |_| "Opus at 16 kHz, asked for with the join: no round trip of its own".to_owned();
        self.timeline
            .step("device", "published", published.map(how));
        let began = self.scale.now();
        let microphone = host
            .room
            .publish_audio("mic", AudioOptions::opus_voice(party::RATE))
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
}
