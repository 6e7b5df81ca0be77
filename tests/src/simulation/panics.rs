//! Panics as a result, and not as noise.

use std::any::Any;
use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// The message of a panic in this thread, while panics are awaited.
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Does what may panic, and gives what it says then, with the place.
pub(super) fn caught(
    attempt: impl FnOnce() -> Result<(), Box<dyn Any + Send>>,
) -> Result<(), String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let awaited = CAUGHT.with_borrow_mut(|caught| {
                caught.as_mut().map(|text| {
                    if text.is_empty() {
                        *text = info.to_string();
                    }
                })
            });
            if awaited.is_none() {
                usual(info);
            }
        }));
    });
    CAUGHT.set(Some(String::new()));
    let attempted = attempt();
    let text = CAUGHT.take().unwrap_or_default();
    attempted.map_err(|_| text)
}
