//! Steps of `moderation`: who acts in the high four bits, the opcode in the low ones.

use super::{Program, Seeds};

const LISTEN: u8 = 15;
/// Numbers of the moderations, as `messages::moderation` has them.
const CENSOR: u8 = 0;
const UNCENSOR: u8 = 1;
const KICK: u8 = 2;
const ADMIT: u8 = 3;
const DENY: u8 = 4;

/// Joins with an open microphone, and wants to hear by the policy of this number.
fn join(who: u8, how: u8, policy: u8) -> [u8; 3] {
    [who << 4, 0x20 | how, policy]
}

/// The first one, who may do all, moderates another.
fn moderate(action: u8, whom: u8) -> [u8; 6] {
    [9, action, 1, 1, whom, LISTEN]
}

pub(super) fn write(seeds: &Seeds) -> std::io::Result<()> {
    let write = |name: &str, program: &Program| seeds.write("moderation", name, &program.0);
    let meet = |configuration: u8, policy: u8| {
        let begin = Program::default().bytes(&[configuration]);
        (0..3)
            .fold(begin, |program, who| program.bytes(&join(who, 0, policy)))
            .bytes(&[LISTEN])
    };
    write("meet", &meet(0, 0))?;
    write("meet-on-a-weak-network", &meet(2, 0))?;

    let silence = |meeting: Program| {
        let muted = meeting.bytes(&[0x15, 1, LISTEN, 0x15, 0, LISTEN]);
        let censored = muted.bytes(&moderate(CENSOR, 1));
        // It comes back, and is silent still.
        let back = censored
            .bytes(&[0x12])
            .bytes(&join(1, 0, 0))
            .bytes(&[LISTEN]);
        back.bytes(&moderate(UNCENSOR, 1))
            .bytes(&[0x14, LISTEN, 0x13, 0, LISTEN])
    };
    write("silence", &silence(meet(0, 0)))?;
    // PCMU for those who mix.
    write("silence-in-a-mix", &silence(meet(1, 3)))?;

    let choose = meet(0, 0).bytes(&[0x18, 1, LISTEN, 0x16, 0, LISTEN, 0x17, 0, LISTEN]);
    write("choose", &choose.bytes(&[0x18, 0, LISTEN, 0x26, 1, LISTEN]))?;

    let lobby = meet(0, 0).bytes(&join(3, 8, 0)).bytes(&join(4, 8, 0));
    let lobby = lobby.bytes(&[LISTEN]).bytes(&moderate(ADMIT, 3));
    write(
        "lobby",
        &lobby
            .bytes(&moderate(DENY, 4))
            .bytes(&[0x1b, ADMIT, LISTEN]),
    )?;

    let kick = meet(0, 0).bytes(&moderate(KICK, 1)).bytes(&join(1, 0, 0));
    let kick = kick.bytes(&[LISTEN, 0x2b, KICK, LISTEN, 0x0c, 0xe0, LISTEN]);
    write(
        "kick",
        &kick
            .bytes(&join(1, 0, 0))
            .bytes(&join(2, 0x40, 0))
            .bytes(&[LISTEN]),
    )?;

    // Grants that are lost and come back, one of hearing and one of speaking.
    let grants = meet(0, 0).bytes(&[0x1c, 2, LISTEN, 0x2c, 3, LISTEN, 0x1c, 0, 0x2c, 0, LISTEN]);
    write("grants", &grants.bytes(&[0x18, 0, 0x23, 0, LISTEN]))?;

    // All within one round trip, while they talk.
    let haste = meet(0, 0).bytes(&[
        0x0d, 0x1d, 0x2d, 0x15, 1, 9, CENSOR, 1, 1, 2, 0x2b, KICK, 0x12,
    ]);
    write("haste", &haste.bytes(&[LISTEN]))
}
