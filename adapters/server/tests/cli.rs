//! The built program: what it prints, where, and how it ends.

mod common;

use std::path::Path;
use std::process::{Output, Stdio};

use common::*;
use serde_json::Value;
use tokio::process::Command;

/// The program, in a folder that is its home, with nothing of this machine's settings.
fn parlour(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = parlour(folder, arguments);
    within(command.output()).await.unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn what_cannot_be_parsed_is_a_usage_error_on_stderr_in_the_format_asked_for() {
    let home = Home::sqlite();
    let run = async |arguments: &[&str]| run(home.path(), arguments).await;
    let refused = run(&["serve", "--delv"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stdout.is_empty());
    let says = text(&refused.stderr);
    assert!(says.contains("--dev") && !says.contains('\u{1b}'), "{says}");
    let refused = run(&["serve", "--delv", "--output", "json"]).await;
    assert_eq!(refused.status.code(), Some(2));
    let problem: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(problem["type"], "urn:parlour:problem:usage");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("--delv"), "{detail}");
    for asked in [&["--version"][..], &["--help"], &["serve", "--help"]] {
        let shown = run(asked).await;
        assert_eq!(shown.status.code(), Some(0), "{asked:?}");
        assert!(text(&shown.stdout).contains("parlour") && shown.stderr.is_empty());
    }
}

#[tokio::test]
async fn a_configuration_is_checked_and_shown_without_its_passwords() {
    let home = Home::sqlite();
    let file = home.path().join("parlour.toml");
    std::fs::write(
        &file,
        "[store]\nurl = \"postgres://me:secret@localhost/x\"\n",
    )
    .unwrap();
    let shown = run(home.path(), &["config", "check", "parlour.toml"]).await;
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    assert!(
        shown.contains("postgres://me@localhost/x") && !shown.contains("secret"),
        "{shown}"
    );
    let shown = run(home.path(), &["-o", "json", "config", "check"]).await;
    let config: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(config["drain"]["timeout_s"], 30);
    std::fs::write(&file, "[sotre]\n").unwrap();
    let refused = run(home.path(), &["config", "check", "parlour.toml"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("sotre"));
}

#[tokio::test]
async fn shells_complete_every_command() {
    let home = Home::sqlite();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(home.path(), &["completion", shell]).await;
        assert_eq!(script.status.code(), Some(0), "{shell}");
        assert!(text(&script.stdout).contains("completion"), "{shell}");
    }
}
