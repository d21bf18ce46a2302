//! Passes of our own beside the tensor library's, on what fills panels and what does not.

use burn::tensor::{Tensor, TensorData};

use super::*;
use crate::adapter::{Shape, seeded};
use crate::compute::Backend;
use crate::kernels::Level;
use crate::train::learner::{read, scalar};
use crate::train::map::{Map, Passes};

fn drawn(count: usize, stream: u64) -> Vec<f32> {
    seeded(7, stream).even(1.0).take(count).collect()
}

/// Thirty-seven questions, every fifth of which has two answers.
fn batch() -> Batch {
    let questions = 37;
    let pairs = (0..questions).flat_map(|i| {
        let answers = if i % 5 == 0 { vec![i, (i + 1) % questions] } else { vec![i] };
        answers.into_iter().map(move |answer| pair(&format!("q{i}"), &format!("d{answer}")))
    });
    let examples = all_of(&pairs.collect::<Vec<_>>(), 0.0);
    let batch = first(&examples, examples.train.len());
    assert!(batch.rows() > questions && batch.columns.len() == questions);
    batch
}

fn close(ours: &[f32], theirs: &[f32], what: &str) {
    let (apart, whole) = (update::norm(&update::difference(ours, theirs)), update::norm(theirs));
    assert!(apart <= 1e-5 * whole, "{what}: {apart} of {whole}");
}

#[test]
fn slopes_are_those_of_the_tensor_library() {
    let (batch, dim) = (batch(), 45);
    let mut anchors = drawn(batch.rows() * dim, 1);
    let columns = drawn(batch.columns.len() * dim, 2);
    // A text without tokens.
    anchors[..dim].fill(0.0);
    for symmetric in [true, false] {
        for matryoshka in [vec![], vec![7, 33]] {
            let objective = Objective { temperature: 0.1, symmetric, matryoshka };
            let device = Backend::cpu().autodiff();
            let [to_anchors, to_columns] = [&anchors, &columns].map(|all| {
                let data = TensorData::new(all.clone(), [all.len() / dim, dim]);
                Tensor::<2>::from_data(data, &device).require_grad()
            });
            let loss = objective.loss(&batch, &to_anchors, &to_columns);
            let mut expected = loss.backward();
            let expected_loss = scalar(loss).unwrap();
            for level in Level::all() {
                let found = objective.slopes(level, &batch, &anchors, &columns);
                assert!((found.loss / expected_loss - 1.0).abs() < 1e-5, "{level:?}");
                let alone = objective.loss_of(level, &batch, &anchors, &columns);
                assert_eq!(found.loss, alone);
                for (ours, tensor) in [(&found.anchors, &to_anchors), (&found.columns, &to_columns)]
                {
                    let theirs = read(tensor.grad(&expected).unwrap()).unwrap();
                    close(ours, &theirs, &format!("{level:?} {objective:?}"));
                }
            }
            to_anchors.grad_remove(&mut expected);
        }
    }
}

#[test]
fn maps_are_those_of_the_tensor_library() {
    for (dim, rank, freeze_a) in [
        (64, None, false),
        (45, None, false),
        (64, Some(3), false),
        (45, Some(40), false),
        (45, Some(5), true),
    ] {
        let shape = Shape::Static { dim, tokens: 9 };
        let config = AdapterConfig::Head(HeadConfig { rank, freeze_a, ..HeadConfig::default() });
        let layout = config.layout(&shape).unwrap();
        let start = Adapter::new(config.clone(), shape.clone()).unwrap().values().to_vec();
        let values: Vec<f32> =
            start.iter().zip(drawn(start.len(), 3)).map(|(x, y)| x + 0.1 * y).collect();
        let (rows, towards) = (drawn(70 * dim, 4), drawn(70 * dim, 5));
        let backend = Backend::cpu();
        let matrix = |all: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(all.to_vec(), [70, dim]), &backend.autodiff())
        };
        let theirs = Map::of(&config, &layout, &shape, &values, &backend);
        let tensor = matrix(&rows).require_grad();
        let mapped = theirs.apply(tensor.clone());
        let mut found = (mapped.clone() * matrix(&towards)).sum().backward();
        let to_rows = read(tensor.grad_remove(&mut found).unwrap()).unwrap();
        let mut expected = vec![0.0; values.len()];
        theirs.add_gradient(&mut found, &mut expected).unwrap();
        let mapped = read(mapped).unwrap();
        for level in Level::all() {
            let what = format!("{dim} {rank:?} {freeze_a} {level:?}");
            let ours = Passes::of(level, &config, &layout, &shape, dim, &values);
            let pass = ours.forth(rows.clone());
            close(&pass.mapped, &mapped, &what);
            close(&ours.to_rows(&towards), &to_rows, &what);
            let mut gradient = vec![0.0; values.len()];
            ours.back(&pass, &towards, &mut gradient);
            close(&gradient, &expected, &what);
            ours.back(&pass, &towards, &mut gradient);
            let twice: Vec<f32> = expected.iter().map(|x| 2.0 * x).collect();
            close(&gradient, &twice, &what);
        }
    }
}
