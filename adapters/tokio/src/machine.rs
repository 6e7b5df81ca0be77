//! The core's machines, or those that stand in for them and record what goes in.

#[cfg(not(feature = "record"))]
pub(crate) use parlour_core::client::Client;
#[cfg(all(feature = "server", not(feature = "record")))]
pub(crate) use parlour_core::server::Server;
#[cfg(feature = "record")]
pub(crate) use parlour_record::Client;
#[cfg(all(feature = "server", feature = "record"))]
pub(crate) use parlour_record::Server;
