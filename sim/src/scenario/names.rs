//! Names of fields: dotted paths, and the nearest known one of a mistyped one.

/// The path of `key` in the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// A path with `*` for the numbers in it.
pub(super) fn pattern(path: &str) -> String {
    let part = |part: &str| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { "*".to_owned() } else { part.to_owned() }
    };
    path.split('.').map(part).collect::<Vec<_>>().join(".")
}

/// The one of `known` (paths of fields) that was most likely meant by `unknown`, or the table in
/// which one lies, if any is near.
pub(super) fn nearest(
    unknown: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    let depth = unknown.split('.').count();
    let (table, last) = unknown.rsplit_once('.').unwrap_or(("", unknown));
    let mut best: Option<(usize, &'static str)> = None;
    let mut consider = |path: &'static str, far: usize| {
        if best.is_none_or(|(least, _)| far < least) {
            best = Some((far, path));
        }
    };
    for path in known {
        // The same name in another table counts as one letter off.
        let (of, name) = path.rsplit_once('.').unwrap_or(("", path));
        consider(path, distance(last, name) + usize::from(of != table));
        let ends = path.match_indices('.').map(|(at, _)| at);
        if let Some(at) = ends.take(depth).last() {
            consider(&path[..at], distance(unknown, &path[..at]));
        }
    }
    let (far, path) = best?;
    let most = (last.chars().count() / 3).max(1);
    (far <= most && !path.ends_with('*')).then_some(path)
}

/// Levenshtein's distance: how many letters are put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_paths_are_any() {
        assert_eq!(pattern("adversaries.12.share"), "adversaries.*.share");
        assert_eq!(pattern("peers"), "peers");
    }

    #[test]
    fn letters_count() {
        for (a, b, far) in [("", "abc", 3), ("kitten", "sitting", 3), ("rate", "rate", 0)] {
            assert_eq!((distance(a, b), distance(b, a)), (far, far), "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_is_found_here_first_then_elsewhere_and_not_if_far() {
        let near = |unknown| {
            nearest(unknown, ["peers", "training.rate", "sum.dropout", "list.*.share"].into_iter())
        };
        for (unknown, found) in [
            ("peer", Some("peers")),
            ("rate", Some("training.rate")),
            ("training.rat", Some("training.rate")),
            ("trainig", Some("training")),
            ("training.dropout", Some("sum.dropout")),
            ("list.*.shar", Some("list.*.share")),
            ("colour", None),
        ] {
            assert_eq!(near(unknown), found, "{unknown}");
        }
    }
}
