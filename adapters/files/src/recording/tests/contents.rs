//! Files as others read them.

use std::io::BufReader;

use ogg::PacketReader;

use super::*;

/// The packets of an Ogg file, with where each page ends.
pub(super) fn packets(path: &Path) -> Vec<ogg::Packet> {
    let file = BufReader::new(File::open(path).unwrap());
    let mut reader = PacketReader::new(file);
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(packet);
    }
    packets
}

#[test]
fn an_ogg_file_is_as_rfc_7845_has_it() {
    let recorded = record(Codec::Opus, speech(Codec::Opus, 10), 14_000);
    let packets = packets(&recorded.path);
    let (head, tags, sound) = (&packets[0], &packets[1], &packets[2..]);
    assert!(head.first_in_stream() && head.last_in_page());
    assert_eq!(
        head.data,
        b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00"
    );
    assert!(tags.first_in_page() && tags.last_in_page());
    let comments =
        b"OpusTags\x07\0\0\0parlour\x02\0\0\0\x0a\0\0\0ROOM=green\x10\0\0\0PARTICIPANT=anna";
    assert_eq!(tags.data, comments);
    let (mut end, mut page) = (0, 0);
    for packet in sound {
        assert_eq!(packet.stream_serial(), 77);
        end += u64::from(frame_samples(Codec::Opus, &packet.data).unwrap());
        if packet.last_in_page() {
            assert_eq!(packet.absgp_page(), end);
            assert!(end - page <= 48_000, "a page of more than a second");
            page = end;
        }
    }
    assert_eq!(end, 14 * 48_000);
    assert!(sound.last().unwrap().last_in_stream());
}

#[test]
fn comments_that_fit_into_no_page_are_refused() {
    let comments = [("NAME", &*"x".repeat(3_000))];
    for (codec, comments) in [(Codec::Opus, &comments[..]), (Codec::Vp8, &[])] {
        let start = FileStart {
            codec,
            serial: 0,
            comments,
        };
        let file = StreamFile::create(tempfile::tempfile().unwrap(), &start);
        let kind = file.map(drop).map_err(|error| error.kind());
        assert_eq!(kind, Err(io::ErrorKind::InvalidInput));
    }
}

#[test]
fn the_sizes_of_a_wav_file_are_those_of_its_second() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let mut file = create(&path, Codec::Pcma);
    for packet in speech(Codec::Pcma, 5) {
        let at = Duration::from_millis(packet.comes);
        let recorded = RecordedPacket {
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            level: None,
            payload: &packet.payload,
        };
        file.packet(at, recorded).unwrap();
        file.tick(at).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let size = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
        let (whole, fact, data) = (size(4), size(46), size(54));
        assert_eq!((whole, fact), (data + 50, data));
        assert!(data as usize <= bytes.len() - 58);
        let spoken = packet.spoken as u32 * 8;
        assert!(spoken.saturating_sub(data) <= 8_000, "{spoken} {data}");
    }
    assert_eq!(std::fs::read(&path).unwrap()[20..22], [6, 0]);
}

#[test]
fn an_odd_number_of_samples_is_made_even() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stream");
    let mut file = create(&path, Codec::Pcmu);
    let packet = RecordedPacket {
        sequence: 0,
        timestamp: 0,
        level: None,
        payload: &[1; 161],
    };
    file.packet(Duration::ZERO, packet).unwrap();
    let finished = file.finish(Duration::ZERO).unwrap();
    assert_eq!(finished.size, 58 + 162);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes[4..8], (50 + 162_u32).to_le_bytes());
    assert_eq!(bytes[54..58], 161_u32.to_le_bytes());
}
