//! How it becomes known that a worker has panicked.

use tokio::sync::watch;

/// Says that its thread has panicked, if it has.
pub(super) struct Alarm {
    index: usize,
    failed: watch::Sender<Option<usize>>,
}

impl Alarm {
    /// Of the worker with this index.
    pub(super) fn new(index: usize, failed: watch::Sender<Option<usize>>) -> Self {
        Self { index, failed }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.failed.send_replace(Some(self.index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_thread_that_panics_is_told_of() {
        let (failed, told) = watch::channel(None);
        for panics in [false, true] {
            let alarm = Alarm::new(7, failed.clone());
            let thread = std::thread::spawn(move || {
                let _alarm = alarm;
                assert!(!panics, "as this test wants");
            });
            assert_eq!(thread.join().is_err(), panics);
            assert_eq!(*told.borrow(), panics.then_some(7));
        }
    }
}
