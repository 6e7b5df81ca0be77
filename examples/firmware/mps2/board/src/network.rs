//! The LAN9118, an Ethernet controller with FIFOs, as an embassy-net driver.

use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Waker};

use critical_section::Mutex;
use embassy_net_driver::{self as driver, Capabilities, Driver, HardwareAddress, LinkState};
use qemu_machine::register::Register;
use static_cell::StaticCell;

use crate::interrupts::{self, Source};

const MTU: usize = 1_514;
const CHECKSUM: usize = 4;

const fn register(offset: usize) -> Register<u32> {
    // SAFETY: the offsets below are those of the controller's data sheet, and it has 256 bytes of registers.
    unsafe { Register::at(0x4020_0000 + offset) }
}

const RX_DATA: Register<u32> = register(0x00);
const TX_DATA: Register<u32> = register(0x20);
const RX_STATUS: Register<u32> = register(0x40);
const TX_STATUS: Register<u32> = register(0x48);
const ID: Register<u32> = register(0x50);
const INTERRUPT_CONFIG: Register<u32> = register(0x54);
const INTERRUPTS: Register<u32> = register(0x58);
const INTERRUPTS_ENABLED: Register<u32> = register(0x5c);
const FIFO_LEVELS: Register<u32> = register(0x68);
const TX_CONFIG: Register<u32> = register(0x70);
const CONFIG: Register<u32> = register(0x74);
const RX_FIFO: Register<u32> = register(0x7c);
const TX_FIFO: Register<u32> = register(0x80);
const MAC_COMMAND: Register<u32> = register(0xa4);
const MAC_DATA: Register<u32> = register(0xa8);

/// Interrupts: a frame has arrived, there is room for a frame to send, the PHY has news.
const ARRIVED: u32 = 1 << 3;
const ROOM: u32 = 1 << 9;
const PHY: u32 = 1 << 18;

static WAKER: Mutex<RefCell<Option<Waker>>> = Mutex::new(RefCell::new(None));
/// The PHY has news that nobody has read yet.
static LINK_CHANGED: AtomicBool = AtomicBool::new(true);
static NETWORK: StaticCell<Network> = StaticCell::new();

/// Masks the controller's interrupts until the stack listens again, and wakes it.
pub(crate) fn interrupt() {
    if INTERRUPTS.read() & PHY != 0 {
        LINK_CHANGED.store(true, Ordering::Relaxed);
    }
    INTERRUPTS_ENABLED.write(0);
    critical_section::with(|section| {
        if let Some(waker) = WAKER.borrow_ref_mut(section).take() {
            waker.wake();
        }
    });
}

/// Registers behind the controller's own: those of the MAC, and of the PHY behind that.
mod behind {
    use super::{MAC_COMMAND, MAC_DATA};

    const BUSY: u32 = 1 << 31;
    const READ: u32 = 1 << 30;

    pub(super) const MAC_CONTROL: u32 = 1;
    pub(super) const ADDRESS_HIGH: u32 = 2;
    pub(super) const ADDRESS_LOW: u32 = 3;
    const MII_ACCESS: u32 = 6;
    const MII_DATA: u32 = 7;

    pub(super) const PHY_STATUS: u32 = 1;
    pub(super) const PHY_INTERRUPTS: u32 = 29;
    pub(super) const PHY_INTERRUPTS_ENABLED: u32 = 30;

    pub(super) fn mac_read(register: u32) -> u32 {
        MAC_COMMAND.write(BUSY | READ | register);
        while MAC_COMMAND.read() & BUSY != 0 {}
        MAC_DATA.read()
    }

    pub(super) fn mac_write(register: u32, value: u32) {
        MAC_DATA.write(value);
        MAC_COMMAND.write(BUSY | register);
        while MAC_COMMAND.read() & BUSY != 0 {}
    }

    /// Lets the MAC access a register of the PHY: the internal one, whose address is 1.
    fn mii(register: u32, write: u32) {
        mac_write(MII_ACCESS, 1 << 11 | register << 6 | write << 1 | 1);
        while mac_read(MII_ACCESS) & 1 != 0 {}
    }

    pub(super) fn phy_read(register: u32) -> u32 {
        mii(register, 0);
        mac_read(MII_DATA)
    }

    pub(super) fn phy_write(register: u32, value: u32) {
        mac_write(MII_DATA, value);
        mii(register, 1);
    }
}

/// The network device.
///
/// A frame may be sent while another is being read, as an answer to it: hence a buffer for each direction.
pub struct Network {
    received: RefCell<[u8; MTU]>,
    sent: RefCell<[u8; MTU]>,
    has_link: Cell<bool>,
    address: [u8; 6],
}

impl Network {
    /// Finds the device and starts it; `None` if there is another. Call it once.
    pub fn find() -> Option<&'static mut Self> {
        if ID.read() >> 16 != 0x0118 {
            return None;
        }
        // Reset.
        CONFIG.write(1);
        while CONFIG.read() & 1 != 0 {}
        // Whole frames only, and 5 KiB for those to send.
        CONFIG.write(1 << 20 | 5 << 16);
        // The reset has fetched the address from its memory.
        let [low, high] = [behind::ADDRESS_LOW, behind::ADDRESS_HIGH].map(behind::mac_read);
        let [a, b, c, d] = low.to_le_bytes();
        let [e, f, ..] = high.to_le_bytes();

        // Interrupts at a high level of the pin: one frame arrived, room for one of 1,536 bytes.
        INTERRUPT_CONFIG.write(1 << 8 | 1 << 4 | 1);
        FIFO_LEVELS.write(24 << 24);
        // The end of a negotiation, the loss of the link.
        behind::phy_write(behind::PHY_INTERRUPTS_ENABLED, 1 << 6 | 1 << 4);
        interrupts::enable(Source::Network);

        TX_CONFIG.write(1 << 1);
        // Full duplex, send, receive.
        behind::mac_write(behind::MAC_CONTROL, 1 << 20 | 1 << 3 | 1 << 2);
        NETWORK.try_init_with(|| Self {
            received: RefCell::new([0; MTU]),
            sent: RefCell::new([0; MTU]),
            has_link: Cell::new(false),
            address: [a, b, c, d, e, f],
        })
    }

    /// Wakes this task when something happens from now on.
    fn listen(&self, cx: &Context<'_>, also: u32) {
        critical_section::with(|section| {
            *WAKER.borrow_ref_mut(section) = Some(cx.waker().clone());
            INTERRUPTS.write(ARRIVED | ROOM);
            INTERRUPTS_ENABLED.write(INTERRUPTS_ENABLED.read() | ARRIVED | PHY | also);
        });
    }

    /// Whether a frame can be sent now. In any case, wakes this task when a frame arrives; if not, when one can be sent.
    fn may_send(&self, cx: &Context<'_>) -> bool {
        // Nobody asks what became of those that were sent.
        while TX_FIFO.read() >> 16 & 0xff != 0 {
            let _ = TX_STATUS.read();
        }
        // Two words of commands go before a frame.
        let has_room = (TX_FIFO.read() & 0xffff) as usize >= MTU.next_multiple_of(4) + 8;
        self.listen(cx, if has_room { 0 } else { ROOM });
        has_room
    }

    /// Takes the next good frame out of the FIFO, and gives its length.
    fn take(&self) -> Option<usize> {
        while RX_FIFO.read() >> 16 & 0xff != 0 {
            let status = RX_STATUS.read();
            let is_good = status & 1 << 15 == 0;
            let with_checksum = (status >> 16 & 0x3fff) as usize;
            let len = with_checksum.saturating_sub(CHECKSUM);
            let mut buffer = self.received.borrow_mut();
            for word in 0..with_checksum.div_ceil(4) {
                let bytes = RX_DATA.read().to_le_bytes();
                for (place, byte) in buffer.iter_mut().skip(4 * word).zip(bytes) {
                    *place = byte;
                }
            }
            if is_good && (1..=MTU).contains(&len) {
                return Some(len);
            }
        }
        None
    }
}

/// A frame to be sent.
pub struct TxToken<'a>(&'a Network);
/// A frame that has arrived, and its length.
pub struct RxToken<'a>(&'a Network, usize);

impl driver::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let mut sent = self.0.sent.borrow_mut();
        let filled = fill(&mut sent[..len]);
        // The first part of a frame, and the last; the length, with a tag for its status.
        TX_DATA.write(1 << 13 | 1 << 12 | len as u32);
        TX_DATA.write((len as u32) << 16 | len as u32);
        for part in sent[..len].chunks(4) {
            let mut word = [0; 4];
            word[..part.len()].copy_from_slice(part);
            TX_DATA.write(u32::from_le_bytes(word));
        }
        filled
    }
}

impl driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        read(&mut self.0.received.borrow_mut()[..self.1])
    }
}

impl Driver for &'static mut Network {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
        // embassy-net may want to answer at once.
        if !self.may_send(cx) {
            return None;
        }
        let len = self.take()?;
        Some((RxToken(self, len), TxToken(self)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<TxToken<'_>> {
        self.may_send(cx).then_some(TxToken(self))
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.listen(cx, 0);
        if LINK_CHANGED.swap(false, Ordering::Relaxed) {
            // Reading ends the interrupt. The status keeps a loss until it was read.
            let _ = behind::phy_read(behind::PHY_INTERRUPTS);
            let _ = behind::phy_read(behind::PHY_STATUS);
            let status = behind::phy_read(behind::PHY_STATUS);
            self.has_link.set(status & 1 << 2 != 0);
        }
        if self.has_link.get() {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = MTU;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.address)
    }
}
