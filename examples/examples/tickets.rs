//! A room server, and beside it an HTTP server that hands out tickets: the back end of an application.
//!
//! ```sh
//! cargo run --release --example tickets
//! curl -X POST 'localhost:8080/rooms/kitchen/tickets/anna?name=Anna&grants=kick,censor,admit'
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::post;
use clap::Parser;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{DisplayName, Grants, Server, ServerConfig};
use serde::Deserialize;

/// Serves rooms, and tickets to them by `POST /rooms/{room}/tickets/{participant}`.
#[derive(Debug, Parser)]
#[command(name = "tickets", version)]
struct Options {
    /// Where the room server listens, by UDP and TCP; port 0 takes any that is free.
    #[arg(long, default_value = "127.0.0.1:7900")]
    rooms: SocketAddr,
    /// Where the HTTP server listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// The name or address in the tickets, if participants reach this machine by another one than `--rooms` says.
    #[arg(long)]
    host: Option<String>,
    /// Signs the tickets: at least 32 bytes. Without one, tickets end with this process.
    #[arg(long, env = "PARLOUR_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// How long a ticket is valid, in seconds. A participant that does not present a newer token by then is removed.
    #[arg(long, default_value_t = 3_600)]
    lifetime: u64,
}

struct Tickets {
    server: Server,
    lifetime: Duration,
}

/// The optional parts of a ticket.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// The display name.
    name: String,
    /// Grants beyond those of every participant, separated by commas: `kick`, `censor`, `admit` and others of `Grants`.
    grants: String,
    /// Whether a moderator has to let this participant in.
    lobby: bool,
}

type Refused = (StatusCode, String);

fn bad_request(error: impl std::fmt::Display) -> Refused {
    (StatusCode::BAD_REQUEST, format!("{error}\n"))
}

/// A real application first asks here whether the caller is that participant and may enter that room.
async fn ticket(
    State(tickets): State<Arc<Tickets>>,
    Path((room, participant)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
) -> Result<String, Refused> {
    let claims = Claims::new(&room, &participant, tickets.lifetime).map_err(bad_request)?;
    let claims = Claims {
        name: DisplayName::visible(&wanted.name).map_err(bad_request)?,
        grants: claims.grants | grants(&wanted.grants)?,
        lobby: wanted.lobby,
        ..claims
    };
    let ticket = tickets.server.ticket(&claims).map_err(bad_request)?;
    Ok(ticket + "\n")
}

fn grants(names: &str) -> Result<Grants, Refused> {
    let mut grants = Grants::empty();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let grant = Grants::from_name(&name.to_ascii_uppercase());
        grants |= grant.ok_or_else(|| bad_request(format!("there is no grant named {name:?}")))?;
    }
    Ok(grants)
}

fn random_secret() -> String {
    let mut secret = [0; 32];
    rand_core::RngCore::fill_bytes(&mut rand_core::OsRng, &mut secret);
    secret.map(|byte| format!("{byte:02x}")).concat()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let secret = options.secret.unwrap_or_else(random_secret);
    let server = Server::bind(ServerConfig {
        host: options.host,
        ..ServerConfig::new(options.rooms, ApiKey::new("tickets", &secret)?)
    })?;
    let lifetime = Duration::from_secs(options.lifetime);
    let tickets = Arc::new(Tickets { server, lifetime });
    let routes = Router::new().route("/rooms/{room}/tickets/{participant}", post(ticket));
    let listener = tokio::net::TcpListener::bind(options.http).await?;
    println!("tickets at http://{}", listener.local_addr()?);
    axum::serve(listener, routes.with_state(tickets)).await?;
    Ok(())
}
