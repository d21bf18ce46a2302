//! Small texts for simulated people to have and to ask about.

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic {
    /// A word for it.
    pub name: &'static str,
    /// A question that its documents answer.
    pub question: &'static str,
    facts: [&'static str; 4],
}

impl Topic {
    /// Every topic.
    pub const ALL: [Self; 6] = [
        Self {
            name: "orchard",
            question: "When should apple trees be pruned?",
            facts: [
                "Apple trees are pruned in late winter, while they are dormant.",
                "Crossing branches are taken out so that light reaches the fruit.",
                "A young pear needs a stake for its first three years.",
                "Windfalls are collected before wasps find them.",
            ],
        },
        Self {
            name: "bicycle",
            question: "How do I fix a slipping bicycle chain?",
            facts: [
                "A chain that slips under load is worn; measure its stretch with a gauge.",
                "Replace chain and cassette together, or the new chain will skip.",
                "Brake pads are checked for glazing before the wet season.",
                "A drop of oil on each link is enough; wipe off the rest.",
            ],
        },
        Self {
            name: "stars",
            question: "Which telescope shows the rings of Saturn?",
            facts: [
                "The rings of Saturn show in any telescope at forty times magnification.",
                "A dark site matters more than aperture for faint galaxies.",
                "Let the mirror cool for an hour before observing.",
                "The summer triangle is made of Vega, Deneb and Altair.",
            ],
        },
        Self {
            name: "bread",
            question: "Why does sourdough bread stay flat?",
            facts: [
                "Sourdough that stays flat was proofed too long, or its starter was weak.",
                "Salt is added after the first rest so that gluten can form.",
                "A cast iron pot keeps the steam that opens the crust.",
                "Rye flour holds more water than wheat.",
            ],
        },
        Self {
            name: "boats",
            question: "How is a wooden hull kept from leaking?",
            facts: [
                "A wooden hull leaks until its planks have swollen; then the seams are caulked.",
                "Varnish needs a light sanding between coats.",
                "The bilge pump is tested before every season.",
                "A bowline holds the mooring and can still be untied.",
            ],
        },
        Self {
            name: "bees",
            question: "What makes a beehive swarm?",
            facts: [
                "A beehive swarms when the queen runs out of room to lay.",
                "Honey is taken only where the bees keep enough for winter.",
                "Mites are counted on a board below the frames in August.",
                "Smoke calms a colony before the lid is lifted.",
            ],
        },
    ];
}

/// A short note by `author` on `topic`, with its facts in an order drawn from `rng`.
pub fn document(topic: &Topic, author: &str, rng: &mut ChaCha20Rng) -> String {
    let mut facts: Vec<&str> = topic.facts.to_vec();
    let mut text = format!("# {author} on {}\n\n", topic.name);
    while !facts.is_empty() {
        let at = usize::try_from(rng.next_u64() % facts.len() as u64).unwrap_or_default();
        text.push_str(facts.swap_remove(at));
        text.push_str("\n\n");
    }
    text
}
