//! What `python/parlour` is made of. That package has the names, types and documentation; here is what it calls.
//!
//! Nothing here holds Python's lock while it waits, encodes or decodes.
#![forbid(unsafe_code)]
// This is an adapter: clocks are its to read.
#![allow(clippy::disallowed_methods)]

mod audio;
mod errors;
mod events;
mod names;
mod pcm;
mod room;
mod runtime;
mod server;
mod tokens;

#[pyo3::pymodule]
mod _parlour {
    #[pymodule_export]
    use super::audio::{AudioReader, AudioWriter};
    #[pymodule_export]
    use super::events::{Events, Messages};
    #[pymodule_export]
    use super::room::Room;
    #[pymodule_export]
    use super::runtime::shutdown;
    #[pymodule_export]
    use super::server::Server;
    #[pymodule_export]
    use super::tokens::{ApiKey, mint_token, verify_token};
}
