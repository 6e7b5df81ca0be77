//! Times, for people: `cargo bench`.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// Runs that are readied at once.
const BATCH: u64 = 64;

fn all(criterion: &mut Criterion) {
    for case in parlour_bench::cases() {
        let mut bench = None;
        criterion.bench_function(case.name, |bencher| {
            let bench = bench.get_or_insert_with(case.make);
            bencher.iter_custom(|runs| {
                let mut measured = Duration::ZERO;
                let mut left = runs;
                while left > 0 {
                    let batch = left.min(BATCH);
                    bench.prepare(batch as usize);
                    let begin = Instant::now();
                    for _ in 0..batch {
                        bench.run();
                    }
                    measured += begin.elapsed();
                    left -= batch;
                }
                measured
            });
        });
    }
}

criterion_group! {
    name = time;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = all
}
criterion_main!(time);
