//! Checks of publishing and receiving, at a join and later.

use crate::room::{Grants, MAX_STREAMS, Stream};
use crate::server::Config;
use crate::server::context::Context;
use crate::signal::{Publish, Refusal, SubscribePolicy};

/// Whether a participant may receive by this policy, in a session that is mixed or not.
pub(super) fn check_policy(
    cx: &Context,
    is_mixed: bool,
    policy: SubscribePolicy,
    grants: Grants,
) -> Result<(), Refusal> {
    match policy {
        SubscribePolicy::None => Ok(()),
        _ if !grants.contains(Grants::SUBSCRIBE) => Err(Refusal::NotPermitted),
        SubscribePolicy::All => Ok(()),
        SubscribePolicy::Mix | SubscribePolicy::MixPcmu if cx.can_mix(is_mixed) => Ok(()),
        SubscribePolicy::Mix | SubscribePolicy::MixPcmu => Err(Refusal::MixUnavailable),
    }
}

/// The stream that a participant is to publish.
pub(super) fn new_stream(cx: &mut Context, publish: &Publish) -> Stream {
    Stream {
        key: publish.key.clone(),
        kind: publish.kind,
        codec: publish.codec,
        ssrc: cx.allocate_ssrcs(1),
        muted: publish.muted,
    }
}

/// Whether a participant that publishes `count` streams may publish another.
pub(super) fn check_publish(
    publish: &Publish,
    grants: Grants,
    is_published: bool,
    count: usize,
    config: &Config,
) -> Result<(), Refusal> {
    if !grants.contains(Grants::to_publish(publish.kind)) {
        return Err(Refusal::NotPermitted);
    }
    if !publish.codec.carries(publish.kind) {
        return Err(Refusal::CodecMismatch);
    }
    if is_published {
        return Err(Refusal::AlreadyPublished);
    }
    if count >= config.streams.min(MAX_STREAMS) {
        return Err(Refusal::TooManyStreams);
    }
    Ok(())
}
