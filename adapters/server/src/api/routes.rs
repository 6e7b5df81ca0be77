//! The routes of the API, and what its description says of all of them.

use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    App, admins, audit, backup, bans, compositions, deliveries, drain, erasures, events, guests,
    keys, list, lobby, login, marks, participants, problem, recordings, rooms, server, sessions,
    statistics, stats, tokens, web, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "Parlour", description = "Rooms, tokens and history of a Parlour server.", license(name = "MIT OR Apache-2.0")),
    components(schemas(problem::ProblemBody, list::Order, events::Switch)),
    tags(
        (name = "rooms", description = "A room is a long-lived name with settings; what goes on in it is a session."),
        (name = "tokens", description = "A participant joins with a token, or with a ticket, which holds one."),
        (name = "bans", description = "A banned participant is kept out of a room, whatever token it brings."),
        (name = "lobby", description = "The participants that wait to be let into a room."),
        (name = "sessions", description = "One run of a room: from the first join until all have left, or it is ended."),
        (name = "recordings", description = "The media of sessions as files, each stream of each stay one."),
        (name = "compositions", description = "The recordings of a session as one file."),
        (name = "participants", description = "The participants of sessions, past and present, their stays and streams."),
        (name = "events", description = "The journal: every fact, in the order in which it was committed."),
        (name = "webhooks", description = "A webhook sends events to a receiver: signed, at least once, and in order for each room."),
        (name = "keys", description = "An API key opens this API and signs participants' tokens."),
        (name = "admins", description = "Those who may log in to the portal, and their logins."),
        (name = "audit", description = "Who did what by this API."),
        (name = "erasures", description = "Takes a participant's id and name out of history."),
        (name = "web", description = "How participants in browsers reach the server."),
        (name = "server", description = "The server itself."),
    ),
    modifiers(&Security)
)]
struct Description;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let mut bearer = Http::new(HttpAuthScheme::Bearer);
        bearer.description = Some(
            "`<id>.<secret>` of an API key. The scope that a key needs stands with each operation; a key with the scope \
             `admin` may do everything."
                .to_owned(),
        );
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// All routes, with what describes them.
pub(super) fn described() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::get, rooms::put, rooms::patch, rooms::delete))
        .routes(routes!(tokens::mint))
        .routes(routes!(tokens::refresh))
        .routes(routes!(tokens::revoke))
        .routes(routes!(guests::create))
        .routes(routes!(guests::join))
        .routes(routes!(bans::list))
        .routes(routes!(bans::put, bans::delete))
        .routes(routes!(lobby::list))
        .routes(routes!(lobby::admit))
        .routes(routes!(lobby::deny))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::get))
        .routes(routes!(sessions::end))
        .routes(routes!(sessions::kick))
        .routes(routes!(sessions::censor))
        .routes(routes!(sessions::uncensor))
        .routes(routes!(sessions::message))
        .routes(routes!(statistics::list))
        .routes(routes!(
            recordings::session::status,
            recordings::session::start,
            recordings::session::stop
        ))
        .routes(routes!(recordings::list))
        .routes(routes!(recordings::delete_many))
        .routes(routes!(recordings::get, recordings::delete))
        .routes(routes!(recordings::content::content))
        .routes(routes!(marks::of_recording))
        .routes(routes!(marks::of_composition))
        .routes(routes!(marks::of_session))
        .routes(routes!(compositions::list, compositions::create))
        .routes(routes!(compositions::many::delete_many))
        .routes(routes!(compositions::get, compositions::delete))
        .routes(routes!(compositions::content))
        .routes(routes!(compositions::cancel))
        .routes(routes!(participants::search))
        .routes(routes!(participants::list))
        .routes(routes!(participants::get, participants::patch))
        .routes(routes!(participants::unpublish))
        .routes(routes!(events::list))
        .routes(routes!(events::stream))
        .routes(routes!(audit::list))
        .routes(routes!(admins::list))
        .routes(routes!(admins::put, admins::delete))
        .routes(routes!(login::get, login::log_in, login::log_out))
        .routes(routes!(erasures::list, erasures::create))
        .routes(routes!(erasures::get))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::delete))
        .routes(routes!(keys::rotate))
        .routes(routes!(webhooks::list, webhooks::create))
        .routes(routes!(webhooks::get, webhooks::patch, webhooks::delete))
        .routes(routes!(webhooks::rotate))
        .routes(routes!(webhooks::test))
        .routes(routes!(webhooks::replay))
        .routes(routes!(deliveries::list))
        .routes(routes!(deliveries::retry))
        .routes(routes!(server::get))
        .routes(routes!(backup::create))
        .routes(routes!(web::describe))
        .routes(routes!(stats::get))
        .routes(routes!(drain::begin, drain::end))
        .routes(routes!(server::health))
        .routes(routes!(server::readiness))
}
