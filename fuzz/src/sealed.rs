//! Data packets as either hostile end makes them: well sealed, with any contents.

use parlour_core::secure::Transport;
use parlour_core::wire::{
    ConnectionId, DATA_HEADER, Frame, FrameWriter, MAX_DATAGRAM, MAX_PLAINTEXT,
};

/// These frames, one after the other; `None` if they are too many for one packet.
pub fn plaintext(frames: &[Frame<'_>]) -> Option<Vec<u8>> {
    let mut plaintext = [0; MAX_PLAINTEXT];
    let mut writer = FrameWriter::new(&mut plaintext);
    for frame in frames {
        writer.push(frame).ok()?;
    }
    let len = writer.len();
    Some(plaintext[..len].to_vec())
}

/// A Data packet for `receiver` with as much of `plaintext` as fits.
pub fn datagram(transport: &mut Transport, receiver: ConnectionId, plaintext: &[u8]) -> Vec<u8> {
    let mut datagram = [0; MAX_DATAGRAM];
    let plaintext = &plaintext[..plaintext.len().min(MAX_PLAINTEXT)];
    datagram[DATA_HEADER..][..plaintext.len()].copy_from_slice(plaintext);
    let len = transport.seal(receiver, plaintext.len(), &mut datagram);
    datagram[..len.expect("it fits")].to_vec()
}
