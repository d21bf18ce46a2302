//! The inner loops of a search: `cargo bench -p covey-index --features internals`.

use covey_index::internals::bench::{Coded, Coding, dot};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

/// Lengths of vectors: the static model's and MiniLM's.
const DIMS: [usize; 2] = [256, 384];
/// Chunks of the collection that is scanned: too few for the file to leave the cache of a processor.
const CHUNKS: usize = 4096;

fn main() {
    divan::main();
}

#[divan::bench(args = DIMS)]
fn inner_product(bencher: Bencher<'_, '_>, dim: usize) {
    let (a, b) = (vec![0.5f32; dim], vec![0.25f32; dim]);
    let bencher = bencher.counter(BytesCount::new(8 * dim));
    bencher.bench_local(|| dot(black_box(&a), black_box(&b)));
}

#[divan::bench(args = DIMS)]
fn sweep_of_first_planes(bencher: Bencher<'_, '_>, dim: usize) {
    let coded = Coded::new(CHUNKS, dim);
    let bencher = bencher
        .counter(BytesCount::new(coded.plane_bytes()))
        .counter(ItemsCount::new(coded.chunks()));
    bencher.bench_local(|| black_box(&coded).sweep());
}

#[divan::bench(args = DIMS)]
fn estimates_of_whole_codes(bencher: Bencher<'_, '_>, dim: usize) {
    let coded = Coded::new(CHUNKS, dim);
    let bencher = bencher
        .counter(BytesCount::new(coded.code_bytes()))
        .counter(ItemsCount::new(coded.chunks()));
    bencher.bench_local(|| black_box(&coded).estimates());
}

#[divan::bench]
fn links_of_all_blocks(bencher: Bencher<'_, '_>) {
    let coded = Coded::new(CHUNKS, 64);
    let bencher = bencher.counter(ItemsCount::new(coded.links()));
    bencher.bench_local(|| black_box(&coded).links());
}

#[divan::bench]
fn spans_of_all_chunks(bencher: Bencher<'_, '_>) {
    let coded = Coded::new(CHUNKS, 64);
    let bencher = bencher.counter(ItemsCount::new(coded.chunks()));
    bencher.bench_local(|| black_box(&coded).spans());
}

#[divan::bench]
fn span_of_one_chunk(bencher: Bencher<'_, '_>) {
    let coded = Coded::new(CHUNKS, 64);
    bencher.bench_local(|| coded.span(black_box(CHUNKS as u32 / 2 + 100)));
}

#[divan::bench(args = DIMS)]
fn rotation_and_code_of_a_vector(bencher: Bencher<'_, '_>, dim: usize) {
    let mut coding = Coding::new(dim);
    bencher.bench_local(|| black_box(&mut coding).encode());
}
