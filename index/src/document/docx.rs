//! Text of a DOCX document (ECMA-376, WordprocessingML).

use std::collections::HashMap;

use super::SkipReason;
use super::attributes::Attributes;
use super::draft::Draft;
use super::package::{Package, Piece, Xml, dublin_core};

/// The level of a document's title, above its headings'.
const TITLE: usize = 0;

/// Paragraphs, tables and notes; sections at paragraphs styled as headings.
pub(super) fn read(bytes: Vec<u8>, draft: &mut Draft) -> Result<Attributes, SkipReason> {
    let mut package = Package::open(bytes)?;
    let body = package.require("word/document.xml")?;
    let styles = package.read("word/styles.xml")?.unwrap_or_default();
    let mut writer = Writer { levels: levels(&styles), paragraphs: Vec::new(), cells: 0, draft };
    writer.part(&body)?;
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        if let Some(notes) = package.read(notes)? {
            writer.draft.leave(TITLE + 1);
            writer.part(&notes)?;
        }
    }
    let core = package.read("docProps/core.xml")?;
    Ok(core.map(|core| dublin_core(&core)).unwrap_or_default())
}

/// The heading level of each style that has one, by the style's id. Ids are in the author's language,
/// names and outline levels are not.
fn levels(styles: &str) -> HashMap<String, usize> {
    let mut levels = HashMap::new();
    let mut style = String::new();
    let mut xml = Xml::new(styles);
    while let Some(piece) = xml.next() {
        let Piece::Open(tag) = piece else { continue };
        match tag.name() {
            "style" => style = tag.attribute("styleId").unwrap_or_default(),
            "name" => {
                if let Some(level) = tag.attribute("val").as_deref().and_then(level_of_name) {
                    levels.insert(style.clone(), level);
                }
            }
            "outlineLvl" => {
                if let Some(level) = tag.attribute("val").as_deref().and_then(outline_level) {
                    levels.insert(style.clone(), level);
                }
            }
            _ => {}
        }
    }
    levels
}

fn level_of_name(name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    if name == "title" {
        return Some(TITLE);
    }
    let level = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}

/// Outline levels count from 0; 9 is body text.
fn outline_level(value: &str) -> Option<usize> {
    value.parse().ok().filter(|level| *level < 9).map(|level: usize| level + 1)
}

struct Writer<'a> {
    levels: HashMap<String, usize>,
    /// Start and heading level of the open paragraphs: a text box is a paragraph in another.
    paragraphs: Vec<(usize, Option<usize>)>,
    /// How many table cells are open.
    cells: usize,
    draft: &'a mut Draft,
}

impl Writer<'_> {
    fn part(&mut self, xml: &str) -> Result<(), SkipReason> {
        let mut xml = Xml::new(xml);
        let mut in_text = false;
        // An alternative for older programs repeats what came before it.
        let mut fallbacks = 0usize;
        while let Some(piece) = xml.next() {
            match piece {
                Piece::Open(tag) => match tag.name() {
                    "Fallback" => fallbacks += 1,
                    _ if fallbacks > 0 => {}
                    "t" => in_text = true,
                    "tab" | "br" | "cr" => self.blank()?,
                    "noBreakHyphen" => self.draft.push("-")?,
                    "p" => {
                        if !self.paragraphs.is_empty() {
                            self.draft.line();
                        }
                        self.paragraphs.push((self.draft.len(), None));
                    }
                    "pStyle" => {
                        let id = tag.attribute("val").unwrap_or_default();
                        let level = self.levels.get(&id).copied().or_else(|| level_of_name(&id));
                        self.set_level(level);
                    }
                    "outlineLvl" => {
                        self.set_level(tag.attribute("val").as_deref().and_then(outline_level));
                    }
                    "tc" => self.cells += 1,
                    _ => {}
                },
                Piece::Close(name) => match name.as_str() {
                    "Fallback" => fallbacks = fallbacks.saturating_sub(1),
                    _ if fallbacks > 0 => {}
                    "t" => in_text = false,
                    "p" => self.end_paragraph()?,
                    "tc" => self.cells = self.cells.saturating_sub(1),
                    "tr" if self.cells == 0 => self.draft.line(),
                    "tbl" if self.cells == 0 => self.draft.paragraph(),
                    _ => {}
                },
                Piece::Text(text) if in_text && fallbacks == 0 => self.draft.push(&text)?,
                Piece::Text(_) => {}
            }
        }
        self.paragraphs.clear();
        self.cells = 0;
        self.draft.paragraph();
        Ok(())
    }

    fn blank(&mut self) -> Result<(), SkipReason> {
        if self.draft.at_blank() { Ok(()) } else { self.draft.push(" ") }
    }

    fn set_level(&mut self, level: Option<usize>) {
        if let Some((_, of)) = self.paragraphs.last_mut()
            && level.is_some()
        {
            *of = level;
        }
    }

    fn end_paragraph(&mut self) -> Result<(), SkipReason> {
        let Some((start, level)) = self.paragraphs.pop() else { return Ok(()) };
        if self.cells > 0 {
            return self.blank();
        }
        let text = self.draft.since(start);
        let title = text[..text.floor_char_boundary(1024)].trim().to_owned();
        if let Some(level) = level
            && !title.is_empty()
        {
            self.draft.heading_at(start, level, &title);
        }
        self.draft.paragraph();
        Ok(())
    }
}
