use super::query::{LANES, QueryBand};
use super::*;
use crate::fixture::{WordEncoder, topics};
use crate::vectors::{Rows, dot};

fn vectors(n: usize, dim: usize) -> Vec<f32> {
    let encoder = WordEncoder::new(dim);
    topics(n, 25, 11).iter().flat_map(|text| encoder.one(text)).collect()
}

/// Recall@10 of the `within` best by codes.
fn recall(codec: &Codec, rows: Rows<'_>, within: usize) -> f64 {
    let mut codes = vec![0; rows.len() * codec.width()];
    for (row, code) in rows.iter().zip(codes.chunks_exact_mut(codec.width())) {
        codec.encode(row, code);
    }
    let encoder = WordEncoder::new(rows.dim());
    let queries = topics(40, 12, 99);
    let found = queries.iter().map(|text| {
        let query = encoder.one(text);
        let mut scores = Vec::new();
        codec.query(&query, codec.grid()).scores(&codes, &mut scores);
        let exact: Vec<f32> = rows.iter().map(|row| dot(&query, row)).collect();
        let (by_code, by_truth) = (ranked(&scores), ranked(&exact));
        by_truth[..10].iter().filter(|i| by_code[..within].contains(i)).count()
    });
    found.sum::<usize>() as f64 / (10 * queries.len()) as f64
}

fn ranked(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order
}

#[test]
fn more_bytes_find_more_and_every_width_keeps_to_its_budget() {
    let data = vectors(4000, 128);
    let rows = Rows::new(&data, 128);
    let mut last = 0.0;
    for (bytes, least) in [(12.0, 0.5), (24.0, 0.75), (48.0, 0.9), (100.0, 0.97)] {
        let codec = train(rows, Budget { bytes, chunks: 100_000 }, 3);
        assert!(codec.width() as f64 <= bytes, "{} of {bytes}", codec.width());
        let recall = recall(&codec, rows, 32);
        assert!(recall >= least && recall >= last, "{bytes} bytes: {recall} after {last}");
        last = recall;
    }
}

#[test]
fn a_code_is_read_back_near_the_vector_and_the_estimate_is_its_inner_product() {
    let data = vectors(2000, 64);
    let rows = Rows::new(&data, 64);
    for bytes in [10.0, 20.0, 60.0] {
        let codec = train(rows, Budget { bytes, chunks: 1 << 20 }, 3);
        let query = codec.query(rows.row(7), codec.grid());
        let mut code = vec![0; codec.width()];
        let mut back = vec![0.0; codec.kept()];
        for row in rows.iter().take(200) {
            codec.encode(row, &mut code);
            codec.grid().decode(&code, &mut back);
            let mut scores = Vec::new();
            query.scores(&code, &mut scores);
            let projected = codec.basis.project(&mut rows.row(7).to_vec());
            let plain = query.base() + dot(&projected, &back);
            assert!((scores[0] - plain).abs() < 0.02, "{} against {plain}", scores[0]);
        }
    }
}

#[test]
fn measured_accuracy_covers_the_errors_of_other_queries() {
    let data = vectors(3000, 96);
    let rows = Rows::new(&data, 96);
    let codec = train(rows, Budget { bytes: 30.0, chunks: 100_000 }, 3);
    let mut codes = vec![0; rows.len() * codec.width()];
    for (row, code) in rows.iter().zip(codes.chunks_exact_mut(codec.width())) {
        codec.encode(row, code);
    }
    let (mut inside, mut all) = (0, 0);
    for text in topics(40, 12, 5) {
        let vector = WordEncoder::new(96).one(&text);
        let query = codec.query(&vector, codec.grid());
        let mut scores = Vec::new();
        query.scores(&codes, &mut scores);
        for &i in &ranked(&scores)[..50] {
            let (mean, sigma) = codec.posterior(query.base(), scores[i]);
            inside += usize::from((dot(&vector, rows.row(i)) - mean).abs() <= 3.0 * sigma);
            all += 1;
        }
    }
    assert!(inside * 100 >= all * 95, "{inside} of {all}");
}

#[test]
fn tables_and_the_vector_path_agree_to_the_bit() {
    for (dims, bits) in [(8usize, 1usize), (24, 2), (64, 1), (72, 3), (128, 8), (200, 4)] {
        let values: Vec<i8> = (0..dims).map(|i| ((i * 73 + 11) % 255) as u8 as i8).collect();
        let tables = values.chunks(8).map(query::sums).collect();
        let mut padded = values.clone();
        padded.resize(dims.next_multiple_of(LANES), 0);
        let band = || QueryBand {
            plane: dims / 8,
            planes: bits,
            values: padded.clone(),
            sums: Vec::new(),
        };
        let width = dims / 8 * bits + 1;
        let codes: Vec<u8> = (0..width * 5).map(|i| (i * 37 % 251) as u8).collect();
        let (mut by_table, mut by_vector) = (Vec::new(), Vec::new());
        let tabled = [QueryBand { sums: tables, ..band() }];
        simd::portable(&tabled, width, &codes, &mut |sum| by_table.push(sum));
        assert_eq!(by_table.len(), 5);
        if simd::available() {
            simd::sums(&[band()], width, &codes, &mut |sum| by_vector.push(sum));
            assert_eq!(by_table, by_vector, "{dims} x {bits}");
        }
    }
}

#[test]
fn sweeps_agree_to_the_bit_and_say_what_first_planes_say() {
    let data = vectors(1000, 136);
    for bytes in [14.0, 30.0, 90.0] {
        let codec = train(Rows::new(&data, 136), Budget { bytes, chunks: 100_000 }, 3);
        let grid = codec.grid();
        let codes: Vec<Vec<u8>> = data[..77 * 136]
            .chunks_exact(136)
            .map(|row| {
                let mut code = vec![0; codec.width()];
                codec.encode(row, &mut code);
                code
            })
            .collect();
        let Apart { planes, scales, rests: rest } =
            Apart::new(grid, codes.iter().map(Vec::as_slice));
        assert_eq!(planes.len(), 3 * group_bytes(codec.kept()));
        for (i, code) in codes.iter().enumerate() {
            let group = &planes[i / GROUP * group_bytes(codec.kept())..];
            let group = &group[..group_bytes(codec.kept())];
            let rest = &rest[i * grid.rest_width()..][..grid.rest_width()];
            let mut joined = vec![0; codec.width()];
            grid.join(|plane| get_plane(group, i % GROUP, plane), rest, scales[i], &mut joined);
            assert_eq!(joined, *code);
        }
        let vector = data[5 * 136..][..136].to_vec();
        let (sweep, rests) = codec.sweep(&vector);
        let ways = simd::sweeps();
        let all: Vec<Vec<f32>> = ways
            .iter()
            .map(|way| {
                let mut seen = Vec::new();
                way(&sweep, &planes, &scales, &mut |i, estimate| seen.push((i, estimate)));
                assert!(seen.iter().enumerate().all(|(at, (i, _))| at == *i) && seen.len() >= 77);
                seen.into_iter().map(|(_, estimate)| estimate).collect()
            })
            .collect();
        assert!(all.iter().all(|estimates| *estimates == all[0]), "{bytes} bytes");
        // Signs alone say much the same as the whole code; with the rest, the same but for the rounding of tables.
        let mut whole = Vec::new();
        codec.query(&vector, grid).scores(&codes.concat(), &mut whole);
        for (i, whole) in whole.iter().enumerate() {
            let rest = &rest[i * grid.rest_width()..][..grid.rest_width()];
            let joined = rests.rest(sweep.share(all[0][i]), scales[i], rest);
            assert!((joined - whole).abs() < 6e-3, "{joined} and {whole}");
        }
        let off: f32 = whole.iter().zip(&all[0]).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!((off / 77.0).sqrt() < 0.15, "{bytes} bytes: {}", (off / 77.0).sqrt());
    }
}

#[test]
fn a_sweep_passes_over_what_is_below_the_bar() {
    let data = vectors(500, 64);
    let codec = train(Rows::new(&data, 64), Budget { bytes: 20.0, chunks: 100_000 }, 3);
    let planes = vec![0x5a; 4 * group_bytes(codec.kept())];
    let scales: Vec<u8> = (0..100).collect();
    let (sweep, _) = codec.sweep(&data[..64]);
    let mut all = Vec::new();
    sweep.run(&planes, &scales, f32::NEG_INFINITY, &mut |i, estimate| {
        all.push((i, estimate));
        f32::NEG_INFINITY
    });
    let bar = all[50].1;
    let mut above = Vec::new();
    sweep.run(&planes, &scales, bar, &mut |i, estimate| {
        above.push((i, estimate));
        bar
    });
    all.retain(|(_, estimate)| *estimate > bar);
    assert_eq!(all, above);
    assert!(!above.is_empty());
}

#[test]
fn what_is_written_is_read_and_a_changed_byte_is_refused() {
    let data = vectors(600, 40);
    for (n, bytes) in [(600, 20.0), (600, 120.0), (20, 20.0)] {
        let rows = Rows::new(&data[..n * 40], 40);
        let codec = train(rows, Budget { bytes, chunks: n }, 3);
        let file = codec.to_bytes();
        let read = Codec::from_bytes(&file).expect("valid");
        let (mut a, mut b) = (vec![0; codec.width()], vec![0; read.width()]);
        codec.encode(rows.row(3), &mut a);
        read.encode(rows.row(3), &mut b);
        assert_eq!(a, b);
        assert_eq!(read.to_bytes(), file);
        for at in (0..file.len()).step_by(7) {
            let mut bad = file.clone();
            bad[at] ^= 0x10;
            assert!(Codec::from_bytes(&bad).is_err(), "byte {at}");
        }
    }
}

#[test]
fn vectors_without_direction_get_the_zero_scale() {
    let data = [0.25f32; 16].repeat(3);
    let codec = train(Rows::new(&data, 16), Budget { bytes: 20.0, chunks: 3 }, 0);
    let mut code = vec![0; codec.width()];
    codec.encode(&data[..16], &mut code);
    assert_eq!(code.last(), Some(&0));
    let mut scores = Vec::new();
    codec.query(&[1.0; 16], codec.grid()).scores(&code, &mut scores);
    assert!((scores[0] - 4.0).abs() < 1e-4, "the mean alone");
}

#[test]
fn a_codec_of_few_or_equal_vectors_fits_the_ones_that_follow() {
    let data = vectors(300, 128);
    let rows = Rows::new(&data, 128);
    let same = data[..128].repeat(100);
    let zeros = vec![0.0; 128];
    for first in [&data[..128], &data[..256], &same, &zeros] {
        let codec = provisional(Rows::new(first, 128), 3);
        let query = WordEncoder::new(128).one(&topics(1, 12, 9)[0]);
        let prepared = codec.query(&query, codec.grid());
        let mut code = vec![0; codec.width()];
        let mut inside = 0;
        for row in rows.iter() {
            codec.encode(row, &mut code);
            let (mean, sigma) = codec.posterior(prepared.base(), prepared.one(&code));
            assert!(sigma > 0.0 && sigma < 0.1, "{sigma}");
            inside += usize::from((dot(&query, row) - mean).abs() <= 3.0 * sigma);
        }
        assert!(inside >= 297, "{inside} of 300 are as near as is said");
    }
}

#[test]
fn vectors_far_beyond_the_grid_get_its_last_level() {
    let codec = provisional(Rows::new(&vectors(100, 16), 16), 3);
    let mut file = codec.to_bytes();
    let sections = crate::container::Sections::read(&file, *b"COVEYCDC").expect("sound");
    let bands = sections.range(3).expect("there");
    file[bands.start + 8..bands.start + 12].copy_from_slice(&1e-38f32.to_le_bytes());
    let mut writer = crate::container::Writer::new(*b"COVEYCDC");
    for kind in 1..=5 {
        writer.section(kind, file[sections.range(kind).expect("there")].to_vec());
    }
    let fine = Codec::from_bytes(&writer.finish()).expect("valid");
    let (mut code, mut back) = (vec![0; fine.width()], vec![0.0; fine.kept()]);
    for size in [1e-20, 1.0, 1e14] {
        fine.encode(&[size; 16], &mut code);
        fine.grid().decode(&code, &mut back);
        assert!(back.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn numbers_that_sums_would_overflow_with_are_refused() {
    let data = vectors(300, 16);
    let codec = train(Rows::new(&data, 16), Budget { bytes: 12.0, chunks: 100_000 }, 3);
    let file = codec.to_bytes();
    let sections = crate::container::Sections::read(&file, *b"COVEYCDC").expect("sound");
    let forged = |kind: u32, at: usize, number: f32| {
        let mut writer = crate::container::Writer::new(*b"COVEYCDC");
        for other in 1..=5 {
            let mut bytes = file[sections.range(other).expect("there")].to_vec();
            if other == kind {
                bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            }
            writer.section(other, bytes);
        }
        Codec::from_bytes(&writer.finish())
    };
    for number in [f32::NAN, f32::INFINITY, f32::MAX, -f32::INFINITY] {
        // The scale's unit; offset, shrink, sigma of whole codes and of first planes; an entry of the mean;
        // a band's step; a row's step.
        let places = [(1, 16), (1, 20), (1, 24), (1, 28), (1, 32), (1, 36), (1, 40)];
        for (kind, at) in places.into_iter().chain([(2, 0), (3, 8), (4, 0)]) {
            // How far off estimates are is a finite number, and that is all.
            let fine = [(1, 28), (1, 40)].contains(&(kind, at)) && number == f32::MAX;
            assert_eq!(forged(kind, at, number).is_ok(), fine, "{number}, section {kind} at {at}");
        }
    }
    assert!(forged(1, 16, 1e10).is_ok() && forged(2, 0, -3.5).is_ok());
    assert!(forged(1, 16, 0.0).is_err() && forged(1, 24, 2.5).is_err());
}

#[test]
fn what_is_learnt_once_is_never_taken_for_provisional() {
    let mut data = vectors(200, 24);
    let budget = |bytes| super::train::Budget { bytes, chunks: 200 };
    for bytes in 2..40 {
        let codec = train(Rows::new(&data, 24), budget(f64::from(bytes)), 3);
        assert!(!codec.is_provisional(), "{bytes} bytes");
    }
    // One far from all others, which no principal direction is of.
    data[..24].iter_mut().for_each(|x| *x *= 50.0);
    assert!(!train(Rows::new(&data, 24), budget(20.0), 3).is_provisional());
    assert!(provisional(Rows::new(&data, 24), 3).is_provisional());
    // Too few to learn directions from: 5 bits for each fit.
    let few = Rows::new(&data[24..24 * 50], 24);
    assert!(!train(few, budget(17.0), 3).is_provisional());
}
