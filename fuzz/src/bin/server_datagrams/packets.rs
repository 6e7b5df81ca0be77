//! Packets in both directions: sealed by peers, arbitrary, captured.

use parlour_core::rtp::{AudioLevel, ReportBlock, RtpHeader, write_report};
use parlour_core::server::Path;
use parlour_core::wire::{Frame, MAX_DATAGRAM, Packet};
use parlour_fuzz::input::Input;

use super::{CAPTURED, World, path};

impl World {
    pub(super) fn media(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let streams = self.peers[peer].streams.clone();
        let which = input.byte();
        let ssrc = match streams.get(usize::from(which & 3)) {
            Some(ssrc) => *ssrc,
            None => u32::from(which),
        };
        let level = input.byte();
        let header = RtpHeader {
            marker: which & 0x80 != 0,
            payload_type: [111, 111, 0, 8, 96, 102, 1, 127][usize::from(which >> 4 & 7)],
            sequence: input.u16(),
            timestamp: input.u32(),
            ssrc,
            csrcs: &[1, 2][..usize::from(which >> 2 & 1)],
            audio_level: (level < 0xf0).then_some(AudioLevel::from_byte(level)),
        };
        let mut bytes = [0; 400];
        let len = header.write(input.bytes(), &mut bytes).expect("it fits");
        self.frame(peer, from, &Frame::Media(&bytes[..len]));
    }

    pub(super) fn report(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        let block = ReportBlock {
            ssrc: self.peers[peer]
                .slot_ssrc
                .wrapping_add(input.below(5).into()),
            fraction_lost: input.byte(),
            jitter: input.u32(),
            highest_sequence: input.u32(),
            ..ReportBlock::default()
        };
        let mut bytes = [0; 64];
        let len = write_report(input.u32(), None, &[block], &mut bytes).expect("it fits");
        self.frame(peer, from, &Frame::Report(&bytes[..len]));
    }

    /// Pongs, pings and acknowledgements, right and wrong.
    pub(super) fn answer_frames(&mut self, input: &mut Input<'_>) {
        let (peer, from) = self.peer(input);
        match input.below(4) {
            0 => self.acknowledge(peer, from),
            1 => {
                let nonce = input.u32();
                self.frame(peer, from, &Frame::Ping { nonce });
            }
            2 => {
                let next = input.u16();
                self.frame(peer, from, &Frame::Ack { next });
            }
            _ => {
                let nonce = input.u32();
                self.frame(peer, from, &Frame::Pong { nonce });
            }
        }
    }

    pub(super) fn acknowledge(&mut self, peer: usize, from: Path) {
        let pong = self.peers[peer].pong.take();
        let proves = pong.is_some();
        let next = self.peers[peer].expected;
        let mut frames = vec![Frame::Ack { next }];
        frames.extend(pong.map(|nonce| Frame::Pong { nonce }));
        let sealed = self.peers[peer].seal(&frames);
        self.deliver_sealed(peer, from, sealed, proves);
    }

    pub(super) fn frame(&mut self, peer: usize, from: Path, frame: &Frame<'_>) {
        let sealed = self.peers[peer].seal(&[*frame]);
        self.deliver_sealed(peer, from, sealed, false);
    }

    pub(super) fn deliver_sealed(
        &mut self,
        peer: usize,
        from: Path,
        sealed: Option<Vec<u8>>,
        proves: bool,
    ) {
        let Some(sealed) = sealed else {
            return;
        };
        // Its keys come from a Welcome that was sent to its Hello's address; from there, it has proven it.
        let proves = proves || self.peers[peer].welcomed_at == Some(from);
        if self.deliver(from, sealed) && proves {
            self.traffic.entry(from).or_default().is_proven = true;
        }
    }

    pub(super) fn replay(&mut self, input: &mut Input<'_>) {
        let which = usize::from(input.byte());
        let elsewhere = input.byte();
        let Some((from, bytes)) = self.captured.get(which % CAPTURED) else {
            return;
        };
        let (mut from, mut bytes) = (*from, bytes.clone());
        if elsewhere & 0x80 != 0 {
            from = path(elsewhere);
        }
        input.damage(&mut bytes);
        self.deliver(from, bytes);
    }

    /// Hands the server a datagram; whether it was taken.
    pub(super) fn deliver(&mut self, from: Path, mut bytes: Vec<u8>) -> bool {
        self.traffic.entry(from).or_default().received += bytes.len();
        if self.captured.len() == CAPTURED {
            self.captured.pop_front();
        }
        self.captured.push_back((from, bytes.clone()));
        self.server
            .handle_datagram(self.now, from, &mut bytes)
            .is_ok()
    }

    pub(super) fn drain(&mut self, lost: u8) {
        let mut out = [0; MAX_DATAGRAM];
        for number in 0.. {
            assert!(number < 2_000, "the server goes on sending");
            let sent = self.server.poll_transmit(self.now, &mut out);
            let Some(sent) = sent.expect("the buffer is large enough") else {
                return;
            };
            let traffic = self.traffic.entry(sent.to).or_default();
            traffic.sent += sent.len;
            assert!(
                traffic.is_proven || sent.to.is_proven() || traffic.sent <= 3 * traffic.received,
                "{} bytes to {:?}, which sent {}",
                traffic.sent,
                sent.to,
                traffic.received
            );
            // The answer to a Hello of another version is not for peers of this one.
            let is_mismatch = sent.len == 6 && out[0] == 9;
            assert!(is_mismatch || Packet::parse(&out[..sent.len]).is_ok());
            // One bit of eight datagrams each: lost or not.
            if lost & 1 << (number % 8) == 0 {
                for peer in &mut self.peers {
                    peer.receive(sent.to, &out[..sent.len]);
                }
            }
        }
    }
}
