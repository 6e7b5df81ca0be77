//! Rooms, bans, marks and keys in memory, for decisions about joins.
//!
//! The tables hold the same; whoever changes them changes this after the commit. Workers ask it for every join and never wait:
//! each part is behind a lock that is held for a look-up or an insertion.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use parlour_tokio::core::server::Admission;
use parlour_tokio::core::signal::JoinRefusal;
use parlour_tokio::token::{ApiKey, Claims};
use parlour_tokio::{Doorkeeper, Grants, JoinRequest, RefreshRequest};
use tokio::sync::watch;

use crate::auth::{Scope, Scopes, is_same_secret};
use crate::rooms::{RoomRecording, RoomSettings, RoomState};
use crate::seal::Veil;
use crate::store::{Ban, Mark};
use crate::time::Timestamp;

/// The sender of messages from the API. No participant may have this id.
pub(crate) const SERVER: &str = "$server";

/// Whether a name stands in a path as it is.
pub(crate) fn is_plain(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_ascii_alphanumeric() || "._~-".contains(c))
}

/// See the [module](self).
#[derive(Debug)]
pub struct Registry {
    parts: RwLock<Parts>,
    /// Whether a room comes to exist by being joined.
    auto_create: bool,
    keys_changed: watch::Sender<()>,
    veil: Veil,
}

#[derive(Debug, Default)]
struct Parts {
    rooms: BTreeMap<String, Rules>,
    keys: Vec<Key>,
    /// They open nothing; their bearers are told why.
    revoked: Vec<Key>,
}

/// The rules for joins of one room.
#[derive(Debug, Default)]
struct Rules {
    /// Without one, the room does not exist, and has bans or marks only.
    room: Option<RoomSettings>,
    bans: BTreeMap<String, Option<Timestamp>>,
    /// Tokens that were issued before are void: those of one participant, or of all (the empty id).
    marks: BTreeMap<String, Timestamp>,
    /// The same for participants that were erased, by their veiled names.
    veiled: BTreeMap<String, Timestamp>,
}

/// An API key that works.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// The secret before the last rotation, and until when it is accepted.
    pub former: Option<(String, Timestamp)>,
    /// Its scopes.
    pub scopes: Scopes,
}

impl Registry {
    /// One without rooms and keys.
    pub fn new(auto_create: bool, veil: Veil) -> Self {
        Self {
            parts: RwLock::default(),
            auto_create,
            veil,
            keys_changed: watch::Sender::default(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Parts> {
        self.parts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Parts> {
        self.parts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room exists, with these settings from now on.
    pub fn put_room(&self, name: &str, settings: &RoomSettings) {
        let mut parts = self.write();
        let rules = parts.rooms.entry(name.to_owned()).or_default();
        rules.room = Some(settings.clone());
    }

    /// A room exists that came to exist by being joined, unless it is known already.
    pub fn put_new_room(&self, name: &str, settings: &RoomSettings) {
        let mut parts = self.write();
        let rules = parts.rooms.entry(name.to_owned()).or_default();
        rules.room.get_or_insert_with(|| settings.clone());
    }

    /// A room exists no more, nor do its bans and marks.
    pub fn delete_room(&self, name: &str) {
        self.write().rooms.remove(name);
    }

    /// How a room is recorded.
    pub fn recording(&self, name: &str) -> RoomRecording {
        let parts = self.read();
        let rules = parts.rooms.get(name);
        let room = rules.and_then(|rules| rules.room.as_ref());
        room.map(|room| room.recording.clone()).unwrap_or_default()
    }

    /// A participant is kept out from now on.
    pub fn put_ban(&self, ban: &Ban) {
        let mut parts = self.write();
        let rules = parts.rooms.entry(ban.room.clone()).or_default();
        rules.bans.insert(ban.participant.clone(), ban.until);
    }

    /// A participant is no longer kept out.
    pub fn delete_ban(&self, room: &str, participant: &str) {
        if let Some(rules) = self.write().rooms.get_mut(room) {
            rules.bans.remove(participant);
        }
    }

    /// Older tokens are void from now on.
    pub fn put_mark(&self, mark: &Mark) {
        let mut parts = self.write();
        let rules = parts.rooms.entry(mark.room.clone()).or_default();
        let marks = if Veil::is_veiled(&mark.participant) {
            &mut rules.veiled
        } else {
            &mut rules.marks
        };
        let known = marks
            .entry(mark.participant.clone())
            .or_insert(mark.issued_before);
        *known = mark.issued_before.max(*known);
    }

    /// A participant's bans and marks in a room are no more.
    pub fn forget(&self, room: &str, participant: &str) {
        if let Some(rules) = self.write().rooms.get_mut(room) {
            rules.bans.remove(participant);
            rules.marks.remove(participant);
        }
    }

    /// The name of a mark that outlasts the erasure of a participant's id.
    pub fn veiled(&self, room: &str, participant: &str) -> String {
        self.veil.of(room, participant)
    }

    /// These keys work from now on, and no others. Those that did are `revoked`.
    pub fn set_keys(&self, keys: Vec<Key>, revoked: Vec<Key>) {
        let mut parts = self.write();
        parts.keys = keys;
        parts.revoked = revoked;
        drop(parts);
        self.keys_changed.send_replace(());
    }

    /// Changes whenever the keys do.
    pub fn keys_changed(&self) -> watch::Receiver<()> {
        self.keys_changed.subscribe()
    }

    /// Whether there is a key of that id.
    pub fn has_key(&self, id: &str) -> bool {
        self.read().keys.iter().any(|key| key.id == id)
    }

    /// The keys as the rooms need them to verify tokens.
    pub fn signing_keys(&self, now: Timestamp) -> Vec<ApiKey> {
        let parts = self.read();
        let secrets = |key: &Key| {
            let former = key.former.as_ref().filter(|(_, until)| *until > now);
            let former = former.map(|(secret, _)| secret.clone());
            let secrets = [Some(key.secret.clone()), former];
            secrets.map(|secret| secret.and_then(|secret| ApiKey::new(&key.id, &secret).ok()))
        };
        let signs = |key: &&Key| key.scopes.allow(Scope::Tokens);
        parts
            .keys
            .iter()
            .filter(signs)
            .flat_map(secrets)
            .flatten()
            .collect()
    }

    /// The key that tokens are minted with on behalf of the caller with this key.
    pub fn signing_key(&self, id: &str) -> Option<ApiKey> {
        let parts = self.read();
        let key = parts.keys.iter().find(|key| key.id == id)?;
        ApiKey::new(&key.id, &key.secret).ok()
    }

    /// The oldest key, as `<id>.<secret>`.
    pub fn first_key(&self) -> Option<String> {
        let parts = self.read();
        let key = parts.keys.first();
        key.map(|Key { id, secret, .. }| format!("{id}.{secret}"))
    }

    /// The id of the oldest key that signs tokens.
    pub fn first_signer(&self) -> Option<String> {
        let parts = self.read();
        let mut keys = parts.keys.iter();
        let key = keys.find(|key| key.scopes.allow(Scope::Tokens))?;
        Some(key.id.clone())
    }

    /// Whether there is another key than this that signs tokens.
    pub fn has_other_signer(&self, id: &str) -> bool {
        let parts = self.read();
        let mut keys = parts.keys.iter();
        keys.any(|key| key.id != id && key.scopes.allow(Scope::Tokens))
    }

    /// The scopes of the bearer of a key's secret; `None` if the secret is wrong.
    pub fn scopes(&self, id: &str, secret: &str, now: Timestamp) -> Option<Scopes> {
        let parts = self.read();
        let key = parts.keys.iter().find(|key| key.id == id)?;
        let is_former =
            |(former, until): &(String, Timestamp)| *until > now && is_same_secret(former, secret);
        let is_valid =
            is_same_secret(&key.secret, secret) || key.former.as_ref().is_some_and(is_former);
        is_valid.then_some(key.scopes)
    }

    /// Whether this is the secret of a key that was revoked.
    pub fn is_revoked(&self, id: &str, secret: &str) -> bool {
        let parts = self.read();
        let key = parts.revoked.iter().find(|key| key.id == id);
        key.is_some_and(|key| is_same_secret(&key.secret, secret))
    }

    /// Whether tokens for that room and participant, issued at that time, are of use; a token that does not say when
    /// is older than any mark.
    ///
    /// # Errors
    /// Why not.
    pub fn check(
        &self,
        room: &str,
        participant: &str,
        issued: Option<u64>,
        now: Timestamp,
    ) -> Result<(), JoinRefusal> {
        let parts = self.read();
        parts.check(self, room, participant, issued, now).map(drop)
    }
}

impl Parts {
    fn check(
        &self,
        registry: &Registry,
        room: &str,
        participant: &str,
        issued: Option<u64>,
        now: Timestamp,
    ) -> Result<Option<&RoomSettings>, JoinRefusal> {
        let rules = self.rooms.get(room);
        let settings = match rules.and_then(|rules| rules.room.as_ref()) {
            Some(settings) if settings.state == RoomState::Disabled => {
                return Err(JoinRefusal::RoomDisabled);
            }
            Some(settings) => Some(settings),
            None if registry.auto_create && is_plain(room) => None,
            None => return Err(JoinRefusal::UnknownRoom),
        };
        if participant == SERVER {
            return Err(JoinRefusal::Denied);
        }
        if let Some(rules) = rules {
            let ban = rules.bans.get(participant);
            if ban.is_some_and(|until| until.is_none_or(|until| until > now)) {
                return Err(JoinRefusal::Banned);
            }
            let erased = (!rules.veiled.is_empty())
                .then(|| rules.veiled.get(&registry.veiled(room, participant)))
                .flatten();
            let marks = [rules.marks.get(participant), rules.marks.get(""), erased];
            let is_void = |mark: &Timestamp| issued.is_none_or(|issued| issued < mark.as_secs());
            if marks.into_iter().flatten().any(is_void) {
                return Err(JoinRefusal::TokenRevoked);
            }
        }
        Ok(settings)
    }
}

impl Doorkeeper for Registry {
    fn admit(&self, request: &JoinRequest<'_>) -> Result<Admission, JoinRefusal> {
        let Claims {
            room,
            participant,
            issued,
            ..
        } = request.claims;
        let now = at_second(request.now);
        let parts = self.read();
        let (room, participant) = (room.as_str(), participant.as_str());
        let settings = parts.check(self, room, participant, *issued, now)?;
        let mut admission = request.admission();
        if let Some(settings) = settings {
            admission.lobby |= settings.lobby && !admission.grants.contains(Grants::ADMIT);
            admission.on_duplicate = settings.on_duplicate.into();
            admission.limits = Some(settings.limits());
        }
        Ok(admission)
    }

    fn refresh(&self, request: &RefreshRequest<'_>) -> Option<Admission> {
        let Claims {
            room,
            participant,
            issued,
            ..
        } = request.claims;
        let now = at_second(request.now);
        let checked = self.check(room.as_str(), participant.as_str(), *issued, now);
        checked.is_ok().then(|| request.admission())
    }
}

fn at_second(seconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn new(auto_create: bool) -> Registry {
        Registry::new(auto_create, Veil::new(&[7; 32]))
    }

    fn mark(participant: &str, at: i64) -> Mark {
        Mark {
            room: "a".to_owned(),
            participant: participant.to_owned(),
            issued_before: Timestamp::from_millis(at),
        }
    }

    fn ban(until: Option<Timestamp>) -> Ban {
        Ban {
            room: "a".to_owned(),
            participant: "bob".to_owned(),
            until,
            reason: String::new(),
            created_at: NOW,
        }
    }

    #[test]
    fn rooms_have_to_exist_and_be_enabled() {
        let registry = new(false);
        let check = |registry: &Registry| registry.check("a", "bob", Some(1), NOW);
        assert_eq!(check(&registry), Err(JoinRefusal::UnknownRoom));
        assert_eq!(check(&new(true)), Ok(()));
        registry.put_room("a", &RoomSettings::default());
        assert_eq!(check(&registry), Ok(()));
        let disabled = RoomSettings {
            state: RoomState::Disabled,
            ..RoomSettings::default()
        };
        registry.put_room("a", &disabled);
        assert_eq!(check(&registry), Err(JoinRefusal::RoomDisabled));
        registry.delete_room("a");
        assert_eq!(check(&registry), Err(JoinRefusal::UnknownRoom));
    }

    #[test]
    fn a_ban_holds_until_its_end() {
        let registry = new(true);
        let check = |now| registry.check("a", "bob", Some(1), now);
        let later = NOW.after(std::time::Duration::from_secs(1));
        registry.put_ban(&ban(Some(later)));
        assert_eq!(check(NOW), Err(JoinRefusal::Banned));
        assert_eq!(check(later), Ok(()));
        registry.put_ban(&ban(None));
        assert_eq!(check(later), Err(JoinRefusal::Banned));
        assert_eq!(registry.check("a", "anna", Some(1), NOW), Ok(()));
        assert_eq!(
            registry.check("a", SERVER, Some(1), NOW),
            Err(JoinRefusal::Denied)
        );
        assert_eq!(
            registry.check("a/b", "anna", Some(1), NOW),
            Err(JoinRefusal::UnknownRoom)
        );
        assert_eq!(registry.check("b", "bob", Some(1), NOW), Ok(()));
        registry.delete_ban("a", "bob");
        assert_eq!(check(NOW), Ok(()));
    }

    #[test]
    fn a_mark_voids_older_tokens_of_one_or_of_all() {
        let registry = new(true);
        registry.put_mark(&mark("bob", 5_000));
        registry.put_mark(&mark("bob", 2_000));
        let check = |who: &str, issued| registry.check("a", who, issued, NOW);
        assert_eq!(check("bob", Some(4)), Err(JoinRefusal::TokenRevoked));
        assert_eq!(check("bob", None), Err(JoinRefusal::TokenRevoked));
        assert_eq!(check("bob", Some(5)), Ok(()));
        assert_eq!(check("anna", None), Ok(()));
        registry.put_mark(&mark("", 9_000));
        assert_eq!(check("bob", Some(8)), Err(JoinRefusal::TokenRevoked));
        assert_eq!(check("anna", Some(8)), Err(JoinRefusal::TokenRevoked));
        assert_eq!(check("anna", Some(9)), Ok(()));
    }

    #[test]
    fn an_erased_participant_is_known_by_what_it_shows() {
        let registry = new(true);
        registry.put_ban(&ban(None));
        registry.put_mark(&mark("bob", 5_000));
        registry.forget("a", "bob");
        let check = |room: &str, who: &str, issued| registry.check(room, who, Some(issued), NOW);
        assert_eq!(check("a", "bob", 4), Ok(()));
        let veiled = registry.veiled("a", "bob");
        registry.put_mark(&mark(&veiled, 9_000));
        assert_eq!(check("a", "bob", 8), Err(JoinRefusal::TokenRevoked));
        for (room, who, issued) in [("a", "bob", 9), ("a", "anna", 8), ("b", "bob", 8)] {
            assert_eq!(check(room, who, issued), Ok(()));
        }
    }

    #[test]
    fn a_former_secret_works_for_a_while() {
        let registry = new(true);
        let secret = |letter: &str| letter.repeat(32);
        let scopes: Scopes = [Scope::Tokens].into_iter().collect();
        let key = Key {
            id: "k".to_owned(),
            secret: secret("n"),
            former: Some((secret("f"), NOW)),
            scopes,
        };
        registry.set_keys(vec![key.clone()], Vec::new());
        let before = Timestamp::from_millis(NOW.as_millis() - 1);
        assert_eq!(registry.scopes("k", &secret("n"), NOW), Some(scopes));
        assert_eq!(registry.scopes("k", &secret("f"), NOW), None);
        assert_eq!(registry.scopes("k", &secret("f"), before), Some(scopes));
        assert_eq!(registry.scopes("k", &secret("x"), before), None);
        assert_eq!(registry.scopes("x", &secret("n"), before), None);
        assert_eq!(registry.signing_keys(NOW).len(), 1);
        assert_eq!(registry.signing_keys(before).len(), 2);
        assert!(!registry.is_revoked("k", &secret("n")));
        registry.set_keys(Vec::new(), vec![key]);
        assert_eq!(registry.scopes("k", &secret("n"), NOW), None);
        assert_eq!(registry.signing_keys(before), []);
        assert!(registry.is_revoked("k", &secret("n")));
        assert!(!registry.is_revoked("k", &secret("x")));
        assert!(!registry.is_revoked("x", &secret("n")));
    }
}
