//! Asking facts.

use std::cmp::Ordering;

use super::{Expr, Facts, Field, Op, Relation};

impl Expr {
    pub(super) fn matches(&self, facts: &dyn Facts) -> bool {
        match self {
            Self::And(all) => all.iter().all(|expr| expr.matches(facts)),
            Self::Or(any) => any.iter().any(|expr| expr.matches(facts)),
            Self::Not(expr) => !expr.matches(facts),
            Self::Test(field, op) => test(field, op, facts),
        }
    }

    /// Three-valued: a test of a key is unknown.
    pub(super) fn decide(&self, facts: &dyn Facts) -> Option<bool> {
        match self {
            Self::And(all) => settle(all, facts, false),
            Self::Or(any) => settle(any, facts, true),
            Self::Not(expr) => expr.decide(facts).map(|known| !known),
            Self::Test(Field::Key(_), _) => None,
            Self::Test(field, op) => Some(test(field, op, facts)),
        }
    }

    pub(super) fn needs_values(&self) -> bool {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().any(Self::needs_values),
            Self::Not(expr) => expr.needs_values(),
            Self::Test(field, _) => matches!(field, Field::Key(_)),
        }
    }
}

/// One part that is `decisive` settles the whole; else one unknown part leaves it unknown.
fn settle(parts: &[Expr], facts: &dyn Facts, decisive: bool) -> Option<bool> {
    let mut known = true;
    for part in parts {
        match part.decide(facts) {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => known = false,
        }
    }
    known.then_some(!decisive)
}

fn test(field: &Field, op: &Op, facts: &dyn Facts) -> bool {
    match field {
        Field::Path => holds(op, |ask| ask(Fact::Text(facts.path()))),
        Field::Kind => holds(op, |ask| ask(Fact::Text(facts.kind()))),
        Field::Size => holds(op, |ask| ask(Fact::Size(facts.size()))),
        Field::Time => holds(op, |ask| ask(Fact::Time(facts.modified_ns()))),
        Field::Key(key) => holds(op, |ask| facts.values(key, &mut |value| ask(Fact::Text(value)))),
    }
}

#[derive(Clone, Copy)]
enum Fact<'a> {
    Text(&'a str),
    Size(u64),
    Time(i64),
}

/// Is shown one value after another.
type Ask<'a> = &'a mut dyn FnMut(Fact<'_>);

/// Whether any of the values that `each` visits passes; for `!=`, whether none is equal (FLT-04).
fn holds(op: &Op, each: impl FnOnce(Ask<'_>)) -> bool {
    let mut any = false;
    each(&mut |fact| any = any || passes(op, fact));
    any != matches!(op, Op::Compare(Relation::Ne, _))
}

/// Whether one value passes; for `!=`, whether it is equal.
fn passes(op: &Op, fact: Fact<'_>) -> bool {
    match op {
        Op::Compare(relation, literal) => match place(literal, fact) {
            Some(Ordering::Less) => matches!(relation, Relation::Lt | Relation::Le),
            Some(Ordering::Greater) => matches!(relation, Relation::Gt | Relation::Ge),
            Some(Ordering::Equal) => !matches!(relation, Relation::Lt | Relation::Gt),
            None => false,
        },
        Op::In(list) => list.iter().any(|literal| place(literal, fact) == Some(Ordering::Equal)),
        Op::Contains(literal) => text(fact).is_some_and(|fact| literal.is_in(fact)),
        Op::Matches(pattern) => text(fact).is_some_and(|fact| pattern.0.is_match(fact)),
    }
}

fn place(literal: &super::Literal, fact: Fact<'_>) -> Option<Ordering> {
    match fact {
        Fact::Text(value) => literal.place_text(value),
        Fact::Size(value) => literal.place_size(value),
        Fact::Time(value) => literal.place_time(value),
    }
}

fn text(fact: Fact<'_>) -> Option<&str> {
    match fact {
        Fact::Text(value) => Some(value),
        Fact::Size(_) | Fact::Time(_) => None,
    }
}
