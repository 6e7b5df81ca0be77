//! A few meetings of the simulation; `cargo run --release -p parlour-tests --bin simulate -- --help` holds more and longer ones.

use std::path::Path;

use parlour_core::room::Codec;
use parlour_core::time::Duration;
use parlour_record::{ReplayError, replay};
use parlour_tests::Options;
use parlour_tests::simulation::{Op, Plan, Selection, Step, run};
use parlour_tests::world::{OTHER_ADDRESS, SERVER_ADDRESS};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_must_hold_holds() {
    let (mut heard, mut joined) = (0, 0);
    for seed in 1..=8 {
        let outcome = run(&Plan::new(seed, 8, MINUTE), None);
        if let Some(violation) = &outcome.violation {
            panic!("seed {seed} of 8 people and 1 minute: {violation}");
        }
        heard += outcome.heard;
        joined += outcome.joined;
    }
    // Of nothing, everything holds.
    assert!(
        heard > 5_000 && joined > 30,
        "{heard} frames heard, {joined} joins"
    );
}

#[test]
fn a_seed_decides_everything_that_anybody_hears_and_is_told() {
    let run = |seed| run(&Plan::new(seed, 5, MINUTE / 2), None).digest;
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_selection_is_part_of_the_plan_and_reads_as_arguments() {
    let plan = Plan::new(1, 4, MINUTE);
    let kept: Vec<_> = plan.steps.iter().map(|step| step.number).take(9).collect();
    let selection = Selection {
        people: Some([0, 2].into()),
        keep: Some(kept.iter().copied().collect()),
        until: Some(Duration::from_millis(1_500)),
    };
    let part = plan.select(&selection);
    assert!(!part.steps.is_empty());
    for step in &part.steps {
        assert!(step.at <= Duration::from_millis(1_500));
        assert!(kept.contains(&step.number));
        assert!(step.op.people().iter().all(|one| [0, 2].contains(one)));
    }
    let arguments = " --people 0,2 --keep 0,1,2,3,4,5,6,7,8 --until 1.5";
    assert_eq!(selection.to_string(), arguments);
}

fn logs(folder: &Path) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

#[test]
fn the_input_logs_of_all_ends_are_replayed_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::new(4, 4, MINUTE / 2);
    let recorded = run(&plan, Some(folder.path()));
    assert_eq!(
        recorded.digest,
        run(&plan, None).digest,
        "recording changes something"
    );
    let mut machines = std::collections::BTreeSet::new();
    for file in logs(folder.path()) {
        let log = std::fs::read(&file).unwrap();
        let replayed = replay(&log[..]).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        assert!(!replayed.is_cut);
        machines.insert((replayed.machine, replayed.calls > 1_000));
    }
    assert!(machines.contains(&("client", true)) && machines.contains(&("server", true)));
}

#[test]
fn storms_sleepers_and_a_cut_address_are_survived_selected_and_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(4, 4, MINUTE * 3 / 2);
    let s = Duration::from_secs;
    let server = [SERVER_ADDRESS, OTHER_ADDRESS].map(|address| address.parse().unwrap());
    for (one, person) in plan.people.iter_mut().enumerate() {
        *person = Options::default().publishing("mic");
        // The first two know both addresses.
        person.addresses = server[..].iter().copied().filter(|_| one < 2).collect();
    }
    (plan.mixes, plan.codec, plan.room_limit) = (false, Codec::Opus, 100);
    let joins = (0..4).map(|one| (s(1), Op::Join(one)));
    let troubles = [
        (s(5), Op::Sleep(1, s(8), false)),
        (s(5), Op::Sleep(2, s(50), true)),
        (s(20), Op::CutAddress(0, s(60))),
        // When they have found the other address, and who does not know it is away.
        (s(74), Op::Talk(0, s(6), 30)),
        (s(82), Op::Storm(s(6))),
    ];
    let steps = joins.chain(troubles).enumerate();
    plan.steps = steps
        .map(|(number, (at, op))| Step { number, at, op })
        .collect();

    let two = Selection {
        people: Some([0, 1].into()),
        ..Selection::default()
    };
    let kept: Vec<_> = plan
        .select(&two)
        .steps
        .iter()
        .map(|step| step.number)
        .collect();
    assert_eq!(kept, [0, 1, 4, 6, 7, 8]);

    let recorded = run(&plan, Some(folder.path()));
    assert_eq!(recorded.violation, None);
    // Only they hear each other meanwhile.
    assert!(recorded.heard >= 290, "{} frames", recorded.heard);
    assert_eq!(recorded.digest, run(&plan, None).digest);
    for file in logs(folder.path()) {
        let log = std::fs::read(&file).unwrap();
        replay(&log[..]).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    }
}

#[test]
fn a_replay_that_comes_out_otherwise_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    run(&Plan::new(4, 2, MINUTE / 6), Some(folder.path()));
    for file in logs(folder.path()) {
        let log = std::fs::read(&file).unwrap();
        let whole = replay(&log[..]).unwrap();

        // A bit of the last checksum.
        let mut other = log.clone();
        *other.last_mut().unwrap() ^= 1;
        let last = whole.calls - 1;
        let noticed = replay(&other[..]);
        assert!(
            matches!(noticed, Err(ReplayError::Differs { call, .. }) if call == last),
            "{noticed:?}"
        );

        // The program stopped in the last call.
        let cut = replay(&log[..log.len() - 4]).unwrap();
        assert!(cut.is_cut && cut.calls == last, "{cut:?}");

        // A bit of the random bytes, which are at the beginning: all packets are others.
        let mut other = log.clone();
        let random = MAGIC_AND_LENGTH + 20;
        other[random] ^= 1;
        assert!(replay(&other[..]).is_err());
    }
    assert!(matches!(
        replay(&b"GET / HTTP/1.1"[..]),
        Err(ReplayError::NotALog)
    ));
}

/// What stands before the entry that says how the machine was made.
const MAGIC_AND_LENGTH: usize = 12 + 4;
