//! The bare core: a server and two participants in one thread, a variable for a clock, and datagrams carried by hand.
//! Put a socket in the place of the calls and a clock in the place of `now`, and it is what every adapter does.

use parlour_core::client::{self, Client, Incoming, Small};
use parlour_core::room::{Codec, DisplayName, Grants, ParticipantId, RoomId};
use parlour_core::room::{StreamKey, StreamKind};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Admission, Path, Server};
use parlour_core::signal::Publish;
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use rand_core::OsRng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Time and randomness come from outside. This clock goes where it is put.
    let mut now = Instant::from_micros(0);
    let keys = KeyPair::generate(&mut OsRng);
    let mut ticket = Ticket {
        host: "memory",
        port: 1,
        server_key: *keys.public(),
        token: "anna", // what it says is the embedder's business: here, just a name
    };
    let mut server = Server::new(server::Config::default(), keys, now, &mut OsRng);
    let mut anna = Client::<Small>::new(&ticket, &client::Config::default(), now, &mut OsRng)?;
    ticket.token = "ben";
    let ben = Client::<Small>::new(&ticket, &client::Config::default(), now, &mut OsRng)?;

    let mic = StreamKey::new("mic")?;
    anna.publish(Publish {
        key: mic.clone(),
        kind: StreamKind::Audio,
        codec: Codec::Pcmu,
        muted: false,
    })?; // said before the first datagram, it travels in it

    let mut clients = [anna, ben];
    let (mut spoken, mut heard) = (false, 0);
    let mut datagram = [0; parlour_core::wire::MAX_DATAGRAM];
    while clients.iter().any(|client| client.closed().is_none()) {
        let ms = now.as_micros() / 1_000;
        // Send all that there is to send. A client's place in the array is its address.
        for (address, client) in clients.iter_mut().enumerate() {
            let from = Path::Stream(address as u64);
            while let Some(len) = client.poll_transmit(now, &mut datagram)? {
                // An error says why it was dropped; there is nothing to be done about it.
                let _ = server.handle_datagram(now, from, &mut datagram[..len]);
            }
        }
        while let Some(sent) = server.poll_transmit(now, &mut datagram)? {
            let Path::Stream(address) = sent.to else {
                continue;
            };
            let bytes = &mut datagram[..sent.len];
            // It is decrypted in place, and what it brings of media is lent out of it.
            let _ = clients[address as usize].handle_datagram(now, bytes, &mut |incoming| {
                if let Incoming::Audio { slot, frame } = incoming {
                    println!("{ms:3} ms  {:?} for decoder {slot}", frame.codec);
                    heard += 1;
                }
            });
        }

        // See what happened.
        while let Some(event) = server.poll_event() {
            let server::Event::JoinRequested { join, token, .. } = event else {
                continue;
            };
            let admission = Admission {
                room: RoomId::new("parlour")?,
                participant: ParticipantId::new(&token)?,
                name: DisplayName::new(&token)?,
                grants: Grants::PARTICIPANT,
                expires_in: None,
                lobby: false,
            };
            server.admit(now, join, admission)?;
        }
        for client in &mut clients {
            while let Some(event) = client.poll_event() {
                println!(
                    "{ms:3} ms  {:?}: {event:?}",
                    client.me().map(ParticipantId::as_str)
                );
            }
        }

        // Act: a frame of sound when somebody is there to hear it, and then good night.
        let [anna, ben] = &mut clients;
        if !spoken && anna.state().participant_count() == 2 {
            let level = AudioLevel {
                voice: true,
                level: 20,
            };
            anna.send_audio(now, &mic, 0, level, &[0x80; 160])?;
            spoken = true;
        } else if heard > 0 {
            // Who has left cannot leave again: then it is the other's turn.
            let _ = anna.leave(now).or_else(|_| ben.leave(now));
        }

        // Let time pass. An embedder sleeps until a datagram comes or `poll_timeout` is due.
        now += Duration::from_millis(5);
        clients
            .iter_mut()
            .for_each(|client| client.handle_timeout(now));
        server.handle_timeout(now);
    }
    assert_eq!(heard, 1, "the one frame that was spoken is heard once");
    Ok(())
}
