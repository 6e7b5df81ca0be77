//! What Parlour sends is RTP, RTCP, G.711 and Opus to others, too: GStreamer, FFmpeg and Wireshark receive it as plain
//! RTP, by UDP or from a capture file, and say what they made of it.
//!
//! Where one of these programs is missing, its tests say so and pass; with `PARLOUR_REQUIRE_INTEROP` in the environment
//! they fail instead. Nothing waits for a fixed while: packets are sent as fast as the other end decodes them. Only the
//! test with a whole room takes as long as what is said there.

mod capture;
mod ffmpeg;
mod flow;
mod gstreamer;
mod peer;
mod room;
mod tshark;

use parlour_examples::measure::find;

/// Fails unless `heard` is what the flow's talker said; prints how alike the two are.
///
/// 0.85 is between what every codec here keeps (0.92 or more) and other speech, which seldom gives 0.5.
fn assert_heard(what: &str, said: &[i16], heard: &[i16]) {
    let found = find(said, heard);
    println!(
        "{what}: similarity {:.3}, {:?} late",
        found.similarity, found.delay
    );
    assert!(found.similarity > 0.85, "{what}: not what was said");
}
