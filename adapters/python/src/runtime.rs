//! One tokio runtime for the process, and the way of its results to asyncio.
//!
//! ```text
//!  asyncio's thread ──awaitable()──► tokio's threads ──result──► the thread "parlour-asyncio" ──call_soon_threadsafe──► asyncio's
//! ```
//!
//! tokio's threads never wait for Python's lock: one thread hands over the results of all. (The runtime that
//! pyo3-async-runtimes brings hands each over on a thread of tokio's blocking pool, and cannot be ended.)

use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How long tasks that run have, when Python exits.
const PATIENCE: Duration = Duration::from_secs(1);

type Handover = Box<dyn FnOnce() + Send>;

static THREADS: Mutex<Threads> = Mutex::new(Threads::NotStarted);

enum Threads {
    /// They start with the first call, so that a process which forks before that is well.
    NotStarted,
    Running {
        tokio: Runtime,
        results: Sender<Handover>,
        handing_over: thread::JoinHandle<()>,
    },
    /// Python exits.
    Ended,
}

fn threads() -> MutexGuard<'static, Threads> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> std::io::Result<Threads> {
    let tokio = Builder::new_multi_thread()
        .thread_name("parlour")
        .enable_all()
        .build()?;
    let (results, waiting) = channel::<Handover>();
    let handing_over = thread::Builder::new()
        .name("parlour-asyncio".to_owned())
        .spawn(move || waiting.into_iter().for_each(|hand_over| hand_over()))?;
    Ok(Threads::Running {
        tokio,
        results,
        handing_over,
    })
}

/// An awaitable of the running event loop for `future`, which runs on tokio from now on. If the awaitable is cancelled, the
/// future is dropped.
///
/// # Errors
/// If there is no running event loop, there are no threads to be had, or Python exits.
pub(crate) fn awaitable<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'p> IntoPyObject<'p> + Send + 'static,
{
    {
        let mut threads = threads();
        match *threads {
            Threads::NotStarted => *threads = start()?,
            Threads::Running { .. } => {}
            Threads::Ended => return Err(PyRuntimeError::new_err("Python is exiting")),
        }
    }
    generic::future_into_py::<Tokio, _, T>(py, future)
}

/// Ends all tasks and threads; called when Python exits.
#[pyfunction]
pub(crate) fn shutdown(py: Python<'_>) {
    py.detach(|| {
        let ended = std::mem::replace(&mut *threads(), Threads::Ended);
        if let Threads::Running {
            tokio,
            results,
            handing_over,
        } = ended
        {
            tokio.shutdown_timeout(PATIENCE);
            drop(results);
            // An error means that it has panicked, and said so.
            let _ = handing_over.join();
        }
    });
}

struct Tokio;

/// What became of a task.
struct TaskError(Option<tokio::task::JoinError>);

impl generic::JoinError for TaskError {
    fn is_panic(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(tokio::task::JoinError::is_panic)
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        match self.0.map(tokio::task::JoinError::try_into_panic) {
            Some(Ok(panic)) => panic,
            _ => Box::new("a task was cancelled"),
        }
    }
}

/// A task, or `None` for what nobody waits for: a result on its way, and all that comes after the end.
struct Task(Option<JoinHandle<()>>);

impl Future for Task {
    type Output = Result<(), TaskError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(task) => Pin::new(task)
                .poll(context)
                .map_err(|error| TaskError(Some(error))),
            None => Poll::Ready(Err(TaskError(None))),
        }
    }
}

impl generic::Runtime for Tokio {
    type JoinError = TaskError;
    type JoinHandle = Task;

    fn spawn<F>(future: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        match &*threads() {
            Threads::Running { tokio, .. } => Task(Some(tokio.spawn(future))),
            _ => Task(None),
        }
    }

    /// pyo3-async-runtimes hands over results by this, and uses it for nothing else.
    fn spawn_blocking<F>(hand_over: F) -> Task
    where
        F: FnOnce() + Send + 'static,
    {
        if let Threads::Running { results, .. } = &*threads() {
            // An error means that the thread has panicked, and said so.
            let _ = results.send(Box::new(hand_over));
        }
        Task(None)
    }
}

/// No future here awaits anything of Python's, which is what these locals are for.
impl ContextExt for Tokio {
    fn scope<F, R>(_: TaskLocals, future: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(future)
    }

    fn get_task_locals() -> Option<TaskLocals> {
        None
    }
}
