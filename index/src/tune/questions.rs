//! Questions made of pieces of chunks, short as what people type.

/// Words of a question.
const LEAST: usize = 3;
const MOST: usize = 12;
/// Characters that count as a word where a script has no spaces.
const CHARS: usize = 2;

/// A piece of a text: its first sentence where that is short enough, else some words from inside it;
/// `None` of a text that has too few words.
pub(super) fn piece(text: &str, number: usize) -> Option<String> {
    let words = words(text);
    if words.len() < LEAST {
        return None;
    }
    let ends = |word: &Word<'_>| word.text.ends_with(['.', '?', '!', '。', '．', '？', '！']);
    let sentence = words.iter().position(ends).map(|at| at + 1);
    if let Some(end) = sentence.filter(|end| (LEAST..=MOST).contains(end)) {
        return Some(join(&words[..end]));
    }
    let length = (4 + number % (MOST - 3)).min(words.len());
    let start = (words.len() - length) * (number % 7) / 7;
    Some(join(&words[start..start + length]))
}

struct Word<'a> {
    text: &'a str,
    spaced: bool,
}

/// What stands between spaces, with the signs around it; in scripts without spaces a few characters.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for between in text.split_whitespace() {
        let (mut start, mut unspaced, mut letters, mut sign) = (0, 0, false, false);
        for (at, c) in between.char_indices() {
            let has_spaces = !is_unspaced(c);
            let cut = match has_spaces {
                true => unspaced > 0 && c.is_alphanumeric(),
                false => unspaced == CHARS || letters || sign && unspaced > 0,
            };
            if cut {
                words.push(Word { text: &between[start..at], spaced: start == 0 });
                (start, unspaced, letters) = (at, 0, false);
            }
            unspaced += usize::from(!has_spaces);
            letters |= has_spaces && c.is_alphanumeric();
            sign = has_spaces && !c.is_alphanumeric();
        }
        words.push(Word { text: &between[start..], spaced: start == 0 });
    }
    words
}

fn join(words: &[Word<'_>]) -> String {
    let mut joined = String::new();
    for word in words {
        if word.spaced && !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word.text);
    }
    joined
}

/// Whether a character is of a script that is written without spaces: Thai, Lao, Tibetan, Burmese, Khmer,
/// Japanese and Chinese.
fn is_unspaced(c: char) -> bool {
    matches!(
        u32::from(c),
        0x0e00..=0x109f
            | 0x1780..=0x17ff
            | 0x3040..=0x30ff
            | 0x3400..=0x4dbf
            | 0x4e00..=0x9fff
            | 0xf900..=0xfaff
            | 0x2_0000..=0x3_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_a_short_piece() {
        assert_eq!(
            piece("Pears are pruned late. Then wait.", 5).as_deref(),
            Some("Pears are pruned late.")
        );
        assert_eq!(piece("two words", 0), None);
        let long: Vec<String> = (0..200).map(|i| format!("w{i}")).collect();
        for number in 0..40 {
            let piece = piece(&long.join(" "), number).expect("long enough");
            assert!((4..=MOST).contains(&piece.split(' ').count()), "{piece}");
            assert!(long.join(" ").contains(&piece));
        }
    }

    #[test]
    fn scripts_without_spaces_give_questions_as_well() {
        assert_eq!(piece("梨树在冬末修剪。然后等待。", 5).as_deref(), Some("梨树在冬末修剪。"));
        assert_eq!(piece("リンゴABCを 切る", 5).as_deref(), Some("リンゴABCを 切る"));
        assert_eq!(piece("你好", 0), None);
        for text in ["梨树在冬末修剪苹果树也是".repeat(30), "ต้นแพร์ถูกตัดแต่งในปลายฤดูหนาว".repeat(30)]
        {
            for number in 0..40 {
                let piece = piece(&text, number).expect("long enough");
                assert!((4..=MOST * CHARS).contains(&piece.chars().count()), "{piece}");
                assert!(text.contains(&piece));
            }
        }
    }
}
