//! What the fuzz targets share, and the targets themselves for the package `tests`, which replays their corpora.
//!
//! A target is one program in `bin/`: a function of an input and a `main` that calls [`search`] with it. A panic is a
//! find. Inputs of live state machines are read as a program, one step after the other from the front, so that
//! libFuzzer's splicing and insertion make sense; see [`input::Input`].

// The targets name this library as they do in their programs.
extern crate self as parlour_fuzz;

pub mod input;
pub mod messages;
pub mod sealed;
mod search;

pub use self::search::search;

/// A target by name, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Calls a macro with the names of all targets, each with a comma: the only list of them. Programs and corpora are named
/// alike.
#[macro_export]
macro_rules! with_targets {
    ($then:ident) => {
        $then! {
            client_datagrams,
            feedback,
            handshake,
            jitter_buffer,
            moderation,
            operations,
            opus_decode,
            packet_parse,
            pictures,
            recording_repair,
            rtp_rtcp,
            server_datagrams,
            signal_decode,
            ticket_and_token,
        }
    };
}

macro_rules! table {
    ($($target:ident,)*) => {
        mod bin {
            $(
                #[allow(dead_code, reason = "`main` is the program's")]
                pub(crate) mod $target;
            )*
        }

        /// All targets, named as their programs and corpora are.
        pub const TARGETS: &[Target] = &[$((stringify!($target), bin::$target::run)),*];
    };
}

with_targets!(table);
