//! Datagrams as a capture file, [pcap](https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html) version 2.4.

use parlour_core::time::Duration;

/// Packets begin with their IP header.
const LINKTYPE_RAW: u32 = 101;
const UDP: u8 = 17;
const IP_HEADER: u16 = 20;
const UDP_HEADER: u16 = 8;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Capture(Vec<u8>);

impl Capture {
    pub(crate) fn new() -> Self {
        let mut file = Vec::new();
        file.extend(0xA1B2_C3D4_u32.to_le_bytes());
        file.extend([2_u16, 4].map(u16::to_le_bytes).concat());
        file.extend([0, 0, 0xFFFF, LINKTYPE_RAW].map(u32::to_le_bytes).concat());
        Self(file)
    }

    /// From a port to the same port of this machine.
    pub(crate) fn add(&mut self, at: Duration, port: u16, payload: &[u8]) {
        let udp_len = UDP_HEADER + u16::try_from(payload.len()).unwrap();
        let ip_len = IP_HEADER + udp_len;
        let micros = at.as_micros() as u32;
        let record = [
            micros / 1_000_000,
            micros % 1_000_000,
            ip_len.into(),
            ip_len.into(),
        ];
        self.0.extend(record.map(u32::to_le_bytes).concat());
        // Without checksums: IP's is zero, which tshark does not verify, and UDP's zero says that there is none.
        self.0.extend([0x45, 0]);
        self.0.extend(ip_len.to_be_bytes());
        self.0
            .extend([0, 0, 0, 0, 64, UDP, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        self.0
            .extend([port, port, udp_len, 0].map(u16::to_be_bytes).concat());
        self.0.extend(payload);
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
