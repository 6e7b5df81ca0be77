//! `parlour load` as a process, small.
#![cfg(target_os = "linux")]

mod common;

use std::process::Stdio;

use common::*;
use serde_json::Value;
use tokio::process::Command;

/// Runs it to its end; gives what it prints.
async fn load(home: &Home, arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command
        .args(["load", "--output", "json"])
        .args(arguments)
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = within(command.output()).await.unwrap();
    let says = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{says}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_is_loaded_and_left() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let rooms = ["--rooms", "2", "--listeners", "3", "--talkers", "2"];
    let time = ["--seconds", "1", "--ramp", "1"];
    let server = ["--url", &api.url, "--key", &api.key];
    let driven = load(&home, &[&rooms[..], &time, &server].concat()).await;
    assert_eq!(driven["participants"], 10);
    assert!(driven["join_s"].as_f64().unwrap() > 0.8, "{driven}");
    // Two talkers in each of two rooms, for three listeners each; a busy machine talks less.
    let due = driven["frames_due"].as_u64().unwrap();
    assert!(
        due > 100 && due == driven["frames_said"].as_u64().unwrap() * 3,
        "{driven}"
    );
    assert!(driven["delivered"].as_f64().unwrap() > 0.8, "{driven}");
    let left = api
        .until("/v1/participants?state=left", |left| left.len() == 10)
        .await;
    let mut rooms = all(&left, "room");
    rooms.sort_unstable();
    rooms.dedup();
    assert_eq!(rooms.len(), 2, "{rooms:?}");
    assert!(
        rooms.iter().all(|room| room.starts_with("load-")),
        "{rooms:?}"
    );
    api.stop().await;
}

#[tokio::test]
async fn a_server_of_its_own_is_measured_beside_the_floor() {
    let home = Home::sqlite();
    let small = [
        "--own-server",
        "--listeners",
        "2",
        "--talkers",
        "1",
        "--seconds",
        "1",
    ];
    let here = ["--core", "0", "--server-cores", "0"];
    let rows = load(&home, &[&small[..], &here].concat()).await;
    let run = &rows[0]["runs"][0];
    for figure in [
        "delivered",
        "cpu_us_per_frame",
        "floor_us_per_frame",
        "ratio",
    ] {
        assert!(run[figure].as_f64().unwrap() > 0.0, "{figure}: {rows}");
    }
}
