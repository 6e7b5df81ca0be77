//! `parlour event`.

use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::{Stream, StreamExt as _};
use serde_json::Value;
use sse_stream::{Sse, SseByteStream};
use tokio::time::{sleep, timeout};

use super::api::{Call, Run, Table as _};
use super::client::{Client, Request};
use super::context::Connection;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::tables::Events;

/// The server is heard of at least every 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// The pauses between tries to connect again; the last one is repeated.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// The journal: what happened, and what happens.
#[derive(Debug, Subcommand)]
pub(crate) enum Event {
    Tail(Tail),
    #[command(flatten)]
    Api(Call<Events>),
}

impl Run for Event {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Tail(tail) => tail.run(connection, output).await,
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Prints events as they happen, until it is interrupted.
///
/// If the connection breaks, it is made again, and no event is missed.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  parlour event tail --room kitchen --output jsonl")]
pub(crate) struct Tail {
    /// Events behind this `seq`, also past ones; without it, those from now on.
    #[arg(long, value_name = "SEQ")]
    after: Option<i64>,
    /// Events of this type; may be given several times.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Vec<String>,
    /// Events of this room; may be given several times.
    #[arg(long)]
    room: Vec<String>,
    /// Events of this session; may be given several times.
    #[arg(long)]
    session: Vec<String>,
    /// Also who speaks, which is no event of the journal and has no `seq`.
    #[arg(long)]
    speaker: bool,
    /// Ends after so many events.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// How a connection ended.
enum Ended {
    /// All that was asked for is printed.
    Done,
    /// The connection broke.
    Broken,
}

impl Tail {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        let client = connection.client()?;
        let mut after = match self.after {
            Some(after) => after,
            None => newest(&client).await?,
        };
        let mut request = Request::get("v1/events/stream");
        for (name, values) in [
            ("type", &self.kind),
            ("room", &self.room),
            ("session", &self.session),
        ] {
            let each = values.iter().map(|value| (name.to_owned(), value.clone()));
            request.query.extend(each);
        }
        if self.speaker {
            request.query.push(("speaker".to_owned(), "1".to_owned()));
        }
        let mut missing = self.count;
        let mut pauses = PAUSES.into_iter();
        let mut is_connected = false;
        loop {
            match client.stream(&request, after).await {
                Ok(response) => {
                    if is_connected {
                        output.note("connected again");
                    }
                    is_connected = true;
                    pauses = PAUSES.into_iter();
                    let events = SseByteStream::new(Box::pin(response.bytes_stream()));
                    match print(events, &mut after, &mut missing, output).await? {
                        Ended::Done => return Ok(()),
                        Ended::Broken => output.note("the connection broke; connecting again"),
                    }
                }
                Err(failure) if is_connected && is_passing(&failure) => {}
                Err(failure) => return Err(failure),
            }
            let [.., longest] = PAUSES;
            sleep(pauses.next().unwrap_or(longest)).await;
        }
    }
}

/// Whether trying again may help.
fn is_passing(failure: &Failure) -> bool {
    let is_servers = failure
        .problem()
        .status
        .is_some_and(|status| status >= 500 || status == 429);
    is_servers || matches!(failure.exit(), Exit::Unreachable | Exit::TimedOut)
}

/// The newest event's `seq`: the place from which on nothing may be missed.
async fn newest(client: &Client) -> Result<i64, Failure> {
    let mut request = Request::get("v1/events");
    request.query.push(("limit".to_owned(), "1".to_owned()));
    let page = client.send(&request).await?;
    Ok(page["data"][0]["seq"].as_i64().unwrap_or(0))
}

/// Prints the events of one connection.
async fn print<E>(
    mut events: impl Stream<Item = Result<Sse, E>> + Unpin,
    after: &mut i64,
    missing: &mut Option<u64>,
    output: &Output,
) -> Result<Ended, Failure> {
    while let Ok(Some(Ok(message))) = timeout(SILENCE, events.next()).await {
        let event = message.data.as_deref().map(serde_json::from_str::<Value>);
        let Some(Ok(event)) = event else {
            continue;
        };
        output.line(&Events::VIEW, &event)?;
        if let Some(seq) = message.id.and_then(|id| id.parse().ok()) {
            *after = seq;
        }
        if let Some(missing) = missing {
            *missing -= 1;
            if *missing == 0 {
                return Ok(Ended::Done);
            }
        }
    }
    Ok(Ended::Broken)
}
