//! A newer token, by message of the server over the connection that there is.

use heapless::String;
use parlour_core::client::{Message, RequestFailure};
use parlour_core::signal::{MAX_BODY, Outcome, RequestId};

use crate::settings::Settings;

/// The sender of such a message: the server itself, as no participant can be named.
pub const SENDER: &str = "$server";
/// The topic of such a message. Its body is the token alone: server, key, room and participant stay.
pub const TOPIC: &str = "parlour.token";

/// Takes a token that the server offers, has the server check it, and gives it to be stored.
///
/// ```
/// use parlour_provisioning::{Refresh, Settings, Store};
/// use parlour_core::client::{Client, Commands, Event, Profile};
///
/// # fn f<P: Profile>(client: &mut Client<P>, event: &Event, settings: &mut Settings, refresh: &mut Refresh) -> bool {
/// let mut body = [0; 640];
/// if matches!(event, Event::MessageReceived) {
///     while let Ok(Some(message)) = client.poll_message(&mut body) {
///         if let Some(token) = Refresh::offered(&message) {
///             refresh.asked(token, client.refresh_token(token).ok().flatten());
///         }
///     }
/// }
/// if let Event::Replied { request, result } = event {
///     if refresh.replied(*request, result, settings) {
///         return true; // store `settings`
///     }
/// }
/// # false
/// # }
/// ```
#[derive(Default)]
pub struct Refresh(Option<(RequestId, String<MAX_BODY>)>);

impl Refresh {
    /// Nothing is offered yet.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The token in `message`, if it offers one. Ask the server to take it, with `Commands::refresh_token`.
    pub fn offered<'a>(message: &Message<'a>) -> Option<&'a str> {
        if message.from.as_str() != SENDER || message.topic.as_str() != TOPIC {
            return None;
        }
        core::str::from_utf8(message.body).ok()
    }

    /// Notes the number of the request for `token`, if one was made.
    pub fn asked(&mut self, token: &str, request: Option<RequestId>) {
        self.0 = request.zip(String::try_from(token).ok());
    }

    /// Takes the answer to a request. If the server has taken the token, `settings` get it, to be stored, and the
    /// result is `true`. A token that the server refuses changes nothing.
    pub fn replied(
        &mut self,
        request: RequestId,
        result: &Result<Outcome, RequestFailure>,
        settings: &mut Settings,
    ) -> bool {
        match &self.0 {
            Some((asked, token)) if *asked == request => {
                let taken = result.is_ok() && settings.set_token(token).is_ok();
                self.0 = None;
                taken
            }
            _ => false,
        }
    }
}

impl core::fmt::Debug for Refresh {
    /// Omits the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Refresh").finish_non_exhaustive()
    }
}
