//! Frames of sound as bytes, for the worklet.

use parlour_core::rtp::AudioFrame;

/// Appends a frame to `out`; see [`Participant::take_frames`](crate::Participant::take_frames).
pub(crate) fn pack(slot: u8, frame: &AudioFrame<'_>, out: &mut Vec<u8>) {
    out.extend([slot, frame.codec.payload_type(), u8::from(frame.marker), 0]);
    out.extend(frame.duration.to_le_bytes());
    out.extend(frame.speaker.unwrap_or(0).to_le_bytes());
    // At most a datagram.
    out.extend((frame.payload.len() as u32).to_le_bytes());
    out.extend((frame.sequence as f64).to_le_bytes());
    out.extend((frame.timestamp as f64).to_le_bytes());
    out.extend(frame.payload);
}
