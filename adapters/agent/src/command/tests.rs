//! With the shell's own programs.

use super::*;

async fn heard(stt: &CommandStt, pcm: Vec<i16>) -> (Result<(), EngineError>, Vec<String>) {
    let (sound, to_hear) = mpsc::channel(8);
    let (words, mut given) = mpsc::channel(64);
    let work = tokio::spawn(stt.transcribe(to_hear, words));
    // A program that reads nothing closes its input.
    let _ = sound.send(pcm).await;
    drop(sound);
    let mut texts = Vec::new();
    while let Some(Words { text, is_final }) = given.recv().await {
        assert!(is_final);
        texts.push(text);
    }
    (work.await.unwrap(), texts)
}

async fn spoken(tts: &CommandTts, text: &str) -> (Result<(), EngineError>, Vec<i16>) {
    let (sound, mut given) = mpsc::channel(64);
    let work = tokio::spawn(tts.synthesize(text.to_owned(), sound));
    let mut pcm = Vec::new();
    while let Some(piece) = given.recv().await {
        pcm.extend(piece);
    }
    (work.await.unwrap(), pcm)
}

#[tokio::test]
async fn a_recognizer_gets_all_samples_and_gives_lines() {
    let count = CommandStt::new("sh", ["-c", "echo; wc -c; echo ' done '"]);
    let (ended, texts) = heard(&count, vec![1; 30_000]).await;
    ended.unwrap();
    assert_eq!(texts, ["60000", "done"]);
}

#[tokio::test]
async fn failures_of_programs_are_told_and_arguments_are_not() {
    let missing = CommandStt::new("no-such-program", ["--key", "secret"]);
    let (ended, _) = heard(&missing, vec![0; 10]).await;
    let error = ended.unwrap_err();
    assert!(error.to_string().contains("install it"), "{error}");
    assert!(!format!("{missing:?} {error:?} {error}").contains("secret"));

    let failing = CommandTts::new("sh", ["-c", "cat >/dev/null; exit 3"]);
    let (ended, pcm) = spoken(&failing, "hello").await;
    assert!(ended.unwrap_err().to_string().contains("exit status: 3"));
    assert!(pcm.is_empty());

    let talkative = CommandTts::new("sh", ["-c", "echo this is no sound"]);
    let (ended, _) = spoken(&talkative, "hello").await;
    assert!(
        matches!(ended, Err(EngineError::Garbage { .. })),
        "{ended:?}"
    );

    let short = CommandTts::new("sh", ["-c", "printf RIFF"]);
    let (ended, _) = spoken(&short, "hello").await;
    assert!(
        matches!(ended, Err(EngineError::Garbage { .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn raw_sound_is_converted_and_garbage_is_bounded() {
    // A second, whatever its rate.
    for hz in [8_000_u32, 22_050, 24_000, 48_000] {
        let bytes = format!("head -c {} /dev/zero", 2 * hz);
        let tts = CommandTts::new("sh", ["-c", &bytes]).with_raw_rate(hz);
        let (ended, pcm) = spoken(&tts, "hello").await;
        ended.unwrap();
        assert_eq!(pcm.len(), 24_000, "{hz}");
    }
    let endless = CommandStt::new("sh", ["-c", "head -c 40000 /dev/zero | tr '\\0' a"]);
    let (ended, texts) = heard(&endless, Vec::new()).await;
    ended.unwrap();
    assert!(texts.iter().all(|text| text.len() <= MAX_LINE as usize));
    assert_eq!(texts.concat().len(), 40_000);
}

#[tokio::test]
async fn a_program_dies_with_its_task() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!("echo $$ >{}; exec sleep 1000", pid.display());
    let hangs = CommandTts::new("sh", ["-c", &script]);
    let (sound, mut given) = mpsc::channel(1);
    let mut work = hangs.synthesize("hello".to_owned(), sound);
    let started = async {
        while !std::fs::read_to_string(&pid).is_ok_and(|pid| pid.ends_with('\n')) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = &mut work => panic!("{ended:?}"),
        () = started => {}
    }
    let process = std::fs::read_to_string(&pid).unwrap();
    drop(work);
    assert_eq!(given.recv().await, None);
    // What is left of it is to be reaped, if anything.
    let stat = format!("/proc/{}/stat", process.trim());
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::task::yield_now().await;
    }
}
