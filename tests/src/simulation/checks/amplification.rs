//! How much the server sends to where nobody has proven to be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parlour_core::time::Instant;

use super::{Checks, Invariant};
use crate::network::Datagram;

/// The protocol's bound (section 3.3).
const FACTOR: u64 = 3;

/// Bytes to and from each address.
#[derive(Debug)]
pub(super) struct Ledger {
    servers: [SocketAddr; 2],
    accounts: BTreeMap<SocketAddr, Account>,
}

#[derive(Debug, Default)]
struct Account {
    received: u64,
    sent: u64,
    /// Something that the server sent has arrived there: from then on somebody there can prove to receive.
    reached: bool,
    /// Something came from there thereafter, which may have been the proof.
    may_be_proven: bool,
}

impl Ledger {
    pub(super) fn new(servers: [SocketAddr; 2]) -> Self {
        Self {
            servers,
            accounts: BTreeMap::new(),
        }
    }

    pub(super) fn arrived(&mut self, datagram: &Datagram) {
        if self.servers.contains(&datagram.to) {
            let account = self.accounts.entry(datagram.from).or_default();
            account.received += datagram.bytes.len() as u64;
            account.may_be_proven |= account.reached;
        } else if let Some(account) = self.accounts.get_mut(&datagram.to) {
            account.reached = true;
        }
    }

    /// Counts what the server sends; gives what came and what went, if that is too much.
    fn sent(&mut self, datagram: &Datagram) -> Option<(u64, u64)> {
        let account = self.accounts.entry(datagram.to).or_default();
        account.sent += datagram.bytes.len() as u64;
        let allowed = account.may_be_proven || account.sent <= FACTOR * account.received;
        (!allowed).then_some((account.received, account.sent))
    }
}

impl Checks {
    pub(super) fn check_sent(&mut self, now: Instant, datagram: &Datagram) {
        if !self.amplification.servers.contains(&datagram.from) {
            return;
        }
        if let Some((received, sent)) = self.amplification.sent(datagram) {
            let text = format!(
                "{} was sent {sent} bytes, and had sent {received}",
                datagram.to
            );
            self.fail(Invariant::Amplification, now, text);
        }
    }
}
