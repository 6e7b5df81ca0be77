//! Engines that are programs: PCM and text over standard input and output, one process for each task.

use std::fmt;
use std::process::Stdio;

use parlour_files::Resampler;
use parlour_tokio::SampleRate;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::engine::{EngineError, EngineFuture, Stt, Tts, Words};

mod sound;

use sound::Sound;

/// The longest line of a recognizer.
const MAX_LINE: u64 = 16 * 1024;

/// A program and its arguments. `Debug` shows the program only: arguments may be secrets.
#[derive(Clone)]
struct Program {
    program: String,
    arguments: Vec<String>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

impl Program {
    fn new<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Starts it, with both pipes. It is killed when the child is dropped.
    fn start(&self) -> Result<Child, EngineError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.spawn().map_err(|source| EngineError::Start {
            program: self.program.clone(),
            source,
        })
    }

    fn pipe(&self, source: std::io::Error) -> EngineError {
        EngineError::Pipe {
            program: self.program.clone(),
            source,
        }
    }

    async fn ended(&self, child: &mut Child) -> Result<(), EngineError> {
        let status = child.wait().await.map_err(|error| self.pipe(error))?;
        if status.success() {
            return Ok(());
        }
        Err(EngineError::Exit {
            program: self.program.clone(),
            status,
        })
    }
}

/// A recognizer that reads raw PCM from standard input (16 bits, little endian, mono, 16 kHz) until it ends, and writes lines of
/// text. Each line is final words.
///
/// ```
/// use parlour_agent::CommandStt;
/// let pocketsphinx = CommandStt::new("pocketsphinx_continuous", ["-infile", "/dev/stdin", "-jsgf", "commands.gram"]);
/// ```
#[derive(Debug, Clone)]
pub struct CommandStt(Program);

impl CommandStt {
    /// One process of `program` for each participant and turn. It starts when a voice begins.
    pub fn new<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Program::new(program, arguments))
    }
}

impl Stt for CommandStt {
    fn transcribe(
        &self,
        mut sound: mpsc::Receiver<Vec<i16>>,
        words: mpsc::Sender<Words>,
    ) -> EngineFuture {
        let program = self.0.clone();
        Box::pin(async move {
            let mut child = program.start()?;
            let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
            let write = async {
                let Some(mut stdin) = stdin else { return };
                while let Some(pcm) = sound.recv().await {
                    // A program that has heard enough closes its input; what it ends with says whether that is fine.
                    if stdin.write_all(&bytes(&pcm)).await.is_err() {
                        return;
                    }
                }
            };
            let read = async {
                let Some(stdout) = stdout else { return Ok(()) };
                let mut lines = BufReader::new(stdout);
                let mut line = Vec::new();
                loop {
                    line.clear();
                    let read = (&mut lines)
                        .take(MAX_LINE)
                        .read_until(b'\n', &mut line)
                        .await;
                    if read.map_err(|error| program.pipe(error))? == 0 {
                        return Ok(());
                    }
                    let text = String::from_utf8_lossy(&line).trim().to_owned();
                    let is_final = true;
                    if !text.is_empty() && words.send(Words { text, is_final }).await.is_err() {
                        return Ok(());
                    }
                }
            };
            let ((), read) = tokio::join!(write, read);
            read?;
            program.ended(&mut child).await
        })
    }
}

fn bytes(pcm: &[i16]) -> Vec<u8> {
    pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A synthesizer that reads a text from standard input, and writes WAV, or raw PCM, to standard output: 16 bits, mono.
///
/// ```
/// use parlour_agent::CommandTts;
/// let espeak = CommandTts::new("espeak-ng", ["--stdin", "--stdout"]);
/// let piper = CommandTts::new("piper", ["--model", "en.onnx", "--output-raw"]).with_raw_rate(22_050);
/// ```
#[derive(Debug, Clone)]
pub struct CommandTts {
    program: Program,
    raw_hz: Option<u32>,
}

impl CommandTts {
    /// One process of `program`, which writes WAV, for each sentence.
    pub fn new<'a>(program: &str, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            program: Program::new(program, arguments),
            raw_hz: None,
        }
    }

    /// The program writes raw PCM of so many samples per second.
    #[must_use]
    pub fn with_raw_rate(self, hz: u32) -> Self {
        Self {
            raw_hz: Some(hz),
            ..self
        }
    }
}

/// The rate that all sound of programs is converted to.
const RATE: SampleRate = SampleRate::Hz24000;

impl Tts for CommandTts {
    fn sample_rate(&self) -> SampleRate {
        RATE
    }

    fn synthesize(&self, text: String, sound: mpsc::Sender<Vec<i16>>) -> EngineFuture {
        let Self { program, raw_hz } = self.clone();
        Box::pin(async move {
            let mut child = program.start()?;
            let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
            let write = async {
                if let Some(mut stdin) = stdin {
                    // What the program ends with says whether it has read its text.
                    let _ = stdin.write_all(text.as_bytes()).await;
                }
            };
            let read = async {
                match stdout {
                    Some(stdout) => convert(&program, raw_hz, stdout, &sound).await,
                    None => Ok(()),
                }
            };
            let ((), read) = tokio::join!(write, read);
            read?;
            program.ended(&mut child).await
        })
    }
}

/// Reads the sound of a program, and gives it at [`RATE`].
async fn convert(
    program: &Program,
    raw_hz: Option<u32>,
    mut stdout: ChildStdout,
    sound: &mpsc::Sender<Vec<i16>>,
) -> Result<(), EngineError> {
    let mut parsed = raw_hz.map_or_else(Sound::wav, Sound::raw);
    let (mut read, mut pcm, mut resampler) = ([0; 8 * 1024], Vec::new(), None);
    loop {
        let len = stdout.read(&mut read).await;
        let len = len.map_err(|error| program.pipe(error))?;
        let hz = parsed.take(&read[..len], &mut pcm)?;
        let is_end = len == 0;
        let Some(hz) = hz else {
            if is_end && !parsed.is_empty() {
                let what = "the program's sound is no WAV";
                return Err(EngineError::Garbage { what });
            }
            if is_end {
                return Ok(());
            }
            continue;
        };
        let resampler = resampler.get_or_insert_with(|| Resampler::new(hz, RATE.hz()));
        let mut out = Vec::new();
        match resampler {
            None => out.append(&mut pcm),
            Some(resampler) => {
                while pcm.len() >= resampler.wants() {
                    let rest = pcm.split_off(resampler.wants());
                    resampler.convert(&pcm, &mut out);
                    pcm = rest;
                }
                if is_end {
                    while resampler.convert(&pcm, &mut out) {
                        pcm.clear();
                    }
                }
            }
        }
        // Whoever does not wait for the sound drops this future, too.
        if !out.is_empty() && sound.send(out).await.is_err() || is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
