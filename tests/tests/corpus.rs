//! Replays the fuzz corpora, which `fuzz/README.md` tells how to add to: no compiler but the stable one, no libFuzzer.

use std::fs;
use std::path::{Path, PathBuf};

use parlour_fuzz::TARGETS;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The names in a directory, without extension, in their order. The modules of a program are in a folder of its name.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap_or_else(|_| panic!("{}", directory.display()));
    let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = entries
        .map(|entry| stem(entry.expect("a directory entry").path()).expect("a name"))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn replay(target: &str) {
    let (_, run) = TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target");
    let corpus = fuzz().join("corpus").join(target);
    let names = names(&corpus);
    assert!(!names.is_empty(), "nothing to replay");
    for name in names {
        // Shown if the input below it fails.
        println!("{target}/{name}");
        run(&fs::read(corpus.join(&name)).expect("an input"));
    }
}

#[test]
fn every_target_has_a_program_and_a_corpus() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names(&fuzz().join("src/bin")), targets);
    assert_eq!(names(&fuzz().join("corpus")), targets);
}

macro_rules! replays {
    ($($target:ident,)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*
    };
}

parlour_fuzz::with_targets!(replays);
