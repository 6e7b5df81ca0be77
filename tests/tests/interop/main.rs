//! Parlour's packets are valid RTP, RTCP, G.711 and Opus for other programs, too: GStreamer, FFmpeg and Wireshark
//! receive them as plain RTP, by UDP or from a capture file, and their output is checked.
//!
//! If one of these programs is missing, its tests say so and pass; with `PARLOUR_REQUIRE_INTEROP` in the environment
//! they fail instead. No test sleeps: packets are sent as fast as the other end decodes them. Only the test with a
//! whole room takes as long as its audio.

mod capture;
mod ffmpeg;
mod flow;
mod gstreamer;
mod peer;
mod recording;
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
