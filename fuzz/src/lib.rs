//! What the fuzz targets do with an input, as plain functions: the programs in `bin/` give them to libFuzzer, which
//! searches for inputs, and the package `tests` replays with them what was found, without libFuzzer.
//!
//! A panic is a find. Inputs of live state machines are read as a program, one step after the other from the front,
//! so that libFuzzer's splicing and insertion make sense; see [`input::Input`].

pub mod client_datagrams;
pub mod handshake;
pub mod input;
pub mod jitter_buffer;
mod messages;
pub mod moderation;
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

/// Calls a macro with the names of all targets, each with a comma: the only list of them. Modules, programs and corpora are
/// named alike.
#[macro_export]
macro_rules! with_targets {
    ($then:ident) => {
        $then! {
            client_datagrams,
            handshake,
            jitter_buffer,
            moderation,
            operations,
            opus_decode,
            packet_parse,
            rtp_rtcp,
            server_datagrams,
            signal_decode,
            ticket_and_token,
        }
    };
}

macro_rules! table {
    ($($target:ident,)*) => {
        /// All targets, named as their programs and corpora are.
        pub const TARGETS: &[Target] = &[$((stringify!($target), $target::run)),*];
    };
}

with_targets!(table);
