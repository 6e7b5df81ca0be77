//! virtio-net (MMIO) as an embassy-net driver, without allocation.

use core::cell::{RefCell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Waker};

use critical_section::Mutex;
use embassy_net_driver::{self as driver, Capabilities, Driver, HardwareAddress, LinkState};
use qemu_machine::register::Register;
use static_cell::StaticCell;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use crate::interrupts::{self, Source};

/// Buffers for each direction; a power of 2.
const BUFFERS: usize = 16;
/// An Ethernet frame behind virtio's header.
const BUFFER: usize = 1_514 + 22;
const PAGE: usize = 4_096;
/// Pages for two queues of 16.
const PAGES: usize = 8;

const SLOTS: usize = 8;
const SLOT_SIZE: usize = 0x1000;
/// Offsets in a slot.
const INTERRUPT_STATUS: usize = 0x60;
const INTERRUPT_ACK: usize = 0x64;
/// Behind the 6 bytes of the hardware address; bit 0: the link is up.
const LINK_STATUS: usize = 0x106;

static WAKER: Mutex<RefCell<Option<Waker>>> = Mutex::new(RefCell::new(None));
/// The address of the device's slot; 0 before it is found.
static SLOT: AtomicUsize = AtomicUsize::new(0);
static NETWORK: StaticCell<Network> = StaticCell::new();

/// Acknowledges the interrupt, and wakes the stack.
pub(crate) fn interrupt() {
    let slot = SLOT.load(Ordering::Relaxed);
    // SAFETY: `interrupts::enable` was called after SLOT was set to the slot of a device.
    let (status, ack): (Register<u32>, Register<u32>) = unsafe {
        (
            Register::at(slot + INTERRUPT_STATUS),
            Register::at(slot + INTERRUPT_ACK),
        )
    };
    ack.write(status.read());
    critical_section::with(|section| {
        if let Some(waker) = WAKER.borrow_ref_mut(section).take() {
            waker.wake();
        }
    });
}

/// Memory that the device reads and writes.
#[repr(C, align(4096))]
struct Pool(UnsafeCell<[u8; PAGES * PAGE]>);

// SAFETY: only its address is used here; `dma_alloc` assigns its bytes.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(UnsafeCell::new([0; PAGES * PAGE]));
static POOL_USED: AtomicUsize = AtomicUsize::new(0);

struct VirtHal;

// SAFETY: `dma_alloc` gives out page-aligned, zeroed memory of POOL, no byte of it twice; physical addresses are
// virtual addresses on this machine, and memory is coherent.
unsafe impl Hal for VirtHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let start = POOL_USED.fetch_add(pages * PAGE, Ordering::Relaxed);
        assert!(
            start + pages * PAGE <= PAGES * PAGE,
            "PAGES is too small for the queues"
        );
        let place = POOL.0.get().cast::<u8>().wrapping_add(start);
        let place = NonNull::new(place).expect("a static is not at 0");
        (place.as_ptr() as PhysAddr, place)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // The device lives as long as the program.
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as usize as *mut u8).expect("no device is at 0")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

type Device = VirtIONetRaw<VirtHal, MmioTransport<'static>, BUFFERS>;

/// The network device. It never moves: the device knows the addresses of its buffers.
///
/// A frame may be sent while another is being read, as an answer to it: hence a cell for each direction.
pub struct Network {
    device: RefCell<Device>,
    received: RefCell<Received>,
    sent: RefCell<Sent>,
    link: Register<u16>,
}

struct Received {
    buffers: [[u8; BUFFER]; BUFFERS],
    /// The buffer of each of the device's tokens.
    by_token: [usize; BUFFERS],
}

struct Sent {
    buffers: [[u8; BUFFER]; BUFFERS],
    /// The buffer, and its used length, of each of the device's tokens.
    by_token: [(usize, usize); BUFFERS],
    /// A bit for each buffer.
    free: u16,
}

impl Network {
    /// Finds the device and starts it; `None` if QEMU was started without one. Call it once.
    pub fn find() -> Option<&'static mut Self> {
        for slot in 0..SLOTS {
            let base = 0x1000_1000 + slot * SLOT_SIZE;
            let header = NonNull::new(base as *mut _)?;
            // SAFETY: `virt` has eight virtio-mmio slots there; those without a device are marked so. Each is used by
            // one transport only: the found one is taken by the only Network that NETWORK has room for.
            let Ok(transport) = (unsafe { MmioTransport::new(header, SLOT_SIZE) }) else {
                continue;
            };
            if transport.device_type() != DeviceType::Network {
                continue;
            }
            SLOT.store(base, Ordering::Relaxed);
            let device = VirtIONetRaw::new(transport).ok()?;
            let network = NETWORK.try_init_with(|| Self {
                device: RefCell::new(device),
                received: RefCell::new(Received {
                    buffers: [[0; BUFFER]; BUFFERS],
                    by_token: [0; BUFFERS],
                }),
                sent: RefCell::new(Sent {
                    buffers: [[0; BUFFER]; BUFFERS],
                    by_token: [(0, 0); BUFFERS],
                    free: u16::MAX,
                }),
                // SAFETY: the configuration of the network device that was found.
                link: unsafe { Register::at(base + LINK_STATUS) },
            })?;
            let device = network.device.get_mut();
            for buffer in 0..BUFFERS {
                network.received.get_mut().offer(device, buffer);
            }
            interrupts::enable(Source::Virtio(slot));
            return Some(network);
        }
        None
    }

    fn can_send(&self) -> bool {
        let mut sent = self.sent.borrow_mut();
        sent.reclaim(&mut self.device.borrow_mut());
        sent.free != 0
    }

    fn listen(&self, cx: &Context<'_>) {
        critical_section::with(|section| {
            *WAKER.borrow_ref_mut(section) = Some(cx.waker().clone());
        });
    }
}

impl Received {
    /// Lends a buffer to the device, to receive into.
    fn offer(&mut self, device: &mut Device, buffer: usize) {
        // SAFETY: the buffer is in a static, and is not touched before `receive_complete` has given it back.
        let token = unsafe { device.receive_begin(&mut self.buffers[buffer]) };
        let token = token.expect("the queue has as many places as there are buffers");
        self.by_token[usize::from(token)] = buffer;
    }
}

impl Sent {
    /// Takes back the buffers that were sent.
    fn reclaim(&mut self, device: &mut Device) {
        while let Some(token) = device.poll_transmit() {
            let (buffer, len) = self.by_token[usize::from(token)];
            // SAFETY: the same buffer that `transmit_begin` was given, for the token that it gave.
            let done = unsafe { device.transmit_complete(token, &self.buffers[buffer][..len]) };
            done.expect("the token is the device's own");
            self.free |= 1 << buffer;
        }
    }
}

/// A frame to be sent.
pub struct TxToken<'a>(&'a Network);
/// A frame that has arrived.
pub struct RxToken<'a>(&'a Network, u16);

impl driver::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, fill: F) -> R {
        let sent = &mut *self.0.sent.borrow_mut();
        // A token is made only while a buffer is free, and there is one token at a time.
        let buffer = sent.free.trailing_zeros() as usize;
        sent.free &= !(1 << buffer);
        let bytes = &mut sent.buffers[buffer];
        let mut device = self.0.device.borrow_mut();
        let header = device.fill_buffer_header(bytes);
        let header = header.expect("a buffer is longer than the header");
        let filled = fill(&mut bytes[header..header + len]);
        // SAFETY: the buffer is in a static, and is not touched before `transmit_complete` has given it back.
        let token = unsafe { device.transmit_begin(&bytes[..header + len]) };
        let token = token.expect("the queue has as many places as there are buffers");
        sent.by_token[usize::from(token)] = (buffer, header + len);
        filled
    }
}

impl driver::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        let received = &mut *self.0.received.borrow_mut();
        let buffer = received.by_token[usize::from(self.1)];
        let bytes = &mut received.buffers[buffer];
        // SAFETY: the same buffer that `receive_begin` was given, for the token that it gave.
        let done = unsafe { self.0.device.borrow_mut().receive_complete(self.1, bytes) };
        let (header, len) = done.expect("the token is the device's own");
        let result = read(&mut bytes[header..header + len]);
        received.offer(&mut self.0.device.borrow_mut(), buffer);
        result
    }
}

impl Driver for &'static mut Network {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, cx: &mut Context<'_>) -> Option<(RxToken<'_>, TxToken<'_>)> {
        self.listen(cx);
        // embassy-net may want to answer at once.
        if !self.can_send() {
            return None;
        }
        let token = self.device.borrow_mut().poll_receive()?;
        Some((RxToken(self, token), TxToken(self)))
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Option<TxToken<'_>> {
        self.listen(cx);
        self.can_send().then_some(TxToken(self))
    }

    fn link_state(&mut self, cx: &mut Context<'_>) -> LinkState {
        self.listen(cx);
        if self.link.read() & 1 != 0 {
            LinkState::Up
        } else {
            LinkState::Down
        }
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1_514;
        capabilities.max_burst_size = Some(BUFFERS);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.device.borrow().mac_address())
    }
}
