//! A whole room in one process: clients, server, network and clock, all decided by one seed.

pub mod network;
