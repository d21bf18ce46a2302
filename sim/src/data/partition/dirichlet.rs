//! Shares of topics drawn from a Dirichlet distribution.

use rand_chacha::ChaCha20Rng;

use super::super::Labels;
use super::sizes::apportion;
use crate::draw;

/// Draws of a topic that is used up before a peer's shares are taken of the others alone.
const TRIES: usize = 8;

/// See the rule in [`deal`](super::deal).
pub(super) fn deal(
    labels: &Labels,
    weights: &[f64],
    least: usize,
    alpha: f64,
    seed: u64,
) -> Vec<Vec<u32>> {
    let mut left = labels.by_topic();
    for (topic, examples) in left.iter_mut().enumerate() {
        draw::shuffle(&mut draw::stream(seed, "topic", topic as u64), examples);
    }
    // A topic without examples has no share.
    left.retain(|examples| !examples.is_empty());
    let scale = alpha * left.len() as f64 / labels.len() as f64;
    let parameters: Vec<f64> = left.iter().map(|examples| scale * examples.len() as f64).collect();
    let sizes = apportion(labels.len(), weights, least);
    let mut turns: Vec<u32> = Vec::with_capacity(labels.len());
    for (peer, size) in sizes.iter().enumerate() {
        turns.extend(std::iter::repeat_n(peer as u32, *size));
    }
    draw::shuffle(&mut draw::stream(seed, "turns", 0), &mut turns);
    let mut peers: Vec<Peer> =
        (0..sizes.len()).map(|peer| Peer::new(&parameters, seed, peer)).collect();
    let mut dealt: Vec<Vec<u32>> = sizes.iter().map(|size| Vec::with_capacity(*size)).collect();
    for peer in turns {
        let topic = peers[peer as usize].draw(&left);
        dealt[peer as usize].extend(left[topic].pop());
    }
    dealt
}

/// A peer's shares of topics, and their sums topic by topic.
struct Peer {
    logs: Vec<f64>,
    sums: Vec<f64>,
    rng: ChaCha20Rng,
}

impl Peer {
    fn new(parameters: &[f64], seed: u64, peer: usize) -> Self {
        let mut rng = draw::stream(seed, "shares", peer as u64);
        let logs = draw::ln_dirichlet(&mut rng, parameters);
        let sums = summed(&logs);
        Self { logs, sums, rng }
    }

    /// A topic that has something left.
    fn draw(&mut self, left: &[Vec<u32>]) -> usize {
        for _ in 0..TRIES {
            let topic = self.topic();
            if !left[topic].is_empty() {
                return topic;
            }
        }
        for (log, examples) in self.logs.iter_mut().zip(left) {
            if examples.is_empty() {
                *log = f64::NEG_INFINITY;
            }
        }
        self.sums = summed(&self.logs);
        self.topic()
    }

    fn topic(&mut self) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let drawn = draw::unit(&mut self.rng) * total;
        // The first whose sum is beyond: one without a share never is. Rounding may make what is drawn the total itself.
        let beyond = self.sums.partition_point(|sum| *sum <= drawn);
        let last = self.sums.partition_point(|sum| *sum < total);
        beyond.min(last)
    }
}

fn summed(logs: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    let shares = draw::shares(logs).into_iter();
    shares
        .map(|share| {
            sum += share;
            sum
        })
        .collect()
}
