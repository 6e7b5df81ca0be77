//! Files that tokio watches for one thing only, which its own sockets cannot have.

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Has the runtime watch `file`, which owns its descriptor and never exchanges it. Needs a runtime.
#[allow(
    deprecated,
    reason = "what replaces it is unsafe code, because a file could be closed or exchanged while it is watched: these are not"
)]
pub(super) fn watch<T: AsRawFd>(file: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(file, interest)
}
