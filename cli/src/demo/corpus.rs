//! The notes of the demo's three members, written for it and shipped in the binary.

use std::io;
use std::path::Path;

use covey_node::api::Reveal;

/// A member and its notes.
pub struct Person {
    pub name: &'static str,
    pub shares: &'static [Share],
}

/// A folder of notes, and how much of it the others see.
pub struct Share {
    pub collection: &'static str,
    pub reveal: Reveal,
    files: &'static [(&'static str, &'static str)],
}

/// Expands to file names with their contents, from a folder below `cli/demo`.
macro_rules! notes {
    ($folder:literal: $($file:literal),+ $(,)?) => {
        &[$(($file, include_str!(concat!("../../demo/", $folder, "/", $file)))),+]
    };
}

/// The three members: one reveals everything, one snippets, and one keeps part of it to a score.
pub const PEOPLE: [Person; 3] = [
    Person {
        name: "Ada",
        shares: &[Share {
            collection: "garden",
            reveal: Reveal::Full,
            files: notes!("ada/garden":
                "bees-and-hedge.md", "compost.md", "pruning-pear-trees.md", "slugs.md",
                "sourdough-starter.md", "tomatoes.txt", "watering-holiday.txt"),
        }],
    },
    Person {
        name: "Ben",
        shares: &[Share {
            collection: "workshop",
            reveal: Reveal::Snippet,
            files: notes!("ben/workshop":
                "bottom-bracket-creak.md", "invoice-template.txt", "skipping-chain.md",
                "squealing-brakes.md", "tubeless.md", "wheel-truing.txt", "winter-commuting.txt"),
        }],
    },
    Person {
        name: "Chloé",
        shares: &[
            Share {
                collection: "kitchen",
                reveal: Reveal::Full,
                files: notes!("chloe/kitchen":
                    "knife-sharpening.txt", "mayonnaise.txt", "onion-soup.md", "pale-ale.md",
                    "preserving-lemons.md", "sourdough-starter.md"),
            },
            Share {
                collection: "sky",
                reveal: Reveal::Score,
                files: notes!("chloe/sky":
                    "andromeda-first-light.md", "collimation.txt", "jupiter-opposition.md",
                    "perseids.md"),
            },
        ],
    },
];

impl Share {
    /// Writes the notes into `folder`.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        self.files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_in_the_repository_is_shipped() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
        let mut on_disk = 0;
        for person in std::fs::read_dir(root).expect("the demo's folder") {
            for folder in std::fs::read_dir(person.expect("an entry").path()).expect("a person") {
                on_disk +=
                    std::fs::read_dir(folder.expect("an entry").path()).expect("notes").count();
            }
        }
        let shipped: usize =
            PEOPLE.iter().flat_map(|person| person.shares).map(|it| it.files.len()).sum();
        assert_eq!(on_disk, shipped);
    }
}
