//! Which streams of a session are recorded.

use std::collections::BTreeSet;

use parlour_tokio::core::room::StreamKind;
use parlour_tokio::{Codec, ParticipantId, TappedStream};

/// Which streams of a session are recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Those of these participants; of all without a value.
    pub(crate) participants: Option<BTreeSet<ParticipantId>>,
}

impl Wanted {
    /// Whether a stream is one of them. There are files for sound only.
    pub(super) fn has(&self, stream: &TappedStream) -> bool {
        let has_file = stream.kind == StreamKind::Audio
            && matches!(stream.codec, Codec::Opus | Codec::Pcmu | Codec::Pcma);
        has_file && self.has_participant(&stream.participant)
    }

    /// Whether streams of a participant are.
    pub(super) fn has_participant(&self, id: &ParticipantId) -> bool {
        let of = self.participants.as_ref();
        of.is_none_or(|of| of.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recordings::tests::stream;

    #[test]
    fn sound_is_recorded_of_those_who_are_named() {
        let all = Wanted::default();
        let only = Wanted {
            participants: Some([ParticipantId::new("anna").unwrap()].into()),
        };
        assert!(all.has(&stream("anna")) && all.has(&stream("ben")));
        assert!(only.has(&stream("anna")) && !only.has(&stream("ben")));
        let camera = TappedStream {
            kind: StreamKind::Video,
            codec: Codec::Vp8,
            ..stream("anna")
        };
        assert!(!all.has(&camera) && !only.has(&camera));
    }
}
