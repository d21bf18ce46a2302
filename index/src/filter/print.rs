//! A filter as text that parses to the same filter.

use std::fmt;

use super::token::ends_word;
use super::{Expr, Field, Filter, Literal, Op, Relation};

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expr(&self.root, f)
    }
}

fn expr(root: &Expr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match root {
        Expr::And(parts) => joined(parts, " and ", f),
        Expr::Or(parts) => joined(parts, " or ", f),
        Expr::Not(part) => {
            f.write_str("not ")?;
            inner(part, f)
        }
        Expr::Test(field, op) => {
            name(field, f)?;
            test(op, f)
        }
    }
}

fn joined(parts: &[Expr], word: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        inner(part, f)?;
    }
    Ok(())
}

/// In parentheses where it is more than one test.
fn inner(part: &Expr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match part {
        Expr::And(_) | Expr::Or(_) => {
            f.write_str("(")?;
            expr(part, f)?;
            f.write_str(")")
        }
        Expr::Not(_) | Expr::Test(..) => expr(part, f),
    }
}

fn name(field: &Field, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match field {
        Field::Path => "path",
        Field::Kind => "type",
        Field::Size => "size",
        Field::Time => "time",
        Field::Key(key) => return value(key, f),
    })
}

fn test(op: &Op, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match op {
        Op::Compare(relation, literal) => {
            write!(f, " {} ", sign(*relation))?;
            value(&literal.text, f)
        }
        Op::In(list) => {
            f.write_str(" in (")?;
            for (i, Literal { text, .. }) in list.iter().enumerate() {
                if i > 0 {
                    f.write_str(", ")?;
                }
                value(text, f)?;
            }
            f.write_str(")")
        }
        Op::Contains(literal) => {
            f.write_str(" contains ")?;
            value(&literal.text, f)
        }
        Op::Matches(pattern) => {
            f.write_str(" matches ")?;
            value(pattern.0.as_str(), f)
        }
    }
}

fn sign(relation: Relation) -> &'static str {
    match relation {
        Relation::Eq => "==",
        Relation::Ne => "!=",
        Relation::Lt => "<",
        Relation::Le => "<=",
        Relation::Gt => ">",
        Relation::Ge => ">=",
    }
}

/// Bare where that is unambiguous, else in quotes.
fn value(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bare = text.starts_with(|c: char| c.is_alphanumeric())
        && !text.contains(|c: char| c.is_whitespace() || ends_word(c))
        && super::parse::keyword(text).is_none();
    if bare { f.write_str(text) } else { write!(f, "\"{}\"", text.replace('"', "\"\"")) }
}
