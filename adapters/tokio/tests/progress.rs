//! Progress reports of a join that has to wait, over real sockets on this machine.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use parlour_tokio::core::secure::PublicKey;
use parlour_tokio::core::ticket::Ticket;
use parlour_tokio::{JoinError, JoinOptions, JoinProgress, OnProgress, Room, Targets};

/// Options that note what is told.
fn noting(timeout: Duration) -> (JoinOptions, Arc<Mutex<Vec<JoinProgress>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let options = JoinOptions {
        timeout,
        on_progress: Some(OnProgress::new(move |progress| {
            notes.lock().unwrap().push(progress.clone());
        })),
        ..JoinOptions::default()
    };
    (options, told)
}

#[tokio::test]
async fn a_wrong_key_is_told_before_the_join_gives_up() {
    let server = serve();
    let text = ticket(&server, "room", "anna");
    let ticket = Ticket {
        server_key: PublicKey([9; 32]),
        ..Ticket::parse(&text).unwrap()
    };
    let (options, told) = noting(Duration::from_millis(2_500));
    let refused = within(Room::join_with(&ticket.to_string(), options)).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, JoinError::NoAnswer { .. }), "{error}");
    let told = told.lock().unwrap();
    let at = format!("UDP to {}", server.addresses()[0]);
    assert!(
        matches!(&told[..], [JoinProgress::NoAnswer { tried }] if tried.starts_with(&at)),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_port_that_nobody_listens_at_is_not_waited_for() {
    let server = serve();
    let ticket = ticket(&server, "room", "anna");
    within(server.shutdown()).await;
    // Longer than the test may take.
    let (options, _) = noting(Duration::from_secs(600));
    let refused = within(Room::join_with(&ticket, options)).await;
    let error = refused.unwrap_err();
    assert!(matches!(error, JoinError::NobodyListens { .. }), "{error}");
    assert!(error.to_string().contains("(refused)"), "{error}");
}

#[tokio::test]
async fn the_lobby_is_told_and_letting_in_says_how_many() {
    let server = serve();
    let boss = within(Room::join(&moderator(&server, "room", "boss")))
        .await
        .unwrap();
    assert_eq!(within(boss.admit(Targets::all())).await, Ok(0));
    let unknown = parlour_tokio::core::signal::Refusal::UnknownParticipant;
    let refused = Err(parlour_tokio::RequestError::Refused(unknown));
    assert_eq!(within(boss.admit(id("anna"))).await, refused);
    assert_eq!(within(boss.kick(id("anna"))).await, refused);

    let claims = parlour_tokio::token::Claims {
        lobby: true,
        ..claims("room", "anna")
    };
    let ticket = server.ticket(&claims).unwrap();
    let (options, told) = noting(Duration::from_secs(20));
    let joining = tokio::spawn(async move { Room::join_with(&ticket, options).await });
    let mut events = boss.events();
    within(async {
        while boss.lobby().waiting.is_empty() {
            events.next().await.expect("the room is closed");
        }
    })
    .await;
    assert_eq!(within(boss.admit(Targets::all())).await, Ok(1));
    let _anna = within(joining).await.unwrap().unwrap();
    until_joined(&mut events, "anna").await;
    assert_eq!(told.lock().unwrap()[..], [JoinProgress::Lobby]);
    assert_eq!(within(boss.censor(id("anna"))).await, Ok(1));
    // It is so already.
    assert_eq!(within(boss.censor(id("anna"))).await, Ok(0));
}
