//! Mute, censor, kick.

use anyhow::{Context as _, ensure};
use parlour_core::room::{CloseReason, Grants};
use parlour_core::signal::JoinRefusal;
use parlour_tokio::{AudioOptions, CloseCause, JoinError, JoinOptions, RoomEvent};

use super::meeting::{Cast, Meeting, PATIENCE, id, mic, ms};
use crate::device::Device;
use crate::party::{self, Party};
use crate::speech::Speech;

impl Meeting {
    /// Mute, censor, kick.
    pub(super) async fn moderate(&mut self, cast: &Cast, squeaky: Speech) {
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

        if let Err(error) = self.disturb(host, device, squeaky).await {
            self.timeline
                .step("disturber", "joins, disturbs and is kicked", Err(error));
        }
    }

    pub(super) async fn mute(&mut self, cast: &Cast, muted: bool) -> anyhow::Result<String> {
        let began = self.scale.now();
        cast.device.set_muted(muted).await?;
        let event = RoomEvent::StreamMuted {
            stream: mic("device")?,
            muted,
        };
        let at = cast.host.expect(began, &event).await?;
        Ok(format!("the host knew {}", self.after(began, at)))
    }

    pub(super) async fn censor(&mut self, cast: &Cast, censored: bool) -> anyhow::Result<String> {
        let began = self.scale.now();
        let device = id("device")?;
        let count = match censored {
            true => cast.host.room.censor(device).await?,
            false => cast.host.room.uncensor(device).await?,
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

    /// A participant disturbs, is kicked, and tries again.
    pub(super) async fn disturb(
        &mut self,
        host: &Party,
        device: &Device,
        squeaky: Speech,
    ) -> anyhow::Result<()> {
        let began = self.scale.now();
        let ticket = self.ticket("disturber", Grants::PARTICIPANT)?;
        let mut disturber = Party::join(&ticket, JoinOptions::default(), self.scale).await?;
        self.timeline
            .note("disturber", format!("joined: {}", self.joined_since(began)));
        let microphone = disturber
            .room
            .publish_audio("mic", AudioOptions::opus(party::RATE))
            .await?;
        disturber.start(Some((microphone, squeaky)), self.scale)?;
        let turn = self.speak(&disturber.mouth, 2.0);
        self.timeline.note("disturber", "talks nonsense");
        self.hear_out(&turn).await;
        let nonsense = [("disturber", &disturber.recording)];
        let (hosts, devices) = (("host", &host.recording), ("device", &device.recording));
        self.expect("disturbed", &nonsense, hosts, &turn, true);
        self.expect("disturbed", &nonsense, devices, &turn, true);

        let began = self.scale.now();
        let count = host.room.kick(id("disturber")?).await?;
        ensure!(count == 1, "the kick concerned {count}");
        let answered = self.answered(began, host);
        self.timeline
            .note("host", format!("kicked the disturber: {answered}"));
        let told = tokio::time::timeout(PATIENCE, disturber.room.closed()).await;
        let told = match told {
            // The second reason is the answer to its automatic return if the first message got lost.
            Ok(
                cause @ (CloseCause::Closed(CloseReason::Kicked)
                | CloseCause::Refused(JoinRefusal::Kicked)),
            ) => Ok(format!("“{cause}”, after {}", ms(self.scale.now() - began))),
            Ok(cause) => Err(anyhow::anyhow!("it was told “{cause}”")),
            Err(_) => Err(anyhow::anyhow!("it was never told")),
        };
        self.timeline.step("disturber", "was told", told);
        let turn = self.speak(&disturber.mouth, 1.0);
        let again = Party::join(&ticket, JoinOptions::default(), self.scale).await;
        let again = match again {
            Err(error @ JoinError::Refused(JoinRefusal::Kicked)) => Ok(format!("“{error}”")),
            Err(error) => Err(anyhow::anyhow!("it failed otherwise: {error}")),
            Ok(_) => Err(anyhow::anyhow!("it was let in")),
        };
        self.timeline
            .step("disturber", "tried again and was refused", again);
        self.hear_out(&turn).await;
        self.expect("kicked", &nonsense, hosts, &turn, false);
        self.expect("kicked", &nonsense, devices, &turn, false);
        Ok(())
    }
}
