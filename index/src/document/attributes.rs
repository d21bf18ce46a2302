//! Facts about a file or a part of it, for filters.

/// Most facts of one file or section.
const MAX_PAIRS: usize = 64;
/// Longest key, in bytes.
const MAX_KEY: usize = 64;
/// Longest value, in bytes; a longer one is cut.
const MAX_VALUE: usize = 256;

/// Pairs of a lower-case key and a value, sorted by key; a key may repeat, as tags do.
///
/// Keys that every format fills in alike are `title`, `author`, `tag` and `date` (a day or an instant
/// in ISO 8601, an instant in UTC, so that dates compare as text does).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<(String, String)>);

impl Attributes {
    /// All values of a key, in the order they were found.
    pub(crate) fn get<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let start = self.0.partition_point(|(known, _)| known.as_str() < key);
        self.0[start..].iter().take_while(move |(known, _)| known == key).map(|(_, v)| v.as_str())
    }

    /// Adds a pair, within the bounds: blanks are collapsed, a long value is cut, and what has no
    /// value, too long a key, or no room left is ignored. So is a pair that is already there.
    pub(crate) fn insert(&mut self, key: &str, value: &str) {
        let key = key.trim();
        if key.is_empty() || key.len() > MAX_KEY || self.0.len() >= MAX_PAIRS {
            return;
        }
        let (key, value) = (key.to_lowercase(), tidy(value, MAX_VALUE));
        if key.len() > MAX_KEY || value.is_empty() || self.get(&key).any(|known| known == value) {
            return;
        }
        let at = self.0.partition_point(|(known, _)| *known <= key);
        self.0.insert(at, (key, value));
    }

    /// All pairs, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A line of text: every run of blanks and control characters is one space, none at either end, and
/// at most `most` bytes.
pub(super) fn tidy(text: &str, most: usize) -> String {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word[..word.floor_char_boundary(most)]);
        if line.len() > most {
            line.truncate(line.floor_char_boundary(most));
            line.truncate(line.trim_end().len());
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_sorted_and_bounded() {
        let mut all = Attributes::default();
        all.insert("Tag", "b");
        all.insert(" author ", " Ada \n Lovelace ");
        all.insert("tag", "a");
        all.insert("tag", "b");
        all.insert("empty", " \u{1} ");
        all.insert(&"k".repeat(65), "too long a key");
        let pairs: Vec<_> = all.iter().collect();
        assert_eq!(pairs, [("author", "Ada Lovelace"), ("tag", "b"), ("tag", "a")]);
        assert_eq!(all.get("tag").collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(all.get("none").count(), 0);

        all.insert("long", &"é".repeat(200));
        assert_eq!(all.get("long").next().map(str::len), Some(256));
        for i in 0..100 {
            all.insert("n", &i.to_string());
        }
        assert_eq!(all.iter().count(), MAX_PAIRS);
    }
}
