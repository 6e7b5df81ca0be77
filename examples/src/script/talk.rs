//! Talk in turns and at once, and messages meanwhile.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use parlour_core::signal::Recipients;
use parlour_tokio::RoomEvent;

use super::meeting::{Cast, Meeting, PATIENCE, id};
use crate::party;
use crate::recording::TICK;
use crate::speech::Turn;

impl Meeting {
    /// Records whether the listener was told of the speaker of a turn.
    pub(super) fn note_speaker(&mut self, cast: &Cast, who: &'static str, turn: &Turn) {
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
    pub(super) async fn talk(&mut self, cast: &Cast) {
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
        // The same steps, though the second call comes a moment later.
        let both = self.speak(&device.mouth, 2.5);
        let both = both.start.max(turn.start)..both.end.min(turn.end);
        self.timeline.note("both", "speak at once");
        self.hear_out(&turn).await;
        self.expect("both", &[hosts], devices, &both, true);
        self.expect("both", &[devices], ("host", &host.recording), &both, true);
        self.expect("both", &[hosts, devices], listeners, &both, true);
    }

    /// A message to all, and one to the device alone.
    pub(super) async fn send_messages(&mut self, cast: &Cast) -> anyhow::Result<String> {
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
        let to_device = Recipients::from(id("device")?);
        let count = host.room.send_message(&to_device, "kettle", b"on").await?;
        ensure!(count == 1, "it went to {count}");
        let (at, _) = party::message(&device.log, "kettle", PATIENCE)
            .await
            .context("it never came")?;
        let to_host = Recipients::from(id("host")?);
        device.send_message(to_host, "kettle", "is on").await?;
        party::message(&host.log, "kettle", PATIENCE)
            .await
            .context("its answer never came")?;
        let astray = party::message(&listener.log, "kettle", Duration::ZERO).await;
        ensure!(astray.is_none(), "the listener got it, too");
        Ok(format!("{}, and answered it", self.after(began, at)))
    }
}
