//! The bytes that a UART received, as lines.

use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;

/// Bytes between a UART's interrupt and the task that reads lines.
pub struct Input(Channel<CriticalSectionRawMutex, u8, 2_048>);

impl Input {
    /// Without bytes.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "made as a static only")]
    pub const fn new() -> Self {
        Self(Channel::new())
    }

    /// Stores a byte if there is room for it, as any UART does.
    pub fn received(&self, byte: u8) {
        let _ = self.0.try_send(byte);
    }

    /// Waits for the next byte.
    pub async fn receive(&self) -> u8 {
        self.0.receive().await
    }

    /// Waits for the next line, and truncates it to the length of `line`.
    pub async fn read_line<'l>(&self, line: &'l mut [u8]) -> &'l str {
        let mut len = 0;
        loop {
            match self.0.receive().await {
                b'\n' | b'\r' if len > 0 => break,
                b'\n' | b'\r' => {}
                byte => {
                    if let Some(place) = line.get_mut(len) {
                        *place = byte;
                        len += 1;
                    }
                }
            }
        }
        let line = line.get(..len).unwrap_or_default();
        core::str::from_utf8(line).unwrap_or_default()
    }
}
