//! A handshake over a wire that somebody else writes to: no message that was altered in any bit is taken, and none of
//! them keeps the true one from being taken.
//!
//! Input: ids, payloads and alterations of each message in turn, then Data packets, altered or not.

use parlour_core::secure::{
    CookieJar, InitiatorHandshake, KeyPair, MAX_HELLO_PAYLOAD, MAX_WELCOME_PAYLOAD, OpenError,
    ResetKey, ResponderHandshake, Transport,
};
use parlour_core::time::Instant;
use parlour_core::wire::{ConnectionId, DATA_HEADER, MAX_DATAGRAM, MAX_PLAINTEXT};
use parlour_fuzz::input::Input;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng as _;

fn main() {
    parlour_fuzz::search(run);
}

/// Shakes hands, and talks.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mut rng = ChaCha12Rng::from_seed([7; 32]);
    let server = KeyPair::from_secret_bytes([9; 32]);
    let client_id = ConnectionId(input.u32());
    let server_id = ConnectionId(input.u32());
    let mut payload = [0; MAX_DATAGRAM];

    // Bytes that were made without the server's key.
    let noise = input.long_bytes();
    assert!(ResponderHandshake::read(&server, client_id, noise, &mut payload).is_err());

    let join = input.long_bytes();
    let mut hello = [0; MAX_DATAGRAM];
    let started = InitiatorHandshake::start(server.public(), client_id, &mut rng, join, &mut hello);
    let Ok((client, len)) = started else {
        assert!(join.len() > MAX_HELLO_PAYLOAD);
        return;
    };
    let hello = &hello[..len];
    let (altered, is_altered) = alter(&mut input, hello);
    let read = ResponderHandshake::read(&server, client_id, &altered, &mut payload);
    assert_eq!(read.is_err(), is_altered);
    let stranger = ConnectionId(client_id.0 ^ 1 << (input.byte() % 32));
    assert!(ResponderHandshake::read(&server, stranger, hello, &mut payload).is_err());
    let (responder, read) = ResponderHandshake::read(&server, client_id, hello, &mut payload)
        .expect("the true Hello is taken, whatever came before");
    assert_eq!(read, join);

    let joined = input.long_bytes();
    let mut welcome = [0; MAX_DATAGRAM];
    let answered = responder.answer(&mut rng, server_id, joined, &mut welcome);
    let Ok((len, mut at_server)) = answered else {
        assert!(joined.len() > MAX_WELCOME_PAYLOAD);
        return;
    };
    let welcome = &welcome[..len];
    assert!(client.finish(noise, &mut payload).is_err());
    let (altered, is_altered) = alter(&mut input, welcome);
    assert_eq!(client.finish(&altered, &mut payload).is_err(), is_altered);
    let welcomed = client
        .finish(welcome, &mut payload)
        .expect("the true Welcome is taken, whatever came before");
    assert_eq!(welcomed.server_id, server_id);
    assert_eq!(welcomed.payload, joined);
    let mut at_client = welcomed.transport;

    cookies_and_resets(&mut input, client_id, &mut rng);
    while let Some(opcode) = input.opcode() {
        if opcode & 1 == 0 {
            packet(&mut input, &mut at_client, &mut at_server, server_id);
        } else {
            packet(&mut input, &mut at_server, &mut at_client, client_id);
        }
    }
}

/// One Data packet: taken once if it is as it was sent, and never otherwise.
fn packet(input: &mut Input<'_>, from: &mut Transport, to: &mut Transport, id: ConnectionId) {
    let plaintext = input.bytes();
    let mut buffer = [0; MAX_DATAGRAM];
    buffer[DATA_HEADER..][..plaintext.len()].copy_from_slice(plaintext);
    let len = from
        .seal(id, plaintext.len(), &mut buffer)
        .expect("255 bytes fit");
    assert!(plaintext.len() <= MAX_PLAINTEXT);

    let (mut altered, is_altered) = alter(input, &buffer[..len]);
    let mut reflected = buffer;
    assert!(
        from.open(&mut reflected[..len]).is_err(),
        "nobody hears itself"
    );
    match to.open(&mut altered) {
        Ok(opened) => {
            assert!(!is_altered);
            assert_eq!(opened.plaintext, plaintext);
            let again = to.open(&mut buffer[..len]);
            assert_eq!(again, Err(OpenError::Replayed));
        }
        Err(error) => assert!(is_altered, "a packet as it was sent is taken: {error}"),
    }
}

fn cookies_and_resets(input: &mut Input<'_>, client_id: ConnectionId, rng: &mut ChaCha12Rng) {
    let mut now = Instant::from_micros(0);
    let mut jar = CookieJar::new(now, rng);
    let address = input.bytes();
    let cookie = jar.issue(address, client_id);
    let (altered, is_altered) = alter(input, &cookie);
    if let Ok(shown) = altered.as_slice().try_into() {
        assert_eq!(jar.verify(address, client_id, shown), !is_altered);
    }
    now += input.duration();
    jar.handle_timeout(now, rng);
    assert!(
        jar.verify(address, client_id, &cookie),
        "two minutes at most have passed"
    );
    assert!(!jar.verify(address, ConnectionId(!client_id.0), &cookie));

    let key = ResetKey::derive(KeyPair::from_secret_bytes([9; 32]).secret(), 0);
    let token = key.token(client_id);
    let (altered, is_altered) = alter(input, token.expose_bytes());
    if let Ok(shown) = altered.as_slice().try_into() {
        assert_eq!(token.matches(shown), !is_altered);
    }
}

/// A copy of `message` as the input wants it, and whether that differs.
fn alter(input: &mut Input<'_>, message: &[u8]) -> (Vec<u8>, bool) {
    let mut altered = message.to_vec();
    match input.byte() % 4 {
        0 => {}
        1 => {
            let place = usize::from(input.u16()) % altered.len().max(1);
            let mask = input.byte();
            if let Some(byte) = altered.get_mut(place) {
                *byte ^= mask;
            }
        }
        2 => altered.truncate(usize::from(input.u16())),
        _ => altered.extend_from_slice(input.bytes()),
    }
    let is_altered = altered != message;
    (altered, is_altered)
}
