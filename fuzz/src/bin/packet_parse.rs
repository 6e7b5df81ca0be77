//! Packets and the frames in them: what parses is written again as the same bytes.
//!
//! Input: the bytes of a datagram, taken once for a packet and once for the plaintext of one.

use parlour_core::wire::{
    Frame, FrameWriter, Frames, MAX_DATAGRAM, MAX_PLAINTEXT, Packet, PacketError,
};

fn main() {
    parlour_fuzz::search(run);
}

/// Parses and writes again.
pub(crate) fn run(data: &[u8]) {
    packet(data);
    frames(data);
}

fn packet(data: &[u8]) {
    let packet = match Packet::parse(data) {
        Ok(packet) => packet,
        Err(PacketError::NotParlour) => {
            assert!(!matches!(data.first(), Some(8..=12)));
            return;
        }
        Err(_) => return,
    };
    let mut written = [0; MAX_DATAGRAM];
    let len = packet.encode(&mut written).expect("what parses fits");
    assert_eq!(len, packet.encoded_len());
    assert_eq!(Packet::parse(&written[..len]), Ok(packet));
    assert!(packet.encode(&mut written[..len - 1]).is_err());
    // Of another version's packet only the start is known; of all others nothing is left out.
    let is_other = matches!(
        packet,
        Packet::OtherHello { .. } | Packet::VersionMismatch { .. }
    );
    assert_eq!(&written[..len], &data[..len]);
    assert!(is_other || len == data.len());
}

fn frames(data: &[u8]) {
    let plaintext = &data[..data.len().min(MAX_PLAINTEXT)];
    let read: Vec<_> = Frames::new(plaintext).collect();
    let frames: Vec<Frame<'_>> = read.iter().copied().map_while(Result::ok).collect();
    // An error ends it.
    assert!(read.len() - frames.len() <= 1);

    let mut datagram = [0xaa; MAX_DATAGRAM];
    let mut writer = FrameWriter::in_datagram(&mut datagram);
    for frame in &frames {
        writer.push(frame).expect("as long as what was read");
    }
    let len = writer.len();
    assert_eq!(
        len,
        frames.iter().map(Frame::encoded_len).sum::<usize>(),
        "a frame has the length that it says"
    );
    let start = parlour_core::wire::DATA_HEADER;
    let again: Result<Vec<_>, _> = Frames::new(&datagram[start..start + len]).collect();
    assert_eq!(again, Ok(frames));
}
