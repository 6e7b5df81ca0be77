//! The bare core: a server and two participants in one thread, a variable for a clock, and datagrams carried by hand.
//! With a socket in place of the calls and a clock in place of `now` this is the loop of every adapter.

use parlour_core::client::{self, Client, Commands as _, Incoming, Small};
use parlour_core::room::{
    Codec, DisplayName, Grants, ParticipantId, RoomId, StreamKey, StreamKind,
};
use parlour_core::rtp::AudioLevel;
use parlour_core::secure::KeyPair;
use parlour_core::server::{self, Admission, Path, Server};
use parlour_core::signal::Publish;
use parlour_core::ticket::Ticket;
use parlour_core::time::{Duration, Instant};
use rand_core::OsRng;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Time and randomness come from outside. The program sets this clock itself.
    let mut now = Instant::from_micros(0);
    let keys = KeyPair::generate(&mut OsRng);
    let (host, port, server_key) = ("memory", 1, *keys.public());
    let mut server = Server::new(server::Config::default(), keys, now, &mut OsRng);
    // The embedder interprets the token: here, it is just a name.
    let join = |token| {
        #[rustfmt::skip]
        let ticket = Ticket { host, port, server_key, token };
        Client::<Small>::new(&ticket, &client::Config::default(), now, &mut OsRng)
    };
    let (mut anna, ben) = (join("anna")?, join("ben")?);

    let mic = StreamKey::new("mic")?;
    let (key, kind, codec) = (mic.clone(), StreamKind::Audio, Codec::Pcmu);
    #[rustfmt::skip]
    anna.publish(Publish { key, kind, codec, muted: false })?; // travels in the first datagram

    let mut clients = [anna, ben];
    let (mut spoken, mut heard, mut datagram) = (false, 0, [0; parlour_core::wire::MAX_DATAGRAM]);
    while clients.iter().any(|client| client.closed().is_none()) {
        let ms = now.as_micros() / 1_000;
        // Send all waiting datagrams. A client's place in the array is its address.
        for (address, client) in clients.iter_mut().enumerate() {
            let from = Path::Stream {
                id: address as u64,
                from: std::net::Ipv4Addr::LOCALHOST.into(),
            };
            while let Some(len) = client.poll_transmit(now, &mut datagram)? {
                // An error gives the reason why the datagram was dropped; nothing needs to be done about it.
                let _ = server.handle_datagram(now, from, &mut datagram[..len]);
            }
        }
        while let Some(sent) = server.poll_transmit(now, &mut datagram)? {
            let Path::Stream { id: to, .. } = sent.to else {
                continue;
            };
            let bytes = &mut datagram[..sent.len];
            // It is decrypted in place, and its media is lent out of it.
            let _ = clients[to as usize].handle_datagram(now, bytes, &mut |incoming| {
                if let Incoming::Audio { slot, frame } = incoming {
                    println!("{ms:3} ms  {:?} for decoder {slot}", frame.codec);
                    heard += 1;
                }
            });
        }

        // Print the events.
        while let Some(event) = server.poll_event() {
            if let server::Event::JoinRequested { join, token, .. } = event {
                let admission = Admission::new(
                    RoomId::new("parlour")?,
                    ParticipantId::new(&token)?,
                    DisplayName::new(&token)?,
                    Grants::PARTICIPANT,
                );
                server.admit(now, join, admission)?;
            }
        }
        for client in &mut clients {
            while let Some(event) = client.poll_event() {
                println!("{ms:3} ms  {:?}: {event:?}", client.me());
            }
        }

        // Send a frame of audio when a listener is there, and then leave.
        let [anna, ben] = &mut clients;
        if !spoken && anna.state().participant_count() == 2 {
            let level = AudioLevel::from_byte(0x80 | 20); // a voice at -20 dBov
            anna.send_audio(now, &mic, 0, level, &[0x80; 160])?;
            spoken = true;
        } else if heard > 0 {
            // A client that has left cannot leave again: then it is the other's turn.
            let _ = anna.leave(now).or_else(|_| ben.leave(now));
        }

        // An embedder sleeps until a datagram comes or `poll_timeout` is due.
        now += Duration::from_millis(5);
        for client in &mut clients {
            client.handle_timeout(now);
        }
        server.handle_timeout(now);
    }
    assert_eq!(heard, 1, "the one frame that was spoken is heard once");
    Ok(())
}
