//! The grammar (FLT-01): `or` of `and` of `not` of tests and parentheses.

use regex::RegexBuilder;

use super::token::{Placed, Token, tokens};
use super::value::unit;
use super::{
    Expr, Field, FilterError, Literal, MAX_DEPTH, MAX_FILTER_BYTES, MAX_KEY_BYTES, MAX_PATTERNS,
    Op, Pattern, Relation,
};

/// Most memory one compiled expression takes, in bytes (FLT-02).
const PATTERN_BYTES: usize = 1 << 20;
/// How deep a regular expression may nest.
const PATTERN_NEST: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
    In,
    Contains,
    Matches,
}

/// The keyword a bare word is, in any case.
pub(super) fn keyword(word: &str) -> Option<Keyword> {
    let words = [
        ("and", Keyword::And),
        ("or", Keyword::Or),
        ("not", Keyword::Not),
        ("in", Keyword::In),
        ("contains", Keyword::Contains),
        ("matches", Keyword::Matches),
    ];
    words.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, keyword)| keyword)
}

pub(super) fn parse(text: &str, now_ns: i64) -> Result<Expr, FilterError> {
    if text.len() > MAX_FILTER_BYTES {
        let what = format!("it is longer than {MAX_FILTER_BYTES} bytes");
        return Err(FilterError::new(text, MAX_FILTER_BYTES, what));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, next: 0, now_ns, patterns: 0 };
    let root = parser.any(0)?;
    match parser.peek() {
        Token::End => Ok(root),
        Token::Close => Err(parser.error("this parenthesis was never opened")),
        _ => Err(parser.expected("`and`, `or` or the end")),
    }
}

struct Parser<'t> {
    text: &'t str,
    /// The last one is [`Token::End`], which is never passed.
    tokens: Vec<Placed>,
    next: usize,
    now_ns: i64,
    patterns: usize,
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let first = self.all(depth)?;
        let mut parts = vec![first];
        while self.accept(Keyword::Or) {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Expr::Or))
    }

    fn all(&mut self, depth: usize) -> Result<Expr, FilterError> {
        let first = self.not(depth)?;
        let mut parts = vec![first];
        while self.accept(Keyword::And) {
            parts.push(self.not(depth)?);
        }
        Ok(single(parts, Expr::And))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("it nests deeper than {MAX_DEPTH} levels")));
        }
        if self.accept(Keyword::Not) {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.take(&Token::Open) {
            let inner = self.any(depth + 1)?;
            return if self.take(&Token::Close) {
                Ok(inner)
            } else {
                Err(self.expected("`and`, `or` or `)`"))
            };
        }
        self.test()
    }

    fn test(&mut self) -> Result<Expr, FilterError> {
        let field = self.field()?;
        let negated = self.accept(Keyword::Not);
        let at = self.at();
        let op = match self.peek().clone() {
            Token::Relation(relation) if !negated => {
                self.next += 1;
                self.check_order(&field, relation, at)?;
                Op::Compare(relation, self.literal(&field)?)
            }
            Token::Word(word) => match keyword(&word) {
                Some(Keyword::In) => {
                    self.next += 1;
                    Op::In(self.list(&field)?)
                }
                Some(Keyword::Contains) => {
                    self.next += 1;
                    self.check_text(&field, "contains", at)?;
                    Op::Contains(Literal::text(&self.value()?))
                }
                Some(Keyword::Matches) => {
                    self.next += 1;
                    self.check_text(&field, "matches", at)?;
                    Op::Matches(self.pattern()?)
                }
                _ => return Err(self.expected_operator(negated)),
            },
            _ => return Err(self.expected_operator(negated)),
        };
        let test = Expr::Test(field, op);
        Ok(if negated { Expr::Not(Box::new(test)) } else { test })
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let name = match self.peek() {
            Token::Word(word) if keyword(word).is_none() => word.to_lowercase(),
            Token::Quoted(word) if !word.is_empty() => word.to_lowercase(),
            _ => {
                return Err(self.expected(
                    "what to test: path, type, size, time, title, author, date, tag or another key",
                ));
            }
        };
        if name.len() > MAX_KEY_BYTES {
            return Err(self.error(&format!("a key has at most {MAX_KEY_BYTES} bytes")));
        }
        self.next += 1;
        Ok(match name.as_str() {
            "path" => Field::Path,
            "type" => Field::Kind,
            "size" => Field::Size,
            "time" | "modified" => Field::Time,
            _ => Field::Key(name),
        })
    }

    fn list(&mut self, field: &Field) -> Result<Vec<Literal>, FilterError> {
        if !self.take(&Token::Open) {
            return Err(self.expected("a list such as (work, home)"));
        }
        let mut list = vec![self.literal(field)?];
        while self.take(&Token::Comma) {
            list.push(self.literal(field)?);
        }
        if !self.take(&Token::Close) {
            return Err(self.expected("`,` or `)`"));
        }
        Ok(list)
    }

    fn literal(&mut self, field: &Field) -> Result<Literal, FilterError> {
        let at = self.at();
        let first = self.next;
        let mut text = self.value()?;
        let wrong = match field {
            Field::Path | Field::Kind => return Ok(Literal::text(&text)),
            Field::Key(_) => {
                self.join_offset(first, &mut text);
                return Ok(Literal::any(&text, self.now_ns));
            }
            Field::Size => {
                self.join_unit(first, &mut text);
                match Literal::size(&text) {
                    Some(literal) => return Ok(literal),
                    None => "expected a size such as 300, 2MB or 1.5GiB",
                }
            }
            Field::Time => {
                self.join_offset(first, &mut text);
                match Literal::time(&text, self.now_ns) {
                    Some(literal) => return Ok(literal),
                    None => {
                        "expected a time such as 2024-01-31, 2024-01-31T18:00Z, today or now-7d"
                    }
                }
            }
        };
        Err(FilterError::new(self.text, at, wrong))
    }

    /// `2 MB` is one size.
    fn join_unit(&mut self, first: usize, text: &mut String) {
        if let (Token::Word(_), Token::Word(word)) = (&self.tokens[first].token, self.peek())
            && unit(word).is_some()
        {
            *text = format!("{text} {word}");
            self.next += 1;
        }
    }

    /// `now - 7d` is one time.
    fn join_offset(&mut self, first: usize, text: &mut String) {
        if !matches!(self.tokens[first].token, Token::Word(_)) {
            return;
        }
        let open = |text: &str| {
            ["now", "today"].iter().any(|base| {
                text.get(..base.len()).is_some_and(|head| head.eq_ignore_ascii_case(base))
                    && matches!(&text[base.len()..], "" | "-" | "+")
            })
        };
        while open(text)
            && let Token::Word(word) = self.peek()
            && (word.starts_with(['-', '+']) || text.ends_with(['-', '+']))
        {
            text.push_str(word);
            self.next += 1;
        }
    }

    fn value(&mut self) -> Result<String, FilterError> {
        let value = match self.peek() {
            Token::Word(word) if keyword(word).is_none() => word.clone(),
            Token::Quoted(text) => text.clone(),
            Token::Word(word) => {
                let what = format!("expected a value; write \"{word}\" in quotes if it is meant");
                return Err(self.error(&what));
            }
            _ => return Err(self.expected("a value")),
        };
        self.next += 1;
        Ok(value)
    }

    fn pattern(&mut self) -> Result<Pattern, FilterError> {
        let at = self.at();
        let source = self.value()?;
        self.patterns += 1;
        if self.patterns > MAX_PATTERNS {
            let what = format!("a filter has at most {MAX_PATTERNS} regular expressions");
            return Err(FilterError::new(self.text, at, what));
        }
        RegexBuilder::new(&source)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .nest_limit(PATTERN_NEST)
            .build()
            .map(Pattern)
            .map_err(|error| FilterError::new(self.text, at, regex_message(&error)))
    }

    fn check_order(&self, field: &Field, relation: Relation, at: usize) -> Result<(), FilterError> {
        let ordered = !matches!(relation, Relation::Eq | Relation::Ne);
        if ordered && matches!(field, Field::Path | Field::Kind) {
            let what =
                "a path or type has no order: expected `==`, `!=`, `in`, `contains` or `matches`";
            return Err(FilterError::new(self.text, at, what));
        }
        Ok(())
    }

    fn check_text(&self, field: &Field, word: &str, at: usize) -> Result<(), FilterError> {
        if matches!(field, Field::Size | Field::Time) {
            let what = format!(
                "a size or time is no text for `{word}`: expected `==`, `!=`, `<`, `<=`, `>`, `>=` or `in`"
            );
            return Err(FilterError::new(self.text, at, what));
        }
        Ok(())
    }

    fn expected_operator(&self, negated: bool) -> FilterError {
        self.expected(if negated {
            "`in`, `contains` or `matches`"
        } else {
            "`==`, `!=`, `<`, `<=`, `>`, `>=`, `in`, `contains` or `matches`"
        })
    }

    fn expected(&self, what: &str) -> FilterError {
        self.error(&match self.peek() {
            Token::End => format!("expected {what}, but it ends here"),
            _ => format!("expected {what} here"),
        })
    }

    fn error(&self, what: &str) -> FilterError {
        FilterError::new(self.text, self.at(), what)
    }

    fn accept(&mut self, wanted: Keyword) -> bool {
        let found = matches!(self.peek(), Token::Word(word) if keyword(word) == Some(wanted));
        self.next += usize::from(found);
        found
    }

    /// Passes the token if it is this one; never used for the end.
    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == wanted;
        self.next += usize::from(found);
        found
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn at(&self) -> usize {
        self.tokens[self.next].at
    }
}

/// The last line of the crate's message, which says what is wrong.
fn regex_message(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "this regular expression is too large".to_owned(),
        other => {
            let message = other.to_string();
            let last = message.lines().last().unwrap_or_default();
            format!("this regular expression is wrong: {}", last.trim_start_matches("error: "))
        }
    }
}

/// One part alone needs no `and` around it.
fn single(mut parts: Vec<Expr>, many: fn(Vec<Expr>) -> Expr) -> Expr {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            many(parts)
        }
        None => many(parts),
    }
}
