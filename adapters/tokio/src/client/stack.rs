//! Large values on their way to the heap.

/// Enough to make a client or a decoder in a debug build.
const STACK: usize = 8 << 20;

/// Makes a value that passes through the stack on its way to the heap, on a thread whose stack is large enough.
///
/// A debug build copies a decoder's 179 KB and a client's 112 KB half a dozen times. The caller may be on a thread of 2 MB,
/// or on one of a sound card's library.
pub(super) fn on_a_large_stack<T: Send>(make: impl FnOnce() -> T + Send + Copy) -> T {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        match thread.spawn_scoped(scope, make) {
            Ok(made) => made
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: then this one has to do.
            Err(_) => make(),
        }
    })
}
