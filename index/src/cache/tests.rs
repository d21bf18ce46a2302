//! The cache against bytes as bad as they come, a disk that takes no more, and a plain model of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::fixture::WordEncoder;
use crate::vectors::dot;

const DIM: usize = 32;
const ID: EncoderId = EncoderId { base: [1; 32], release: [2; 32] };

fn hash(i: usize) -> [u8; 32] {
    let mut hash = [9; 32];
    hash[..8].copy_from_slice(&(i as u64).to_le_bytes());
    hash
}

fn row(i: usize) -> Vec<f32> {
    WordEncoder::new(DIM).one(&format!("text {i}"))
}

fn rows(range: std::ops::Range<usize>) -> Vec<([u8; 32], Vec<f32>)> {
    range.map(|i| (hash(i), row(i))).collect()
}

fn cache(folder: &Path, limit: u64, chunks: usize) -> Cache {
    Cache::new(folder, ID, DIM, limit, chunks, true).expect("holds something")
}

fn is_row(found: &[f32], i: usize) -> bool {
    found.len() == DIM && found.iter().zip(row(i)).all(|(x, y)| (x - y).abs() < 5e-4)
}

#[test]
fn what_is_kept_comes_back_also_to_the_next_that_opens_it_and_to_readers() {
    let temp = tempfile::tempdir().expect("a folder");
    let first = cache(temp.path(), 1 << 20, 100);
    assert_eq!((first.get(&hash(0)), first.bytes() > 0), (None, true));
    first.put(&rows(0..50));
    let all =
        |cache: &Cache| (0..50).all(|i| cache.get(&hash(i)).is_some_and(|found| is_row(&found, i)));
    assert!(all(&first) && first.get(&hash(50)).is_none() && first.count() == 50);
    assert!(all(&cache(temp.path(), 1 << 20, 100)));
    let reader = Cache::new(temp.path(), ID, DIM, 1 << 20, 100, false).expect("is there");
    assert!(all(&reader));
    reader.put(&rows(50..51));
    assert!(reader.get(&hash(50)).is_none(), "a reader writes nothing");
    first.retire();
    assert!(first.get(&hash(0)).is_none());
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let mode = fs::metadata(temp.path().join(NAME)).expect("is there").mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_reader_makes_no_file() {
    let temp = tempfile::tempdir().expect("a folder");
    let reader = Cache::new(temp.path(), ID, DIM, 1 << 20, 100, false).expect("is there");
    assert!(reader.get(&hash(0)).is_none());
    assert_eq!(fs::read_dir(temp.path()).expect("lists").count(), 0);
}

#[test]
fn vectors_of_another_model_or_release_are_never_found() {
    let temp = tempfile::tempdir().expect("a folder");
    cache(temp.path(), 1 << 20, 100).put(&rows(0..10));
    let bytes = fs::read(temp.path().join(NAME)).expect("reads");
    for id in [EncoderId { release: [3; 32], ..ID }, EncoderId { base: [3; 32], ..ID }] {
        let other = Cache::new(temp.path(), id, DIM, 1 << 20, 100, false).expect("is there");
        assert!((0..10).all(|i| other.get(&hash(i)).is_none()));
        // Not even under a head that claims it is for that one: the key says otherwise.
        let theirs = tempfile::tempdir().expect("a folder");
        let made = Cache::new(theirs.path(), id, DIM, 1 << 20, 100, true).expect("is there");
        made.put(&[]);
        assert_eq!(made.count(), 0);
        let path = theirs.path().join(NAME);
        let mut forged = fs::read(&path).expect("reads");
        forged[64..].copy_from_slice(&bytes[64..]);
        fs::write(&path, forged).expect("writes");
        let opened = Cache::new(theirs.path(), id, DIM, 1 << 20, 100, true).expect("is there");
        assert!(opened.count() > 0 && (0..10).all(|i| opened.get(&hash(i)).is_none()));
    }
    let other = Cache::new(temp.path(), ID, DIM + 1, 1 << 20, 100, true).expect("is there");
    assert!(other.get(&hash(0)).is_none() && other.count() == 0);
}

#[test]
fn it_stays_within_its_bound_and_keeps_what_is_asked_for() {
    let temp = tempfile::tempdir().expect("a folder");
    let limit = 64 << 10;
    let cache = cache(temp.path(), limit, 100_000);
    let hot = 100;
    cache.put(&rows(0..hot));
    for round in 0..20 {
        assert!(fs::metadata(temp.path().join(NAME)).expect("is there").len() <= limit);
        for i in 0..hot {
            cache.get(&hash(i));
        }
        // Far more than there is room for, none of it asked for again.
        cache.put(&rows(1000 + round * 300..1000 + (round + 1) * 300));
    }
    let kept = (0..hot).filter(|&i| cache.get(&hash(i)).is_some()).count();
    assert!(kept > hot * 9 / 10, "{kept} of {hot}");
    let cold = (1000..7000).filter(|&i| cache.get(&hash(i)).is_some()).count();
    assert!(cold < 1000, "{cold}");
    // What was hot goes when it no longer is.
    cache.put(&rows(10_000..20_000));
    let kept = (0..hot).filter(|&i| cache.get(&hash(i)).is_some()).count();
    assert!(kept < hot / 4, "{kept} of {hot}");
}

#[test]
fn it_grows_with_the_collection_and_shrinks_with_its_bound() {
    let temp = tempfile::tempdir().expect("a folder");
    let small = cache(temp.path(), 1 << 20, 10);
    small.put(&rows(0..40));
    let had = small.count();
    let large = cache(temp.path(), 1 << 20, 5000);
    assert!(!small.serves(&large) && large.serves(&small));
    assert_eq!(large.count(), had, "it takes over what there was");
    assert!(fs::metadata(temp.path().join(NAME)).expect("is there").len() > 100 << 10);
    let smaller = cache(temp.path(), 8 << 10, 5000);
    smaller.get(&hash(0));
    assert!(fs::metadata(temp.path().join(NAME)).expect("is there").len() <= 8 << 10);
    assert!(Cache::new(temp.path(), ID, DIM, 100, 5000, true).is_none());
    assert!(Cache::new(temp.path(), ID, DIM, u64::MAX, 5000, true).is_some());
}

#[test]
fn torn_and_flipped_bytes_anywhere_are_misses_and_are_written_over() {
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join(NAME);
    let whole = cache(temp.path(), 1 << 20, 10);
    whole.put(&rows(0..30));
    let held = whole.count();
    let sound = fs::read(&path).expect("reads");
    let check = |bytes: &[u8], what: &str| {
        fs::write(&path, bytes).expect("writes");
        let opened = cache(temp.path(), 1 << 20, 10);
        for i in 0..30 {
            assert!(opened.get(&hash(i)).is_none_or(|found| is_row(&found, i)), "{what}, {i}");
        }
        let left = opened.count();
        opened.put(&rows(0..30));
        let after = (0..30).filter(|&i| opened.get(&hash(i)).is_some()).count();
        assert!(after >= 20, "{what}: {after} are kept again");
        left
    };
    assert_eq!(check(&sound, "whole"), held);
    for at in (0..sound.len()).step_by(7) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        let left = check(&bytes, "flipped");
        assert!(at < 64 || left + 1 >= held, "one flipped bit costs one vector at most");
    }
    for cut in (0..sound.len()).step_by(61) {
        check(&sound[..cut], "cut");
        let mut zeroed = sound.clone();
        zeroed[cut..].fill(0);
        check(&zeroed, "zeros behind");
        let mut half = sound.clone();
        let end = (cut + 512).min(half.len());
        half[cut..end].fill(0xff);
        check(&half, "a block overwritten");
    }
    check(&[sound.clone(), vec![1; 4096]].concat(), "more behind");
    assert!(fs::metadata(&path).expect("is there").len() <= sound.len() as u64);
}

#[test]
fn a_head_that_claims_millions_of_sets_takes_neither_time_nor_space() {
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join(NAME);
    cache(temp.path(), 1 << 20, 10).put(&rows(0..30));
    let mut forged = fs::read(&path).expect("reads");
    forged[16..20].copy_from_slice(&(1u32 << 24).to_le_bytes());
    let sum = Sha256::digest(&forged[..36]);
    forged[36..52].copy_from_slice(&sum[..16]);
    fs::write(&path, &forged).expect("writes");
    let length = || fs::metadata(&path).expect("is there").len();

    let reader = Cache::new(temp.path(), ID, DIM, 1 << 20, 10, false).expect("is there");
    assert!(reader.count() > 0);
    let _ = Table::open(&path, true).expect("opens").expect("is one");
    assert_eq!(length(), forged.len() as u64);
    assert!(cache(temp.path(), 1 << 20, 10).count() > 0, "what it holds is taken over");
    assert!(length() < 1 << 20);
}

#[test]
fn where_it_cannot_be_written_it_stops_and_searching_goes_on() {
    let temp = tempfile::tempdir().expect("a folder");
    let path = temp.path().join(NAME);
    cache(temp.path(), 1 << 20, 100).put(&rows(0..10));
    let table = Table::open(&path, false).expect("opens").expect("is one");
    // Its file takes no writes, as on a full disk, though it should.
    let full = cache(temp.path(), 1 << 20, 100);
    *full.lock() = State::Open(table.made_writable());
    assert!(full.get(&hash(1)).is_some_and(|found| is_row(&found, 1)));
    full.put(&rows(10..20));
    assert!(full.get(&hash(2)).is_some() && full.get(&hash(11)).is_none());

    fs::remove_file(&path).expect("removes");
    fs::create_dir(&path).expect("makes");
    let blocked = cache(temp.path(), 1 << 20, 100);
    blocked.put(&rows(0..10));
    assert!(blocked.get(&hash(0)).is_none());
    assert!(path.is_dir());
}

#[cfg(unix)]
#[test]
fn a_link_in_its_place_is_not_followed() {
    let temp = tempfile::tempdir().expect("a folder");
    let other = temp.path().join("other");
    fs::write(&other, b"mine").expect("writes");
    std::os::unix::fs::symlink(&other, temp.path().join(NAME)).expect("links");
    let cache = cache(temp.path(), 1 << 20, 100);
    cache.put(&rows(0..10));
    assert_eq!(fs::read(&other).expect("reads"), b"mine");
    assert!(cache.get(&hash(3)).is_some());
}

#[test]
fn threads_and_writers_side_by_side_see_right_vectors_only() {
    let temp = tempfile::tempdir().expect("a folder");
    // A bound that makes them write over each other's.
    let writers: Vec<Cache> = (0..2).map(|_| cache(temp.path(), 32 << 10, 10_000)).collect();
    std::thread::scope(|scope| {
        for (n, cache) in writers.iter().chain(&writers).enumerate() {
            scope.spawn(move || {
                for i in 0..2000 {
                    let i = (i * (n + 3)) % 300;
                    match cache.get(&hash(i)) {
                        Some(found) => assert!(is_row(&found, i)),
                        None => cache.put(&rows(i..i + 1)),
                    }
                }
            });
        }
    });
}

#[test]
fn a_vector_of_zeros_or_of_one_large_number_comes_back() {
    let temp = tempfile::tempdir().expect("a folder");
    let cache = cache(temp.path(), 1 << 20, 100);
    let mut spike = vec![0.0; DIM];
    spike[5] = -1e14;
    cache.put(&[(hash(0), vec![0.0; DIM]), (hash(1), spike.clone()), (hash(2), vec![1.0; 3])]);
    assert_eq!(cache.get(&hash(0)), Some(vec![0.0; DIM]));
    let found = cache.get(&hash(1)).expect("is kept");
    assert!((found[5] / spike[5] - 1.0).abs() < 1e-6 && found[4] == 0.0);
    assert_eq!(cache.get(&hash(2)), None);
}

#[test]
fn scores_from_the_cache_are_exact_to_far_less_than_members_check() {
    let temp = tempfile::tempdir().expect("a folder");
    let cache = Cache::new(temp.path(), ID, 384, 1 << 22, 500, true).expect("holds something");
    let encoder = WordEncoder::new(384);
    let texts = crate::fixture::topics(400, 30, 3);
    let rows: Vec<_> =
        texts.iter().enumerate().map(|(i, text)| (hash(i), encoder.one(text))).collect();
    cache.put(&rows);
    let mut worst = 0f32;
    for question in crate::fixture::topics(40, 12, 4) {
        let query = encoder.one(&question);
        for (hash, row) in &rows {
            let Some(found) = cache.get(hash) else { continue };
            worst = worst.max((dot(&query, row) - dot(&query, &found)).abs());
        }
    }
    assert!(worst > 0.0 && worst < 5e-4, "{worst}");
}

proptest! {
    /// Beside a map that forgets nothing: whatever comes back is what was put last.
    #[test]
    fn it_agrees_with_a_map(steps in prop::collection::vec((0usize..60, 0usize..3), 1..200)) {
        let temp = tempfile::tempdir().expect("a folder");
        let mut kept = cache(temp.path(), 10_000, 1000);
        let mut map = BTreeMap::new();
        for (n, (i, what)) in steps.into_iter().enumerate() {
            match what {
                0 => {
                    kept.put(&[(hash(i), row(n))]);
                    map.insert(i, n);
                    prop_assert!(kept.get(&hash(i)).is_some_and(|found| is_row(&found, n)));
                }
                1 => if let Some(found) = kept.get(&hash(i)) {
                    prop_assert!(map.get(&i).is_some_and(|&n| is_row(&found, n)));
                },
                _ => kept = cache(temp.path(), 10_000, 1000),
            }
        }
    }
}
