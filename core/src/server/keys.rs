//! What stands for what, in tables, timers and queues.

/// One association, whatever its holder is now: waiting, in a session, or leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PeerKey(pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RoomKey(pub(super) usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JoinKey(pub(super) usize);

/// A member of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberKey(pub(super) usize);

/// The container that holds an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Lobby(RoomKey),
    Session(RoomKey, MemberKey),
    Leaving,
}

/// Whom a connection id leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Join(JoinKey),
    Peer(PeerKey),
}

/// Whom a timer wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    Join(JoinKey),
    Peer(PeerKey),
    Speaker(RoomKey),
    Gather(RoomKey),
    Tell(RoomKey),
    /// When its session is to end by itself.
    Session(RoomKey),
    #[cfg(feature = "opus-fullband")]
    Mix(RoomKey),
}
