//! Nothing secret is logged, however much is.

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::*;
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::token::mint_token;
use parlour_tokio::{AudioOptions, JoinError, Room};
use tracing_subscriber::fmt::MakeWriter;

/// All that is logged, as text.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The only test of this program, whose log it takes: servers log from threads of their own.
#[tokio::test]
async fn tokens_and_keys_are_not_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let server = serve();
    let good = mint_token(&claims("room", "anna"), &api_key()).unwrap();
    let fresh = mint_token(&moderator_claims(), &api_key()).unwrap();
    let expired = parlour_tokio::token::Claims {
        expires: 1,
        ..claims("room", "anna")
    };
    let expired = mint_token(&expired, &api_key()).unwrap();
    let room = parlour_tokio::core::room::RoomId::new("room").unwrap();
    let anna = within(Room::join(&server.ticket_with(&room, &good)))
        .await
        .unwrap();
    let mic = within(anna.publish_audio("mic", AudioOptions::opus(RATE)))
        .await
        .unwrap();
    within(anna.refresh_token(&fresh)).await.unwrap();
    within(anna.refresh_token("not.a.sesame"))
        .await
        .unwrap_err();
    let refused = within(Room::join(&server.ticket_with(&room, &expired))).await;
    assert_eq!(
        refused.unwrap_err(),
        JoinError::Refused(JoinRefusal::TokenExpired)
    );
    drop(mic);
    within(anna.leave()).await;
    server.shutdown().await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in [
        "join admitted",
        "join refused",
        "refreshed token refused",
        "shutting down",
    ] {
        assert!(
            log.contains(part),
            "{part} is not logged: the test shows nothing"
        );
    }
    let secrets = [&good, &fresh, &expired, "not.a.sesame", "0123456789abcdef"];
    for secret in secrets {
        // A JWT's signature is what must not get out; its claims stand in the log in other words.
        let signature = secret.rsplit('.').next().unwrap();
        assert!(!log.contains(signature), "{signature} is logged:\n{log}");
    }
}

fn moderator_claims() -> parlour_tokio::token::Claims {
    parlour_tokio::token::Claims {
        grants: parlour_tokio::core::room::Grants::all(),
        ..claims("room", "anna")
    }
}
