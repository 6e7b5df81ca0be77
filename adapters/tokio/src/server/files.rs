//! Room for as many files as the TCP connections that are allowed: a process commonly may open 1,024 and raise that
//! by itself.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Sockets, timers, logs, and the files that the application opens beside the connections.
const OTHERS: u64 = 256;

/// Raises the limit of open files to the need of this many connections, as far as the system lets this process.
pub(super) fn make_room(connections: u64) {
    let needed = connections.saturating_add(OTHERS);
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        if now >= needed {
            return Ok(now);
        }
        let limit = needed.min(most);
        setrlimit(Resource::RLIMIT_NOFILE, limit, most).map(|()| limit)
    });
    match raised {
        Ok(limit) if limit >= needed => {}
        Ok(limit) => tracing::warn!(
            limit,
            needed,
            "this process may not open as many files as there may be TCP connections: raise `ulimit -n`, or lower tcp_connections"
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_and_never_lowered() {
        let limit = || getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let (before, most) = limit();
        make_room(0);
        assert_eq!(limit(), (before, most));
        make_room(before);
        assert_eq!(limit(), ((before + OTHERS).min(most), most));
        make_room(u64::MAX);
        assert_eq!(limit(), (most, most));
        make_room(0);
        assert_eq!(limit(), (most, most));
    }
}
