//! Webhooks: the journal's events, sent to the receivers that ask for them.

pub mod sign;
