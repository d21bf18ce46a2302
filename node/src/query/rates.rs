//! How many questions one member may ask.

use std::collections::BTreeMap;
use std::time::Duration;

use covey_protocol::ids::NodeId;
use tokio::time::Instant;

/// Questions that one member may ask within [`WINDOW`].
pub(crate) const MAX_QUESTIONS: u32 = 120;
/// See [`MAX_QUESTIONS`].
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
/// Members that are counted at once; past this the oldest windows are forgotten first.
const MAX_COUNTED: usize = 4_096;

/// Counts each member's questions in windows of fixed length.
#[derive(Default)]
pub(crate) struct Rates(BTreeMap<NodeId, (Instant, u32)>);

impl Rates {
    /// Counts one more question of `node`; says whether it is within the bound.
    pub(crate) fn allow(&mut self, node: NodeId, now: Instant) -> bool {
        if self.0.len() >= MAX_COUNTED && !self.0.contains_key(&node) {
            self.0.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        }
        if self.0.len() >= MAX_COUNTED && !self.0.contains_key(&node) {
            return false;
        }
        let (since, count) = self.0.entry(node).or_insert((now, 0));
        if now.duration_since(*since) >= WINDOW {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= MAX_QUESTIONS
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    #[test]
    fn a_member_may_ask_so_often_and_again_in_the_next_window() {
        let (a, b) = ([1; 32], [2; 32]);
        let node = |seed| NodeId::new(SecretKey::from_seed(&seed).public());
        let (now, mut rates) = (Instant::now(), Rates::default());
        for _ in 0..MAX_QUESTIONS {
            assert!(rates.allow(node(a), now));
        }
        assert!(!rates.allow(node(a), now));
        assert!(rates.allow(node(b), now), "others are not held back");
        assert!(rates.allow(node(a), now + WINDOW));
    }
}
