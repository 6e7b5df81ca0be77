//! Times every case: `cargo bench --manifest-path tests/bench/Cargo.toml -- seal`.

use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn speed(criterion: &mut Criterion) {
    for case in parlour_bench::cases::all() {
        criterion.bench_function(case.name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut routine = (case.prepare)(iterations);
                let start = Instant::now();
                for _ in 0..iterations {
                    routine();
                }
                start.elapsed()
            });
        });
    }
}

criterion_group!(benches, speed);
criterion_main!(benches);
