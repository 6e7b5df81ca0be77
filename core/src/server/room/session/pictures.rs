//! Pictures on their way through the server: one packet in, one under a number of its own for each watcher out, and once
//! more for those that lose it.

use alloc::vec::Vec;

use super::Session;
use super::forward::{Live, is_granted};
use crate::room::{CloseReason, StreamKind};
use crate::rtp::Stamp;
use crate::server::context::Context;
use crate::server::keys::MemberKey;
use crate::server::member::{Member, Publication, Taken, Taker};
use crate::server::pool::Payload;
use crate::time::Instant;
use crate::video::Feedback;
use crate::wire::{DATA_HEADER, FRAME_HEADER, TAG};

/// Bytes of a datagram that carries nothing but one packet of a picture, without the payload.
const OVERHEAD: usize = DATA_HEADER + TAG + FRAME_HEADER + 20;

impl Session {
    /// Keeps a packet of a picture, and queues it for all that watch.
    pub(super) fn forward_picture(&mut self, cx: &mut Context, sender: MemberKey, live: &Live<'_>) {
        let arriving = &live.arriving;
        let stamp = Stamp {
            marker: arriving.marker,
            sequence: arriving.sequence,
            timestamp: arriving.timestamp,
            ssrc: arriving.ssrc,
        };
        let packet = self.keep_picture(cx, live);
        if let Some(tag) = live.picture_tag
            && let Some(member) = self.members.get_mut(sender)
            && let Some(stream) = Publication::by_ssrc(&mut member.sends.streams, stamp.ssrc)
            && let Some(pictures) = &mut stream.pictures
        {
            pictures.handle_packet(cx.now, stamp.sequence, tag, live.payload.len() + OVERHEAD);
            if let Some(packet) = &packet {
                pictures.keep(cx, stamp, packet);
            }
        }
        let Some(packet) = packet else {
            // It is no gap to them, and they go on with a key picture when there is less to do.
            self.members.for_others(sender, |_, receiver| {
                receiver.receives.watching.leave_out(stamp.ssrc);
            });
            return;
        };
        let mut needs_key = false;
        let mut too_slow = Vec::new();
        self.members.for_others(sender, |key, receiver| {
            if receiver.drop_late_pictures(cx) {
                too_slow.push(key);
            }
            needs_key |= receiver.take_picture(cx, stamp, live, &packet) == Taken::KeyNeeded;
        });
        cx.pool.release(packet);
        if let Some(tag) = live.picture_tag.filter(|_| needs_key) {
            self.want_key(cx, stamp.ssrc, tag.layer);
        }
        for key in too_slow {
            self.want_late_keys(cx, key);
        }
    }

    /// Keeps the part of a packet that is common to all watchers; `None` if there is too much to do, or no room.
    fn keep_picture(&self, cx: &mut Context, live: &Live<'_>) -> Option<Payload> {
        let receivers = self.members.len().saturating_sub(1);
        if cx.overload.is_shed(receivers) {
            cx.count_late(receivers as u64);
            return None;
        }
        let packet = live.keep(cx);
        if packet.is_none() {
            cx.statistics.media_overflowed += receivers as u64;
        }
        packet
    }

    /// Asks the publisher of a stream of pictures for a key picture.
    pub(super) fn want_key(&mut self, cx: &mut Context, ssrc: u32, layer: u8) {
        if let Some(publisher) = self.publishers.get(&ssrc)
            && let Some(member) = self.members.get_mut(publisher.key)
            && let Some(stream) = Publication::by_ssrc(&mut member.sends.streams, ssrc)
            && let Some(pictures) = &mut stream.pictures
        {
            pictures.want_key(layer);
            member.tend_pictures(cx);
            cx.wake(&mut member.association);
            let at = member.next_timeout(&cx.config);
            cx.rearm_sooner(&mut member.association, at);
        }
    }

    /// Asks for key pictures for what a watcher has lost in the server's queue: it sees no gap, and a screen may show the same
    /// for hours.
    pub(crate) fn want_lost_keys(&mut self, cx: &mut Context, who: MemberKey) {
        let Some(member) = self.members.get(who) else {
            return;
        };
        let awaiting: Vec<u32> = member.receives.watching.awaiting().collect();
        for ssrc in awaiting {
            self.want_key(cx, ssrc, 0);
        }
    }

    /// Decides how much of what a watcher watches is sent to it.
    pub(crate) fn plan_pictures(&mut self, cx: &mut Context, who: MemberKey) {
        let Some(member) = self.members.get(who) else {
            return;
        };
        let watched = member.receives.watching.ssrcs();
        let takers: Vec<(u32, Taker)> = watched
            .filter_map(|ssrc| Some((ssrc, self.taker(cx.now, ssrc)?)))
            .collect();
        let Some(member) = self.members.get_mut(who) else {
            return;
        };
        let resumed = member.receives.watching.plan(cx.now, &takers);
        for ssrc in resumed {
            self.want_key(cx, ssrc, 0);
        }
    }

    /// What a published stream of pictures takes.
    fn taker(&self, now: Instant, ssrc: u32) -> Option<Taker> {
        let publisher = self.members.get(self.publishers.get(&ssrc)?.key)?;
        let mut streams = publisher.sends.streams.iter();
        let stream = streams.find(|stream| stream.ssrc == ssrc)?;
        Some(Taker {
            is_screen: stream.kind == StreamKind::Screen,
            rates: stream.pictures.as_ref()?.rates(now),
        })
    }

    /// The same for what has waited for too long, once nothing waits.
    pub(super) fn want_late_keys(&mut self, cx: &mut Context, who: MemberKey) {
        let Some(member) = self.members.get_mut(who) else {
            return;
        };
        for ssrc in member.receives.watching.take_late() {
            self.want_key(cx, ssrc, 0);
        }
    }

    /// Processes what a watcher asks for, or tells.
    ///
    /// # Errors
    /// The reason that its stay ends.
    pub(crate) fn handle_feedback(
        &mut self,
        cx: &mut Context,
        who: MemberKey,
        ssrc: u32,
        feedback: Feedback<'_>,
    ) -> Result<(), CloseReason> {
        let Some(member) = self.members.get_mut(who) else {
            return Ok(());
        };
        let verdict = member.sends.media.take(cx.now);
        if !is_granted(cx, verdict)? {
            return Ok(());
        }
        let is_wanted = member.receives.subscriptions.want(ssrc, StreamKind::Video);
        match feedback {
            Feedback::Arrived(arrived) => {
                member.receives.watching.handle_arrived(cx.now, arrived);
                self.plan_pictures(cx, who);
            }
            _ if !is_wanted => {}
            Feedback::KeyWanted { layer } => self.want_key(cx, ssrc, layer),
            Feedback::Lost(lost) => {
                let round_trip = member.association.link.rtt().smoothed();
                let watching = &mut member.receives.watching;
                let lost = watching.lost(cx.now, round_trip, ssrc, lost);
                self.repair(cx, who, ssrc, &lost);
            }
        }
        Ok(())
    }

    /// Sends a watcher packets again, by its numbers and their publisher's.
    fn repair(&mut self, cx: &mut Context, who: MemberKey, ssrc: u32, lost: &[(u16, u16)]) {
        let publisher = self.publishers.get(&ssrc);
        let publisher = publisher.and_then(|publisher| self.members.get(publisher.key));
        let streams = publisher.map(|publisher| publisher.sends.streams.iter());
        let stream = streams.and_then(|mut streams| streams.find(|stream| stream.ssrc == ssrc));
        let Some(pictures) = stream.and_then(|stream| stream.pictures.as_ref()) else {
            return;
        };
        let found: Vec<(Stamp, Payload)> = (lost.iter())
            .filter_map(|&(number, original)| {
                let (stamp, payload) = pictures.find(&mut cx.pool, original)?;
                let stamp = Stamp {
                    sequence: number,
                    ..stamp
                };
                Some((stamp, payload))
            })
            .collect();
        for (stamp, payload) in found {
            match self.members.get_mut(who) {
                Some(member) => {
                    let watching = &mut member.receives.watching;
                    let sent = watching.repair(&mut cx.pool, cx.now, stamp, payload);
                    cx.statistics.media_repaired += u64::from(sent);
                }
                None => cx.pool.release(payload),
            }
        }
    }
}

impl Member {
    /// Queues a packet, if it is wanted and can be decoded.
    fn take_picture(
        &mut self,
        cx: &mut Context,
        stamp: Stamp,
        live: &Live<'_>,
        packet: &Payload,
    ) -> Taken {
        let wanted = self
            .receives
            .subscriptions
            .want(stamp.ssrc, StreamKind::Video);
        if !self.is_listening() || !wanted {
            return Taken::LeftOut;
        }
        if self.is_held_back() {
            cx.statistics.media_overflowed += 1;
            return Taken::LeftOut;
        }
        let watching = &mut self.receives.watching;
        let taken = watching.take(&mut cx.pool, cx.now, stamp, live.picture_tag, packet);
        if taken == Taken::Queued {
            cx.statistics.media_forwarded += 1;
            cx.wake(&mut self.association);
        }
        taken
    }

    /// Does what is due about its own streams of pictures.
    pub(crate) fn tend_pictures(&mut self, cx: &mut Context) {
        let round_trip = self.association.link.rtt().smoothed();
        self.sends.tend_pictures(cx, round_trip);
    }

    /// Gives up pictures if they have waited for too long; says whether it did.
    pub(super) fn drop_late_pictures(&mut self, cx: &mut Context) -> bool {
        let late = self.receives.watching.drop_late(cx.now, &mut cx.pool);
        self.count_late(cx, late);
        late > 0
    }
}
