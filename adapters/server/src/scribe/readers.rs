//! Readers that want history to hold all that has happened before they look.
//!
//! A participant that has joined may ask the API of its session in the next millisecond, when the join still waits to be
//! written. Such a reader asks the scribe first.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

/// How long a reader waits while the database is slow or fails. Then it reads what there is.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often was asked, and up to which of these times history has been brought up to date. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readers {
    asked: watch::Sender<u64>,
    answered: watch::Sender<u64>,
}

impl Readers {
    /// Waits until what has happened in the rooms is written, but not for ever.
    pub(crate) async fn caught_up(&self) {
        let mut answered = self.answered.subscribe();
        let mut number = 0;
        self.asked.send_modify(|asked| {
            *asked += 1;
            number = *asked;
        });
        let waited = timeout(PATIENCE, answered.wait_for(|upto| *upto >= number));
        if waited.await.is_err() {
            tracing::warn!(
                "a reader of history was answered before all that has happened was written"
            );
        }
    }

    /// Becomes ready when a reader asks.
    pub(super) fn asked(&self) -> watch::Receiver<u64> {
        self.asked.subscribe()
    }

    /// All that had happened when a reader asked for the `number`th time is written.
    pub(super) fn answer(&self, number: u64) {
        self.answered
            .send_if_modified(|upto| std::mem::replace(upto, number) != number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_answer_to_another_is_none() {
        let readers = Readers::default();
        let mut first = pin!(readers.caught_up());
        assert_eq!(first.as_mut().now_or_never(), None);
        let mut second = pin!(readers.caught_up());
        assert_eq!(second.as_mut().now_or_never(), None);
        readers.answer(1);
        assert_eq!(first.as_mut().now_or_never(), Some(()));
        assert_eq!(second.as_mut().now_or_never(), None);
        readers.answer(2);
        assert_eq!(second.as_mut().now_or_never(), Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let began = Instant::now();
        Readers::default().caught_up().await;
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
