//! Cutting an expression into words, quoted text and signs.

use super::{FilterError, Relation};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// Characters up to the next space, quote or sign.
    Word(String),
    /// Text in quotes; within them a doubled quote stands for one, and nothing else is special.
    Quoted(String),
    Relation(Relation),
    Open,
    Close,
    Comma,
    End,
}

/// A token and where it starts, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) at: usize,
}

/// All tokens of `text`, the last one [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let (token, length) = next(text, at, c)?;
        all.push(Placed { token, at });
        at += length;
    }
    all.push(Placed { token: Token::End, at: text.len() });
    Ok(all)
}

fn next(text: &str, at: usize, c: char) -> Result<(Token, usize), FilterError> {
    let rest = &text[at..];
    Ok(match c {
        '(' => (Token::Open, 1),
        ')' => (Token::Close, 1),
        ',' => (Token::Comma, 1),
        '"' | '\'' => return quoted(text, at, c),
        _ if ends_word(c) => {
            let signs = [
                ("==", Relation::Eq),
                ("!=", Relation::Ne),
                ("<=", Relation::Le),
                (">=", Relation::Ge),
                ("=", Relation::Eq),
                ("<", Relation::Lt),
                (">", Relation::Gt),
            ];
            match signs.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
                Some((sign, relation)) => (Token::Relation(relation), sign.len()),
                None => return Err(FilterError::new(text, at, "expected `!=` or `not`")),
            }
        }
        _ => {
            let end = rest.find(|c: char| c.is_whitespace() || ends_word(c)).unwrap_or(rest.len());
            (Token::Word(rest[..end].to_owned()), end)
        }
    })
}

fn quoted(text: &str, at: usize, quote: char) -> Result<(Token, usize), FilterError> {
    let mut value = String::new();
    let mut chars = text[at + 1..].char_indices().peekable();
    while let Some((i, c)) = chars.next() {
        if c != quote {
            value.push(c);
        } else if chars.next_if(|&(_, next)| next == quote).is_some() {
            value.push(quote);
        } else {
            return Ok((Token::Quoted(value), i + 2));
        }
    }
    let what =
        format!("this quote is never closed; a {quote} inside quotes is written {quote}{quote}");
    Err(FilterError::new(text, at, what))
}

/// Whether a bare word stops before this character.
pub(super) fn ends_word(c: char) -> bool {
    matches!(c, '(' | ')' | ',' | '"' | '\'' | '=' | '!' | '<' | '>')
}
