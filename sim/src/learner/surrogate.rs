//! A task with a known optimum: the mean of what everybody sees. It costs next to nothing, and has what matters for the protocol: as many values as one
//! likes, peers that differ, and too little at each to do without the others.
//!
//! Each topic has a point; an example is its topic's point and noise. A peer's loss is half the squared distance from the mean of its examples, so a
//! step of rate `r` goes the `r`th part of the way there. Where each document is to be hidden, each example is one. Sums are taken in one order and nothing but IEEE arithmetic is used, so results are
//! the same on every machine.

use std::collections::BTreeMap;

use covey_crypto::Digest;
use covey_node::rounds::{Outcome, Told, Trained, Update};
use covey_protocol::ids::ModelId;
use covey_protocol::round::Checked;
use rayon::prelude::*;

use super::{Judged, Learns, steps, worst_decile};
use crate::SimError;
use crate::seed::Draw;

/// How far one example lies from its topic's point, which lies at a distance of about one from the start.
const NOISE: f64 = 3.0;

/// The task.
pub struct Surrogate {
    seed: u64,
    /// Where the topics' points lie.
    points: Vec<Vec<f32>>,
    /// Of each peer, how many examples of each topic it has.
    peers: Vec<Vec<u32>>,
    /// Of those that are poisoned, how many of them it sees in the mirror.
    mirrored: BTreeMap<usize, Vec<u32>>,
    /// Products of the points with each other.
    products: Vec<Vec<f64>>,
    /// The optimum: the mean over all examples.
    optimum: Vec<f32>,
}

impl Surrogate {
    /// `values` numbers are learnt by peers that have so many examples of each topic. Topics lie `heterogeneity` times as far from their middle as that is
    /// from the start.
    pub fn new(seed: u64, values: usize, heterogeneity: f64, peers: Vec<Vec<u32>>) -> Self {
        let topics = peers.iter().map(Vec::len).max().unwrap_or(0);
        let middle = direction(seed, 0, values);
        let points: Vec<Vec<f32>> = (0..topics as u64)
            .map(|topic| {
                let own = direction(seed, 1 + topic, values);
                let far = heterogeneity as f32;
                middle.iter().zip(own).map(|(middle, own)| middle + far * own).collect()
            })
            .collect();
        let products =
            points.iter().map(|a| points.iter().map(|b| product(a, b)).collect()).collect();
        let mirrored = BTreeMap::new();
        let mut task = Self { seed, points, peers, mirrored, products, optimum: Vec::new() };
        let mut all = vec![0; topics];
        for peer in &task.peers {
            all.iter_mut().zip(peer).for_each(|(all, count)| *all += i64::from(*count));
        }
        task.optimum = task.mean_of(&all, all.iter().sum(), values);
        task
    }

    /// Has these peers learn from the mirror image of their topics' points, as far from the start the other way. What is best, and how good values are, stays as it is.
    #[must_use]
    pub fn poisoned(mut self, poisoned: &[bool]) -> Self {
        let bad = self.peers.iter().zip(poisoned).enumerate().filter(|(_, (_, bad))| **bad);
        self.mirrored = bad.map(|(peer, (counts, _))| (peer, counts.clone())).collect();
        self
    }

    /// The mean of the points of `all` examples, so many of each topic. Those in the mirror count less than nothing.
    fn mean_of(&self, counts: &[i64], all: i64, values: usize) -> Vec<f32> {
        let all = all.max(1) as f64;
        let mut mean = vec![0.0; values];
        for (point, count) in self.points.iter().zip(counts).filter(|(_, count)| **count != 0) {
            let share = (*count as f64 / all) as f32;
            mean.iter_mut().zip(point).for_each(|(mean, value)| *mean += share * value);
        }
        mean
    }

    /// What a peer would learn without noise in its examples.
    fn point_of(&self, peer: usize) -> Vec<f32> {
        let mut counts: Vec<i64> = self.peers[peer].iter().map(|count| i64::from(*count)).collect();
        let all = counts.iter().sum();
        let mirrored = self.mirrored.get(&peer).into_iter().flatten();
        counts.iter_mut().zip(mirrored).for_each(|(count, of)| *count -= 2 * i64::from(*of));
        self.mean_of(&counts, all, self.optimum.len())
    }

    /// The mean of a peer's examples.
    fn seen_by(&self, peer: usize) -> Vec<f32> {
        let mut seen = self.point_of(peer);
        let count = self.examples(peer).max(1) as f64;
        let away = direction(self.seed ^ 0x6e6f_6973, peer as u64, seen.len());
        let far = (NOISE / count.sqrt()) as f32;
        seen.iter_mut().zip(away).for_each(|(value, away)| *value += far * away);
        seen
    }
}

/// Each example by itself.
impl Surrogate {
    /// Which way `most` of a peer's examples would have the values go, each by itself.
    fn by_document(&self, peer: usize, values: &[f32], most: u32, seed: u64) -> Trained {
        let all = self.examples(peer);
        let drawn = Draw::new(seed, "documents", peer as u64, 0).some(most as usize, all);
        let away = |number: usize| {
            let example = self.example(peer, number);
            example.iter().zip(values).map(|(of, now)| of - now).collect::<Vec<f32>>()
        };
        let documents: Vec<Vec<f32>> = drawn.into_iter().map(away).collect();
        let length: f64 = documents.iter().map(|it| product(it, it).sqrt()).sum();
        let norm = length / (documents.len().max(1)) as f64;
        let told = Told { pairs: all, steps: documents.len(), norm };
        let (update, extras) = (Update::Documents(documents), Vec::new());
        Trained { update, extras, collections: Vec::new(), told, nothing: None }
    }

    /// A peer's example of that number, which are in the order of their topics.
    fn example(&self, peer: usize, number: usize) -> Vec<f32> {
        let (mut topic, mut before) = (0, 0);
        for (of, count) in self.peers[peer].iter().enumerate() {
            if number < before + *count as usize {
                topic = of;
                break;
            }
            before += *count as usize;
        }
        let mirrored = self.mirrored.get(&peer).and_then(|of| of.get(topic)).copied();
        let side = if number - before < mirrored.unwrap_or(0) as usize { -1.0 } else { 1.0 };
        let away = direction(
            self.seed ^ 0x6f6e_6573,
            (peer as u64) << 24 | number as u64,
            self.optimum.len(),
        );
        let of_topic = self.points[topic].iter().zip(away);
        of_topic.map(|(point, away)| side * point + NOISE as f32 * away).collect()
    }
}

impl Learns for Surrogate {
    fn model(&self) -> ModelId {
        let base = Digest::of("covey surrogate", &[&(self.optimum.len() as u64).to_le_bytes()]);
        ModelId { base, release: base }
    }

    fn adapter(&self) -> Vec<u8> {
        b"{\"surrogate\":1}".to_vec()
    }

    fn start(&self) -> Vec<f32> {
        vec![0.0; self.optimum.len()]
    }

    fn peers(&self) -> usize {
        self.peers.len()
    }

    fn examples(&self, peer: usize) -> usize {
        self.peers[peer].iter().map(|count| *count as usize).sum()
    }

    fn pooled(&self) -> Box<dyn Learns> {
        let topics = self.points.len();
        let sum = |topic: usize| self.peers.iter().filter_map(|peer| peer.get(topic)).sum();
        let mirrored =
            |topic: usize| self.mirrored.values().filter_map(|peer| peer.get(topic)).sum();
        Box::new(Self {
            seed: self.seed,
            points: self.points.clone(),
            peers: vec![(0..topics).map(sum).collect()],
            mirrored: BTreeMap::from([(0, (0..topics).map(mirrored).collect())]),
            products: self.products.clone(),
            optimum: self.optimum.clone(),
        })
    }

    fn train(
        &self,
        peer: usize,
        plan: &Checked,
        values: Vec<f32>,
        most: u32,
        seed: u64,
    ) -> Result<Trained, SimError> {
        let plan = plan.plan();
        if plan.learning.documents > 0 {
            let most = steps(self.examples(peer), &plan.learning).min(most);
            return Ok(self.by_document(peer, &values, most, seed));
        }
        let (examples, learning) = (self.examples(peer), &plan.learning);
        let taken = steps(examples, learning).min(most);
        let towards = self.seen_by(peer);
        let (rate, mu) = (learning.rate as f32, learning.proximal as f32);
        let mut now = values.clone();
        for _ in 0..taken {
            for ((now, towards), start) in now.iter_mut().zip(&towards).zip(&values) {
                *now -= rate * ((*now - towards) + mu * (*now - start));
            }
        }
        let loss = |values: &[f32]| Some(0.5 * squared(values, &towards));
        let (before, after) = (loss(&values), loss(&now));
        let outcome =
            Outcome { values: now, steps: taken as usize, diverged: false, before, after };
        Ok(outcome.trained(plan, &values, examples))
    }

    fn judge(&self, values: &[f32]) -> Result<Judged, SimError> {
        let looked_at = self.look_at(values);
        let each: Vec<f64> =
            self.peers.par_iter().map(|counts| self.good(counts, &looked_at)).collect();
        let away = squared(values, &self.optimum);
        let quality = 1.0 - away / product(&self.optimum, &self.optimum);
        Ok(Judged {
            quality,
            worst_decile: worst_decile(each),
            peers_quality: None,
            loss: Some(0.5 * away),
        })
    }

    fn quality_for(&self, peer: usize, values: &[f32]) -> Option<f64> {
        Some(self.good(&self.peers[peer], &self.look_at(values)))
    }
}

/// What has to be known of values to say how good they are for any peer.
struct LookedAt {
    /// Their products with the points.
    with: Vec<f64>,
    /// And with themselves.
    length: f64,
}

impl Surrogate {
    fn look_at(&self, values: &[f32]) -> LookedAt {
        let with = self.points.par_iter().map(|point| product(values, point)).collect();
        LookedAt { with, length: product(values, values) }
    }

    /// How good values are for a peer with so many examples of each topic: 1 at its own optimum, 0 at the start. Of that point no more is needed than what
    /// its topics' points have in common.
    fn good(&self, counts: &[u32], values: &LookedAt) -> f64 {
        let all = f64::from(counts.iter().sum::<u32>().max(1));
        let shares: Vec<f64> = counts.iter().map(|count| f64::from(*count) / all).collect();
        let common: f64 = shares.iter().zip(&values.with).map(|(share, with)| share * with).sum();
        let mut own = 0.0;
        for (one, row) in shares.iter().zip(&self.products) {
            own +=
                shares.iter().zip(row).map(|(other, product)| one * other * product).sum::<f64>();
        }
        1.0 - (values.length - 2.0 * common + own) / own
    }
}

/// A vector of about length one, each entry even in size and its sign drawn.
fn direction(seed: u64, number: u64, values: usize) -> Vec<f32> {
    let mut draw = Draw::new(seed, "surrogate", number, 0);
    let size = (1.0 / (values as f64).sqrt()) as f32;
    let mut all = Vec::with_capacity(values);
    while all.len() < values {
        let bits = draw.bits();
        let signs = (0..64).map(|bit| if bits >> bit & 1 == 0 { size } else { -size });
        all.extend(signs.take(values - all.len()));
    }
    all
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    let square = |(a, b): (&f32, &f32)| f64::from(a - b) * f64::from(a - b);
    a.iter().zip(b).map(square).sum()
}
