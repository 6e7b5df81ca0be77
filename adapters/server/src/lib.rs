//! The room server: the rooms of `parlour-tokio`, and around them an HTTP API, tokens, history and webhooks.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod api;
pub mod auth;
mod compositions;
pub mod config;
mod counted;
pub mod disk;
mod erasure;
pub mod ffmpeg;
mod http;
pub mod log;
mod logins;
mod metrics;
pub mod recordings;
pub mod registry;
mod retention;
pub mod rooms;
mod scribe;
pub mod seal;
pub mod serve;
pub mod statistics;
pub mod store;
pub mod time;
pub mod tokens;
pub mod web;
pub mod webhooks;

pub use scribe::names;
