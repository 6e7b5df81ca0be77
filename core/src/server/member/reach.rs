//! A participant's address, and how much may be sent to it.

use crate::server::Path;

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) path: Path,
    /// Whether packets sent there are known to arrive.
    pub(crate) proven: bool,
    received: u64,
    sent: u64,
}

impl Reach {
    pub(crate) fn new(path: Path) -> Self {
        Self {
            path,
            proven: path.is_proven(),
            received: 0,
            sent: 0,
        }
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes as u64);
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes as u64);
    }

    /// Bytes that may be sent there now: three times the bytes received from it, until the address is proven.
    pub(crate) fn budget(&self) -> usize {
        if self.proven {
            return usize::MAX;
        }
        let budget = self.received.saturating_mul(3).saturating_sub(self.sent);
        usize::try_from(budget).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unproven_path_gets_three_times_what_it_sent() {
        let mut reach = Reach::new(Path::udp("192.0.2.1:9".parse().unwrap()));
        assert_eq!(reach.budget(), 0);
        reach.received(100);
        reach.sent(250);
        assert_eq!(reach.budget(), 50);
        reach.sent(60);
        assert_eq!(reach.budget(), 0);
        reach.proven = true;
        assert_eq!(reach.budget(), usize::MAX);
        let stream = Path::Stream {
            id: 1,
            from: core::net::Ipv4Addr::LOCALHOST.into(),
        };
        assert_eq!(Reach::new(stream).budget(), usize::MAX);
    }
}
