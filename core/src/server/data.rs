//! Data packets of participants, and the frames in them.

use super::limits::Verdict;
use super::machine::{MemberKey, set_ready};
use super::member::{Phase, Reach};
use super::{Dropped, Path, Server};
use crate::link::Received;
use crate::room::CloseReason;
use crate::time::Instant;
use crate::wire::{Frame, Frames};

impl Server {
    pub(super) fn handle_data(
        &mut self,
        now: Instant,
        from: Path,
        key: MemberKey,
        datagram: &mut [u8],
    ) -> Result<(), Dropped> {
        let len = datagram.len();
        let member = self
            .members
            .get_mut(key.0)
            .ok_or(Dropped::UnknownConnection)?;
        let opened = member.link.open(now, datagram)?;
        if from == member.reach.path {
            member.reach.received(len);
        } else if !opened.is_newest {
            // From where it was before.
        } else if from.has_same_remote(&member.reach.path) {
            // It asks another address of this server, which is the one that it wants answers from.
            member.reach.path = from;
            member.reach.received(len);
        } else {
            // As WireGuard does: whoever holds the keys says where it is. What is sent there is
            // limited until it has answered, or a third could be flooded by a forged address.
            member.reach = Reach::new(from);
            member.media.clear(&mut self.pool);
            member.reach.received(len);
            self.statistics.roams += 1;
            self.validate_path(key);
        }
        self.heard_from(key);
        self.handle_frames(now, key, opened.plaintext);
        Ok(())
    }

    /// Takes in what an authentic packet holds.
    pub(super) fn handle_frames(&mut self, now: Instant, key: MemberKey, plaintext: &[u8]) {
        for frame in Frames::new(plaintext) {
            let Some(member) = self.member_mut(key) else {
                return;
            };
            let is_open = !matches!(member.phase, Phase::Closing(_));
            // What cannot be read, nor what follows it, may be a later version's.
            let Ok(frame) = frame else {
                break;
            };
            if is_open && matches!(frame, Frame::Ping { .. } | Frame::Report(_)) {
                match member.buckets.control.take(now) {
                    Verdict::Granted => {}
                    Verdict::Limited => continue,
                    Verdict::Flooded => {
                        self.close(now, key, CloseReason::ProtocolError);
                        break;
                    }
                }
            }
            let Ok(received) = member.link.receive(now, frame) else {
                if is_open {
                    self.close(now, key, CloseReason::ProtocolError);
                }
                break;
            };
            match received {
                Received::Handled => {}
                Received::Pong(_) => member.reach.proven = true,
                // Whoever is out has nothing more to say.
                _ if !is_open => {}
                Received::Signal(sequence, message) => {
                    if member.takes_requests() {
                        member.link.accept(sequence);
                        self.handle_request(now, key, message);
                    }
                }
                Received::Media(packet) => self.forward(now, key, packet),
                Received::Report(report) => self.handle_report(now, key, report),
                Received::Message(message) => self.handle_lossy_message(now, key, message),
            }
        }
        self.finish_input(now, key);
    }

    /// After something came in: there may be something to send, and another time to wake.
    fn finish_input(&mut self, now: Instant, key: MemberKey) {
        let Some(member) = self.members.get_mut(key.0) else {
            return;
        };
        if matches!(member.phase, Phase::Closing(_))
            && member.control.is_empty()
            && member.link.is_settled()
        {
            // It knows that it is out.
            if let Some(tickets) = &member.tickets {
                self.ended.forget(tickets.handle());
            }
            self.drop_member(key);
            return;
        }
        if matches!(member.phase, Phase::Closing(_)) {
            // It is there and has not heard it: there is no reason to wait for long.
            member.link.hurry(now);
        }
        set_ready(&mut self.ready, key, member);
        self.rearm_sooner(key);
    }
}
