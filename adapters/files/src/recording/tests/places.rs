//! Where words are in a file.

use super::*;

#[test]
fn a_stream_that_comes_as_it_is_sent_is_recorded_as_it_is() {
    for codec in CODECS {
        let sent = speech(codec, 10);
        let payloads: Vec<u8> = sent.iter().flat_map(|it| it.payload.clone()).collect();
        let recorded = record(codec, sent, 10_000);
        recorded.check_length(10_000);
        recorded.check_words(all_words(10));
        let Finished {
            lost, silent, gaps, ..
        } = &recorded.finished;
        assert_eq!(
            (lost, silent, gaps.len()),
            (&Duration::ZERO, &Duration::ZERO, 0)
        );
        if codec != Codec::Opus {
            let file = std::fs::read(&recorded.path).unwrap();
            assert_eq!(file[58..], payloads);
        }
    }
}

#[test]
fn losses_move_nothing_and_are_counted() {
    for codec in CODECS {
        let mut dice = Dice(5);
        let mut sent = speech(codec, 60);
        let all = sent.len();
        sent.retain(|packet| packet.spoken == 0 || dice.below(100) >= 5);
        let lost = (all - sent.len()) as u64 * PACKET;
        assert!((1_000..6_000).contains(&lost), "{lost}");
        // A word whose first packets came begins where it began.
        let begins = |second: u64| {
            let from = second * 1_000 + WORD_AT;
            let all = [from, from + PACKET].map(|at| sent.iter().any(|it| it.spoken == at));
            all == [true; 2]
        };
        let whole: Vec<_> = (0..60).filter(|second| begins(*second)).collect();
        assert!(whole.len() > 40);
        let recorded = record(codec, sent, 60_000);
        recorded.check_length(60_000);
        let words = recorded.words();
        for second in whole {
            let word = second * 1_000 + WORD_AT;
            assert!(
                words.iter().any(|is| is.abs_diff(word) <= 20),
                "{word} in {words:?}"
            );
        }
        assert_eq!(recorded.finished.lost, Duration::from_millis(lost));
        assert_eq!(recorded.finished.silent, Duration::ZERO);
    }
}

#[test]
fn speech_is_where_the_words_are_whatever_becomes_of_packets() {
    for codec in CODECS {
        let mut dice = Dice(6);
        let mut sent = speech(codec, 20);
        // The first one says where the file begins.
        for packet in sent.iter_mut().skip(1) {
            packet.comes += dice.below(150);
        }
        // Pauses are not sent, and the word of a second is lost.
        sent.retain(|packet| packet.spoken == 0 || is_word(packet.spoken));
        for (number, packet) in (0..).zip(&mut sent) {
            packet.sequence = number;
        }
        sent.retain(|packet| packet.spoken / 1_000 != 7);
        let finished = record(codec, sent, 20_000).finished;
        let words: Vec<_> = all_words(20).filter(|word| word / 1_000 != 7).collect();
        assert_eq!(finished.speech.len(), words.len());
        for (found, word) in finished.speech.iter().zip(words) {
            let ms = |time: Duration| time.as_millis() as u64;
            let near = |place: Duration, ms_of: u64| ms(place).abs_diff(ms_of) <= 3;
            assert!(
                near(found.from, word) && near(found.to, word + WORD),
                "{found:?} {word}"
            );
        }
    }
}

#[test]
fn holes_keep_their_length() {
    for codec in CODECS {
        for hole in [4_000, 61_000] {
            let mut sent = speech(codec, 5 + hole / 1_000);
            sent.retain(|packet| !(3_000..3_000 + hole).contains(&packet.spoken));
            let until = 5_000 + hole;
            let recorded = record(codec, sent, until);
            recorded.check_length(until);
            let heard = |word: &u64| !(3_000..3_000 + hole).contains(word);
            recorded.check_words(all_words(5 + hole / 1_000).filter(heard));
            assert_eq!(recorded.finished.lost, Duration::from_millis(hole));
            let gap = Gap {
                place: Duration::from_secs(3),
                length: Duration::from_millis(hole),
            };
            assert_eq!(recorded.finished.gaps, [gap]);
        }
    }
}

#[test]
fn an_hour_of_silence_takes_about_180_kilobytes() {
    let mut sent = speech(Codec::Opus, 1);
    sent.truncate(10);
    let recorded = record(Codec::Opus, sent, 3_600_000);
    let Finished {
        duration,
        size,
        silent,
        ..
    } = recorded.finished;
    let hour = Duration::from_secs(3_600);
    assert!(hour - duration < Duration::from_millis(10));
    assert_eq!(silent, duration - Duration::from_millis(200));
    assert!((180_000..195_000).contains(&size), "{size}");
}

#[test]
fn pauses_are_silent_and_not_lost() {
    for codec in CODECS {
        // DTX: timestamps go on, numbers do not. Also at the beginning and at the end.
        let mut sent = speech(codec, 30);
        sent.retain(|packet| (200..400).contains(&(packet.spoken % 1_000)));
        for (number, packet) in (0..).zip(&mut sent) {
            packet.sequence = number;
        }
        // Muted for ten seconds.
        sent.retain(|packet| !(10_000..20_000).contains(&packet.spoken));
        for packet in sent.iter_mut().filter(|packet| packet.spoken >= 20_000) {
            packet.sequence -= 100;
        }
        let recorded = record(codec, sent, 30_000);
        recorded.check_length(30_000);
        recorded.check_words(all_words(30).filter(|word| !(10_000..20_000).contains(word)));
        let Finished {
            lost, silent, gaps, ..
        } = &recorded.finished;
        assert_eq!(*lost, Duration::ZERO);
        assert_eq!(silent.as_millis(), 26_000);
        let longest = gaps.iter().map(|gap| gap.length.as_millis()).max();
        assert_eq!(longest, Some(10_800));
        assert!(gaps.is_sorted_by_key(|gap| gap.place));
    }
}

#[test]
fn packets_that_overtake_each_other_are_put_in_order() {
    for codec in CODECS {
        let mut dice = Dice(9);
        let mut sent = speech(codec, 30);
        for packet in sent.iter_mut().skip(1) {
            packet.comes += dice.below(180);
        }
        let out_of_order = sent.windows(2).filter(|pair| pair[0].comes > pair[1].comes);
        assert!(out_of_order.count() > 400);
        let recorded = record(codec, sent, 30_000);
        recorded.check_length(30_000);
        recorded.check_words(all_words(30));
        assert_eq!(recorded.finished.lost, Duration::ZERO);
    }
}

#[test]
fn who_comes_too_late_is_lost() {
    let mut sent = speech(Codec::Pcmu, 10);
    for packet in &mut sent {
        // One word a quarter of a second late; all of it twice.
        let is_late = (5_200..5_300).contains(&packet.spoken);
        packet.comes += if is_late { 350 } else { 0 };
    }
    let again = sent.iter().filter(|packet| packet.spoken < 9_900);
    let again = again.cloned().map(|mut packet| {
        packet.comes += 40;
        packet
    });
    let sent = again.chain(sent.clone()).collect();
    let recorded = record(Codec::Pcmu, sent, 10_000);
    recorded.check_length(10_000);
    recorded.check_words(all_words(10).filter(|word| *word != 5_200));
    assert_eq!(recorded.finished.lost, Duration::from_millis(100));
}

#[test]
fn a_late_burst_changes_nothing() {
    for codec in CODECS {
        let mut sent = speech(codec, 10);
        for packet in &mut sent {
            if (4_000..4_900).contains(&packet.spoken) {
                packet.comes = 4_900;
            }
        }
        let recorded = record(codec, sent, 10_000);
        recorded.check_length(10_000);
        recorded.check_words(all_words(10));
    }
}

#[test]
fn jumps_of_the_timestamp_move_nothing() {
    for codec in CODECS {
        let second = codec.clock_rate();
        for jump in [
            600 * second,
            2 * second,
            0_u32.wrapping_sub(second),
            1 << 31,
        ] {
            let mut sent = speech(codec, 10);
            for packet in sent.iter_mut().filter(|packet| packet.spoken >= 5_000) {
                packet.timestamp = packet.timestamp.wrapping_add(jump);
            }
            let recorded = record(codec, sent, 10_000);
            recorded.check_length(10_000);
            recorded.check_words(all_words(10));
        }
    }
}

#[test]
fn a_clock_that_stands_still_in_a_pause_moves_nothing() {
    for codec in CODECS {
        let mut sent = speech(codec, 20);
        sent.retain(|packet| !(5_000..12_000).contains(&packet.spoken));
        for packet in sent.iter_mut().filter(|packet| packet.spoken >= 12_000) {
            packet.sequence -= 350;
            packet.timestamp = packet.timestamp.wrapping_sub(7 * codec.clock_rate());
        }
        let recorded = record(codec, sent, 20_000);
        recorded.check_length(20_000);
        recorded.check_words(all_words(20).filter(|word| !(5_000..12_000).contains(word)));
    }
}

#[test]
fn a_publisher_that_begins_anew_goes_on_in_its_place() {
    for codec in CODECS {
        // Far away, and close below: there half a second is lost before it is found out.
        for (number, lost) in [(40_000, 0), (65_536 - 400, 500)] {
            let mut sent = speech(codec, 20);
            for packet in sent.iter_mut().filter(|packet| packet.spoken >= 10_000) {
                packet.sequence = packet.sequence.wrapping_add(number as u16);
                packet.timestamp = packet.timestamp.wrapping_mul(3).wrapping_add(1 << 30);
                packet.timestamp =
                    (packet.spoken as u32 * (codec.clock_rate() / 1_000)).wrapping_add(7 << 28);
            }
            let recorded = record(codec, sent, 20_000);
            recorded.check_length(20_000);
            let is_lost = |word: &u64| (10_000..10_000 + lost).contains(word);
            recorded.check_words(all_words(20).filter(|word| !is_lost(word)));
        }
    }
}

#[test]
fn drift_moves_nothing_and_anchors_tell_of_it() {
    // A clock that is 300 ppm fast.
    let mut sent = speech(Codec::Pcmu, 100);
    for packet in &mut sent {
        packet.comes -= packet.spoken * 3 / 10_000;
    }
    let recorded = record(Codec::Pcmu, sent, 99_970);
    recorded.check_words(all_words(100));
    let Finished {
        anchors, silent, ..
    } = &recorded.finished;
    assert_eq!(*silent, Duration::ZERO);
    assert_eq!(anchors.len(), 10);
    let [first, .., last] = &anchors[..] else {
        panic!("{anchors:?}");
    };
    let ahead = |anchor: &Anchor| anchor.place.saturating_sub(anchor.at).as_millis();
    assert_eq!((ahead(first), ahead(last)), (0, 27));
}

#[test]
fn a_file_is_never_far_behind() {
    for codec in CODECS {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        let mut file = create(&path, codec);
        let written = || std::fs::metadata(&path).unwrap().len();
        let mut sent = speech(codec, 20);
        sent.retain(|packet| packet.spoken < 5_000);
        let mut at_most = 0;
        for ms in 0..20_000 {
            let at = Duration::from_millis(ms);
            if let Some(packet) = sent.iter().find(|packet| packet.comes == ms) {
                let recorded = RecordedPacket {
                    sequence: packet.sequence,
                    timestamp: packet.timestamp,
                    level: None,
                    payload: &packet.payload,
                };
                file.packet(at, recorded).unwrap();
            }
            if ms % 200 == 0 {
                file.tick(at).unwrap();
            }
            let end = file.placing.time(file.end());
            at_most = at_most.max((at.saturating_sub(end)).as_millis());
            if ms == 4_000 {
                assert!(written() > 3_000, "not in memory alone");
            }
        }
        assert!((1_900..2_200).contains(&at_most), "{at_most}");
    }
}
