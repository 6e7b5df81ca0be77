//! Media on its way through the server: one packet in, a header of its own for each receiver out,
//! the payload kept once.

use super::limits::Verdict;
use super::machine::{MemberKey, RoomKey, Wake, set_ready};
use super::media::{Csrcs, MediaHeader, Queued};
use super::pool::Payload;
use super::slots::Source;
use super::{Event, Server};
use crate::audio::Score;
use crate::room::{CloseReason, Codec, RoomUpdate, StreamKind};
use crate::rtp::{AudioLevel, RtpPacket};
use crate::time::{Duration, Instant};

/// How often the active speaker is decided anew, at most.
const DECISION_INTERVAL: Duration = Duration::from_millis(20);

/// One packet of a stream that may be heard or seen now.
struct Live<'p> {
    packet: RtpPacket<'p>,
    kind: StreamKind,
    codec: Codec,
    is_newest: bool,
    score: Score,
}

impl Live<'_> {
    /// What a slot takes it by.
    fn source(&self) -> Source {
        Source {
            ssrc: self.packet.ssrc(),
            sequence: self.packet.sequence(),
            timestamp: self.packet.timestamp(),
            marker: self.packet.marker(),
            is_newest: self.is_newest,
            clock_rate: self.codec.clock_rate(),
            score: self.score,
        }
    }
}

impl Server {
    /// Takes in an RTP packet from a publisher, for all who want it.
    pub(super) fn forward(&mut self, now: Instant, sender: MemberKey, bytes: &[u8]) {
        let Some(member) = self.member_mut(sender) else {
            return;
        };
        let verdict = member.buckets.media.take(now);
        if verdict == Verdict::Flooded {
            self.close(now, sender, CloseReason::ProtocolError);
            return;
        }
        let live = match verdict {
            Verdict::Granted => self.receive_media(now, sender, bytes),
            _ => None,
        };
        let Some(live) = live else {
            self.statistics.media_rejected += 1;
            return;
        };
        self.statistics.media_received += 1;
        let Some(room_key) = self.member(sender).map(|member| member.room) else {
            return;
        };
        let Some(session) = self
            .rooms
            .get_mut(room_key.0)
            .and_then(|room| room.session.as_mut())
        else {
            return;
        };
        #[cfg(feature = "opus-fullband")]
        if live.kind == StreamKind::Audio
            && let Some(mix) = &mut session.mix
        {
            let payload = live.packet.payload();
            if !mix.feed(now, &live.source(), live.codec, payload) {
                self.statistics.media_outranked += 1;
            }
            self.timers
                .set(Wake::Mix(room_key), &mut mix.alarm, mix.due);
        }
        let receivers = session.order.len().saturating_sub(1);
        if self.is_shed(receivers) {
            return;
        }
        let Some(session) = self.session_mut(room_key) else {
            return;
        };
        // Lent out for the time of the loop, so that it can change what is beside it.
        let order = core::mem::take(&mut session.order);
        let mut gathered = core::mem::take(&mut session.gathered);
        let window = match live.kind {
            StreamKind::Audio => self.gather_window(room_key),
            StreamKind::Video | StreamKind::Screen => Duration::ZERO,
        };
        let mut payload = None;
        for receiver in order.iter().filter(|key| **key != sender) {
            if !self.forward_to(now, *receiver, &live, &mut payload) {
                continue;
            }
            if let Some(member) = self.members.get_mut(receiver.0) {
                if window.is_zero() {
                    set_ready(&mut self.ready, *receiver, member);
                } else if !member.gathered {
                    member.gathered = true;
                    gathered.push(*receiver);
                }
            }
        }
        if let Some(payload) = payload {
            self.pool.release(payload);
        }
        let Some(session) = self.session_mut(room_key) else {
            return;
        };
        session.order = order;
        session.gathered = gathered;
        if live.kind == StreamKind::Audio && now >= session.next_decision {
            session.next_decision = now + DECISION_INTERVAL;
            self.decide_speaker(now, room_key);
        }
        self.open_window(room_key, now + window);
    }

    /// `None` if the packet is not what its sender may send now.
    fn receive_media<'p>(
        &mut self,
        now: Instant,
        sender: MemberKey,
        bytes: &'p [u8],
    ) -> Option<Live<'p>> {
        let report_interval = self.config.report_interval;
        let member = self.member_mut(sender)?;
        if !member.is_present() {
            return None;
        }
        let packet = RtpPacket::parse(bytes).ok()?;
        let censored = member.censored;
        let stream = member
            .streams
            .iter_mut()
            .find(|stream| stream.ssrc == packet.ssrc())?;
        if packet.payload_type() != stream.codec.payload_type() {
            return None;
        }
        stream
            .reception
            .handle_packet(now, packet.sequence(), packet.timestamp());
        let is_newest = stream.progress.is_newest(packet.sequence());
        stream.unreported = true;
        let (kind, codec) = (stream.kind, stream.codec);
        let is_silenced = stream.muted || censored && kind == StreamKind::Audio;
        let mut score = Score::default();
        if kind == StreamKind::Audio && !is_silenced {
            let level = packet.audio_level().unwrap_or(AudioLevel::SILENCE);
            stream.loudness.observe(now, level.level, level.voice);
            score = stream.loudness.score(now);
        }
        member.media_received += 1;
        if member.report_at.is_none() {
            member.report_at = Some(now + report_interval);
        }
        (!is_silenced).then_some(Live {
            packet,
            kind,
            codec,
            is_newest,
            score,
        })
    }

    /// Queues a packet for one receiver, if it wants it and has a place for it; says whether it did.
    fn forward_to(
        &mut self,
        now: Instant,
        receiver: MemberKey,
        live: &Live<'_>,
        payload: &mut Option<Payload>,
    ) -> bool {
        let Some(member) = self.members.get_mut(receiver.0) else {
            return false;
        };
        let packet = &live.packet;
        if !member.is_listening() || !member.subscriptions.want(packet.ssrc(), live.kind) {
            return false;
        }
        if member.is_held_back() {
            self.statistics.media_overflowed += 1;
            return false;
        }
        let header = if live.kind == StreamKind::Audio {
            let Some(slot) = member.slots.take(now, &live.source()) else {
                self.statistics.media_outranked += 1;
                return false;
            };
            if slot.changed {
                member.wanted_changed();
            }
            MediaHeader {
                marker: slot.marker,
                payload_type: packet.payload_type(),
                sequence: slot.sequence,
                timestamp: slot.timestamp,
                ssrc: slot.ssrc,
                csrcs: Csrcs::from_iter([packet.ssrc()]),
                audio_level: packet.audio_level(),
            }
        } else {
            MediaHeader {
                marker: packet.marker(),
                payload_type: packet.payload_type(),
                sequence: packet.sequence(),
                timestamp: packet.timestamp(),
                ssrc: packet.ssrc(),
                csrcs: Csrcs::new(),
                audio_level: None,
            }
        };
        if !header.fits(packet.payload().len()) {
            self.statistics.media_overflowed += 1;
            return false;
        }
        if payload.is_none() {
            *payload = self.pool.insert(packet.payload());
        }
        let Some(payload) = payload else {
            self.statistics.media_overflowed += 1;
            return false;
        };
        let payload = self.pool.share(payload);
        self.queue_media(receiver, header, payload);
        true
    }

    /// Queues a packet that is for a receiver, and takes over its hold on the payload. When it is sent is the caller's matter.
    pub(super) fn queue_media(
        &mut self,
        receiver: MemberKey,
        header: MediaHeader,
        payload: Payload,
    ) {
        self.drop_late(receiver);
        let Some(member) = self.members.get_mut(receiver.0) else {
            self.pool.release(payload);
            return;
        };
        member.slots.sent(header.ssrc, header.sequence);
        let queued = Queued {
            payload,
            header: Some(header),
            since: self.now,
        };
        if !member.media.push(queued, &mut self.pool) {
            self.statistics.media_overflowed += 1;
        }
        self.statistics.media_forwarded += 1;
    }

    /// Compares all who may be heard, and tells the room if another is the active speaker.
    pub(super) fn decide_speaker(&mut self, now: Instant, key: RoomKey) {
        let Some(session) = self
            .rooms
            .get_mut(key.0)
            .and_then(|room| room.session.as_mut())
        else {
            return;
        };
        let members = &self.members;
        let talkers = session.publishers.iter().filter_map(|(ssrc, key)| {
            let member = members.get(key.0)?;
            let stream = member.streams.iter().find(|stream| stream.ssrc == *ssrc)?;
            let is_audible = stream.kind == StreamKind::Audio && !stream.muted;
            let may_be_heard = is_audible && member.is_listening() && !member.censored;
            may_be_heard.then(|| (*ssrc, stream.loudness.score(now)))
        });
        let change = session.dominance.decide(now, talkers);
        let at = session.dominance.poll_timeout().map(|at| {
            // Who still talks holds the place beyond the hold time; then the packets decide.
            at.max(now + DECISION_INTERVAL)
        });
        self.timers.set(Wake::Speaker(key), &mut session.alarm, at);
        let Some(change) = change else {
            return;
        };
        let speaker = change.to.and_then(|ssrc| session.publishers.get(&ssrc));
        let speaker = speaker.and_then(|key| members.get(key.0));
        let participant = speaker.map(|member| member.id.clone());
        // The room has forgotten a speaker that left; the embedder has not.
        let is_news = session.told_speaker != participant;
        session.told_speaker.clone_from(&participant);
        self.change(
            key,
            RoomUpdate::Speaker {
                participant: participant.clone(),
            },
        );
        if is_news {
            self.emit(key, |room| Event::SpeakerChanged { room, participant });
        }
    }
}
