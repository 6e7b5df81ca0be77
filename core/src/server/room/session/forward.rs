//! Media on its way through the server: one packet in, a copy with a stamp of its own for each receiver out. The
//! common part of the copies is kept once.

use super::Session;
use crate::audio::Score;
use crate::room::{CloseReason, StreamKind};
use crate::rtp::{AudioLevel, PictureTag, RtpHeader, RtpPacket, Stamp};
use crate::server::context::Context;
use crate::server::keys::MemberKey;
#[cfg(feature = "opus-fullband")]
use crate::server::keys::Wake;
use crate::server::limits::Verdict;
use crate::server::member::media::{Queued, keep_packet};
use crate::server::member::slots::Arriving;
use crate::server::member::{Member, Publication};
use crate::server::pool::Payload;
use crate::server::{Config, Gather};

/// One packet of a stream that may be heard or seen now.
pub(super) struct Live<'p> {
    kind: StreamKind,
    #[cfg(feature = "opus-fullband")]
    codec: crate::room::Codec,
    /// The source of the receivers' headers.
    pub(super) arriving: Arriving,
    payload_type: u8,
    pub(super) audio_level: Option<AudioLevel>,
    pub(super) picture_tag: Option<PictureTag>,
    pub(super) payload: &'p [u8],
}

impl Session {
    /// Processes an RTP packet from a publisher, and queues it for all subscribers.
    ///
    /// # Errors
    /// The reason that the publisher's stay ends.
    pub(crate) fn forward(
        &mut self,
        cx: &mut Context,
        sender: MemberKey,
        gather: Option<Gather>,
        bytes: &[u8],
    ) -> Result<(), CloseReason> {
        let Some(member) = self.members.get_mut(sender) else {
            return Ok(());
        };
        let Some(live) = member.receive_media(cx, sender, bytes)? else {
            cx.statistics.media_rejected += 1;
            return Ok(());
        };
        cx.statistics.media_received += 1;
        if self.tapped {
            self.tap(cx, sender, &live);
        }
        #[cfg(feature = "opus-fullband")]
        if live.kind == StreamKind::Audio
            && let Some(mix) = &mut self.mix
        {
            if !mix.feed(cx.now, &live.arriving, live.codec, live.payload) {
                cx.statistics.media_outranked += 1;
            }
            let wake = Wake::Mix(self.room_key);
            cx.timers.set(wake, &mut mix.alarm, mix.due);
        }
        if live.kind != StreamKind::Audio {
            self.forward_picture(cx, sender, &live);
            return Ok(());
        }
        let receivers = self.members.len().saturating_sub(1);
        if cx.overload.is_shed(receivers) {
            cx.count_late(receivers as u64);
            return Ok(());
        }
        let Some(packet) = live.keep(cx) else {
            cx.statistics.media_overflowed += receivers as u64;
            return Ok(());
        };
        let window = gather.unwrap_or(cx.config.gather).window(cx.load);
        let gathered = &mut self.gathered;
        self.members.for_others(sender, |key, receiver| {
            if !receiver.take_live(cx, &live, &packet) {
                return;
            }
            if window.is_zero() {
                cx.wake(&mut receiver.association);
            } else if !receiver.receives.gathered {
                receiver.receives.gathered = true;
                gathered.push(key);
            }
        });
        cx.pool.release(packet);
        self.heard_sound(cx);
        self.open_window(cx, cx.now + window);
        Ok(())
    }
}

impl Live<'_> {
    /// Keeps the part common to all receivers; `None` if it fits no datagram, or there is no room for it.
    pub(super) fn keep(&self, cx: &mut Context) -> Option<Payload> {
        let source = [self.arriving.ssrc];
        let is_audio = self.kind == StreamKind::Audio;
        let header = RtpHeader {
            marker: self.arriving.marker,
            payload_type: self.payload_type,
            sequence: self.arriving.sequence,
            timestamp: self.arriving.timestamp,
            ssrc: self.arriving.ssrc,
            // Sound comes in a slot, which names the stream so.
            csrcs: if is_audio { &source } else { &[] },
            audio_level: self.audio_level.filter(|_| is_audio),
        };
        let tag = self.picture_tag.filter(|_| !is_audio);
        keep_packet(&mut cx.pool, &header, tag, self.payload)
    }
}

/// Whether a packet of media, or feedback on it, is accepted; rejected packets are counted.
///
/// # Errors
/// The reason that its publisher's stay ends.
pub(super) fn is_granted(cx: &mut Context, verdict: Verdict) -> Result<bool, CloseReason> {
    match verdict {
        Verdict::Granted => Ok(true),
        Verdict::Limited => {
            cx.statistics.media_limited += 1;
            Ok(false)
        }
        Verdict::Flooded => Err(CloseReason::ProtocolError),
    }
}

/// The bytes that an audio packet takes of [`Config::audio`].
fn audio_cost(packet: &[u8]) -> u32 {
    // No datagram is too long to be counted.
    u32::try_from(packet.len())
        .unwrap_or(u32::MAX)
        .saturating_add(Config::AUDIO_PACKET)
}

impl Member {
    /// `None` if this member may not send the packet now.
    ///
    /// # Errors
    /// The reason that its stay ends.
    fn receive_media<'p>(
        &mut self,
        cx: &mut Context,
        key: MemberKey,
        bytes: &'p [u8],
    ) -> Result<Option<Live<'p>>, CloseReason> {
        let now = cx.now;
        let sends = &mut self.sends;
        if !is_granted(cx, sends.media.take(now))? {
            return Ok(None);
        }
        let Ok(packet) = RtpPacket::parse(bytes) else {
            return Ok(None);
        };
        let Some(stream) = Publication::by_ssrc(&mut sends.streams, packet.ssrc()) else {
            return Ok(None);
        };
        if packet.payload_type() != stream.codec.payload_type() {
            return Ok(None);
        }
        if stream.kind == StreamKind::Audio
            && !is_granted(cx, sends.audio.take_many(now, audio_cost(bytes)))?
        {
            return Ok(None);
        }
        let censored = sends.censored;
        stream
            .reception
            .handle_packet(now, packet.sequence(), packet.timestamp());
        let is_newest = stream.progress.is_newest(packet.sequence());
        if stream.kind != StreamKind::Audio {
            sends.arrival = Some(now);
        }
        stream.unreported = true;
        let (kind, codec) = (stream.kind, stream.codec);
        let is_silenced = stream.muted || censored && kind == StreamKind::Audio;
        let audio_level = packet.audio_level();
        let mut score = Score::default();
        if kind == StreamKind::Audio && !is_silenced {
            let level = audio_level.unwrap_or(AudioLevel::SILENCE);
            stream.loudness.observe(now, level.level, level.voice);
            score = stream.loudness.score(now);
        }
        sends.packets += 1;
        if sends.report_at.is_none() {
            sends.report_at = Some(now + cx.config.report_interval);
        }
        Ok((!is_silenced).then_some(Live {
            kind,
            #[cfg(feature = "opus-fullband")]
            codec,
            arriving: Arriving {
                ssrc: packet.ssrc(),
                publisher: Some(key),
                sequence: packet.sequence(),
                timestamp: packet.timestamp(),
                marker: packet.marker(),
                is_newest,
                clock_rate: codec.clock_rate(),
                score,
            },
            payload_type: packet.payload_type(),
            audio_level,
            picture_tag: packet.picture_tag(),
            payload: packet.payload(),
        }))
    }

    /// Queues a packet of sound, if it is wanted and there is a place for it; says whether that is so.
    fn take_live(&mut self, cx: &mut Context, live: &Live<'_>, packet: &Payload) -> bool {
        let arriving = &live.arriving;
        let subscriptions = &self.receives.subscriptions;
        if !self.is_listening() || !subscriptions.want(arriving.ssrc, StreamKind::Audio) {
            return false;
        }
        if self.is_held_back() {
            cx.statistics.media_overflowed += 1;
            return false;
        }
        let Some(slot) = self.receives.slots.take(cx.now, arriving) else {
            cx.statistics.media_outranked += 1;
            return false;
        };
        if slot.changed {
            self.receives.wanted_changed();
        }
        self.queue_media(cx, slot.stamp, packet);
        true
    }

    /// Queues a packet. The caller decides when it is sent.
    #[inline]
    pub(super) fn queue_media(&mut self, cx: &mut Context, stamp: Stamp, packet: &Payload) {
        self.drop_late(cx);
        let queued = Queued {
            payload: cx.pool.share(packet),
            stamp: Some(stamp),
            since: cx.now,
        };
        if !self.receives.media.push(queued, &mut cx.pool) {
            cx.statistics.media_overflowed += 1;
        }
        cx.statistics.media_forwarded += 1;
    }

    /// Drops packets that have waited for too long.
    #[inline(always)]
    pub(super) fn drop_late(&mut self, cx: &mut Context) {
        if self.receives.media.is_late(cx.now) {
            self.drop_what_is_late(cx);
        }
    }

    #[cold]
    fn drop_what_is_late(&mut self, cx: &mut Context) {
        let late = self.receives.media.drop_late(cx.now, &mut cx.pool);
        self.count_late(cx, late);
    }

    /// Counts packets that were dropped because they had waited for too long.
    pub(super) fn count_late(&self, cx: &mut Context, late: u64) {
        // Packets that wait for an unproven address are not the embedder's fault.
        if self.association.reach.proven && late > 0 {
            cx.count_late(late);
        } else {
            cx.statistics.media_late += late;
        }
    }
}
