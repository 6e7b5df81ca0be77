use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::rtp::{PictureTag, RtpPacket};
use crate::video::synthetic::Sample;
use crate::wire::LostList;

type Lent = PictureSender<Vec<SendSlot>>;

const SSRC_OF_STREAM: u32 = 0xCAFE;

fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + 1_000 * ms)
}

fn sender(slots: usize) -> Lent {
    let mut sender = PictureSender::new(Codec::Vp8, 65_534, vec![SendSlot::EMPTY; slots]);
    sender.set_rate(1_000_000_000);
    sender.bandwidth = Bandwidth::new(1_000_000_000, 1_000_000_000);
    sender
}

/// A picture of VP8 of so many packets.
fn picture(key: bool, packets: usize) -> Sample {
    Sample::new(Codec::Vp8, key, 0, packets * 950 - 20, 1)
}

fn send(sender: &mut Lent, ms: u64, key: bool, packets: usize) -> Result<(), SendPictureError> {
    sender.send(at(ms), &picture(key, packets).picture(0))
}

/// The packets that are due: their numbers and tags.
fn sent_on(sender: &mut Lent, ms: u64, ssrc: u32) -> Vec<(u16, PictureTag)> {
    let mut out = [0; 1_000];
    let mut packets = Vec::new();
    let flow = PictureFlow { ssrc, counter: 0 };
    while let Some(len) = sender.poll_packet(at(ms), flow, &mut out) {
        let packet = RtpPacket::parse(&out[..len]).unwrap();
        assert_eq!(packet.ssrc(), ssrc);
        packets.push((packet.sequence(), packet.picture_tag().unwrap()));
    }
    packets
}

fn sent(sender: &mut Lent, ms: u64) -> Vec<u16> {
    let packets = sent_on(sender, ms, SSRC_OF_STREAM);
    packets.into_iter().map(|(sequence, _)| sequence).collect()
}

fn lose(sender: &mut Lent, ms: u64, numbers: &[u16]) {
    let mut list = LostList::new();
    for number in numbers {
        assert!(list.push(*number));
    }
    sender.handle_feedback(at(ms), Feedback::Lost(list.as_lost().unwrap()));
}

#[test]
fn what_is_lost_is_sent_again_before_what_follows_and_only_once_for_a_question() {
    let mut sender = sender(16);
    send(&mut sender, 0, true, 4).unwrap();
    assert_eq!(sent(&mut sender, 0), [65_534, 65_535, 0, 1]);
    assert_eq!(sender.poll_timeout(), None);
    send(&mut sender, 10, false, 2).unwrap();
    lose(&mut sender, 10, &[65_535, 1]);
    lose(&mut sender, 10, &[65_535, 1]);
    assert!(sender.poll_timeout().is_some());
    assert_eq!(sent(&mut sender, 10), [65_535, 1, 2, 3]);
    assert_eq!(sender.poll_timeout(), None);
    // Neither what was not sent, nor what is too old.
    lose(&mut sender, 20, &[65_500, 4, 5]);
    assert_eq!(sender.poll_timeout(), None);
    lose(&mut sender, 509, &[0, 2]);
    assert_eq!(sent(&mut sender, 509), [2], "0 was sent at 0 ms");
}

#[test]
fn packets_leave_at_twice_the_rate() {
    let mut sender = sender(256);
    sender.set_rate(1_000_000);
    send(&mut sender, 1_000, true, 100).unwrap();
    let mut times = Vec::new();
    for ms in 1_000..2_000 {
        times.extend(sent(&mut sender, ms).iter().map(|_| ms));
    }
    assert_eq!(times.len(), 100);
    // 970 bytes are 3.9 ms at 2 Mb/s, and two leave ahead of that.
    let last = times[99] - 1_000;
    assert!((370..=385).contains(&last), "{last} ms");
    assert!(times.windows(3).all(|three| three[2] > three[0]));
}

#[test]
fn a_fourth_picture_is_refused_and_what_needs_it() {
    let mut sender = sender(64);
    for n in 0..3 {
        assert!(!sender.is_busy());
        send(&mut sender, 0, n == 0, 1).unwrap();
    }
    assert!(sender.is_busy());
    assert_eq!(send(&mut sender, 0, false, 1), Err(SendPictureError::Full));
    assert_eq!(sent(&mut sender, 0).len(), 3);
    assert!(!sender.is_busy());
    let needs_key = Err(SendPictureError::NeedsKey);
    assert_eq!(send(&mut sender, 0, false, 1), needs_key);
    // Not so soon after the last one.
    assert!(!sender.take_key_wanted(at(299), 0));
    assert!(sender.take_key_wanted(at(300), 0));
    assert!(!sender.take_key_wanted(at(300), 0));
    send(&mut sender, 300, true, 1).unwrap();
    send(&mut sender, 301, false, 1).unwrap();
    assert_eq!(sent(&mut sender, 301), [1, 2]);
}

#[test]
fn a_discardable_picture_that_is_refused_is_missed_by_none() {
    let mut sender = sender(64);
    for n in 0..3 {
        send(&mut sender, 0, n == 0, 1).unwrap();
    }
    let mut discardable = picture(false, 1);
    discardable.discardable = true;
    let refused = sender.send(at(0), &discardable.picture(3));
    assert_eq!(refused, Err(SendPictureError::Full));
    sent(&mut sender, 0);
    send(&mut sender, 0, false, 1).unwrap();
    assert!(!sender.take_key_wanted(at(400), 0));
}

#[test]
fn more_packets_than_slots_are_refused() {
    let mut sender = sender(4);
    assert_eq!(send(&mut sender, 0, true, 5), Err(SendPictureError::Full));
    send(&mut sender, 0, true, 3).unwrap();
    assert_eq!(send(&mut sender, 0, false, 2), Err(SendPictureError::Full));
    assert_eq!(sent(&mut sender, 0).len(), 3);
    send(&mut sender, 0, true, 4).unwrap();
    assert_eq!(sent(&mut sender, 0).len(), 4);
    let none = &mut PictureSender::new(Codec::Vp8, 0, Vec::new());
    assert_eq!(send(none, 0, true, 1), Err(SendPictureError::Full));
    assert_eq!(sent(none, 0), []);
}

#[test]
fn published_anew_it_begins_with_a_key_picture() {
    let mut sender = sender(64);
    send(&mut sender, 0, true, 1).unwrap();
    assert_eq!(sent(&mut sender, 0).len(), 1);
    send(&mut sender, 0, false, 1).unwrap();
    assert_eq!(sent_on(&mut sender, 0, 7), [], "nobody could decode it");
    let needs_key = Err(SendPictureError::NeedsKey);
    assert_eq!(send(&mut sender, 10, false, 1), needs_key);
    assert!(sender.take_key_wanted(at(400), 0));
    send(&mut sender, 400, true, 1).unwrap();
    let packets = sent_on(&mut sender, 400, 7);
    assert!(packets.iter().all(|(_, tag)| tag.key));
    assert_eq!(packets.len(), 1);
}

#[test]
fn who_asks_for_layers_that_there_are_not_gets_nothing() {
    let mut sender = sender(4);
    for layer in [4, 255] {
        sender.handle_feedback(at(0), Feedback::KeyWanted { layer });
        assert!(!sender.take_key_wanted(at(1_000), layer));
    }
    sender.handle_feedback(at(0), Feedback::KeyWanted { layer: 1 });
    assert!(!sender.take_key_wanted(at(1_000), 0));
    assert!(sender.take_key_wanted(at(1_000), 1));
}

proptest! {
    /// Whatever is sent, asked for, cleared and published anew: numbers of packets that were not sent before go up by one, and
    /// only those that were sent come again.
    #[test]
    fn numbers_go_on_and_only_sent_packets_are_repeated(
        slots in 1usize..40,
        steps in prop::collection::vec((0u8..6, 0u64..40, 1usize..8, any::<u16>()), 1..120),
    ) {
        let mut sender = sender(slots);
        let (mut ms, mut ssrc) = (0, 1);
        let mut next = None;
        for (step, wait, count, number) in steps {
            ms += wait;
            match step {
                0..3 => drop(send(&mut sender, ms, number % 4 == 0, count)),
                3 => {
                    let number = 65_534_u16.wrapping_add(number % 200);
                    lose(&mut sender, ms, &[number]);
                }
                4 if number % 8 == 0 => sender.clear(),
                4 if number % 8 == 1 => ssrc += 1,
                _ => {
                    for (sequence, _) in sent_on(&mut sender, ms, ssrc) {
                        let expected = *next.get_or_insert(sequence);
                        let ahead = sequence.wrapping_sub(expected) as i16;
                        prop_assert!(ahead <= 0, "{} before {}", sequence, expected);
                        if ahead == 0 {
                            next = Some(sequence.wrapping_add(1));
                        }
                    }
                }
            }
            prop_assert!(sender.waiting <= MAX_WAITING);
        }
        sent_on(&mut sender, ms + 1_000, ssrc);
        prop_assert_eq!(sender.poll_timeout(), None);
        prop_assert_eq!((sender.waiting, sender.repairs), (0, 0));
    }
}
