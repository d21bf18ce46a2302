//! Tokens and matrices: `cargo bench -p covey-embedder --features internals`.

use covey_embedder::internals::{ByteProduct, Pieces, Product, WordProduct};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};

/// Rows, inputs and outputs of MiniLM's feed-forward layer for 256 tokens.
const SHAPE: [usize; 3] = [256, 384, 1536];

fn main() {
    divan::main();
}

/// Multiplications and additions, one each counted as two.
fn operations() -> ItemsCount {
    ItemsCount::new(2 * SHAPE.iter().product::<usize>())
}

#[divan::bench]
fn f32_matrices(bencher: Bencher<'_, '_>) {
    let mut product = Product::new(SHAPE[0], SHAPE[1], SHAPE[2]);
    bencher.counter(operations()).bench_local(|| black_box(&mut product).run());
}

#[divan::bench]
fn int8_matrices(bencher: Bencher<'_, '_>) {
    let product = ByteProduct::new(SHAPE[0], SHAPE[1], SHAPE[2]);
    bencher.counter(operations()).bench_local(|| black_box(&product).run());
}

#[divan::bench]
fn int16_matrices(bencher: Bencher<'_, '_>) {
    let product = WordProduct::new(SHAPE[0], SHAPE[1], SHAPE[2]);
    bencher.counter(operations()).bench_local(|| black_box(&product).run());
}

#[divan::bench]
fn word_piece(bencher: Bencher<'_, '_>) {
    let pieces = Pieces::builtin().expect("the built-in model is sound");
    let text = include_str!("../../docs/ARCHITECTURE.md");
    let tokens = pieces.count(text).expect("it is text");
    let bencher = bencher.counter(ItemsCount::new(tokens)).counter(BytesCount::of_str(text));
    bencher.bench_local(|| pieces.count(black_box(text)));
}
