//! How busy a server is.

use super::Server;
use crate::server::WorkerLoad;

impl Server {
    /// How each worker fares, as it was a tenth of a second ago at most. Asks no worker, so it costs them nothing and answers
    /// even when they are overloaded.
    ///
    /// ```no_run
    /// # fn example(server: &parlour_tokio::Server) {
    /// for (worker, load) in server.load().into_iter().enumerate() {
    ///     println!("worker {worker}: {} % busy, {} participants", load.busy, load.participants);
    ///     println!("{} bytes sent", load.statistics.bytes_sent);
    /// }
    /// # }
    /// ```
    pub fn load(&self) -> Vec<WorkerLoad> {
        let workers = self.gauges.iter().zip(self.socket_statistics());
        workers
            .map(|(gauge, socket)| gauge.read().load(socket))
            .collect()
    }
}
