//! What the fuzz targets do with an input, as plain functions: `fuzz_targets/` gives them to libFuzzer, which searches
//! for inputs, and the package `tests` replays with them what was found, without libFuzzer.
//!
//! A panic is a find. Inputs of live state machines are read as a program, one step after the other from the front,
//! so that libFuzzer's splicing and insertion make sense; see [`input::Input`].

pub mod client_datagrams;
pub mod handshake;
pub mod input;
pub mod jitter_buffer;
mod messages;
pub mod operations;
pub mod opus_decode;
pub mod packet_parse;
mod peer;
pub mod rtp_rtcp;
mod sealed;
pub mod server_datagrams;
pub mod signal_decode;
pub mod ticket_and_token;
mod villain;

/// A target by name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, named as their programs and corpora are.
pub const TARGETS: &[Target] = &[
    ("client_datagrams", client_datagrams::run),
    ("handshake", handshake::run),
    ("jitter_buffer", jitter_buffer::run),
    ("operations", operations::run),
    ("opus_decode", opus_decode::run),
    ("packet_parse", packet_parse::run),
    ("rtp_rtcp", rtp_rtcp::run),
    ("server_datagrams", server_datagrams::run),
    ("signal_decode", signal_decode::run),
    ("ticket_and_token", ticket_and_token::run),
];
