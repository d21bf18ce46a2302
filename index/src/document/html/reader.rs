//! From a stream of tags to text.

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, State, Tokenizer};

use super::super::SkipReason;
use super::super::attributes::Attributes;
use super::super::draft::{Draft, MAX_TITLE};
use super::super::record::fact;
use super::tags::{Break, break_of, heading_level, is_content, is_left_out};

/// Longest attribute that is looked at, in bytes.
const MAX_ATTRIBUTE: usize = 1024;

/// Where the markup comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Dialect {
    /// A page of the web: its headings make sections, its title stands over what is before the first.
    Page,
    /// A chapter of a book, in XHTML: any element may close itself.
    Chapter,
    /// The body of a mail, a record of its own whatever headings it has.
    Mail,
}

/// Appends the text of some markup and gives what its head says.
pub(in super::super) fn read(
    markup: &str,
    dialect: Dialect,
    draft: &mut Draft,
) -> Result<Attributes, SkipReason> {
    let mut reader = Reader {
        draft,
        dialect,
        facts: Attributes::default(),
        tag: Tag::default(),
        left_out: None,
        title: None,
        heading: None,
        pre: 0,
        line: String::new(),
        failed: None,
    };
    let emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| reader.take(event));
    let mut tokens = Tokenizer::new_with_emitter(markup, emitter);
    while let Some(token) = tokens.next() {
        match token {
            Ok(state) => tokens.set_state(state),
            Err(never) => match never {},
        }
    }
    drop(tokens);
    reader.end_heading();
    reader.draft.line();
    match reader.failed {
        Some(reason) => Err(reason),
        None => Ok(reader.facts),
    }
}

/// How what follows an element's start is read, where that is not as markup.
fn state_after(name: &[u8]) -> Option<State> {
    match name {
        b"title" | b"textarea" => Some(State::RcData),
        b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => Some(State::RawText),
        b"script" => Some(State::ScriptData),
        b"plaintext" => Some(State::PlainText),
        _ => None,
    }
}

/// The start of an element as far as it was read.
#[derive(Default)]
struct Tag {
    name: Vec<u8>,
    /// Names and values, of those elements that have any of interest.
    attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Tag {
    fn open(&mut self, name: &[u8]) {
        self.name.clear();
        self.name.extend_from_slice(name);
        self.attributes.clear();
    }

    fn is_of_interest(&self) -> bool {
        matches!(self.name.as_slice(), b"meta" | b"img" | b"html")
    }

    fn attribute(&self, name: &[u8]) -> String {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or(String::new(), |(_, value)| String::from_utf8_lossy(value).into_owned())
    }
}

struct Reader<'a> {
    draft: &'a mut Draft,
    dialect: Dialect,
    facts: Attributes,
    tag: Tag,
    /// The element being left out, and how many of its kind are open.
    left_out: Option<(Vec<u8>, usize)>,
    /// The page's title while it is being read.
    title: Option<String>,
    /// Level and start of the heading being read.
    heading: Option<(usize, usize)>,
    /// How many `pre` are open.
    pre: usize,
    /// Text with its blanks collapsed, before it is added.
    line: String,
    /// Why the rest is not read.
    failed: Option<SkipReason>,
}

impl Reader<'_> {
    /// Takes the next piece of markup and says how to go on where that is special.
    fn take(&mut self, event: CallbackEvent<'_>) -> Option<State> {
        if self.failed.is_some() {
            return None;
        }
        let mut state = None;
        let taken = match event {
            CallbackEvent::OpenStartTag { name } => {
                self.tag.open(name);
                Ok(())
            }
            CallbackEvent::AttributeName { name } => {
                if self.tag.is_of_interest() && self.tag.attributes.len() < 64 {
                    let name = &name[..name.len().min(MAX_ATTRIBUTE)];
                    self.tag.attributes.push((name.to_vec(), Vec::new()));
                }
                Ok(())
            }
            CallbackEvent::AttributeValue { value } => {
                if let Some((_, all)) = self.tag.attributes.last_mut() {
                    let room = MAX_ATTRIBUTE.saturating_sub(all.len());
                    all.extend_from_slice(&value[..value.len().min(room)]);
                }
                Ok(())
            }
            CallbackEvent::CloseStartTag { self_closing } => {
                let tag = std::mem::take(&mut self.tag);
                // Chapters are XML, where any element may close itself.
                let closed = self_closing && self.dialect == Dialect::Chapter;
                state = state_after(&tag.name).filter(|_| !closed);
                let taken = self.start(&tag, closed);
                self.tag = tag;
                taken
            }
            CallbackEvent::EndTag { name } => self.end(name),
            CallbackEvent::String { value } => self.text(&String::from_utf8_lossy(value)),
            CallbackEvent::Comment { .. }
            | CallbackEvent::Doctype { .. }
            | CallbackEvent::Error(_) => Ok(()),
        };
        self.failed = taken.err();
        state
    }

    fn start(&mut self, tag: &Tag, closed: bool) -> Result<(), SkipReason> {
        let name = tag.name.as_slice();
        if let Some((open, depth)) = &mut self.left_out {
            if open.as_slice() == name && !closed {
                *depth += 1;
            } else if is_content(name) {
                self.left_out = None;
            }
            if self.left_out.is_some() {
                return Ok(());
            }
        }
        if is_left_out(name) {
            if !closed {
                self.left_out = Some((name.to_vec(), 1));
            }
            return Ok(());
        }
        match name {
            b"title" if !closed => self.title = Some(String::new()),
            b"meta" => self.meta(tag),
            b"html" => self.fact("language", &tag.attribute(b"lang")),
            b"img" => self.text(&tag.attribute(b"alt"))?,
            b"pre" if !closed => self.pre += 1,
            _ => {}
        }
        self.break_at(name)?;
        if name == b"li" {
            self.draft.push("- ")?;
        }
        if let Some(level) = heading_level(name)
            && !closed
        {
            self.heading = Some((level, self.draft.len()));
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) -> Result<(), SkipReason> {
        if let Some((open, depth)) = &mut self.left_out {
            if open.as_slice() == name {
                *depth -= 1;
                if *depth == 0 {
                    self.left_out = None;
                }
            }
            return Ok(());
        }
        match name {
            b"title" => self.end_title(),
            b"pre" => self.pre = self.pre.saturating_sub(1),
            _ => {}
        }
        self.break_at(name)
    }

    fn text(&mut self, text: &str) -> Result<(), SkipReason> {
        if self.left_out.is_some() {
            return Ok(());
        }
        if let Some(title) = &mut self.title {
            if title.len() < MAX_TITLE {
                title.push_str(&text[..text.floor_char_boundary(4 * MAX_TITLE)]);
            }
            return Ok(());
        }
        if self.pre > 0 {
            return self.draft.push(text);
        }
        self.line.clear();
        let mut at_blank = self.draft.at_blank();
        for c in text.chars() {
            if c.is_ascii_whitespace() || c == '\u{a0}' {
                if !at_blank {
                    self.line.push(' ');
                }
                at_blank = true;
            } else {
                self.line.push(c);
                at_blank = false;
            }
        }
        self.draft.push(&self.line)
    }

    fn blank(&mut self) -> Result<(), SkipReason> {
        if self.draft.at_blank() { Ok(()) } else { self.draft.push(" ") }
    }

    fn break_at(&mut self, name: &[u8]) -> Result<(), SkipReason> {
        match break_of(name) {
            Break::None => {}
            Break::Cell => self.blank()?,
            // Within a heading a line break is a blank.
            Break::Line if self.heading.is_some() => self.blank()?,
            Break::Line => self.draft.line(),
            Break::Paragraph => {
                self.end_heading();
                self.draft.paragraph();
            }
        }
        Ok(())
    }

    /// Ends the heading being read, if there is one, and begins its section where it began.
    fn end_heading(&mut self) {
        let Some((level, at)) = self.heading.take() else { return };
        let title = self.draft.since(at);
        let title = title[..title.floor_char_boundary(4 * MAX_TITLE)].trim().to_owned();
        if !title.is_empty() && self.dialect != Dialect::Mail {
            self.draft.heading_at(at, level, &title);
        }
    }

    fn end_title(&mut self) {
        let Some(title) = self.title.take() else { return };
        let first = self.facts.get("title").next().is_none();
        self.fact("title", &title);
        if first && self.dialect == Dialect::Page && !title.trim().is_empty() {
            // The first heading of the page takes its place.
            self.draft.heading_at(self.draft.len(), 1, &title);
        }
    }

    fn meta(&mut self, tag: &Tag) {
        let mut name = tag.attribute(b"name");
        if name.is_empty() {
            name = tag.attribute(b"property");
        }
        let content = tag.attribute(b"content");
        let key = match name.to_ascii_lowercase().as_str() {
            "author" | "article:author" | "dc.creator" | "citation_author" => "author",
            "keywords" | "article:tag" | "news_keywords" => "tag",
            "date"
            | "dc.date"
            | "dcterms.date"
            | "dcterms.created"
            | "article:published_time"
            | "citation_publication_date" => "date",
            "description" => "description",
            _ => return,
        };
        self.fact(key, &content);
    }

    fn fact(&mut self, key: &str, value: &str) {
        fact(&mut self.facts, key, value);
    }
}
