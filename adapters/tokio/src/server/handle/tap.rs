//! The media of a room, for recordings and the like.

use parlour_core::room::RoomId;
use parlour_core::server::{ModerateError, TappedStream};
use tokio::sync::oneshot;

use super::Server;
use crate::server::MediaTap;
use crate::server::admission::worker_of;
use crate::server::worker::Command;

impl Server {
    /// Gives the media of the session that goes on in a room, of those streams for which `wanted` holds, as long as that
    /// session lasts.
    ///
    /// What comes is what others may hear and see, packet by packet and as it was sent: nothing of muted streams, and no sound
    /// of those who are censored from then on. The worker never waits for the reader: 4,096 packets wait, and those beyond are
    /// dropped and counted. `wanted` is asked by the worker for each packet, so it answers at once, and does not panic. A
    /// session may have any number of taps; one without any costs nothing.
    ///
    /// ```no_run
    /// # async fn example(server: &parlour_tokio::Server, mut write: impl FnMut(&str, u16, &[u8])) -> Result<(), Box<dyn std::error::Error>> {
    /// use parlour_tokio::{RoomId, StreamKind, Tapped};
    /// let room = RoomId::new("green-room")?;
    /// let mut tap = server.tap(&room, |stream| stream.kind == StreamKind::Audio).await?;
    /// while let Some(tapped) = tap.next().await {
    ///     match tapped {
    ///         Tapped::Packet(packet) => write(packet.stream.participant.as_str(), packet.sequence, &packet.payload),
    ///         Tapped::Ended(stream) => println!("{} of {} has ended", stream.key, stream.participant),
    ///         _ => {}
    ///     }
    /// }
    /// println!("{} packets are missing", tap.missed());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ModerateError::UnknownRoom`] if there is no session in the room.
    pub async fn tap(
        &self,
        room: &RoomId,
        wanted: impl Fn(&TappedStream) -> bool + Send + 'static,
    ) -> Result<MediaTap, ModerateError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Tap(room.clone(), Box::new(wanted), reply);
        let worker = self.workers.get(worker_of(room, self.workers.len()));
        let worker = worker.ok_or(ModerateError::UnknownRoom)?;
        let sent = worker.send(command).await;
        sent.map_err(|_| ModerateError::UnknownRoom)?;
        answer.await.unwrap_or(Err(ModerateError::UnknownRoom))
    }
}
