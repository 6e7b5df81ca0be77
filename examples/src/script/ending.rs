//! Socket replacement of the device, leaving, and the end.

use std::time::Duration;

use anyhow::{Context as _, bail};
use parlour_core::room::{CloseReason, ParticipantId};
use parlour_tokio::{CloseCause, Event, RoomEvent};

use super::meeting::{Cast, Meeting, PATIENCE, id};
use crate::device::Device;
use crate::events::{EventLog, Told};
use crate::party::Party;

impl Meeting {
    /// Replaces the device's socket while it speaks. Returns the audible gap.
    pub(super) async fn change_networks(&mut self, cast: &Cast) -> Duration {
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

    /// The number of address changes of a participant so far.
    pub(super) async fn roams(&self) -> u64 {
        self.server
            .statistics()
            .await
            .iter()
            .map(|worker| worker.roams + worker.resumes)
            .sum()
    }

    /// The listener leaves, and the host ends the session.
    pub(super) async fn close(&mut self, host: Party, listener: Party, device: Device) {
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
        // The next events show whether it was done: the end may overtake the answer.
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
        let rooms = self.server.rooms().await.rooms;
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
}

/// The event about a participant's leaving.
fn departure(log: &EventLog, since: Duration, who: &ParticipantId) -> Option<RoomEvent> {
    let found = log.find(since, |told| match told {
        Told::Event(Event::Room(
            event @ (RoomEvent::ParticipantHidden(id)
            | RoomEvent::ParticipantJoined {
                participant: id, ..
            }
            | RoomEvent::ParticipantLeft {
                participant: id, ..
            }
            | RoomEvent::ConnectionChanged {
                participant: id, ..
            }),
        )) if id == who => Some(event.clone()),
        _ => None,
    });
    found.map(|(_, event)| event)
}
