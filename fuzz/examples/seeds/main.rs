//! Writes seeds into `corpus/`: what a search starts from.
//!
//! ```sh
//! cargo run --manifest-path fuzz/Cargo.toml --example seeds
//! ```
//!
//! Seeds come from the golden vectors of `core/vectors`, and for the targets that read a program from programs written
//! here, each a session as it should go. Files are named after their content, so that writing them again changes nothing.

mod moderation;
mod recordings;

use std::fs;
use std::path::{Path, PathBuf};

use parlour_core::audio::codec::{AudioEncoder as _, FrameDuration, SampleRate};
use parlour_core::audio::opus::{EncoderConfig, FullbandEncoder, OpusEncoder};
use parlour_core::rtp::{AudioLevel, ReportBlock, RtpHeader, SenderInfo, write_report};

fn main() -> std::io::Result<()> {
    let seeds = Seeds(Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
    vectors(&seeds)?;
    tickets(&seeds)?;
    handshakes(&seeds)?;
    rtp(&seeds)?;
    pictures(&seeds)?;
    feedback(&seeds)?;
    jitter(&seeds)?;
    opus(&seeds)?;
    servers(&seeds)?;
    clients(&seeds)?;
    rooms(&seeds)?;
    moderation::write(&seeds)?;
    recordings::write(&seeds)?;
    Ok(())
}

/// The directory of all corpora.
struct Seeds(PathBuf);

impl Seeds {
    fn write(&self, target: &str, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        let directory = self.0.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("seed-{name}")), bytes)
    }
}

/// A program as [`parlour_fuzz::input::Input`] reads it.
#[derive(Default, Clone)]
struct Program(Vec<u8>);

impl Program {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their number before them, as one byte.
    fn short(self, bytes: &[u8]) -> Self {
        let len = u8::try_from(bytes.len()).expect("at most 255 bytes");
        self.bytes(&[len]).bytes(bytes)
    }

    /// Bytes with their number before them, as two bytes.
    fn long(self, bytes: &[u8]) -> Self {
        let len = u16::try_from(bytes.len()).expect("at most 65,535 bytes");
        self.bytes(&len.to_le_bytes()).bytes(bytes)
    }
}

fn vectors(seeds: &Seeds) -> std::io::Result<()> {
    let messages = [
        "request",
        "server_message",
        "join",
        "answer",
        "lossy_request",
        "lossy_delivery",
    ];
    for (kind, file) in (0..).zip(messages) {
        for (name, bytes) in read_vectors(file)? {
            let input = Program::default().bytes(&[kind]).bytes(&bytes);
            seeds.write("signal_decode", &format!("{file}-{name}"), &input.0)?;
        }
    }
    for file in ["packet", "frame"] {
        for (name, bytes) in read_vectors(file)? {
            seeds.write("packet_parse", &format!("{file}-{name}"), &bytes)?;
        }
    }
    Ok(())
}

/// The vectors of a file: `[name]`, then lines of hexadecimal bytes with comments after `#`.
fn read_vectors(file: &str) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let path = format!("{}/../core/vectors/{file}.hex", env!("CARGO_MANIFEST_DIR"));
    let mut vectors: Vec<(String, Vec<u8>)> = Vec::new();
    for line in fs::read_to_string(path)?.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
            vectors.push((name, Vec::new()));
        } else if let Some((_, bytes)) = vectors.last_mut() {
            let parse = |byte| u8::from_str_radix(byte, 16).expect("hexadecimal bytes");
            bytes.extend(line.split_ascii_whitespace().map(parse));
        }
    }
    Ok(vectors)
}

fn tickets(seeds: &Seeds) -> std::io::Result<()> {
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let texts = [
        (0, format!("parlour://127.0.0.1:7900/{key}#a.b.c")),
        (0, format!("parlour://[::1]:7900/{key}#a.b.c")),
        (1, format!("rooms.example.org:1/{key}#t")),
        (2, "rooms.example.org:65535".to_owned()),
        (3, "eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned()),
        (1, "Ada Lovelace \u{1f3a9}".to_owned()),
        (4, "eyJhbGciOiJub25lIn0.eyJpc3MiOiJhcHAifQ.".to_owned()),
        (
            5,
            r#"{"iss":"app","sub":"ada","room":"hall","exp":9,"grants":["moderator"]}"#.to_owned(),
        ),
        (
            5,
            r#"{"iss":"app","sub":"ada","room":"hall","exp":9,"nbf":1,"name":"A","lobby":true}"#
                .to_owned(),
        ),
        (
            5,
            r#"{"iss":"app","sub":"ada","room":"hall","exp":9,"grants":{"kick":true}}"#.to_owned(),
        ),
        (
            6,
            "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}\n{\"iss\":\"app\"}".to_owned(),
        ),
        (7, "expires!grants".to_owned()),
    ];
    for (number, (prefix, text)) in texts.into_iter().enumerate() {
        let input = Program::default().bytes(&[prefix]).bytes(text.as_bytes());
        seeds.write("ticket_and_token", &number.to_string(), &input.0)?;
    }
    Ok(())
}

fn handshakes(seeds: &Seeds) -> std::io::Result<()> {
    const AS_IT_IS: [u8; 1] = [0];
    const FLIP: [u8; 4] = [1, 40, 0, 0x80];
    for (name, how) in [("undisturbed", &AS_IT_IS[..]), ("flipped", &FLIP[..])] {
        let ids = Program::default()
            .bytes(&[1, 0, 0, 0, 2, 0, 0, 0])
            .long(&[]);
        let hello = ids.long(b"join").bytes(how).bytes(&[0]);
        let welcome = hello.long(b"joined").bytes(how);
        let cookie = welcome.short(b"192.0.2.1:5000").bytes(how).bytes(&[0x20]);
        let mut talk = cookie.bytes(how);
        for from in [0, 1, 0] {
            talk = talk.bytes(&[from]).short(b"frames").bytes(how);
        }
        seeds.write("handshake", name, &talk.0)?;
    }
    Ok(())
}

/// Pictures of each codec: all of them whole, and a stream that loses, delays, repeats and damages packets.
fn pictures(seeds: &Seeds) -> std::io::Result<()> {
    const KEY: u8 = 1;
    const LEFT_OUT: u8 = 4;
    const POLL: [u8; 3] = [4, 0xFF, 0xFF];
    const FATES: [u8; 4] = [0, 160, 180, 200];
    for (codec, name) in [(0, "vp8"), (1, "h264"), (2, "jpeg")] {
        let picture = |program: Program, how: u8, fates: &[u8]| {
            let program = program.bytes(&[0, how, 7, 0xC4, 0x09, 0, 0, 0, 0]);
            program.bytes(fates)
        };
        let begun = Program::default().bytes(&[codec, 64, 0xFE, 0xFF]);
        let mut whole = picture(begun.clone(), KEY, &[0; 3]);
        for how in [2 | LEFT_OUT | 2 << 3, 2 | 1 << 3, 2 | LEFT_OUT | 2 << 3, 2] {
            whole = picture(whole, how, &[0; 3]).bytes(&POLL);
        }
        seeds.write("pictures", &format!("{name}-whole"), &whole.0)?;
        for fate in FATES {
            let mut program = picture(begun.clone(), KEY, &[0; 3]).bytes(&POLL);
            program = picture(program, 2, &[0, fate, 0]);
            program = picture(program, 2, &[0; 3]).bytes(&POLL).bytes(&[5]);
            program = program.bytes(&POLL).bytes(&[3]).bytes(&POLL).bytes(&[6]);
            program = picture(program, KEY | 1 << 5, &[0; 3]);
            seeds.write("pictures", &format!("{name}-{fate}"), &program.0)?;
        }
        // A flipped bit of the tag, and a packet of nobody's picture.
        let damaged = picture(begun, KEY, &[220, 1, 17, 0, 6, 0, 0]);
        let made_up = damaged.bytes(&[2, 1, 0xFE, 0xFF, 0, 0, 0, 0, 0xC0, 0, 9]);
        seeds.write(
            "pictures",
            &format!("{name}-made-up"),
            &made_up.short(&[1; 9]).bytes(&[6]).0,
        )?;
    }
    Ok(())
}

/// Pictures sent over a way that loses some, with questions that come and that are lost; then hostile questions.
fn feedback(seeds: &Seeds) -> std::io::Result<()> {
    const TIME: [u8; 3] = [2, 0x80, 0x02];
    for (codec, name) in [(0, "vp8"), (1, "jpeg"), (2, "h264")] {
        for (fate, answer) in [(0, 0), (210, 0), (210, 220), (250, 0)] {
            let mut program = Program::default().bytes(&[codec, 64, 64, 0xFA, 0xFF]);
            program = program.bytes(&[11, 0, 0, 0, 1]);
            for how in [0, 1 | 4 | 2 << 3, 1 | 1 << 3, 1 | 4 | 2 << 3, 1] {
                program = program.bytes(&[0, how, 0xC4, 0x09]).bytes(&[3, 0, fate, 0]);
                program = program.bytes(&TIME).bytes(&[5, answer, answer]);
                program = program.bytes(&[3, 0, 0, 0]).bytes(&TIME);
            }
            seeds.write("feedback", &format!("{name}-{fate}-{answer}"), &program.0)?;
            let hostile = program.bytes(&[6]).short(&[0xFA, 0xFF, 0xFF, 0xFF]);
            let hostile = hostile.bytes(&[6]).short(&[1]).bytes(&[8, 9, 10, 0x21, 0]);
            let hostile = hostile
                .bytes(&[0, 0, 9, 3, 0, 5])
                .bytes(&[7])
                .short(&[0x80; 40]);
            seeds.write(
                "feedback",
                &format!("{name}-{fate}-{answer}-hostile"),
                &hostile.0,
            )?;
        }
    }
    Ok(())
}

fn rtp(seeds: &Seeds) -> std::io::Result<()> {
    let mut flow = Program::default().bytes(&[0, 0, 0, 0, 0]);
    for sequence in [65_534, 65_535, 1, 0] {
        let header = RtpHeader {
            marker: sequence == 65_534,
            payload_type: 111,
            sequence,
            timestamp: u32::from(sequence) * 960,
            ssrc: 0xcafe,
            csrcs: &[0xbeef],
            audio_level: Some(AudioLevel {
                voice: true,
                level: 30,
            }),
        };
        let mut bytes = [0; 64];
        let len = header.write(&[0x48, 1, 2], &mut bytes).expect("it fits");
        flow = flow.bytes(&[0, 0x45]).long(&bytes[..len]);
    }
    let info = SenderInfo {
        ntp: 1 << 32,
        packets: 50,
        ..SenderInfo::default()
    };
    let block = ReportBlock {
        ssrc: 2,
        fraction_lost: 25,
        last_sr: 1 << 16,
        ..ReportBlock::default()
    };
    let mut bytes = [0; 128];
    let len = write_report(1, Some(&info), &[block], &mut bytes).expect("it fits");
    flow = flow.bytes(&[1, 0x45]).long(&bytes[..len]);
    flow = flow.bytes(&[3, 0x45, 0, 0, 0, 0]);
    // Built packets: two CSRCs, no marker, Opus.
    for sequence in 2..6 {
        let built = flow.bytes(&[2, 0x45, 2, 7, 8, 0, 0, sequence, 0, 0, 0, 0, 0]);
        flow = built.short(&[0x48, 1, 2]);
    }
    seeds.write("rtp_rtcp", "a-flow", &flow.0)
}

fn jitter(seeds: &Seeds) -> std::io::Result<()> {
    // 48 kHz, delays of 80, 20 and 400 ms.
    let config = [0, 0x65, 0x45, 0x86];
    let steady = Program::default().bytes(&config).bytes(&[4, 0].repeat(60));
    seeds.write("jitter_buffer", "steady", &steady.0)?;
    // Packets lost, silences, a burst, an outage.
    let mut rough = Program::default().bytes(&config).bytes(&[4, 0].repeat(20));
    rough = rough
        .bytes(&[4, 0x04, 4, 0x20, 4, 0])
        .bytes(&[0, 0].repeat(6));
    rough = rough.bytes(&[2].repeat(12)).bytes(&[3, 0xb6]);
    rough = rough.bytes(&[4, 0x80].repeat(10));
    seeds.write("jitter_buffer", "rough", &rough.0)
}

fn opus(seeds: &Seeds) -> std::io::Result<()> {
    let tone = |rate: SampleRate, frame: FrameDuration, number: usize| -> Vec<i16> {
        let samples = rate.samples(frame.ms());
        (number * samples..(number + 1) * samples)
            .map(|n| ((n * n / 7 + n * 40) % 9_000) as i16 - 4_500)
            .collect()
    };
    for (name, frame, loss) in [
        ("silk-20", FrameDuration::Ms20, 0),
        ("silk-60", FrameDuration::Ms60, 0),
        ("silk-fec", FrameDuration::Ms20, 20),
    ] {
        let config = EncoderConfig {
            frame,
            expected_loss: loss,
            ..EncoderConfig::default()
        };
        let mut encoder = OpusEncoder::new(config).expect("a supported configuration");
        let mut input = Program::default().bytes(&[0x80]);
        for number in 0..4 {
            let mut out = [0; 1000];
            let pcm = tone(SampleRate::Hz16000, frame, number);
            let encoded = encoder.encode(&pcm, &mut out).expect("it encodes");
            if let Some(payload) = encoded.payload(&out) {
                let step = if loss > 0 && number == 2 {
                    &[2, 64, 1][..]
                } else {
                    &[0]
                };
                input = input.bytes(step).short(&payload[..payload.len().min(255)]);
            }
        }
        seeds.write("opus_decode", name, &input.bytes(&[3, 64, 1]).0)?;
    }
    for (name, bitrate) in [("hybrid", 24_000), ("celt", 96_000)] {
        let config = EncoderConfig {
            sample_rate: SampleRate::Hz48000,
            bitrate,
            ..EncoderConfig::default()
        };
        let mut encoder = FullbandEncoder::new(config).expect("a supported configuration");
        let mut input = Program::default().bytes(&[0x82]);
        for number in 0..3 {
            let mut out = [0; 1000];
            let pcm = tone(SampleRate::Hz48000, FrameDuration::Ms20, number);
            let encoded = encoder.encode(&pcm, &mut out).expect("it encodes");
            if let Some(payload) = encoded.payload(&out) {
                input = input.bytes(&[0]).short(&payload[..payload.len().min(255)]);
            }
        }
        seeds.write("opus_decode", name, &input.bytes(&[3, 0xc0, 3]).0)?;
    }
    let g711 = Program::default()
        .bytes(&[1, 0x40])
        .short(&[0xd5; 80])
        .bytes(&[0x83, 80, 0]);
    seeds.write("opus_decode", "g711", &g711.0)
}

/// Steps of `server_datagrams`, by their opcodes there.
fn servers(seeds: &Seeds) -> std::io::Result<()> {
    // A peer's wish to join: number, structured, publishes one stream, which, tracks 8, slots 3, policy All, id.
    let hello = |peer: u8| [1, peer, 1, 1, peer & 3, 0, 3, 0, peer];
    // Let in as the participant of that number, with all grants.
    let admit = |peer: u8| [2, 0x02 | peer << 4, 0, 0];
    let deliver_all = [8, 0];
    let settle = [15];
    let mut joined = Program::default().bytes(&[0]);
    for peer in 0..3 {
        joined = joined.bytes(&hello(peer)).bytes(&[16]).bytes(&admit(peer));
        joined = joined.bytes(&deliver_all).bytes(&settle).bytes(&settle);
    }
    seeds.write("server_datagrams", "join", &joined.0)?;

    let mut talk = joined;
    for sequence in 0..4 {
        for peer in 0..2 {
            talk = talk.bytes(&[7, peer, 0x80, 0x90 | peer, sequence, 0, 0, sequence, 0, 0]);
            talk = talk.short(&[0x48, 1, 2]);
        }
        talk = talk.bytes(&settle).bytes(&[9, 0x45]);
    }
    // Receivers tell what arrived, and time passes.
    talk = talk.bytes(&[13, 2, 0, 9, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]);
    talk = talk.bytes(&[9, 0xb2]).bytes(&settle).bytes(&settle);
    seeds.write("server_datagrams", "talk", &talk.0)?;

    // Each request once, from its own peer.
    let mut ask = talk;
    for operation in 0..16 {
        ask = ask.bytes(&[6, operation % 3, operation, operation, 1, 1, 1, 1]);
        ask = ask.bytes(&settle);
    }
    seeds.write("server_datagrams", "ask", &ask.0)?;

    // Into the lobby, let in by the embedder, resumed elsewhere, kicked; with few events and cookies.
    let mut lobby = Program::default().bytes(&[6]);
    lobby = lobby.bytes(&hello(0)).bytes(&deliver_all).bytes(&hello(0));
    lobby = lobby
        .bytes(&[16, 2, 2, 0, 0x20])
        .bytes(&settle)
        .bytes(&settle);
    lobby = lobby.bytes(&[11, 3]).bytes(&settle).bytes(&settle);
    lobby = lobby
        .bytes(&[1, 0x90, 1, 5, 0, 1, 2, 0, 3, 0, 9])
        .bytes(&[16, 2, 2, 0, 0]);
    lobby = lobby.bytes(&settle).bytes(&settle).bytes(&[10, 3, 0x81, 0]);
    lobby = lobby.bytes(&[11, 0]).bytes(&settle).bytes(&[9, 0xf0]);
    seeds.write("server_datagrams", "lobby", &lobby.0)
}

/// Steps of `client_datagrams`, by their opcodes there.
fn clients(seeds: &Seeds) -> std::io::Result<()> {
    let publish = |key: u8| [12, 0, key];
    // Joined, with all grants, one stream, keepalive 10 s and grace 30 s.
    let joined = [2, 4, 1, 0, 0, 10, 30];
    let settle = [19];
    let begin = [7, 0];
    let end = [7, 1];
    // The participants of the room, with one stream of Opus each.
    let snapshot = |who: u8, ssrc: u8| [7, 11, who, 0, 1, 0, ssrc];
    let mut join = Program::default()
        .bytes(&[1])
        .bytes(&publish(0))
        .bytes(&[1]);
    join = join.bytes(&joined).bytes(&settle).bytes(&begin);
    for who in 0..3 {
        join = join.bytes(&snapshot(who, who + 1));
    }
    join = join.bytes(&end).bytes(&settle);
    seeds.write("client_datagrams", "join", &join.0)?;

    let mut talk = join;
    for sequence in 0..4 {
        talk = talk
            .bytes(&[8, 4, 0x90, sequence, 0, 0, sequence, 0, 0])
            .short(&[0x48, 1, 2]);
        talk = talk.bytes(&[14, 0, 0, sequence, 0, 0]).short(&[0x48, 1, 2]);
        talk = talk.bytes(&[11, 0x45]).bytes(&settle);
    }
    talk = talk.bytes(&[9, 0x81, 9, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    talk = talk.bytes(&[11, 0xb3]).bytes(&settle);
    seeds.write("client_datagrams", "talk", &talk.0)?;

    let mut ask = talk;
    for command in 1..14 {
        ask = ask.bytes(&[13, command, command, 1, 1, 1]).bytes(&settle);
        ask = ask.bytes(&[18, 0x90]).bytes(&settle).bytes(&[15, 255]);
    }
    // Answers that nobody waits for (any more).
    for request in 0..20 {
        ask = ask.bytes(&[7, 2, request]);
    }
    seeds.write("client_datagrams", "ask", &ask.0)?;

    // Through Retry, lobby and admission; then a Reset, and the same participant again.
    let mut lobby = Program::default()
        .bytes(&[6])
        .bytes(&publish(0))
        .bytes(&[1]);
    lobby = lobby.bytes(&[4, 0, 7, 1]).bytes(&[2, 2, 10]).bytes(&settle);
    lobby = lobby.bytes(&[7, 6, 0, 0, 0, 10, 30]).bytes(&settle);
    lobby = lobby
        .bytes(&begin)
        .bytes(&snapshot(0, 1))
        .bytes(&end)
        .bytes(&settle);
    lobby = lobby.bytes(&[4, 2, 0]).bytes(&[11, 0xb2, 1]);
    lobby = lobby
        .bytes(&[2, 0x24, 1, 0, 0, 10, 30])
        .bytes(&settle)
        .bytes(&settle);
    lobby = lobby
        .bytes(&[13, 14])
        .bytes(&settle)
        .bytes(&[11, 0xf8])
        .bytes(&settle);
    lobby = lobby
        .bytes(&[13, 15, 0xff])
        .bytes(&settle)
        .bytes(&[7, 0xfa, 0]);
    seeds.write("client_datagrams", "lobby", &lobby.0)
}

/// Steps of `operations`: the party in the high four bits, the opcode in the low ones.
fn rooms(seeds: &Seeds) -> std::io::Result<()> {
    let all_arrives = [6, 6, 14];
    // Each publishes one audio stream of its own name.
    let join = |who: u8| [who << 4, 4, who & 3];
    let mut meeting = Program::default().bytes(&[0]);
    for who in 0..3 {
        meeting = meeting.bytes(&join(who)).bytes(&all_arrives);
    }
    seeds.write("operations", "join", &meeting.0)?;

    for turn in 0..6 {
        meeting = meeting
            .bytes(&[(turn % 3) << 4 | 3, 0x90])
            .bytes(&all_arrives);
    }
    seeds.write("operations", "talk", &meeting.0)?;

    let mut asking = meeting.clone();
    for command in 0..15 {
        let who = command % 3;
        asking = asking
            .bytes(&[who << 4 | 1, command, who, 1, 1, 1])
            .bytes(&all_arrives);
    }
    seeds.write("operations", "ask", &asking.0)?;

    // Losses, duplicates, reorderings, a new address, an outage that is survived and one that is not.
    let mut rough = meeting;
    for who in 0..3_u8 {
        let high = who << 4;
        rough = rough.bytes(&[high | 1, 3, who, 1, high | 9, 1, high | 10, 1, high | 8, 0]);
        rough = rough
            .bytes(&[high | 11, 0, high | 12, high | 4, high | 5])
            .bytes(&[7, 0x83]);
    }
    rough = rough
        .bytes(&[0x1d, 0, 7, 0xb8, 0x1d, 0, 7, 0xb8])
        .bytes(&all_arrives);
    rough = rough
        .bytes(&[0x2d, 0xfe, 7, 0xe9])
        .bytes(&all_arrives)
        .bytes(&join(2));
    rough = rough
        .bytes(&all_arrives)
        .bytes(&[0x0d, 0xff])
        .bytes(&[7, 0xd9])
        .bytes(&all_arrives);
    rough = rough.bytes(&[0x03, 0x80]).bytes(&all_arrives);
    seeds.write("operations", "rough", &rough.0)?;

    // A full room, a lobby, moderation.
    let mut lobby = Program::default().bytes(&[0x1f]);
    for who in [0, 4, 1, 2, 3] {
        lobby = lobby.bytes(&join(who)).bytes(&all_arrives);
    }
    lobby = lobby.bytes(&[0x01, 11, 3, 1, 1, 4]).bytes(&all_arrives);
    lobby = lobby
        .bytes(&[0x01, 11, 0, 1, 1, 4])
        .bytes(&all_arrives)
        .bytes(&[0x43, 0x80]);
    lobby = lobby
        .bytes(&all_arrives)
        .bytes(&[0x01, 11, 2, 1, 1, 1])
        .bytes(&all_arrives);
    seeds.write("operations", "lobby", &lobby.0)
}
