//! Peers that do not play by the rules of training: the place to plug in another attack.

use covey_node::rounds::Trained;
use covey_privacy::ClipNorm;
use covey_privacy::encode::{Encoding, Layout};

use crate::scenario::Attack;

/// What an adversary makes of its update before it is encoded, which clips it as everybody's.
pub(super) fn tamper(attack: Option<(Attack, f64)>, trained: &mut Trained) {
    let factor = match attack {
        Some((Attack::Scale, strength)) => strength,
        Some((Attack::SignFlip, strength)) => -strength,
        // As long as its encoding lets it be.
        Some((Attack::Garbage, _)) => 1e12,
        // Poisoned in what it learns from, or does its harm in searches, or by what it tells the coordinator.
        Some((Attack::Poison | Attack::ForgeScores | Attack::Flood | Attack::Collude, _))
        | None => return,
    };
    trained.update.scale(factor as f32);
}

/// How an adversary encodes it: as agreed, or for a clip norm `strength` times as long. The grid of that norm may be coarser, and its numbers are then taken
/// for shorter ones: what is sent is longer than anybody may send all the same, which masking hides.
pub(super) fn layout(attack: Option<(Attack, f64)>, agreed: &Layout) -> Layout {
    let Some((Attack::Garbage, strength)) = attack else { return agreed.clone() };
    let longer = ClipNorm::new(agreed.clip.get() * strength.max(1.0));
    let other = longer.map(|clip| Layout { clip, ..agreed.clone() });
    // Where there is no grid for that, it is as honest as the others.
    other.ok().filter(|it| Encoding::new(it.clone()).is_ok()).unwrap_or_else(|| agreed.clone())
}
