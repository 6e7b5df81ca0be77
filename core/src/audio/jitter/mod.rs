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
//! last few seconds belongs to a packet that waited in no queue; it follows a sender's clock that runs fast or slow.
//! The lateness of other packets relative to it goes into a histogram of 20 ms buckets that slowly decays, and its 0.95
//! quantile is the *target* delay. (The idea is that of WebRTC's NetEq.) The *delay* is the lag of playing behind that
//! fastest packet: a packet is in time if it is less late than the delay.
//!
//! **Adaptation.** The delay stays while it is near its target. Outside that band it is corrected where this is least
//! audible. Silences shrink and grow freely. Concealment of a lost packet is skipped. At the start of a talkspurt or
//! when the slot changes speaker, silence is inserted or one packet is skipped. Otherwise one packet is skipped or one
//! concealment inserted per 200 ms. If the lag exceeds 300 ms, packets are skipped at once.
//!
//! **Bounds.** Nothing is allocated; a full buffer drops its oldest packet. The target never exceeds the capacity of
//! the cells. If a sender restarts, so that its sequence numbers or timestamps jump, a *re-base* follows it: the buffer
//! is cleared and playing starts anew.

mod buffer;
mod delay;
mod playout;
#[cfg(test)]
mod tests;
mod times;

pub use buffer::{Frame, JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull, PushError};
