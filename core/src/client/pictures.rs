//! Pictures through a client: what one does for the senders and receivers of pictures.

use super::errors::SendError;
use crate::room::StreamKey;
use crate::time::{Duration, Instant};
use crate::video::{Feedback, MAX_PICTURE_PACKET, PictureReceiver, PictureSender, SendSlot, Slot};

/// Where a packet of pictures is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PictureFlow {
    /// The SSRC of its stream.
    pub ssrc: u32,
    /// The counter of the datagram that will carry it, its low 32 bits. If something else goes first, it is one more.
    pub counter: u32,
}

/// Moves packets and questions between a [`Client`](super::Client) and its [`PictureSender`]s and [`PictureReceiver`]s.
///
/// Only [`send_pictures`](Self::send_pictures) and [`send_feedback`](Self::send_feedback) are for applications; they are made of
/// the others.
pub trait Pictures {
    /// Where a packet of one's own stream of pictures may be sent now; `None` while others wait to be sent.
    ///
    /// # Errors
    /// [`SendError`] says why nothing can be sent.
    fn picture_flow(&self, key: &StreamKey) -> Result<Option<PictureFlow>, SendError>;

    /// Sends a packet that a [`PictureSender`] made for that SSRC.
    ///
    /// # Errors
    /// [`SendError`] says why it is not sent.
    fn send_picture_packet(
        &mut self,
        now: Instant,
        key: &StreamKey,
        packet: &[u8],
    ) -> Result<(), SendError>;

    /// Asks the publisher of the stream `ssrc` for something. Unless joined, nothing is asked.
    fn send_feedback_frame(&mut self, now: Instant, ssrc: u32, feedback: Feedback<'_>);

    /// Tells the server what has arrived of its datagrams, the last of them at `at`; once in a tenth of a second, whoever asks.
    fn report_arrivals(&mut self, at: Instant);

    /// The round-trip time to the server, as far as it is known.
    fn round_trip(&self) -> Option<Duration>;

    /// Moves packets from `sender` to those that wait to be sent, as many as are due and a datagram takes, so that sound does
    /// not wait behind pictures. Call it before each [`poll_transmit`](super::Client::poll_transmit), and when
    /// `sender.poll_timeout()` is due.
    ///
    /// # Errors
    /// [`SendError`] says why nothing is sent; the sender keeps what it has, and the client may have other things to send. For
    /// [`SendError::Muted`], call [`PictureSender::clear`].
    fn send_pictures<S: AsRef<[SendSlot]> + AsMut<[SendSlot]>>(
        &mut self,
        now: Instant,
        key: &StreamKey,
        sender: &mut PictureSender<S>,
    ) -> Result<(), SendError>
    where
        Self: Sized,
    {
        let mut packet = [0; MAX_PICTURE_PACKET];
        while let Some(flow) = self.picture_flow(key)?
            && let Some(len) = sender.poll_packet(now, flow, &mut packet)
        {
            self.send_picture_packet(now, key, packet.get(..len).unwrap_or_default())?;
        }
        Ok(())
    }

    /// Asks for what the watcher of the stream `ssrc` needs: lost packets, or a key picture. It tells the server, too, what has
    /// arrived, which learns from it how much the way carries. Call it after [`PictureReceiver::poll_picture`], also when that
    /// had none, and soon after each packet.
    fn send_feedback<S: AsRef<[Slot]> + AsMut<[Slot]>>(
        &mut self,
        now: Instant,
        ssrc: u32,
        receiver: &mut PictureReceiver<S>,
    ) where
        Self: Sized,
    {
        if let Some(at) = receiver.take_arrival() {
            self.report_arrivals(at);
        }
        while let Some(question) = receiver.poll_question(now, self.round_trip()) {
            if let Some(feedback) = question.as_feedback() {
                self.send_feedback_frame(now, ssrc, feedback);
            }
        }
    }
}
