//! What partitions promise.

use covey_crypto::Digest;
use proptest::prelude::*;

use super::*;
use crate::scenario::MAX_TOPICS;

const ALL: [Partition; 4] =
    [Partition::Iid, Partition::Dirichlet, Partition::Topics, Partition::Author];

fn data(partition: Partition) -> Data {
    Data { partition, ..Data::default() }
}

/// Topics in turn, and authors of whom the first wrote most.
fn labels(examples: u32, topics: u32, authors: u32) -> Labels {
    let author = |example: u32| (example * example) % authors;
    let topics = Labels::made_up(examples, topics).topics().to_vec();
    Labels::new(topics, Some((0..examples).map(author).collect()))
}

/// How far a peer's shares of topics are from those of all examples: the total variation distance, from 0
/// to 1, in the mean of all peers.
fn skew(dealt: &[Vec<u32>], labels: &Labels) -> f64 {
    let topics = 1 + *labels.topics().iter().max().expect("one") as usize;
    let shares = |examples: &mut dyn Iterator<Item = usize>| {
        let mut counts = vec![0.0; topics];
        let mut all = 0.0;
        for example in examples {
            counts[labels.topics()[example] as usize] += 1.0;
            all += 1.0;
        }
        counts.into_iter().map(|count| count / all).collect::<Vec<f64>>()
    };
    let whole = shares(&mut (0..labels.len()));
    let far = |own: &Vec<u32>| {
        let own = shares(&mut own.iter().map(|example| *example as usize));
        own.iter().zip(&whole).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
    };
    dealt.iter().map(far).sum::<f64>() / dealt.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_example_is_dealt_once_and_everybody_has_some(
        (kind, peers, each) in (0..4_usize, 1..40_usize, 1..5_u32),
        (examples, topics, authors) in (0..400_u32, 1..12_u32, 1..60_u32),
        (alpha, zipf, seed) in (0.001..10.0_f64, 0.0..3.0_f64, any::<u64>()),
    ) {
        let labels = labels(examples, topics, authors);
        let data = Data { alpha, zipf, topics_per_peer: each, ..data(ALL[kind]) };
        let dealt = match deal(&data, &labels, peers, seed) {
            Ok(dealt) => dealt,
            Err(error) => {
                let few = peers > examples as usize;
                let nobody = ALL[kind] == Partition::Topics && peers * (each as usize) < topics as usize;
                prop_assert!(few || nobody, "{error}");
                return Ok(());
            }
        };
        prop_assert_eq!(dealt.len(), peers);
        let least = LEAST.min(examples as usize / peers);
        prop_assert!(dealt.iter().all(|own| own.len() >= least), "{:?}", dealt);
        let mut all = dealt.concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..examples).collect::<Vec<_>>());
    }

    #[test]
    fn with_overlap_nobody_has_an_example_twice_and_two_have_the_share(
        (kind, peers, share) in (0..4_usize, 2..20_usize, 0.0..=1.0_f64),
        seed in any::<u64>(),
    ) {
        let labels = labels(2_000, 10, 400);
        let data = Data { overlap: share, topics_per_peer: 5, ..data(ALL[kind]) };
        let dealt = deal(&data, &labels, peers, seed).expect("deals");
        let mut owners = vec![0; labels.len()];
        for own in &dealt {
            prop_assert!(own.windows(2).all(|two| two[0] < two[1]));
            own.iter().for_each(|example| owners[*example as usize] += 1);
        }
        prop_assert!(owners.iter().all(|count| (1..=2).contains(count)));
        let twice = 2.0 * owners.iter().filter(|count| **count == 2).count() as f64;
        let found = twice / owners.iter().sum::<usize>() as f64;
        prop_assert!((found - share).abs() < 0.02, "{} instead of {}", found, share);
    }
}

#[test]
fn the_smaller_alpha_the_more_skewed_are_topics() {
    let labels = labels(10_000, 10, 100);
    let skews: Vec<f64> = [1_000.0, 10.0, 1.0, 0.1, 0.01]
        .map(|alpha| {
            let data = Data { alpha, ..data(Partition::Dirichlet) };
            skew(&deal(&data, &labels, 50, 1).expect("deals"), &labels)
        })
        .to_vec();
    assert!(skews.windows(2).all(|two| two[0] + 0.02 < two[1]), "{skews:?}");
    let iid = skew(&deal(&data(Partition::Iid), &labels, 50, 1).expect("deals"), &labels);
    // What two hundred draws of ten topics differ by is chance.
    assert!((skews[0] - iid).abs() < 0.02, "{iid} {skews:?}");
    assert!(skews[4] > 0.7, "{skews:?}");
}

#[test]
fn amounts_go_by_zipfs_law() {
    let labels = labels(20_000, 10, 20_000);
    for partition in [Partition::Iid, Partition::Dirichlet, Partition::Author] {
        let data = Data { zipf: 1.0, ..data(partition) };
        let dealt = deal(&data, &labels, 20, 1).expect("deals");
        let mut sizes: Vec<usize> = dealt.iter().map(Vec::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        for (rank, size) in sizes.iter().enumerate() {
            let expected = sizes[0] as f64 / (rank + 1) as f64;
            // Authors come whole, though most of these wrote little.
            let off = if partition == Partition::Author { 0.1 } else { 0.01 };
            assert!((*size as f64 / expected - 1.0).abs() < off, "{partition:?} {sizes:?}");
        }
    }
    let dealt = deal(&data(Partition::Iid), &labels, 20, 1).expect("deals");
    assert!(dealt.iter().all(|own| own.len() == 1_000));
}

#[test]
fn each_peer_has_its_topics_and_nothing_of_others() {
    let labels = labels(2_000, 10, 10);
    let data = Data { topics_per_peer: 3, zipf: 1.0, ..data(Partition::Topics) };
    for own in deal(&data, &labels, 25, 1).expect("deals") {
        let topics: std::collections::BTreeSet<u32> =
            own.iter().map(|example| labels.topics()[*example as usize]).collect();
        assert_eq!(topics.len(), 3);
    }
}

#[test]
fn authors_stay_whole_where_there_are_enough() {
    let labels = labels(1_000, 5, 97);
    let dealt = deal(&data(Partition::Author), &labels, 10, 1).expect("deals");
    let authors = labels.authors().expect("known");
    for author in authors {
        let peers =
            dealt.iter().filter(|own| own.iter().any(|it| authors[*it as usize] == *author));
        assert_eq!(peers.count(), 1);
    }
    let sizes: Vec<usize> = dealt.iter().map(Vec::len).collect();
    assert!(sizes.iter().all(|size| (80..=120).contains(size)), "{sizes:?}");
}

#[test]
fn what_cannot_be_dealt_is_said() {
    let labels = Labels::made_up(100, 10);
    let error = |data: &Data, peers| deal(data, &labels, peers, 1).expect_err("refused");
    assert_eq!(error(&data(Partition::Iid), 101), DealError::Few { examples: 100, peers: 101 });
    assert_eq!(error(&data(Partition::Author), 5), DealError::NoAuthors);
    let topics = DealError::Topics { peers: 4, each: 2, topics: 10 };
    assert_eq!(error(&data(Partition::Topics), 4), topics);
}

/// These bytes are the same on every machine; a change of the rule changes them and every result with them.
#[test]
fn the_same_seed_deals_the_same_everywhere() {
    let labels = labels(3_000, 12, 200);
    let digest = |partition| {
        let data = Data { alpha: 0.3, zipf: 1.2, overlap: 0.2, ..data(partition) };
        let dealt = deal(&data, &labels, 30, 7).expect("deals");
        let bytes: Vec<u8> = dealt
            .iter()
            .flat_map(|own| std::iter::once(own.len() as u32).chain(own.iter().copied()))
            .flat_map(u32::to_le_bytes)
            .collect();
        Digest::sha256(&bytes).short()
    };
    assert_eq!(ALL.map(digest), ["42a3e1b3", "35714e92", "c30b9536", "63f958b2"]);
}

#[test]
fn as_many_topics_as_a_scenario_may_have_are_dealt() {
    let topics = u32::try_from(MAX_TOPICS).expect("fits");
    let labels = Labels::made_up(20_000, topics);
    let dealt = deal(&data(Partition::Dirichlet), &labels, 200, 1).expect("deals");
    assert_eq!(dealt.iter().map(Vec::len).sum::<usize>(), 20_000);
}
