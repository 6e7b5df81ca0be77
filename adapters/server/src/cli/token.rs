//! `parlour token`.

use std::time::Duration;

use anstyle::{AnsiColor, Color, Style};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use parlour_server::time::Timestamp;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::token::{ApiKey, Claims, mint_token};
use parlour_tokio::{DisplayName, Grants};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;

use super::api::{Call, Run};
use super::context::{Connection, NOT_A_KEY, split_key};
use super::failure::{Exit, Failure};
use super::output::{Format, Output};
use super::tables::Tokens;
use super::values::millis;

/// Tokens and tickets for participants.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    Create(Create),
    #[command(flatten)]
    Api(Call<Tokens>),
}

impl Run for Token {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(connection, output).await,
            Self::Api(call) => call.run(connection, output).await,
        }
    }
}

/// Signs a token for a participant, with the key of the context.
///
/// No server is asked: the key needs the scope `tokens` or `admin`, and nothing tells whether the room exists. A ticket has the
/// server's address and public key in it, too. They are asked for once, and kept in the context.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Example:\n  parlour token create kitchen anna --grants participant,kick --ttl 1h --ticket"
)]
pub(crate) struct Create {
    /// The room.
    room: String,
    /// The participant's id.
    participant: String,
    /// The display name.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Its grants, separated by commas, such as `publish_audio` and `kick`; `participant` and `moderator` stand for several.
    #[arg(long, value_delimiter = ',', default_value = "participant", value_parser = grant)]
    grants: Vec<Grants>,
    /// Whether it waits in the lobby until it is admitted.
    #[arg(long)]
    lobby: bool,
    /// For how long the token is valid.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = ttl)]
    ttl: Duration,
    /// Prints a ticket, which is all that is needed to join.
    #[arg(long)]
    ticket: bool,
    /// Prints the ticket as a QR code, too.
    #[arg(long)]
    qr: bool,
    /// All of the ticket but its token, instead of what the server says.
    #[arg(long, value_name = "TICKET_BASE")]
    ticket_base: Option<String>,
}

fn ttl(text: &str) -> Result<Duration, String> {
    match u64::try_from(millis(text)? / 1_000) {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err("a second is the least".to_owned()),
    }
}

fn grant(name: &str) -> Result<Grants, String> {
    let is_lower = !name.chars().any(|c| c.is_ascii_uppercase());
    let named = Grants::from_name(&name.to_uppercase()).filter(|_| is_lower);
    named.ok_or_else(|| {
        let names: Vec<_> = Grants::all()
            .iter_names()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        format!(
            "there is no such grant; there are participant, moderator, {}",
            names.join(", ")
        )
    })
}

/// Black on white, whatever the colours of the terminal are.
const PAPER: Style = Style::new()
    .fg_color(Some(Color::Ansi(AnsiColor::Black)))
    .bg_color(Some(Color::Ansi(AnsiColor::BrightWhite)));

impl Create {
    async fn run(&self, connection: &Connection, output: &Output) -> Result<(), Failure> {
        if self.qr && output.format() != Format::Table {
            let detail = "a QR code is for people: --qr goes with --output table only";
            return Err(Failure::new(Exit::Usage, detail));
        }
        let key = connection.context()?.key;
        let (id, secret) = split_key(&key).ok_or_else(|| Failure::new(Exit::Usage, NOT_A_KEY))?;
        let refused = |error: &dyn std::fmt::Display| Failure::new(Exit::Usage, error.to_string());
        let key = ApiKey::new(id, secret).map_err(|error| refused(&error))?;
        let mut claims = Claims::new(&self.room, &self.participant, self.ttl)
            .map_err(|error| refused(&error))?;
        claims.name = DisplayName::visible(&self.name).map_err(|error| refused(&error))?;
        claims.grants = self.grants.iter().copied().collect();
        claims.lobby = self.lobby;
        let token = mint_token(&claims, &key).map_err(|error| refused(&error))?;
        let ticket = if self.ticket || self.qr || self.ticket_base.is_some() {
            let base = match &self.ticket_base {
                Some(base) => base.clone(),
                None => connection.ticket_base().await?,
            };
            let ticket = format!("{base}#{token}");
            Ticket::parse(&ticket).map_err(|error| refused(&error))?;
            Some(ticket)
        } else {
            None
        };
        if output.format().is_json() {
            let expires = i64::try_from(claims.expires)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000);
            let mut minted = json!({
                "room": self.room,
                "participant": self.participant,
                "token": token,
                "expires_at": Timestamp::from_millis(expires),
            });
            if let Some(ticket) = ticket {
                minted["ticket"] = ticket.into();
            }
            return output.document(&minted);
        }
        let text = ticket.unwrap_or(token);
        if self.qr {
            let code = QrCode::new(&text).context("the ticket does not fit a QR code")?;
            for line in code.render::<Dense1x2>().build().lines() {
                output.text(&format!("{PAPER}{line}{PAPER:#}\n"))?;
            }
        }
        output.text(&(text + "\n"))
    }
}
