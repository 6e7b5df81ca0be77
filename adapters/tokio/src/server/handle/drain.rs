//! Before a server ends: no more sessions begin, and those that go on may end by themselves.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::Server;

/// How often to look whether everybody has left.
const LOOK: Duration = Duration::from_millis(250);

impl Server {
    /// Lets no session begin any more, and waits until everybody has left, for as long as `within` at most; says whether they
    /// have.
    ///
    /// A join that would begin a session is refused with [`JoinRefusal::Unavailable`](crate::core::signal::JoinRefusal).
    /// Others may join a session that goes on, or come back to it. Participants are told nothing until the server shuts down.
    ///
    /// A join that was admitted before still begins its session, and so does a guest who is admitted from the lobby.
    ///
    /// The server goes on draining after that, also if the future is dropped, until
    /// [`stop_draining`](Self::stop_draining). Participants that are still present are told by
    /// [`shutdown`](Self::shutdown), with [`CloseReason::ServerShutdown`](crate::CloseReason::ServerShutdown).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn example(server: parlour_tokio::Server, second_signal: impl Future) {
    /// tokio::select! {
    ///     _ = server.drain(Duration::from_secs(30)) => {}
    ///     _ = second_signal => {}
    /// }
    /// server.shutdown().await;
    /// # }
    /// ```
    pub async fn drain(&self, within: Duration) -> bool {
        self.shared.set_draining(true);
        let empty = async {
            while !self.is_deserted().await {
                sleep(LOOK).await;
            }
        };
        timeout(within, empty).await.is_ok()
    }

    /// Lets sessions begin again.
    pub fn stop_draining(&self) {
        self.shared.set_draining(false);
    }

    /// Whether no session may begin: a load balancer should know this.
    pub fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// Whether the server has neither participants nor admitted joins.
    async fn is_deserted(&self) -> bool {
        for worker in 0..self.workers.len() {
            let is_deserted = self.call(worker, |server, _| server.is_deserted()).await;
            // A worker that is gone has nobody.
            if !is_deserted.unwrap_or(true) {
                return false;
            }
        }
        true
    }
}
