//! Admission while the server runs: a doorkeeper's answers, and API keys that change.

mod common;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use common::{RATE, api_key, claims, config, hears, id, join, ticket, until, within};
use parlour_tokio::core::server::{Admission, Path};
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::token::{ApiKey, ApiKeyError, mint_token};
use parlour_tokio::{
    AudioOptions, BindError, Doorkeeper, Event, Grants, JoinError, JoinRequest, RefreshRequest,
    Room, RoomEvent, RoomId, Server, ServerConfig,
};

/// The questions it was asked: participant, key, time of minting, source.
type Asked = (String, String, Option<u64>, Path);

/// Knows three by name, and lets in all others as their token says.
#[derive(Debug, Default)]
struct House {
    asked: Mutex<Vec<Asked>>,
    refreshes: Mutex<BTreeMap<String, u32>>,
}

impl Doorkeeper for House {
    fn admit(&self, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
        let who = request.claims.participant.as_str();
        let asked = (
            who.to_owned(),
            request.key_id.to_owned(),
            request.claims.issued,
            request.from,
        );
        self.asked.lock().unwrap().push(asked);
        let admission = request.admission();
        match who {
            "banned" => Err(JoinRefusal::Denied),
            "listener" => Ok(Admission {
                grants: Grants::SUBSCRIBE,
                ..admission
            }),
            "guest" => Ok(Admission {
                lobby: true,
                ..admission
            }),
            // A slip that must not let anybody in elsewhere, or as somebody else.
            "moved" => Ok(Admission {
                room: RoomId::new("elsewhere").unwrap(),
                participant: id("another"),
                ..admission
            }),
            _ => Ok(admission),
        }
    }

    fn refresh(&self, request: &RefreshRequest<'_>) -> Option<Admission> {
        let who = request.claims.participant.to_string();
        *self
            .refreshes
            .lock()
            .unwrap()
            .entry(who.clone())
            .or_default() += 1;
        let admission = Admission {
            grants: Grants::SUBSCRIBE,
            ..request.admission()
        };
        (who == "anna").then_some(admission)
    }
}

fn house() -> (Arc<House>, Server) {
    let house = Arc::new(House::default());
    let server = Server::bind(ServerConfig {
        doorkeeper: house.clone(),
        workers: 2,
        ..config()
    });
    (house, server.unwrap())
}

#[tokio::test]
async fn a_doorkeeper_bans_one_changes_anothers_grants_and_has_a_third_wait() {
    let (house, server) = house();
    let refused = within(Room::join(&ticket(&server, "room", "banned"))).await;
    assert!(
        matches!(refused, Err(JoinError::Refused(JoinRefusal::Denied))),
        "{refused:?}"
    );
    let listener = join(&server, "room", "listener").await;
    assert_eq!(listener.grants(), Grants::SUBSCRIBE);
    let anna = join(&server, "room", "anna").await;
    assert_eq!(anna.grants(), Grants::PARTICIPANT);
    let moved = join(&server, "room", "moved").await;
    assert_eq!(moved.me(), Some(id("moved")));
    assert_eq!(moved.session(), anna.session());
    let waits = ticket(&server, "room", "guest");
    let guest = tokio::spawn(async move { Room::join(&waits).await });
    let room = RoomId::new("room").unwrap();
    within(async {
        let mut happened = server.events();
        while server
            .room(&room)
            .await
            .is_none_or(|room| room.waiting.is_empty())
        {
            let told = happened.next().await.expect("the server is gone");
            told.expect("read in time");
        }
    })
    .await;
    assert!(!guest.is_finished());
    guest.abort();

    let asked = std::mem::take(&mut *house.asked.lock().unwrap());
    let names: Vec<_> = asked.iter().map(|asked| asked.0.as_str()).collect();
    // Each once: the worker of another room redirects without asking.
    assert_eq!(names, ["banned", "listener", "anna", "moved", "guest"]);
    for (_, key, issued, from) in asked {
        assert_eq!(key, api_key().id());
        assert!(issued.is_some(), "tickets say when they were minted");
        assert!(matches!(from, Path::Udp { remote, .. } if remote.ip().is_loopback()));
    }
}

#[tokio::test]
async fn a_doorkeeper_is_not_asked_about_tokens_that_are_not_valid() {
    let (house, server) = house();
    let stranger = ApiKey::new("app", "another secret of thirty-two bytes").unwrap();
    let token = mint_token(&claims("room", "anna"), &stranger).unwrap();
    let forged = server.ticket_with(&claims("room", "anna").room, &token);
    let refused = within(Room::join(&forged)).await;
    assert!(
        matches!(refused, Err(JoinError::Refused(JoinRefusal::InvalidToken))),
        "{refused:?}"
    );
    assert!(house.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_doorkeeper_says_what_a_newer_token_is_worth() {
    let (house, server) = house();
    let token = |who| mint_token(&claims("room", who), &api_key()).unwrap();
    let anna = join(&server, "room", "anna").await;
    within(anna.refresh_token(&token("anna"))).await.unwrap();
    let refused = within(anna.publish_audio("mic", AudioOptions::opus(RATE))).await;
    assert!(refused.is_err(), "it may only listen now");
    let ben = join(&server, "room", "ben").await;
    let refused = within(ben.refresh_token(&token("ben"))).await;
    assert!(refused.is_err());
    let asked = house.refreshes.lock().unwrap();
    assert_eq!(
        *asked,
        BTreeMap::from([("anna".to_owned(), 1), ("ben".to_owned(), 1)])
    );
}

#[tokio::test]
async fn keys_change_while_somebody_is_in() {
    let (former, new) = (
        api_key(),
        ApiKey::new("app", "a newer secret of thirty-two bytes").unwrap(),
    );
    let server = Server::bind(ServerConfig {
        workers: 3,
        ..config()
    });
    let server = server.unwrap();
    let anna = join(&server, "room", "anna").await;
    let mut events = anna.events();
    let minted = |key: &ApiKey, room, who| {
        let claims = claims(room, who);
        server.ticket_with(&claims.room, &mint_token(&claims, key).unwrap())
    };
    let rooms = ["room", "a", "b", "c"];

    // Both, while the secret changes.
    server
        .set_api_keys(vec![new.clone(), former.clone()])
        .unwrap();
    for key in [&former, &new] {
        within(Room::join(&minted(key, "room", "ben")))
            .await
            .unwrap()
            .leave()
            .await;
    }
    assert_eq!(server.set_api_keys(Vec::new()), Err(ApiKeyError::NoKey));

    server.set_api_keys(vec![new.clone()]).unwrap();
    for room in rooms {
        let refused = within(Room::join(&minted(&former, room, "ben"))).await;
        assert!(
            matches!(refused, Err(JoinError::Refused(JoinRefusal::InvalidToken))),
            "{refused:?}"
        );
        within(Room::join(&minted(&new, room, "ben")))
            .await
            .unwrap()
            .leave()
            .await;
    }
    // Tickets that the server mints are signed with the new one.
    let carol = join(&server, "room", "carol").await;
    until(&mut events, |event| match event {
        Event::Room(RoomEvent::ParticipantJoined { participant, .. }) => {
            (participant == id("carol")).then_some(())
        }
        _ => None,
    })
    .await;
    hears(&carol, &anna).await;
    let former = mint_token(&claims("room", "anna"), &former).unwrap();
    assert!(within(anna.refresh_token(&former)).await.is_err());
    let new = mint_token(&claims("room", "anna"), &new).unwrap();
    within(anna.refresh_token(&new)).await.unwrap();
}

#[tokio::test]
async fn a_server_without_a_key_does_not_start() {
    let without = Server::bind(ServerConfig {
        api_keys: Vec::new(),
        ..config()
    });
    assert!(matches!(
        without,
        Err(BindError::ApiKey(ApiKeyError::NoKey))
    ));
}
