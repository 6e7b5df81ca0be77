//! Places for connections that come about.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlour_tokio::core::server::{Path, Source};

/// A number of places, of which one address (IPv6: network) has a quarter at most, as with TCP.
#[derive(Debug, Clone)]
pub(super) struct Openings {
    taken: Arc<Mutex<BTreeMap<Source, usize>>>,
    most: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Opening {
    openings: Openings,
    source: Source,
}

impl Openings {
    pub(super) fn new(most: usize) -> Self {
        Self {
            taken: Arc::default(),
            most,
        }
    }

    /// Places that are taken.
    pub(super) fn len(&self) -> usize {
        self.lock().values().sum()
    }

    /// Takes a place, if there is one for that address.
    pub(super) fn take(&self, from: IpAddr) -> Option<Opening> {
        let source = Path::udp(SocketAddr::new(from, 0)).source();
        let mut taken = self.lock();
        let all: usize = taken.values().sum();
        let its = taken.get(&source).copied().unwrap_or(0);
        if all >= self.most || its >= self.most.div_ceil(4) {
            return None;
        }
        taken.insert(source, its + 1);
        drop(taken);
        Some(Opening {
            openings: self.clone(),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Source, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let mut taken = self.openings.lock();
        let left = taken.get(&self.source).map_or(0, |its| its - 1);
        match left {
            0 => taken.remove(&self.source),
            left => taken.insert(self.source, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_has_a_quarter_at_most() {
        let openings = Openings::new(8);
        let take = |from: &str| openings.take(from.parse().unwrap());
        let first = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(first.iter().all(Option::is_some));
        assert!(take("2001:db8::3").is_none());
        let mapped = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(take("192.0.2.1").is_none(), "{mapped:?}");
        let others = ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"].map(take);
        assert!(others.iter().all(Option::is_some));
        assert_eq!(openings.len(), 8);
        assert!(take("192.0.2.6").is_none());
        drop(first);
        assert!(take("2001:db8::3").is_some() && take("192.0.2.6").is_some());
        drop((mapped, others));
        assert_eq!(openings.len(), 0);
    }
}
