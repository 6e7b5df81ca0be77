//! The names of files in the store: `{room}/{session}/{participant}-{stream}-{id}.{ending}`.
//!
//! Rooms, participants and streams are named by clients. A name of theirs is one part of a path at most.

use object_store::path::Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::store::{CompositionRow, RecordingRow};

/// The name of the file with all recordings of a session.
const MANIFEST: &str = "manifest.json";

/// All but `A-Z a-z 0-9 . _ ~ -`.
const CODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'-');

/// A name as a part of a path. A dot at its begin is percent-encoded, too: it would mean a folder, or hide a file.
fn part(name: &str) -> String {
    match name.strip_prefix('.') {
        Some(rest) => format!("%2E{}", utf8_percent_encode(rest, CODED)),
        None => utf8_percent_encode(name, CODED).to_string(),
    }
}

/// How the names of files of that codec end.
pub(crate) fn ending(codec: &str) -> &'static str {
    match codec {
        "opus" => "opus",
        _ => "wav",
    }
}

/// The name of a recording's file, without its folders.
pub(crate) fn file_name(row: &RecordingRow) -> String {
    let (participant, stream) = (part(&row.participant), part(&row.stream));
    format!("{participant}-{stream}-{}.{}", row.id, ending(&row.codec))
}

/// Where the store has it.
pub(super) fn path(row: &RecordingRow) -> Result<Path, object_store::path::Error> {
    in_session(row, &file_name(row))
}

/// Where the store has what is known of it.
pub(super) fn sidecar(row: &RecordingRow) -> Result<Path, object_store::path::Error> {
    in_session(row, &format!("{}.json", file_name(row)))
}

/// Where the store has the list of a session's files.
pub(super) fn manifest(row: &RecordingRow) -> Result<Path, object_store::path::Error> {
    in_session(row, MANIFEST)
}

fn in_session(row: &RecordingRow, name: &str) -> Result<Path, object_store::path::Error> {
    of_session(&row.room, &row.session, name)
}

fn of_session(room: &str, session: &str, name: &str) -> Result<Path, object_store::path::Error> {
    Path::parse(format!("{}/{}/{name}", part(room), part(session)))
}

/// The name of a composition's file, without its folders.
pub(crate) fn composition_name(row: &CompositionRow) -> String {
    format!("{}.{}", row.id, row.format)
}

/// Where the store has it.
pub(super) fn composition(row: &CompositionRow) -> Result<Path, object_store::path::Error> {
    of_session(&row.room, &row.session, &composition_name(row))
}

#[cfg(test)]
mod tests {
    use object_store::local::LocalFileSystem;
    use object_store::{ObjectStoreExt as _, PutPayload};
    use proptest::prelude::*;

    use super::*;
    use crate::recordings::tests::row;

    fn of(room: &str, participant: &str, stream: &str) -> RecordingRow {
        RecordingRow {
            room: room.to_owned(),
            participant: participant.to_owned(),
            stream: stream.to_owned(),
            ..row("rec_1")
        }
    }

    #[test]
    fn names_that_are_plain_stay_as_they_are() {
        let named = path(&of("kitchen", "anna", "mic.2")).unwrap();
        assert_eq!(
            named.as_ref(),
            format!("kitchen/{}/anna-mic.2-rec_1.opus", row("").session)
        );
        let hostile = path(&of("..", "../../etc/passwd", "a\\b%00")).unwrap();
        assert_eq!(
            hostile.as_ref(),
            format!(
                "%2E./{}/%2E.%2F..%2Fetc%2Fpasswd-a%5Cb%2500-rec_1.opus",
                row("").session
            )
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the names, the file lies in its session's folder, and different names lie at different places.
        #[test]
        fn no_name_leads_out_of_the_folder(
            room in "[!-~]{1,48}", participant in "[!-~./%]{1,36}", stream in "[!-~./]{1,24}", other in "[!-~./%]{1,36}",
        ) {
            let named = path(&of(&room, &participant, &stream)).unwrap();
            prop_assert_eq!(named.parts().count(), 3);
            if other != participant {
                let elsewhere = path(&of(&room, &other, &stream)).unwrap();
                prop_assert_ne!(&elsewhere, &named);
            }
            let folder = tempfile::tempdir().unwrap();
            let inner = folder.path().join("store");
            std::fs::create_dir(&inner).unwrap();
            let store = LocalFileSystem::new_with_prefix(&inner).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(store.put(&named, PutPayload::from_static(b"x"))).unwrap();
            let files: Vec<_> = walk(folder.path());
            prop_assert_eq!(files.len(), 1);
            let depth = files[0].strip_prefix(&inner).unwrap().components().count();
            prop_assert_eq!(depth, 3, "{:?}", files);
        }
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let each = entries.flat_map(|entry| {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path),
                false => vec![path],
            }
        });
        each.collect()
    }
}
