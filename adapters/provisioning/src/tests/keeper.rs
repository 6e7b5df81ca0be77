use embassy_futures::block_on;
use parlour_core::client::{Event, Message};
use parlour_core::room::{ParticipantId, Topic};
use parlour_core::signal::{Outcome, RequestId};

use super::flash::{Flash, SECTOR};
use super::settings;
use crate::{Keeper, SENDER, SaveError, Store, TOPIC};

const REQUEST: RequestId = RequestId(7);

fn store(flash: &mut Flash) -> Store<&mut Flash> {
    Store::new(flash, 0..2 * SECTOR as u32).unwrap()
}

/// The server sends the token `d.e.f`, and takes it.
fn renew(keeper: &mut Keeper<&mut Flash>) -> Option<Result<(), SaveError>> {
    fn next(body: &mut [u8], waiting: u32) -> Option<Message<'_>> {
        body[..5].copy_from_slice(b"d.e.f");
        let message = Message {
            from: ParticipantId::new(SENDER).unwrap(),
            topic: Topic::new(TOPIC).unwrap(),
            body: &body[..5],
        };
        (waiting > 0).then_some(message)
    }
    let mut waiting = 2;
    let heard = keeper.hear(
        &Event::MessageReceived,
        |body| {
            waiting -= 1;
            next(body, waiting)
        },
        |token| (token == "d.e.f").then_some(REQUEST),
    );
    assert_eq!(block_on(heard), None, "the server has not taken it yet");
    let replied = Event::Replied {
        request: REQUEST,
        result: Ok(Outcome::Done),
    };
    block_on(keeper.hear(&replied, |_| None, |_| None))
}

#[test]
fn a_newer_token_is_in_flash_at_the_next_start() {
    let mut flash = Flash::new(2);
    let mut keeper = Keeper::new(settings(1), store(&mut flash));
    assert_eq!(renew(&mut keeper), Some(Ok(())));
    let renewed = keeper.settings().clone();
    assert_eq!(renewed.ticket().token, "d.e.f");
    assert_eq!(block_on(store(&mut flash).load()), Ok(Some(renewed)));
}

#[test]
fn flash_that_does_not_keep_it_is_told() {
    let mut flash = Flash {
        stuck: true,
        ..Flash::new(2)
    };
    let mut keeper = Keeper::new(settings(1), store(&mut flash));
    assert_eq!(renew(&mut keeper), Some(Err(SaveError)));
}
