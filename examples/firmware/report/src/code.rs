//! A RISC-V decoder that distinguishes calls from jumps, and detects functions that never return.

/// The effect of an instruction on the flow of control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Continues, or branches nearby.
    On,
    Call,
    /// A jump that does not return: within the function, or a tail call.
    Jump,
    /// Through a register: a return, or a jump by a table or a pointer.
    Away,
}

/// The instructions of `bytes`: offset, length and flow of control of each.
pub fn instructions(bytes: &[u8]) -> impl Iterator<Item = (usize, Flow)> + Clone + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let low = u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]);
        let start = at;
        if low & 3 != 3 {
            at += 2;
            return Some((start, compressed(low)));
        }
        let high = u16::from_le_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
        at += 4;
        Some((start, whole(u32::from(high) << 16 | u32::from(low))))
    })
}

fn whole(code: u32) -> Flow {
    let links = code >> 7 & 31 != 0;
    match (code & 0x7f, links) {
        (0x6f | 0x67, true) => Flow::Call,
        (0x6f, false) => Flow::Jump,
        (0x67, false) => Flow::Away,
        _ => Flow::On,
    }
}

fn compressed(code: u16) -> Flow {
    match (code & 3, code >> 13) {
        (1, 1) => Flow::Call, // c.jal
        (1, 5) => Flow::Jump, // c.j
        (2, 4) if code >> 2 & 31 == 0 && code >> 7 & 31 != 0 => match code >> 12 & 1 {
            0 => Flow::Away, // c.jr
            _ => Flow::Call, // c.jalr
        },
        _ => Flow::On,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_told_apart() {
        // Bytes by `llvm-mc -triple riscv32 -mattr=+c -show-encoding`.
        let bytes = [
            0x82, 0x80, // ret
            0x67, 0x80, 0x00, 0x00, // jalr zero, 0(ra)
            0x01, 0xa0, // c.j 0
            0x01, 0x20, // c.jal 0
            0xef, 0x00, 0x00, 0x00, // jal ra, 0
            0x6f, 0x00, 0x00, 0x00, // jal zero, 0
            0xe7, 0x80, 0x00, 0x00, // jalr ra, 0(ra)
            0x82, 0x95, // c.jalr a1
            0x2e, 0x85, // c.mv a0, a1
            0x97, 0x00, 0x00, 0x00, // auipc ra, 0
        ];
        let flows: Vec<_> = instructions(&bytes).map(|(_, flow)| flow).collect();
        use Flow::*;
        assert_eq!(
            flows,
            [Away, Away, Jump, Call, Call, Jump, Call, Call, On, On]
        );
    }
}
