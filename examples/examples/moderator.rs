//! A moderator's console: commands on standard input, one a line; on standard output what they did, and what happens.
//!
//! ```sh
//! cargo run --release --example moderator -- TICKET
//! ```
//! The grants of the ticket decide what works: `kick`, `censor`, `admit`, `end_session`.

use clap::Parser;
use parlour_tokio::{Event, Message, ParticipantId, Recipients, Room, RoomEvent, Targets, Whom};
use tokio::sync::mpsc;

const HELP: &str = "\
list                       the participants, and what they publish
lobby                      those who wait to be let in
kick | censor | uncensor   NAME..., or `all`
admit | deny               NAME..., or `all`
say TEXT                   a message to all
end                        ends the session for all
quit                       leaves";

/// Moderates a room from the command line.
#[derive(Debug, Parser)]
#[command(name = "moderator", version, after_help = HELP)]
struct Options {
    /// The ticket to the room.
    #[arg(env = "PARLOUR_TICKET", hide_env_values = true)]
    ticket: String,
}

fn whom(names: &str) -> anyhow::Result<Whom> {
    if names == "all" {
        return Ok(Targets::all().into());
    }
    let ids: Result<Vec<_>, _> = names.split_whitespace().map(ParticipantId::new).collect();
    let ids = ids?;
    anyhow::ensure!(!ids.is_empty(), "name the participants, or say `all`");
    Ok(ids.into())
}

fn list(room: &Room) -> String {
    let others = room.participants();
    let lines = others.iter().map(|participant| {
        let streams: Vec<_> = participant
            .streams
            .iter()
            .map(|stream| stream.key.as_str())
            .collect();
        let mark = if participant.speaking {
            "speaks"
        } else {
            "is silent"
        };
        let censored = if participant.censored {
            ", censored"
        } else {
            ""
        };
        format!(
            "{} {mark}{censored}, publishes {streams:?}\n",
            participant.id
        )
    });
    lines.collect::<String>() + &format!("{} others", others.len())
}

fn lobby(room: &Room) -> String {
    let lobby = room.lobby();
    let lines = lobby
        .waiting
        .iter()
        .map(|guest| format!("{} waits\n", guest.participant));
    lines.collect::<String>() + &format!("{} more", lobby.others)
}

/// Does what a line says, and tells what it did.
async fn obey(room: &Room, line: &str) -> anyhow::Result<String> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    let concerned = match command {
        "kick" => room.kick(whom(rest)?).await?,
        "censor" => room.censor(whom(rest)?).await?,
        "uncensor" => room.uncensor(whom(rest)?).await?,
        "admit" => room.admit(whom(rest)?).await?,
        "deny" => room.deny(whom(rest)?).await?,
        "say" => {
            room.send_message(&Recipients::All, "chat", rest.as_bytes())
                .await?
        }
        "end" => {
            return Ok(room
                .end_session()
                .await
                .map(|()| "the session is over".to_owned())?);
        }
        "list" => return Ok(list(room)),
        "lobby" => return Ok(lobby(room)),
        _ => return Ok(HELP.to_owned()),
    };
    Ok(format!("{command}: {concerned} participants"))
}

fn describe(event: RoomEvent) -> Option<String> {
    Some(match event {
        RoomEvent::ParticipantJoined {
            participant,
            present: true,
        } => format!("{participant} is here"),
        RoomEvent::ParticipantJoined { participant, .. } => format!("{participant} joined"),
        RoomEvent::ParticipantLeft {
            participant,
            reason,
        } => format!("{participant} left: {reason}"),
        RoomEvent::Knocked { participant, .. } => format!("{participant} waits in the lobby"),
        RoomEvent::SpeakingStarted { participant } => format!("{participant} speaks"),
        RoomEvent::SpeakingStopped { participant } => format!("{participant} is silent"),
        RoomEvent::Closed(cause) => format!("the room is closed: {cause:?}"),
        _ => return None,
    })
}

/// Lines of standard input, read by a thread that does not keep the program from ending.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lines().map_while(Result::ok);
        lines.all(|line| sender.blocking_send(line).is_ok())
    });
    lines
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let room = Room::join(&options.ticket).await?;
    let (mut events, mut messages) = (room.events(), room.messages());
    let mut lines = lines();
    loop {
        tokio::select! {
            line = lines.recv() => match line.as_deref().map(str::trim) {
                None | Some("quit") => break,
                Some(line) => match obey(&room, line).await {
                    Ok(done) => println!("{done}"),
                    Err(error) => println!("{line}: {error}"),
                },
            },
            event = events.next() => match event {
                Some(Event::Room(event)) => if let Some(text) = describe(event) { println!("{text}") },
                Some(_) => {}
                None => return Ok(()),
            },
            Some(Message::Received { from, body, .. }) = messages.next() => {
                println!("{from}: {}", String::from_utf8_lossy(&body));
            }
        }
    }
    room.leave().await;
    Ok(())
}
