//! The jitter buffer: packets go in when the network delivers them, audio comes out when the sound card needs it.
//!
//! [`JitterBuffer`] holds one RTP flow (one slot) in fixed memory. The receiving side pushes each packet with its time
//! of arrival; the playing side pulls whenever it has run out of PCM. Each answer to a pull has a number of samples, so
//! one rule covers 10, 20, 40 and 60 ms packets: *make exactly that much audio, play it, pull again*.
//!
//! ```text
//!            position: next sample to play          newest packet
//!                 │                                       │
//!   played ───────┼──[ n ]──[n+1]──( lost )──[n+3]──[n+4]─┤
//!                 │◄──────────── delay ─────────────►│ ideal: where playing without any
//!                                                      delay would be now
//! ```
//!
//! **Delay.** A packet's *transit* is its arrival minus its timestamp, both in samples. The smallest transit of the
//! last seconds belongs to a packet that waited in no queue: the *base*, which follows a sender's clock that runs fast or
//! slow. The *lateness* of other packets is their transit above it. The *target* delay is the larger of two (the
//! idea is that of WebRTC's NetEq): what the latest packets of 19 in 20 half seconds need, and the delay at which waiting
//! for packets that others overtook costs as much as missing them. While packets get lost it is at least one packet, so
//! that the FEC in the next one is there in time; and while all packets come late, because the path has become longer, at
//! least that. The *delay* is the lag of playing behind the base: a packet is in time if it is less late than the delay.
//! What is learnt of the network is shared by the slots of a receiver ([`Lateness`]): each slot has a base of its own,
//! which begins anew with another stream, as its timestamps continue those of the stream before only roughly.
//!
//! **Adaptation.** The delay is corrected where this is least audible. Silences shrink and grow freely. A
//! [`Player`](super::Player) plays a little faster or slower: up to 15 % of the time, 25 % while the delay is far from its
//! target. A buffer on its own cannot, so it leaves the delay alone near its target; outside that band concealment of a lost
//! packet is skipped, at the start of a talkspurt or when the slot changes speaker silence is inserted or one packet
//! skipped, and otherwise one packet is skipped or one concealment inserted per 200 ms. If the lag exceeds 300 ms, packets
//! are skipped at once.
//!
//! **Starving.** An empty buffer asks for concealment for up to 200 ms and keeps its place: what was missing is played if it
//! was only late; what was lost counts as concealed already, but for the last frame, which may be in the next packet's FEC.
//! An Opus payload of one or two bytes says that a pause (DTX) begins: there nothing is concealed. A pause of which nothing
//! was said is concealed, as nobody knows, but not counted: the marker of the next packet tells.
//!
//! **Bounds.** Nothing is allocated; a full buffer drops its oldest packet. The target never exceeds the capacity of
//! the cells. If a sender restarts, so that its sequence numbers or timestamps jump, a *re-base* follows it: the buffer
//! is cleared and playing starts anew.

mod base;
mod buffer;
mod lateness;
mod playout;
#[cfg(test)]
mod tests;
mod times;

pub use buffer::{Frame, JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull, PushError};
pub use lateness::Lateness;
