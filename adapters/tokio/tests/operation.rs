//! Operation: the load of the workers, and a server that ends without disconnecting anybody.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{config, join, serve, ticket, within};
use parlour_tokio::core::server::Event;
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::{
    JoinError, JoinOptions, Room, Server, ServerConfig, ServerEvent, TransportChoice, WorkerLoad,
};

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3_600);

async fn until_load(server: &Server, wanted: impl Fn(&[WorkerLoad]) -> bool) -> Vec<WorkerLoad> {
    within(async {
        loop {
            let load = server.load();
            if wanted(&load) {
                return load;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

#[tokio::test]
async fn the_load_of_each_worker_is_known_and_settles_when_all_is_quiet() {
    let server = Server::bind(ServerConfig {
        workers: 2,
        ..config()
    });
    let server = server.unwrap();
    assert_eq!(server.load().len(), 2);
    let anna = join(&server, "room", "anna").await;
    let by_tcp = JoinOptions {
        transport: TransportChoice::Tcp,
        ..JoinOptions::default()
    };
    let ben = common::join_by(&server, "ben", by_tcp).await;
    let busy = server.worker_of(&"room".parse().unwrap());
    let load = until_load(&server, |load| load[busy].participants == 2).await;
    assert_eq!((load[busy].rooms, load[1 - busy].rooms), (1, 0));
    assert_eq!((load[busy].connections, load[1 - busy].connections), (1, 0));
    assert_eq!(load[busy].events_missed, 0);
    let counted = load[busy].statistics;
    assert!(
        counted.datagrams_received >= 4 && counted.bytes_sent > 100,
        "{counted:?}"
    );
    assert_eq!(load[busy].socket, server.socket_statistics()[busy]);
    // Nothing comes any more that would have the worker look.
    within(ben.leave()).await;
    within(anna.leave()).await;
    drop((anna, ben));
    until_load(&server, |load| {
        load[busy].participants + load[busy].rooms + load[busy].connections == 0
    })
    .await;
}

#[tokio::test]
async fn a_server_that_drains_begins_no_session_and_is_done_when_all_have_left() {
    let server = serve();
    let anna = join(&server, "room", "anna").await;
    assert!(!server.is_draining());
    let meanwhile = async {
        while !server.is_draining() {
            tokio::task::yield_now().await;
        }
        let refused = within(Room::join(&ticket(&server, "other", "carol"))).await;
        assert!(
            matches!(refused, Err(JoinError::Refused(JoinRefusal::Unavailable))),
            "{refused:?}"
        );
        let ben = join(&server, "room", "ben").await;
        within(anna.leave()).await;
        within(ben.leave()).await;
    };
    let (is_empty, ()) = within(async { tokio::join!(server.drain(HOUR), meanwhile) }).await;
    assert!(is_empty);
    assert!(server.is_draining());
    let refused = within(Room::join(&ticket(&server, "room", "anna"))).await;
    assert!(refused.is_err(), "the session is over");
    server.stop_draining();
    join(&server, "other", "carol").await;
}

/// In tokio's own time, which jumps to the deadline; the participant lives in the true one.
#[tokio::test(start_paused = true)]
async fn draining_ends_at_the_deadline_with_somebody_still_there() {
    let server = serve();
    let anna = ticket(&server, "room", "anna");
    let mut happened = server.events();
    let (leave, stays) = mpsc::channel::<()>();
    let (is_in, knows) = tokio::sync::oneshot::channel();
    let participant = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let room = runtime.block_on(within(Room::join(&anna))).unwrap();
        is_in.send(()).unwrap();
        let _ = stays.recv();
        runtime.block_on(within(room.closed()))
    });
    let joined = |told: ServerEvent| matches!(told.event, Event::ParticipantJoined { .. });
    while !joined(happened.next().await.unwrap().unwrap()) {}
    knows.await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(!server.drain(HOUR).await);
    assert_eq!(began.elapsed().as_secs(), HOUR.as_secs());
    server.shutdown().await;
    drop(leave);
    let cause = participant.join().unwrap();
    let told = parlour_tokio::CloseReason::ServerShutdown;
    assert_eq!(cause, parlour_tokio::CloseCause::Closed(told));
}
