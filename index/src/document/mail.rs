//! E-mail: one (`.eml`, Maildir) or many (mbox).

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Address, Message, MessageParser, MimeHeaders, PartType};

use super::attributes::Attributes;
use super::draft::Draft;
use super::html::{Dialect, read};
use super::{SkipReason, date};

/// Most parts of one mail: the parser nests a message for each that says it is one, and drops them
/// recursively.
const MAX_PARTS: usize = 1000;
/// Deepest forwarded mail whose text is read.
const MAX_FORWARDS: usize = 8;
/// Most attachments and recipients that become facts.
const MAX_NAMES: usize = 16;

/// A mail: its subject and text, in a section with its facts.
pub(super) fn one(bytes: &[u8], draft: &mut Draft) -> Result<(), SkipReason> {
    if bytes.windows(12).filter(|w| w.eq_ignore_ascii_case(b"content-type")).count() > MAX_PARTS {
        return Err(SkipReason::ExtractionFailed("the mail has too many parts".into()));
    }
    // The parser says it never panics, and has been seen to.
    let parse = AssertUnwindSafe(|| MessageParser::default().parse(bytes));
    let message = catch_unwind(parse)
        .map_err(|_| SkipReason::ExtractionFailed("the mail is malformed".into()))?
        .filter(|message| !message.headers().is_empty())
        .ok_or_else(|| SkipReason::ExtractionFailed("it has no mail headers".into()))?;
    let subject = message.subject().unwrap_or_default();
    draft.line();
    let facts = if draft.wants_facts() { facts(&message) } else { Attributes::default() };
    draft.section(subject, facts);
    text(&message, draft, 0)
}

/// Every mail of an mbox. One that cannot be read is passed over, unless none can.
pub(super) fn many(bytes: &[u8], draft: &mut Draft) -> Result<(), SkipReason> {
    let mut failure = None;
    for range in mails(bytes) {
        match one(&unquoted(&bytes[range]), draft) {
            Err(reason @ SkipReason::ExtractionFailed(_)) => failure = Some(reason),
            Err(reason) => return Err(reason),
            Ok(()) => {}
        }
    }
    match failure {
        Some(reason) if draft.len() == 0 => Err(reason),
        _ => Ok(()),
    }
}

/// Where the mails of an mbox lie, without the `From ` lines before them: such a line counts at the
/// start of the file and after an empty line.
fn mails(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut mails: Vec<Range<usize>> = Vec::new();
    let (mut at, mut after_empty) = (0, true);
    for line in bytes.split_inclusive(|&b| b == b'\n') {
        if after_empty && line.starts_with(b"From ") {
            if let Some(last) = mails.last_mut() {
                last.end = at;
            }
            mails.push(at + line.len()..bytes.len());
        }
        after_empty = line.trim_ascii_end().is_empty();
        at += line.len();
    }
    mails
}

/// A mail with its lines as they were before an mbox put `>` before those that begin with `From `.
fn unquoted(mail: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(mail.len());
    for line in mail.split_inclusive(|&b| b == b'\n') {
        let marks = line.iter().take_while(|&&b| b == b'>').count();
        let quoted = marks > 0 && line[marks..].starts_with(b"From ");
        plain.extend_from_slice(&line[usize::from(quoted)..]);
    }
    plain
}

/// Subject and text of a mail and of those it forwards.
fn text(message: &Message<'_>, draft: &mut Draft, depth: usize) -> Result<(), SkipReason> {
    draft.line();
    draft.push(message.subject().unwrap_or_default().trim())?;
    draft.paragraph();
    for part in message.text_bodies() {
        match &part.body {
            PartType::Text(text) => draft.push(text.trim_start_matches('\n'))?,
            PartType::Html(markup) => {
                read(markup, Dialect::Mail, draft)?;
            }
            PartType::Binary(_)
            | PartType::InlineBinary(_)
            | PartType::Message(_)
            | PartType::Multipart(_) => {}
        }
        draft.paragraph();
    }
    if depth < MAX_FORWARDS {
        for part in message.attachments() {
            if let PartType::Message(forwarded) = &part.body {
                text(forwarded, draft, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn facts(message: &Message<'_>) -> Attributes {
    let mut facts = Attributes::default();
    facts.insert("title", message.subject().unwrap_or_default());
    if let Some(date) = message.date().and_then(date::instant) {
        facts.insert("date", &date);
    }
    for (key, people) in [
        ("from", message.from()),
        ("author", message.from()),
        ("to", message.to()),
        ("cc", message.cc()),
    ] {
        for person in people.into_iter().flat_map(Address::iter).take(MAX_NAMES / 2) {
            facts.insert(key, person.name().unwrap_or_default());
            facts.insert(key, person.address().unwrap_or_default());
        }
    }
    for attachment in message.attachments().take(MAX_NAMES) {
        facts.insert("attachment", attachment.attachment_name().unwrap_or_default());
    }
    facts
}

#[cfg(test)]
mod tests;
