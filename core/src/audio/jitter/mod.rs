//! The jitter buffer: packets in whenever the network brings them, audio out whenever the sound card
//! wants some.
//!
//! [`JitterBuffer`] holds one RTP flow (one slot) in fixed memory. The receiving side pushes each
//! packet with its time of arrival; the playing side pulls whenever it has run out of PCM. Every
//! answer to a pull says for how many samples it stands, so one rule covers 10, 20, 40 and 60 ms
//! packets alike: *make exactly that much sound, play it, pull again*.
//!
//! ```text
//!            position: next sample to play          newest packet
//!                 │                                       │
//!   played ───────┼──[ n ]──[n+1]──( lost )──[n+3]──[n+4]─┤
//!                 │◄──────────── delay ─────────────►│ ideal: where playing without any
//!                                                      delay would be now
//! ```
//!
//! **Delay.** A packet's *transit* is its arrival minus its timestamp, both in samples. The smallest
//! transit of the last few seconds belongs to a packet that waited in no queue; it follows a
//! sender's clock that runs fast or slow. How much later than that the others come goes into a
//! histogram of 20 ms buckets that slowly forgets, and its 0.95 quantile is the *target* delay. (The
//! idea is that of WebRTC's NetEq.) The *delay* is how far playing lags behind that fastest packet:
//! a packet is in time if it is less late than the delay.
//!
//! **Adaptation.** The delay is left alone while it is near its target. Outside that band it is moved
//! where this is heard least: silences shrink and grow freely; concealment of a lost packet is left
//! out; at the start of a talkspurt or when the slot changes speaker, silence is put in or one
//! packet left out; and if none of that comes along, one packet is left out or one concealment put
//! in per 200 ms. If the lag is beyond 300 ms, packets are left out at once.
//!
//! **Bounds.** Nothing is allocated; a full buffer drops its oldest packet. The target never exceeds
//! what the cells can hold. A sender that restarts, so that its sequence numbers or timestamps jump,
//! is followed by a *re-base*: everything held is forgotten and playing starts anew.

mod buffer;
mod delay;
mod playout;
#[cfg(test)]
mod tests;
mod times;

pub use buffer::{Frame, JitterBuffer, JitterConfig, JitterStatistics, Packet, Pull, PushError};
