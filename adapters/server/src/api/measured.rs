//! Counts and times requests.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::metrics::gauge::Gauge;
use tokio::time::Instant;

use super::App;

/// A request that is being answered. It may be dropped at any time: its client goes away.
struct InFlight<'a>(&'a Gauge);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts a request by the template of its path, and takes its time up to the head of the answer.
pub(super) async fn measure(
    State(app): State<App>,
    path: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let counted = app.counted();
    let method = request.method().clone();
    counted.in_flight.inc();
    let in_flight = InFlight(&counted.in_flight);
    let began = Instant::now();
    let response = next.run(request).await;
    drop(in_flight);
    let route = path.as_ref().map(MatchedPath::as_str);
    counted.request(&method, route, response.status().as_u16(), began.elapsed());
    response
}
