//! What the front matter of a Markdown file says: the part of YAML that people write there.

use super::attributes::Attributes;
use super::record::fact;

/// Reads `key: value`, `key: [a, b]` and lists of `- item` lines; what nests deeper is passed over.
/// `text` may still have its fences.
pub(super) fn facts(text: &str) -> Attributes {
    let mut facts = Attributes::default();
    let mut list: Option<&str> = None;
    for line in text.lines().filter(|line| !matches!(line.trim_end(), "---" | "...")) {
        let bare = line.trim();
        if bare.is_empty() || bare.starts_with('#') {
            continue;
        }
        if let Some(item) = bare.strip_prefix("- ") {
            if let Some(key) = list {
                fact(&mut facts, key, &scalar(item));
            }
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        let Some((key, value)) = bare.split_once(':').filter(|_| !indented) else {
            // A nested mapping or the lines of a block: whose list this may be is unclear.
            list = None;
            continue;
        };
        let (key, value) = (key.trim().trim_matches(['"', '\'']), value.trim());
        list = (value.is_empty() || value.starts_with('#')).then_some(key);
        let inline = value.strip_prefix('[').and_then(|items| items.split_once(']'));
        if let Some((items, _)) = inline {
            items.split(',').for_each(|item| fact(&mut facts, key, &scalar(item)));
        } else if list.is_none() && !value.starts_with(['|', '>', '{', '&', '*', '!', '[']) {
            fact(&mut facts, key, &scalar(value));
        }
    }
    facts
}

/// A plain or quoted scalar without its quotes or its comment.
fn scalar(value: &str) -> String {
    let value = value.trim();
    if let Some(rest) = value.strip_prefix('\'') {
        let end = rest.rfind('\'').unwrap_or(rest.len());
        return rest[..end].replace("''", "'");
    }
    if let Some(rest) = value.strip_prefix('"') {
        let end = rest.rfind('"').unwrap_or(rest.len());
        return rest[..end].replace("\\\"", "\"").replace("\\\\", "\\");
    }
    value.split(" #").next().unwrap_or_default().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaml_people_write_is_read() {
        let text = "---\ntitle: \"On \\\"Bees\\\"\"\nauthor: Ada # me\nDate: 2024/5/1\ntags: [honey, 'wax']\n\
            categories:\n  - hives\n  - gardens\n# no\nnested:\n  deep: 1\n  - lost\ndraft: true\n\
            abstract: |\n  long text\n  key: no\n---\n";
        let facts = facts(text);
        let got: Vec<_> = facts.iter().collect();
        let expected = [
            ("author", "Ada"),
            ("date", "2024-05-01"),
            ("draft", "true"),
            ("tag", "honey"),
            ("tag", "wax"),
            ("tag", "hives"),
            ("tag", "gardens"),
            ("title", "On \"Bees\""),
        ];
        assert_eq!(got, expected);
    }

    #[test]
    fn anything_else_is_passed_over() {
        for text in ["", ":", "- x", "a:\n\t-b\n- ", "'", "a: '", "a: \"", "[", "a: ["] {
            assert!(facts(text).iter().count() <= 1, "{text:?}");
        }
    }
}
