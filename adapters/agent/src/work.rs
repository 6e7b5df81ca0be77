//! The tasks of engines, which are given up when they take too long, and end when nobody wants them any more.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::engine::{EngineError, EngineKind, Line, Llm, Stt, Tts, Words};
use crate::text::Sentences;
use crate::transcript::MAX_TEXT;

/// Pieces of 20 ms that wait for a recognizer: 10 s.
const SOUND: usize = 500;
/// The longest sound of one sentence.
const MAX_SENTENCE: Duration = Duration::from_secs(300);

/// The engines of one agent.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) stt: Arc<dyn Stt>,
    pub(crate) llm: Arc<dyn Llm>,
    pub(crate) tts: Arc<dyn Tts>,
    /// How long each of them may give nothing.
    pub(crate) patience: Duration,
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Work<T>(JoinHandle<T>);

impl<T: Send + 'static> Work<T> {
    pub(crate) fn start(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }

    /// Ends it, and waits until all that it had is dropped.
    pub(crate) async fn stop(mut self) {
        self.0.abort();
        // An error means that it did not end by itself.
        let _ = (&mut self.0).await;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Future for Work<Result<(), EngineError>> {
    type Output = Result<(), EngineError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = Pin::new(&mut self.0).poll(context);
        ended.map(|ended| ended.unwrap_or(Err(EngineError::Panicked)))
    }
}

/// What a recognizer gives.
#[derive(Debug)]
pub(crate) struct Recognized {
    /// The number of the task.
    pub(crate) listening: u64,
    pub(crate) what: Result<Words, Option<EngineError>>,
}

/// Starts a recognizer: gives the channel for its sound. All that it gives goes to `out`, `Err` at its end.
pub(crate) fn recognize(
    engines: &Engines,
    listening: u64,
    out: mpsc::Sender<Recognized>,
) -> (mpsc::Sender<Vec<i16>>, Work<()>) {
    let (sound, to_hear) = mpsc::channel(SOUND);
    let stt = Arc::clone(&engines.stt);
    let work = Work::start(async move {
        let (words, mut given) = mpsc::channel(16);
        let mut work = Work::start(stt.transcribe(to_hear, words));
        let mut ended = None;
        // The channel ends with the engine's future; what it gave before that comes first.
        loop {
            tokio::select! {
                biased;
                words = given.recv() => {
                    let Some(words) = words else { break };
                    let what = Ok(words);
                    if out.send(Recognized { listening, what }).await.is_err() {
                        return;
                    }
                }
                result = &mut work, if ended.is_none() => ended = Some(result),
            }
        }
        let ended = match ended {
            Some(ended) => ended,
            None => work.await,
        };
        let what = Err(ended.err());
        let _ = out.send(Recognized { listening, what }).await;
    });
    (sound, work)
}

/// What to say.
#[derive(Debug)]
pub(crate) enum Task {
    /// The answer to the last of these lines.
    Reply(Vec<Line>),
    /// This.
    Say(String),
}

/// What a reply is made of, in order.
#[derive(Debug)]
pub(crate) enum Made {
    /// The sentence to which the next sound belongs.
    Sentence(String),
    /// Sound.
    Sound(Vec<i16>),
    /// The rest is missing.
    Failed(EngineKind, EngineError),
    /// That is all.
    End,
}

/// Whoever waits for the reply is gone.
struct Gone;

/// Makes a reply.
pub(crate) fn make(engines: Engines, task: Task) -> (mpsc::Receiver<Made>, Work<()>) {
    let (out, made) = mpsc::channel(8);
    let work = Work::start(async move {
        let maker = Maker { engines, out };
        // Nobody is left who could be told.
        let _ = maker.make(task).await;
    });
    (made, work)
}

struct Maker {
    engines: Engines,
    out: mpsc::Sender<Made>,
}

impl Maker {
    async fn make(&self, task: Task) -> Result<(), Gone> {
        let mut sentences = Sentences::default();
        match task {
            Task::Say(text) => {
                for sentence in sentences.push(&text) {
                    self.say(sentence).await?;
                }
            }
            Task::Reply(history) => self.think(history, &mut sentences).await?,
        }
        if let Some(rest) = sentences.take() {
            self.say(rest).await?;
        }
        self.give(Made::End).await
    }

    async fn give(&self, made: Made) -> Result<(), Gone> {
        self.out.send(made).await.map_err(|_| Gone)
    }

    async fn fail(&self, kind: EngineKind, error: EngineError) -> Result<(), Gone> {
        self.give(Made::Failed(kind, error)).await?;
        Err(Gone)
    }

    async fn think(&self, history: Vec<Line>, sentences: &mut Sentences) -> Result<(), Gone> {
        let Engines { llm, patience, .. } = &self.engines;
        let (tokens, mut given) = mpsc::channel(64);
        let work = Work::start(llm.reply(history, tokens));
        let mut len = 0;
        loop {
            match timeout(*patience, given.recv()).await {
                Ok(Some(token)) => {
                    len += token.len();
                    if len > MAX_TEXT {
                        let error = EngineError::TooMuch("16 KiB of text");
                        return self.fail(EngineKind::Llm, error).await;
                    }
                    for sentence in sentences.push(&token) {
                        self.say(sentence).await?;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    return self
                        .fail(EngineKind::Llm, EngineError::Silent(*patience))
                        .await;
                }
            }
        }
        match self.end(work).await {
            Ok(()) => Ok(()),
            Err(error) => self.fail(EngineKind::Llm, error).await,
        }
    }

    async fn say(&self, sentence: String) -> Result<(), Gone> {
        let Engines { tts, patience, .. } = &self.engines;
        self.give(Made::Sentence(sentence.clone())).await?;
        let (sound, mut given) = mpsc::channel(8);
        let work = Work::start(tts.synthesize(sentence, sound));
        let most = tts.sample_rate().hz() as usize * MAX_SENTENCE.as_secs() as usize;
        let mut len = 0;
        loop {
            match timeout(*patience, given.recv()).await {
                Ok(Some(pcm)) => {
                    len += pcm.len();
                    if len > most {
                        let error = EngineError::TooMuch("5 minutes of sound for a sentence");
                        return self.fail(EngineKind::Tts, error).await;
                    }
                    self.give(Made::Sound(pcm)).await?;
                }
                Ok(None) => break,
                Err(_) => {
                    return self
                        .fail(EngineKind::Tts, EngineError::Silent(*patience))
                        .await;
                }
            }
        }
        match self.end(work).await {
            Ok(()) => Ok(()),
            Err(error) => self.fail(EngineKind::Tts, error).await,
        }
    }

    async fn end(&self, work: Work<Result<(), EngineError>>) -> Result<(), EngineError> {
        let patience = self.engines.patience;
        let ended = timeout(patience, work).await;
        ended.unwrap_or(Err(EngineError::Silent(patience)))
    }
}
