//! The resources of the API, and the operations that are commands.
//!
//! For an operation that the API has got anew, add a [`Verb`]. Its help and its arguments come from the API's description.

use super::api::{Table, Verb};
use super::output::View;

/// Makes a type of a table.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident: id $id:literal, columns $columns:tt, verbs [$($verb:expr),* $(,)?];)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name;

        impl Table for $name {
            const VIEW: View = View { id: $id, columns: &$columns };
            const VERBS: &'static [Verb] = &[$($verb),*];
        }
    )*};
}

const DELIVERIES: View = View {
    id: "id",
    columns: &[
        "seq", "at", "type", "room", "state", "tries", "next_at", "status", "error",
    ],
};

const SESSION_RECORDING: View = View {
    id: "since",
    columns: &["active", "kinds", "participants", "since"],
};

const MARKS: View = View {
    id: "participant",
    columns: &["participant", "complete", "speech"],
};

const DELETED: View = View {
    id: "deleted",
    columns: &["deleted", "bytes"],
};

tables! {
    /// `parlour room`
    Rooms: id "name", columns ["name", "state", "active_session", "max_participants", "lobby", "title"], verbs [
        Verb::new("list", "GET", "/v1/rooms", "room list --active --prefix green"),
        Verb::new("get", "GET", "/v1/rooms/{room}", "room get kitchen"),
        Verb::new("create", "POST", "/v1/rooms", "room create kitchen --max-participants 12 --empty-timeout 10m")
            .positional(&["name"]),
        Verb::new("put", "PUT", "/v1/rooms/{room}", "room put kitchen --lobby"),
        Verb::new("update", "PATCH", "/v1/rooms/{room}", "room update kitchen --max-participants none --lobby=false"),
        Verb::new("delete", "DELETE", "/v1/rooms/{room}", "room delete kitchen --yes").deleting(),
    ];

    /// `parlour session`
    Sessions: id "id", columns ["id", "room", "state", "started_at", "ended_at", "end_reason", "participants", "peak_participants"], verbs [
        Verb::new("list", "GET", "/v1/sessions", "session list --room kitchen --started-after -7d"),
        Verb::new("get", "GET", "/v1/sessions/{session}", "session get kitchen"),
        Verb::new("stats", "GET", "/v1/sessions/{session}/stats", "session stats kitchen --from -1h --step 1m").shown(View {
            id: "participant",
            columns: &["at", "participant", "quality", "mos", "uplink_loss", "downlink_loss", "jitter_ms", "round_trip_ms", "path"],
        }),
        Verb::new("marks", "GET", "/v1/sessions/{session}/marks", "session marks kitchen").shown(MARKS),
        Verb::new("end", "POST", "/v1/sessions/{session}/end", "session end kitchen"),
        Verb::new("kick", "POST", "/v1/sessions/{session}/kick", "session kick kitchen bob carol"),
        Verb::new("censor", "POST", "/v1/sessions/{session}/censor", "session censor kitchen --all --except anna"),
        Verb::new("uncensor", "POST", "/v1/sessions/{session}/uncensor", "session uncensor kitchen bob"),
        Verb::new("message", "POST", "/v1/sessions/{session}/messages", "session message kitchen --all --topic chat --body Welcome"),
    ];

    /// `parlour recording`
    Recordings: id "id", columns ["id", "room", "participant", "stream", "state", "started_at", "duration_ms", "size", "error"], verbs [
        Verb::new("list", "GET", "/v1/recordings", "recording list --room kitchen --state ready"),
        Verb::new("get", "GET", "/v1/recordings/{id}", "recording get rec_01JC3"),
        Verb::new("start", "PUT", "/v1/sessions/{session}/recording", "recording start kitchen --all").shown(SESSION_RECORDING),
        Verb::new("status", "GET", "/v1/sessions/{session}/recording", "recording status kitchen").shown(SESSION_RECORDING),
        Verb::new("stop", "DELETE", "/v1/sessions/{session}/recording", "recording stop kitchen"),
        Verb::new("delete", "DELETE", "/v1/recordings/{id}", "recording delete rec_01JC3 --yes").deleting(),
        Verb::new("delete-many", "POST", "/v1/recordings/delete", "recording delete-many --ids rec_01JC3 --dry-run --yes").deleting().shown(DELETED),
        Verb::new("marks", "GET", "/v1/recordings/{id}/marks", "recording marks rec_01JC3").shown(MARKS),
    ];

    /// `parlour composition`
    Compositions: id "id", columns ["id", "room", "session", "format", "state", "progress", "created_at", "duration_ms", "size", "error"], verbs [
        Verb::new("list", "GET", "/v1/compositions", "composition list --room kitchen --state ready"),
        Verb::new("get", "GET", "/v1/compositions/{id}", "composition get cmp_01JC3"),
        Verb::new("create", "POST", "/v1/compositions", "composition create 9f0c4b7a5d2e4f6189ab3c5d7e9f0a1b --format ogg --to 10m")
            .positional(&["session"]),
        Verb::new("cancel", "POST", "/v1/compositions/{id}/cancel", "composition cancel cmp_01JC3"),
        Verb::new("delete", "DELETE", "/v1/compositions/{id}", "composition delete cmp_01JC3 --yes").deleting(),
        Verb::new("delete-many", "POST", "/v1/compositions/delete", "composition delete-many --ids cmp_01JC3 --dry-run --yes").deleting().shown(DELETED),
        Verb::new("marks", "GET", "/v1/compositions/{id}/marks", "composition marks cmp_01JC3").shown(MARKS),
    ];

    /// `parlour participant`
    Participants: id "participant", columns ["participant", "name", "room", "session", "state", "joined_at", "left_at", "path"], verbs [
        Verb::new("list", "GET", "/v1/participants", "participant list --room kitchen --state connected"),
        Verb::new("get", "GET", "/v1/sessions/{session}/participants/{participant}", "participant get kitchen anna"),
        Verb::new("update", "PATCH", "/v1/sessions/{session}/participants/{participant}", "participant update kitchen anna --grants participant,kick"),
        Verb::new("unpublish", "DELETE", "/v1/sessions/{session}/participants/{participant}/streams/{stream}", "participant unpublish kitchen anna mic"),
    ];

    /// `parlour lobby`
    Lobby: id "participant", columns ["participant", "name"], verbs [
        Verb::new("list", "GET", "/v1/rooms/{room}/lobby", "lobby list kitchen"),
        Verb::new("admit", "POST", "/v1/rooms/{room}/lobby/admit", "lobby admit kitchen --all"),
        Verb::new("deny", "POST", "/v1/rooms/{room}/lobby/deny", "lobby deny kitchen bob"),
    ];

    /// `parlour ban`
    Bans: id "participant", columns ["participant", "until", "reason", "created_at"], verbs [
        Verb::new("list", "GET", "/v1/rooms/{room}/bans", "ban list kitchen"),
        Verb::new("add", "PUT", "/v1/rooms/{room}/bans/{participant}", "ban add kitchen bob --until +7d --reason spam"),
        Verb::new("remove", "DELETE", "/v1/rooms/{room}/bans/{participant}", "ban remove kitchen bob"),
    ];

    /// `parlour event`
    Events: id "id", columns ["seq", "at", "type", "room", "participant", "session_seq", "data"], verbs [
        Verb::new("list", "GET", "/v1/events", "event list --room kitchen --type participant.joined"),
    ];

    /// `parlour key`
    Keys: id "id", columns ["id", "scopes", "created_at", "revoked_at", "former_until"], verbs [
        Verb::new("list", "GET", "/v1/keys", "key list"),
        Verb::new("create", "POST", "/v1/keys", "key create backend --scopes tokens,read").positional(&["id"]),
        Verb::new("rotate", "POST", "/v1/keys/{id}/rotate", "key rotate backend --keep-former 1h"),
        Verb::new("revoke", "DELETE", "/v1/keys/{id}", "key revoke backend --yes").deleting(),
    ];

    /// `parlour admin`
    Admins: id "name", columns ["name", "created_at", "updated_at"], verbs [
        Verb::new("list", "GET", "/v1/admins", "admin list"),
        Verb::new("delete", "DELETE", "/v1/admins/{name}", "admin delete anna --yes").deleting(),
    ];

    /// `parlour audit`
    Audit: id "id", columns ["at", "actor", "action", "target", "participant", "result", "request_id"], verbs [
        Verb::new("list", "GET", "/v1/audit", "audit list --at-after -7d --actor backend"),
    ];

    /// `parlour erasure`
    Erasures: id "id", columns ["id", "participant", "rooms", "state", "created_at", "finished_at"], verbs [
        Verb::new("list", "GET", "/v1/erasures", "erasure list"),
        Verb::new("get", "GET", "/v1/erasures/{id}", "erasure get ers_01JC3"),
        Verb::new("create", "POST", "/v1/erasures", "erasure create anna --yes").positional(&["participant"]).deleting(),
    ];

    /// `parlour token`
    Tokens: id "participant", columns ["participant", "expires_at", "token"], verbs [
        Verb::new("revoke", "POST", "/v1/rooms/{room}/tokens/revoke", "token revoke kitchen --participant bob"),
        Verb::new("guest-link", "POST", "/v1/rooms/{room}/guest-links", "token guest-link kitchen --ttl 1d --lobby").shown(View {
            id: "guest_link",
            columns: &["expires_at", "page"],
        }),
        Verb::new("guest", "POST", "/v1/guests", "token guest pgl_4pKq --name Ben").positional(&["guest_link"]),
        Verb::new("refresh", "POST", "/v1/tokens/refresh", "token refresh prt_4pKq --ttl 10m").positional(&["refresh_token"]),
    ];

    /// `parlour webhook`
    Webhooks: id "id", columns ["id", "url", "enabled", "state", "backlog", "last_success_at"], verbs [
        Verb::new("list", "GET", "/v1/webhooks", "webhook list"),
        Verb::new("get", "GET", "/v1/webhooks/{id}", "webhook get wh_01JC3"),
        Verb::new("create", "POST", "/v1/webhooks", "webhook create https://example.org/parlour --events participant.joined,participant.left")
            .positional(&["url"]),
        Verb::new("update", "PATCH", "/v1/webhooks/{id}", "webhook update wh_01JC3 --enabled=false")
            .positional(&["url"]),
        Verb::new("delete", "DELETE", "/v1/webhooks/{id}", "webhook delete wh_01JC3 --yes").deleting(),
        Verb::new("rotate", "POST", "/v1/webhooks/{id}/rotate", "webhook rotate wh_01JC3 --keep-former 1h"),
        Verb::new("test", "POST", "/v1/webhooks/{id}/test", "webhook test wh_01JC3"),
        Verb::new("replay", "POST", "/v1/webhooks/{id}/replay", "webhook replay wh_01JC3 --from-seq 40117"),
        Verb::new("deliveries", "GET", "/v1/webhooks/{id}/deliveries", "webhook deliveries wh_01JC3 --state pending").shown(DELIVERIES),
        Verb::new("retry", "POST", "/v1/webhooks/{id}/deliveries/{delivery}/retry", "webhook retry wh_01JC3 evt_01JC4").shown(DELIVERIES),
    ];

    /// `parlour server`
    Server: id "version", columns ["version", "protocol", "workers", "ticket_base"], verbs [
        Verb::new("get", "GET", "/v1/server", "server get"),
        Verb::new("stats", "GET", "/v1/server/stats", "server stats").shown(View {
            id: "at",
            columns: &["uptime_s", "draining", "rooms", "sessions", "participants", "joins"],
        }),
        Verb::new("drain", "POST", "/v1/server/drain", "server drain --deadline 10m").shown(View {
            id: "deadline_at",
            columns: &["deadline_at"],
        }),
        Verb::new("end-drain", "DELETE", "/v1/server/drain", "server end-drain"),
        Verb::new("backup", "POST", "/v1/server/backup", "server backup").shown(View {
            id: "path",
            columns: &["at", "path", "key_file", "bytes"],
        }),
    ];
}
