//! Dealing examples out to peers.
//!
//! [`deal`] gives every example to one peer, as [`Data::partition`] says:
//!
//! - `iid`: at random.
//! - `dirichlet`: each peer has shares of the topics, drawn from a Dirichlet distribution whose parameter of a
//!   topic is alpha times the topic's frequency times the number of topics (Hsu et al. 2019; alpha itself where
//!   topics are equally frequent). Peers draw examples in turns, in the end from the topics that are not used up: shares of these are drawn from their part of the distribution.
//! - `topics`: each peer has `topics_per_peer` topics, and those who have a topic share its examples.
//! - `author`: an author's examples stay together. Where there are fewer authors than peers, the most prolific are halved until there are not.
//!
//! How many a peer gets goes by its rank, which is drawn: 1/rank^zipf, or all alike with 0. With `topics` and `author` the
//! amounts of topics and authors come first, so these weights are only met as far as they allow.
//! Nobody gets fewer than [`LEAST`], or than there are for everybody: one left with fewer gets some from whoever has most.
//! Then, for `overlap`, peers stand in a ring and each passes copies of a part of its own on, such that this share of
//! what equally large peers have is had by two.

mod authors;
mod dirichlet;
mod sizes;
mod topics;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha20Rng;

use super::Labels;
use crate::draw;
use crate::scenario::{Data, Partition};

/// Fewest examples of a peer, if there are as many: to learn from one, there has to be another to tell it from.
pub const LEAST: usize = 2;

/// Examples that cannot be dealt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DealError {
    /// There are too few.
    #[error("there are {examples} examples for {peers} peers; each needs one: set fewer peers")]
    Few {
        /// How many there are.
        examples: usize,
        /// For how many.
        peers: usize,
    },
    /// They have no authors.
    #[error(
        "data.partition is author, but the examples have no authors: the folder needs a meta.jsonl with an author, maintainer or section of each document"
    )]
    NoAuthors,
    /// Topics that nobody would have.
    #[error(
        "{peers} peers with {each} topics each leave some of {topics} topics to nobody; raise data.topics_per_peer or lower data.topics"
    )]
    Topics {
        /// How many peers.
        peers: usize,
        /// How many topics each has.
        each: usize,
        /// How many there are.
        topics: usize,
    },
}

/// The examples of each of `peers`, by number, in ascending order.
///
/// # Errors
/// If there are fewer examples than peers, or not what the partition goes by.
pub fn deal(
    data: &Data,
    labels: &Labels,
    peers: usize,
    seed: u64,
) -> Result<Vec<Vec<u32>>, DealError> {
    let examples = labels.len();
    if examples < peers {
        return Err(DealError::Few { examples, peers });
    }
    if peers == 0 {
        return Ok(Vec::new());
    }
    let least = LEAST.min(examples / peers);
    let weights = sizes::weights(&mut draw::stream(seed, "ranks", 0), peers, data.zipf);
    let mut dealt = match data.partition {
        Partition::Iid => iid(labels, &weights, least, seed),
        Partition::Dirichlet => dirichlet::deal(labels, &weights, least, data.alpha, seed),
        Partition::Topics => {
            topics::deal(labels, &weights, least, data.topics_per_peer as usize, seed)?
        }
        Partition::Author => authors::deal(labels, &weights, seed)?,
    };
    top_up(&mut dealt, least);
    if data.overlap > 0.0 && peers > 1 {
        overlap(&mut dealt, data.overlap, seed);
    }
    for own in &mut dealt {
        own.sort_unstable();
    }
    Ok(dealt)
}

fn iid(labels: &Labels, weights: &[f64], least: usize, seed: u64) -> Vec<Vec<u32>> {
    let mut order = labels.numbers();
    draw::shuffle(&mut draw::stream(seed, "iid", 0), &mut order);
    let mut rest = order.as_slice();
    let sizes = sizes::apportion(order.len(), weights, least);
    let take = |size| {
        let (own, others) = rest.split_at(size);
        rest = others;
        own.to_vec()
    };
    sizes.into_iter().map(take).collect()
}

/// Moves examples from whoever has most to those with fewer than `least`.
fn top_up(dealt: &mut [Vec<u32>], least: usize) {
    let mut rich: BinaryHeap<(usize, Reverse<usize>)> =
        dealt.iter().enumerate().map(|(peer, own)| (own.len(), Reverse(peer))).collect();
    for peer in 0..dealt.len() {
        while dealt[peer].len() < least {
            let Some((_, Reverse(giver))) = rich.pop() else { return };
            // Who has most has more than `least` while somebody has fewer, as there are as many for everybody.
            let Some(example) = dealt[giver].pop() else { return };
            dealt[peer].push(example);
            rich.push((dealt[giver].len(), Reverse(giver)));
        }
    }
}

/// Each peer passes copies to the next in a ring that is drawn. Who passes on x of m and gets as many has m(1 + x), of which 2xm have a second owner.
fn overlap(dealt: &mut [Vec<u32>], share: f64, seed: u64) {
    let part = share / (2.0 - share);
    let mut ring: Vec<usize> = (0..dealt.len()).collect();
    draw::shuffle(&mut draw::stream(seed, "ring", 0), &mut ring);
    let own: Vec<usize> = dealt.iter().map(Vec::len).collect();
    for (place, &giver) in ring.iter().enumerate() {
        let taker = ring[(place + 1) % ring.len()];
        let rng = &mut draw::stream(seed, "overlap", giver as u64);
        let copies = some(rng, &dealt[giver][..own[giver]], part);
        dealt[taker].extend(copies);
    }
}

/// This part of `items`, drawn.
fn some(rng: &mut ChaCha20Rng, items: &[u32], part: f64) -> Vec<u32> {
    let mut items = items.to_vec();
    draw::shuffle(rng, &mut items);
    items.truncate((part * items.len() as f64 + 0.5) as usize);
    items
}

#[cfg(test)]
mod tests;
