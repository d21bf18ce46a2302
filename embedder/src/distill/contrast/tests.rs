use super::*;

const DIM: usize = 8;

/// Six words, of which 0 and 1, 2 and 3, and 4 and 5 belong together.
fn words() -> (Vec<f32>, ContentTokenizer, Vec<TextPair>) {
    let words = ["red", "rouge", "blue", "bleu", "green", "vert"];
    let tokenizer = ContentTokenizer::word_piece(words.into_iter()).unwrap();
    let vectors = seeded(3, 0).even(1.0).take(words.len() * DIM).collect();
    let pair = |at: usize| [words[2 * at].to_owned(), words[2 * at + 1].to_owned()];
    (vectors, tokenizer, (0..3).map(pair).collect())
}

fn options() -> ContrastOptions {
    ContrastOptions { passes: 60, batch: 3, rate: 0.1, ..ContrastOptions::default() }
}

#[test]
fn what_belongs_together_comes_together() {
    let (mut vectors, tokenizer, pairs) = words();
    let mut losses = Vec::new();
    let mut note = |step: ContrastProgress| losses.push(step.loss);
    train(&mut vectors, DIM, &tokenizer, &[pairs], &options(), &mut note).unwrap();
    assert_eq!(losses.len(), 60);
    assert!(losses[0] > 0.1 && losses[59] < losses[0] / 10.0, "{losses:?}");
}

#[test]
fn threads_and_repetition_change_nothing() {
    let trained = |threads: usize| {
        let (mut vectors, tokenizer, pairs) = words();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            train(&mut vectors, DIM, &tokenizer, &[pairs], &options(), &mut |_| ()).unwrap();
        });
        vectors
    };
    let once = trained(1);
    assert_eq!(trained(1), once);
    assert_eq!(trained(3), once);
}

#[test]
fn the_gradient_is_that_of_the_loss() {
    let (vectors, _, _) = words();
    let pairs = [[vec![0, 4, 4], vec![1]], [vec![2], vec![3, 5]], [vec![4], vec![5, 0]]];
    let pairs: Vec<&[Vec<u32>; 2]> = pairs.iter().collect();
    let found = step::gradient(&vectors, DIM, &pairs, 0.5);
    let mut seen = 0;
    for (token, texts) in found.tokens() {
        for place in 0..DIM {
            let stated: f32 = texts.iter().map(|&(_, text)| found.sum(text, DIM)[place]).sum();
            let loss = |change: f32| {
                let mut moved = vectors.clone();
                moved[token * DIM + place] += change;
                step::gradient(&moved, DIM, &pairs, 0.5).loss
            };
            let measured = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((f64::from(stated) - measured).abs() < 1e-3, "{token} {stated} {measured}");
        }
        seen += 1;
    }
    assert_eq!(seen, 6);
}

#[test]
fn batches_are_of_one_group_and_small_ones_are_left_out() {
    let group = |pairs: usize| Group(vec![[vec![0], vec![1]]; pairs]);
    let groups = [group(10), group(9), group(1)];
    let options = ContrastOptions { batch: 8, ..ContrastOptions::default() };
    let mut sizes: Vec<(usize, usize)> =
        order(&groups, &options, 0).iter().map(|(group, pairs)| (*group, pairs.len())).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(0, 2), (0, 8), (1, 8)]);
    assert_ne!(order(&groups, &options, 0), order(&groups, &options, 1));
}

#[test]
fn the_rate_grows_and_falls() {
    assert!(rate(1.0, 0, 1000) < 0.03);
    assert!(rate(1.0, WARM_UP, 1000) > 0.9);
    assert!(rate(1.0, 999, 1000) <= LAST_RATE);
}
