//! PostgreSQL behind pgbouncer: the lock that keeps other servers away belongs to a session, so a session has to be a
//! connection's own.
//!
//! Needs `PARLOUR_TEST_POSTGRES` and `pgbouncer`. Without that program it says that it skips, or fails where
//! `PARLOUR_REQUIRE_OPERATIONS` is set.

#![cfg(unix)]

mod common;

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use common::*;
use parlour_server::store::{LockError, OpenError, Place, Store};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A pooler before the server of `PARLOUR_TEST_POSTGRES`, which ends with this.
struct Pooler {
    port: u16,
    _process: Child,
}

impl Pooler {
    /// `None` if pgbouncer is not there, and need not be.
    async fn start(home: &Home, server: &str, mode: &str) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // postgres://user@%2Ffolder%2Fof%2Fits%2Fsocket
        let (user, host) = server.split_once("://").unwrap().1.split_once('@').unwrap();
        let host = host.replace("%2F", "/");
        let config = format!(
            "[databases]\n* = host={host} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\nignore_startup_parameters = extra_float_digits\n"
        );
        let file = home.path().join("pgbouncer.ini");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("pgbouncer");
        if home.path().metadata().unwrap().uid() == 0 {
            // It does not run as root, nor does the server, whose socket it uses.
            command.args(["-u", "postgres"]);
        }
        let started = command
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) if std::env::var_os("PARLOUR_REQUIRE_OPERATIONS").is_some() => {
                panic!("pgbouncer: {error}")
            }
            Err(error) => {
                eprintln!("SKIPPED: pgbouncer: {error}");
                return None;
            }
        };
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
        within(async {
            while let Some(line) = log.next_line().await.unwrap() {
                if line.contains("process up") {
                    return;
                }
                eprintln!("{line}");
            }
            panic!("pgbouncer does not start");
        })
        .await;
        // What follows goes on being read, so that it does not wait at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Some(Self {
            port,
            _process: process,
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_shares_sessions_is_refused_and_one_that_does_not_works() {
    let Ok(server) = std::env::var("PARLOUR_TEST_POSTGRES") else {
        return;
    };
    for home in Home::all().await {
        let Place::Postgres(url) = home.config().place() else {
            continue;
        };
        let database = url.strip_prefix(&server).unwrap();
        for mode in ["transaction", "session"] {
            let Some(pooler) = Pooler::start(&home, &server, mode).await else {
                return;
            };
            let place = format!("postgres://parlour@127.0.0.1:{}{database}", pooler.port);
            let opened = within(Store::open(&Place::Postgres(place))).await;
            match (mode, opened) {
                ("session", Ok(store)) => within(store.close()).await,
                ("transaction", Err(OpenError::Lock(LockError::Pooled))) => {}
                (_, opened) => panic!("{mode}: {opened:?}"),
            }
        }
    }
}
