//! A few topics for each peer.

use super::super::Labels;
use super::DealError;
use super::sizes::apportion;
use crate::draw;

/// See the rule in [`deal`](super::deal).
pub(super) fn deal(
    labels: &Labels,
    weights: &[f64],
    least: usize,
    each: usize,
    seed: u64,
) -> Result<Vec<Vec<u32>>, DealError> {
    let mut examples = labels.by_topic();
    // A topic without examples is nobody's.
    examples.retain(|examples| !examples.is_empty());
    let (peers, topics) = (weights.len(), examples.len());
    let each = each.clamp(1, topics.max(1));
    if peers * each < topics {
        return Err(DealError::Topics { peers, each, topics });
    }
    let owners = owners(peers, topics, each, seed);
    let mut dealt = vec![Vec::new(); peers];
    for (topic, (mut examples, owners)) in examples.into_iter().zip(owners).enumerate() {
        draw::shuffle(&mut draw::stream(seed, "topic", topic as u64), &mut examples);
        let weights: Vec<f64> = owners.iter().map(|peer| weights[*peer]).collect();
        for (peer, size) in owners.iter().zip(apportion(examples.len(), &weights, least)) {
            dealt[*peer].extend(examples.drain(examples.len() - size..));
        }
    }
    Ok(dealt)
}

/// The peers of each topic. Peers in an order that is drawn take topics from decks, one of all topics after the other, each shuffled; a
/// topic that a peer has waits for the next.
fn owners(peers: usize, topics: usize, each: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut rng = draw::stream(seed, "decks", 0);
    let mut order: Vec<usize> = (0..peers).collect();
    draw::shuffle(&mut rng, &mut order);
    let mut owners = vec![Vec::new(); topics];
    let mut deck: Vec<usize> = Vec::new();
    for peer in order {
        let mut own: Vec<usize> = Vec::with_capacity(each);
        while own.len() < each {
            let fresh = deck.iter().rposition(|topic| !own.contains(topic));
            match fresh {
                Some(at) => own.push(deck.remove(at)),
                None => {
                    let mut next: Vec<usize> = (0..topics).collect();
                    draw::shuffle(&mut rng, &mut next);
                    next.append(&mut deck);
                    deck = next;
                }
            }
        }
        own.into_iter().for_each(|topic| owners[topic].push(peer));
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_owners_about_equally_many_and_every_peer_its_topics() {
        for (peers, topics, each) in [(20, 10, 2), (7, 10, 3), (5, 10, 2), (3, 4, 4), (50, 1, 1)] {
            let owners = owners(peers, topics, each, 1);
            let sizes: Vec<usize> = owners.iter().map(Vec::len).collect();
            let (least, most) =
                (sizes.iter().min().expect("one"), sizes.iter().max().expect("one"));
            assert!(*least >= 1 && most - least <= 2, "{peers} {topics} {each}: {sizes:?}");
            for peer in 0..peers {
                let own = owners.iter().filter(|owners| owners.contains(&peer)).count();
                assert_eq!(own, each, "{peers} {topics} {each}");
            }
        }
    }
}
