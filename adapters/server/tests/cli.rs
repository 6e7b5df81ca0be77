//! The built program: what it prints, where, and how it ends.

mod common;

use std::path::Path;
use std::process::{Output, Stdio};

use common::recorded::files;
use common::*;
use parlour_server::config::Tls;
use parlour_server::time::Timestamp;
use parlour_server::webhooks::sign::{Secret, sign};
use parlour_tokio::Room;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;

/// The program, in a folder that is its home, with nothing of this machine's settings, nor its certificates.
fn parlour(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .envs([("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")])
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

/// The same, as the owner of a server.
async fn ask(home: &Home, api: &Api, arguments: &[&str]) -> Output {
    let mut command = parlour(home.path(), arguments);
    command
        .env("PARLOUR_URL", &api.url)
        .env("PARLOUR_KEY", &api.key);
    within(command.output()).await.unwrap()
}

/// What it prints, if it ends well.
async fn printed(home: &Home, api: &Api, arguments: &[&str]) -> String {
    let output = ask(home, api, arguments).await;
    let says = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {says}");
    text(&output.stdout).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_printed_in_four_formats_and_lists_follow_their_cursors() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let made = printed(
        &home,
        &api,
        &[
            "room",
            "create",
            "kitchen",
            "--title",
            "Té\u{1b}[2J",
            "--lobby",
            "-o",
            "json",
        ],
    )
    .await;
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (&made["name"], &made["lobby"]),
        (&json!("kitchen"), &json!(true))
    );
    let table = printed(&home, &api, &["room", "list"]).await;
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[0].starts_with("NAME") && lines[0].contains("ACTIVE SESSION"),
        "{table}"
    );
    assert!(
        lines[1].starts_with("kitchen  enabled") && lines[1].ends_with("Té\\u{1b}[2J"),
        "{table}"
    );
    let column = lines[0].find("TITLE").unwrap();
    assert!(lines[1][column..].starts_with("Té"), "{table}");
    let one = printed(&home, &api, &["room", "get", "kitchen"]).await;
    assert!(
        one.starts_with("NAME ") && one.lines().any(|line| line.starts_with("CREATED AT  ")),
        "{one}"
    );
    assert_eq!(
        printed(&home, &api, &["room", "get", "kitchen", "-o", "id"]).await,
        "kitchen\n"
    );
    assert_eq!(
        printed(&home, &api, &["room", "delete", "kitchen", "--yes"]).await,
        ""
    );
    for number in 0..203 {
        api.post("/v1/rooms", json!({"name": format!("room-{number:03}")}))
            .await;
    }
    let list =
        async |more: &[&str]| printed(&home, &api, &[&["room", "list"], more].concat()).await;
    assert_eq!(list(&["-o", "id"]).await.lines().count(), 50);
    let ids = list(&["-o", "id", "--all", "--order", "asc"]).await;
    let expected: String = (0..203)
        .map(|number| format!("room-{number:03}\n"))
        .collect();
    assert_eq!(ids, expected);
    let array: Value =
        serde_json::from_str(&list(&["-o", "json", "--limit", "202"]).await).unwrap();
    assert_eq!(array.as_array().unwrap().len(), 202);
    for line in list(&["-o", "jsonl", "--limit", "3"]).await.lines() {
        let room: Value = serde_json::from_str(line).unwrap();
        assert_eq!(room["state"], "enabled");
    }
    let part = ask(&home, &api, &["room", "list", "--limit", "2"]).await;
    assert!(text(&part.stderr).contains("--all"));
    let whole = ask(&home, &api, &["room", "list", "--all"]).await;
    assert!(whole.stderr.is_empty());
    let filtered = list(&[
        "--prefix",
        "room-00",
        "--state",
        "enabled",
        "--created-after",
        "-1h",
        "-o",
        "id",
    ])
    .await;
    assert_eq!(filtered.lines().count(), 10);
    assert_eq!(list(&["--created-before", "-1h", "-o", "id"]).await, "");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_for_terminals_and_can_be_switched_off() {
    let home = Home::sqlite();
    let with = async |variables: &[(&str, &str)]| {
        let mut command = parlour(home.path(), &["context", "list"]);
        command.envs(variables.iter().copied());
        let output = within(command.output()).await.unwrap();
        assert!(output.status.success());
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(!with(&[]).await);
    assert!(with(&[("CLICOLOR_FORCE", "1")]).await);
    assert!(!with(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).await);
}

/// Answers each connection with these bytes, or not at all.
async fn answering(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            if let Some(answer) = answer {
                let _ = socket.read(&mut [0; 4_096]).await;
                let _ = socket.write_all(answer).await;
            } else {
                open.push(socket);
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn each_exit_code_means_one_thing() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let reader = api
        .post("/v1/keys", json!({"id": "reader", "scopes": ["read"]}))
        .await;
    let reader = format!("reader.{}", reader["secret"].as_str().unwrap());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let silent = answering(None).await;
    let stranger = answering(Some(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")).await;
    let (url, key) = (api.url.as_str(), api.key.as_str());
    for (code, kind, url, key, arguments) in [
        (0, "", url, key, &["room", "list"][..]),
        (1, "failed", &stranger, key, &["room", "list"]),
        (2, "usage", url, key, &["room", "lst"]),
        (2, "usage", url, key, &["room", "delete", "kitchen"]),
        (2, "usage", "ftp://x", key, &["room", "list"]),
        (2, "validation", url, key, &["room", "create", "a room"]),
        (3, "not-found", url, key, &["room", "get", "cellar"]),
        (3, "not-found", url, key, &["session", "end", "kitchen"]),
        (3, "not-found", url, key, &["context", "use", "nowhere"]),
        (4, "unauthenticated", url, "first.wrong", &["room", "list"]),
        (4, "scope-missing", url, &reader, &["room", "create"]),
        (5, "exists", url, key, &["room", "create", "kitchen"]),
        (6, "unreachable", &closed, key, &["room", "list"]),
        (
            7,
            "timed-out",
            &silent,
            key,
            &["room", "list", "--request-timeout", "200ms"],
        ),
    ] {
        let mut command = parlour(home.path(), arguments);
        command.args(["--output", "json"]);
        command.env("PARLOUR_URL", url).env("PARLOUR_KEY", key);
        let output = within(command.output()).await.unwrap();
        let says = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {says}");
        if code == 0 {
            assert!(says.is_empty());
            continue;
        }
        assert!(output.stdout.is_empty());
        let problem: Value = serde_json::from_str(says).unwrap();
        assert_eq!(
            problem["type"],
            format!("urn:parlour:problem:{kind}"),
            "{says}"
        );
        let is_servers = !["failed", "usage", "unreachable", "timed-out"].contains(&kind)
            && arguments[0] != "context"
            && arguments[0] != "session";
        assert_eq!(problem["instance"].is_string(), is_servers, "{says}");
    }
    let refused = ask(
        &home,
        &api,
        &["room", "update", "kitchen", "--max-participants", "0"],
    )
    .await;
    let says = text(&refused.stderr);
    assert!(
        says.starts_with("error: ") && says.contains("--max-participants: 0"),
        "{says}"
    );
    api.stop().await;
}

/// Stands before a server, and loses what it is told to lose.
struct Proxy {
    url: String,
    /// Cuts all connections.
    cut: watch::Sender<()>,
}

impl Proxy {
    /// Of each connection that `loses_answer` is asked for, the first answer is lost, with the connection.
    async fn before(api: &Api, loses_answer: impl Fn(usize) -> bool + Send + 'static) -> Self {
        let server = api.url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cut = watch::Sender::new(());
        let cuts = cut.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let Ok((mut client, _)) = listener.accept().await else {
                    return;
                };
                let mut server = TcpStream::connect(&server).await.unwrap();
                let mut cut = cuts.subscribe();
                let loses = loses_answer(number);
                tokio::spawn(async move {
                    if loses {
                        let (mut from, mut to) = client.split();
                        let (mut answer, mut request) = server.split();
                        let mut lost = [0; 1];
                        tokio::select! {
                            _ = tokio::io::copy(&mut from, &mut request) => {}
                            _ = answer.read(&mut lost) => {}
                        }
                        let _ = to.shutdown().await;
                        return;
                    }
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url, cut }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_is_lost_is_sent_again_and_done_once() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let proxy = Proxy::before(&api, |number| number == 0).await;
    // Without a name, each request that is carried out makes a room.
    let made = printed(
        &home,
        &api,
        &["room", "create", "--url", &proxy.url, "-o", "id"],
    )
    .await;
    let rooms = api.get("/v1/rooms").await;
    assert_eq!(rooms["data"].as_array().unwrap().len(), 1);
    assert_eq!(rooms["data"][0]["name"], made.trim());
    let lossy = Proxy::before(&api, |_| true).await;
    let lost = ask(&home, &api, &["room", "list", "--url", &lossy.url]).await;
    assert_eq!(lost.status.code(), Some(6), "{}", text(&lost.stderr));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_context_has_server_and_key_in_a_file_of_its_owner() {
    let home = Home::sqlite();
    let api = home.serve().await;
    api.post("/v1/rooms", json!({"name": "kitchen"})).await;
    let run = async |arguments: &[&str]| run(home.path(), arguments).await;
    let refused = run(&["room", "list"]).await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("parlour context add"));
    // The key comes from stdin.
    let arguments = ["context", "add", "one", "--url", &api.url, "--key", "-"];
    let mut command = parlour(home.path(), &arguments);
    let mut add = command.stdin(Stdio::piped()).spawn().unwrap();
    add.stdin
        .take()
        .unwrap()
        .write_all(format!("{}\n", api.key).as_bytes())
        .await
        .unwrap();
    assert!(within(add.wait()).await.unwrap().success());
    let file = home.path().join(".config/parlour/contexts.toml");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(
        text(&run(&["room", "list", "-o", "id"]).await.stdout),
        "kitchen\n"
    );
    let add = |name, more: &'static [&'static str]| {
        [
            &[
                "context",
                "add",
                name,
                "--url",
                "http://127.0.0.1:1",
                "--key",
                "a.b",
            ][..],
            more,
        ]
        .concat()
    };
    assert_eq!(run(&add("one", &[])).await.status.code(), Some(5));
    assert_eq!(run(&add("two", &["--use"])).await.status.code(), Some(0));
    let listed = run(&["context", "list", "-o", "json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(all(listed.as_array().unwrap(), "in_use"), ["", "*"]);
    assert!(
        !listed
            .to_string()
            .contains(api.key.split_once('.').unwrap().1)
    );
    assert_eq!(run(&["room", "list"]).await.status.code(), Some(6));
    assert_eq!(
        run(&["room", "list", "--context", "one"])
            .await
            .status
            .code(),
        Some(0)
    );
    // The key of a context is not for other servers.
    let refused = run(&["room", "list", "--url", &api.url]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert_eq!(run(&["context", "use", "one"]).await.status.code(), Some(0));
    assert_eq!(run(&["room", "list"]).await.status.code(), Some(0));
    assert_eq!(
        run(&["context", "remove", "one"]).await.status.code(),
        Some(2)
    );
    assert_eq!(
        run(&["context", "remove", "one", "-y"]).await.status.code(),
        Some(0)
    );
    assert_eq!(run(&["room", "list"]).await.status.code(), Some(2));
    // A damaged file is not shown: there are keys in it.
    std::fs::write(&file, "[contexts.x]\nurl = 1\nkey = \"a.secret\"\n").unwrap();
    let refused = run(&["context", "list"]).await;
    let says = text(&refused.stderr);
    assert!(
        says.contains("contexts.toml, line 2") && !says.contains("secret"),
        "{says}"
    );
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_in_the_folder_of_a_first_try_find_its_server() {
    let home = Home::sqlite();
    let mut command = parlour(home.path(), &["serve", "--dev", "--output", "json"]);
    command
        .env("PARLOUR__HTTP__LISTEN", "127.0.0.1:0")
        .env("PARLOUR__MEDIA__LISTEN", "127.0.0.1:0")
        .env("PARLOUR__MEDIA__WORKERS", "1")
        .stdout(Stdio::piped());
    let mut serving = command.spawn().unwrap();
    // It is printed when the server listens.
    let mut document = String::new();
    let mut lines = BufReader::new(serving.stdout.take().unwrap()).lines();
    while !document.ends_with('}') {
        document += &within(lines.next_line()).await.unwrap().unwrap();
    }
    let context: Value = serde_json::from_str(&document).unwrap();
    let run = async |arguments: &[&str]| run(home.path(), arguments).await;
    assert!(run(&["room", "create", "kitchen"]).await.status.success());
    let ticket = run(&["token", "create", "kitchen", "anna", "--ticket"]).await;
    let ticket = text(&ticket.stdout).trim();
    assert!(ticket.starts_with(context["ticket_base"].as_str().unwrap()));
    let room = within(Room::join(ticket)).await.unwrap();
    let listed = run(&["context", "list", "-o", "id"]).await;
    assert_eq!(text(&listed.stdout), "parlour-dev\n");
    drop(room);
    let pid = serving.id().unwrap().to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(within(told).await.unwrap().success());
    within(serving.wait()).await.unwrap();
    assert!(!home.path().join("parlour-dev/context.toml").exists());
    let mut elsewhere = parlour(home.path(), &["serve", "--dev"]);
    elsewhere.env("PARLOUR__HTTP__LISTEN", "0.0.0.0:0");
    let refused = within(elsewhere.output()).await.unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_signed_without_the_server() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let run = async |arguments: &[&str]| run(home.path(), arguments).await;
    assert!(
        run(&[
            "context", "add", "one", "--url", &api.url, "--key", &api.key
        ])
        .await
        .status
        .success()
    );
    let create = |more: &[&'static str]| [&["token", "create", "kitchen", "anna"], more].concat();
    let ticket = run(&create(&[
        "--ticket",
        "--name",
        "Anna",
        "--grants",
        "participant,kick",
    ]))
    .await;
    let room = within(Room::join(text(&ticket.stdout).trim()))
        .await
        .unwrap();
    let there = api
        .until("/v1/participants?state=connected", |all| all.len() == 1)
        .await;
    assert_eq!(there[0]["name"], "Anna");
    assert!(
        there[0]["grants"]
            .as_array()
            .unwrap()
            .contains(&json!("kick"))
    );
    drop(room);
    // The context knows by now how tickets begin.
    api.stop().await;
    let minted = run(&create(&["--ticket", "--ttl", "1h", "--output", "json"])).await;
    let minted: Value = serde_json::from_slice(&minted.stdout).unwrap();
    let token = minted["token"].as_str().unwrap();
    assert!(
        minted["ticket"]
            .as_str()
            .unwrap()
            .ends_with(&format!("#{token}"))
    );
    let drawn = run(&create(&["--qr"])).await;
    let drawn = text(&drawn.stdout);
    assert!(
        drawn.lines().count() > 20 && drawn.contains('█') && drawn.contains("parlour://"),
        "{drawn}"
    );
    for (more, code, says) in [
        (
            &["--grants", "participate"][..],
            2,
            "participant, moderator",
        ),
        (&["--ttl", "soon"], 2, "10m"),
        (&["--name", "\u{202e}x"], 2, "name"),
        (&["--qr", "-o", "json"], 2, "--qr"),
        (&["--ticket-base", "http://x"], 2, "ticket"),
    ] {
        let refused = run(&create(more)).await;
        assert_eq!(refused.status.code(), Some(code), "{more:?}");
        let stderr = text(&refused.stderr);
        assert!(stderr.contains(says), "{more:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_moderated_by_the_name_of_its_room() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let (anna, bob) = (
        api.join("kitchen", "anna").await,
        api.join("kitchen", "bob").await,
    );
    api.until("/v1/participants?state=connected", |all| all.len() == 2)
        .await;
    let effect = async |arguments: &[&str]| {
        let printed = printed(&home, &api, &[arguments, &["-o", "json"]].concat()).await;
        serde_json::from_str::<Value>(&printed).unwrap()
    };
    let censored = effect(&["session", "censor", "kitchen", "--all", "--except", "anna"]).await;
    assert_eq!(censored["affected"], json!(["bob"]));
    let delivered = effect(&[
        "session", "message", "kitchen", "anna", "bob", "--topic", "chat", "--body", "hi",
    ])
    .await;
    assert_eq!(delivered["delivered"], 2);
    let uncensored = effect(&["session", "uncensor", "kitchen", "bob", "carol"]).await;
    assert_eq!(
        (&uncensored["affected"], &uncensored["unknown"]),
        (&json!(["bob"]), &json!(["carol"]))
    );
    let kicked = effect(&["session", "kick", "kitchen", "bob", "--keep-out=false"]).await;
    assert_eq!(kicked["affected"], json!(["bob"]));
    let one = effect(&["participant", "get", "kitchen", "anna"]).await;
    assert_eq!(one["state"], "connected");
    assert_eq!(
        printed(
            &home,
            &api,
            &["ban", "add", "kitchen", "bob", "--until", "+7d"]
        )
        .await
        .lines()
        .next(),
        Some("PARTICIPANT  bob")
    );
    assert_eq!(
        printed(&home, &api, &["ban", "list", "kitchen", "-o", "id"]).await,
        "bob\n"
    );
    printed(&home, &api, &["session", "end", "kitchen"]).await;
    let ended = api
        .until("/v1/sessions?state=ended", |all| all.len() == 1)
        .await;
    let id = ended[0]["id"].as_str().unwrap();
    let refused = ask(&home, &api, &["session", "end", id]).await;
    assert_eq!(refused.status.code(), Some(5));
    drop((anna, bob));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_goes_on_where_its_connection_broke() {
    let home = Home::sqlite();
    let api = home.serve().await;
    let proxy = Proxy::before(&api, |_| false).await;
    api.post("/v1/rooms", json!({"name": "before"})).await;
    let arguments = [
        "event",
        "tail",
        "--type",
        "room.created",
        "--count",
        "4",
        "-o",
        "jsonl",
    ];
    let mut command = parlour(home.path(), &arguments);
    command
        .env("PARLOUR_URL", &proxy.url)
        .env("PARLOUR_KEY", &api.key);
    command.args(["--after", "0"]);
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = within(lines.next_line()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        event["room"].as_str().unwrap().to_owned()
    };
    assert_eq!(next().await, "before");
    api.post("/v1/rooms", json!({"name": "one"})).await;
    assert_eq!(next().await, "one");
    proxy.cut.send(()).unwrap();
    api.post("/v1/rooms", json!({"name": "two"})).await;
    assert_eq!(next().await, "two");
    proxy.cut.send(()).unwrap();
    api.post("/v1/rooms", json!({"name": "three"})).await;
    assert_eq!(next().await, "three");
    assert!(within(tail.wait()).await.unwrap().success());
    let refused = ask(&home, &api, &["event", "tail", "--key", "first.wrong"]).await;
    assert_eq!(refused.status.code(), Some(4));
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_names_what_is_wrong_and_what_to_do() {
    let home = Home::sqlite();
    let file = |name: &str| home.path().join(name);
    let look = async || {
        let mut command = parlour(home.path(), &["doctor", "-c", "parlour.toml", "-o", "json"]);
        command.env("PARLOUR__MEDIA__WORKERS", "2");
        let output = within(command.output()).await.unwrap();
        let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), lines)
    };
    let of = |lines: &Value, check: &str| {
        let lines = lines.as_array().unwrap();
        let line = lines.iter().find(|line| line["check"] == check);
        let line = line.unwrap_or_else(|| panic!("no {check}"));
        let text = |member: &str| line[member].as_str().unwrap().to_owned();
        (text("result"), text("detail"))
    };
    std::fs::write(file("parlour.toml"), "[https]\n").unwrap();
    let (code, lines) = look().await;
    assert_eq!(code, Some(1));
    assert_eq!(of(&lines, "configuration").0, "failed");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = (taken.local_addr().unwrap(), taken);
    let free = "[http]\nlisten = \"127.0.0.1:0\"\n[media]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(file("parlour.toml"), free).unwrap();
    let (code, lines) = look().await;
    assert_eq!(code, Some(0), "{lines}");
    for check in [
        "configuration",
        "HTTP port",
        "media ports",
        "browsers",
        "key file",
        "store",
        "recordings",
    ] {
        assert_eq!(of(&lines, check).0, "ok", "{lines}");
    }
    for check in ["disk", "ffmpeg", "socket buffers"] {
        assert_ne!(of(&lines, check).0, "failed", "{lines}");
    }
    let busy = free.replacen("127.0.0.1:0", &taken.0.to_string(), 1);
    std::fs::write(file("parlour.toml"), busy).unwrap();
    std::fs::write(file("parlour.db"), "not a database at all").unwrap();
    // It makes no folder, and leaves no file in one that is there.
    assert!(!file("recordings").exists());
    std::fs::create_dir(file("recordings")).unwrap();
    assert_eq!(of(&look().await.1, "recordings").0, "ok");
    assert!(files(&file("recordings")).is_empty());
    std::fs::remove_dir(file("recordings")).unwrap();
    std::fs::write(file("recordings"), "no folder").unwrap();
    let (code, lines) = look().await;
    assert_eq!(code, Some(1));
    let (recordings, says) = of(&lines, "recordings");
    assert!(
        recordings == "failed" && says.contains("recordings.store"),
        "{says}"
    );
    std::fs::remove_file(file("recordings")).unwrap();
    let (port, says) = of(&lines, "HTTP port");
    assert!(port == "failed" && says.contains("another port"), "{says}");
    let (store, says) = of(&lines, "store");
    assert!(store == "failed" && says.contains("backup"), "{says}");
    let (key, says) = of(&lines, "key file");
    assert!(key == "failed" && says.contains("missing"), "{says}");
    drop(taken);
    std::fs::remove_file(file("parlour.db")).unwrap();
    // Beside a server that runs, its ports are as they should be.
    let api = home.serve().await;
    let (http, media) = (
        api.url.trim_start_matches("http://"),
        api.config.media.listen.ip(),
    );
    let running = format!("[http]\nlisten = \"{http}\"\n[media]\nlisten = \"{media}:0\"\n");
    std::fs::write(file("parlour.toml"), running).unwrap();
    let mut command = parlour(home.path(), &["doctor", "-c", "parlour.toml", "-o", "json"]);
    command
        .env("PARLOUR_URL", &api.url)
        .env("PARLOUR_KEY", &api.key);
    let output = within(command.output()).await.unwrap();
    let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(of(&lines, "HTTP port").1.contains("runs"), "{lines}");
    assert_eq!(of(&lines, "clock").0, "ok");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let open = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file("parlour.key"), open).unwrap();
        let (key, says) = of(&look().await.1, "key file");
        assert!(key == "failed" && says.contains("chmod 600"), "{says}");
    }
    api.stop().await;
}

/// A certificate is for a name, and the doctor asks the server at its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_doctor_knows_a_server_with_tls() {
    let home = Home::sqlite();
    let file = |name: &str| home.path().join(name);
    let pair = rcgen::KeyPair::generate().unwrap();
    let names = vec!["rooms.example.org".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&pair).unwrap();
    std::fs::write(file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(file("key.pem"), pair.serialize_pem()).unwrap();
    let mut config = home.config();
    config.http.tls = Tls::Files {
        cert: file("cert.pem"),
        key: file("key.pem"),
    };
    let api = Api::start(config).await;
    let mut config = api.config.clone();
    let address = api.url.trim_start_matches("https://").parse();
    config.http.listen = address.unwrap();
    std::fs::write(file("parlour.toml"), toml::to_string(&config).unwrap()).unwrap();
    let mut command = parlour(home.path(), &["doctor", "-c", "parlour.toml", "-o", "json"]);
    let output = within(command.output()).await.unwrap();
    let lines: Value = serde_json::from_slice(&output.stdout).unwrap();
    let lines = lines.as_array().unwrap();
    let port = lines.iter().find(|line| line["check"] == "HTTP port");
    assert_eq!(port.unwrap()["result"], "ok", "{lines:?}");
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_received_verified_and_printed() {
    let home = Home::sqlite();
    let secret = Secret::generate();
    let shown = secret.expose();
    let arguments = [
        "webhook",
        "listen",
        "--listen",
        "127.0.0.1:0",
        "--count",
        "1",
    ];
    let mut command = parlour(home.path(), &arguments);
    command.env("PARLOUR_WEBHOOK_SECRET", &shown);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut listening = command.spawn().unwrap();
    let mut notes = BufReader::new(listening.stderr.take().unwrap()).lines();
    let mut note = async || within(notes.next_line()).await.unwrap().unwrap();
    let url = note()
        .await
        .strip_prefix("listening at ")
        .unwrap()
        .to_owned();
    let body = r#"{"type":"room.created","timestamp":"2026-11-05T09:03:11.250Z","data":{"room":"kitchen"}}"#;
    let now = Timestamp::now();
    let right = sign(&secret, "evt_1", now, body.as_bytes());
    let wrong = sign(&Secret::generate(), "evt_1", now, body.as_bytes());
    let http = http();
    for (signature, status) in [(&wrong, 401), (&right, 204)] {
        let request = http.post(&url).header("webhook-id", "evt_1").body(body);
        let request = request.header("webhook-timestamp", now.as_secs());
        let answer = within(request.header("webhook-signature", signature).send())
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
    }
    assert!(note().await.contains("no signature matches"));
    let printed = within(listening.wait_with_output()).await.unwrap();
    assert!(printed.status.success());
    assert_eq!(
        text(&printed.stdout),
        "2026-11-05T09:03:11.250Z  room.created  room=kitchen\n"
    );
    std::fs::write(home.path().join("body"), body).unwrap();
    let seconds = now.as_secs().to_string();
    for (signature, at, code) in [(&right, "-1m", 0), (&right, "+1h", 1), (&wrong, "-1m", 1)] {
        let headers = [
            "--id",
            "evt_1",
            "--timestamp",
            &seconds,
            "--signature",
            signature,
        ];
        let verify = ["webhook", "verify", "--secret", &shown, "--at", at, "body"];
        let checked = run(home.path(), &[&verify[..], &headers].concat()).await;
        assert_eq!(checked.status.code(), Some(code), "{at}");
        assert!(checked.stdout.is_empty());
    }
}
