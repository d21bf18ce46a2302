//! What the tags of HTML mean for its text.

/// What a tag does to the text around it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Break {
    None,
    /// What follows begins a line.
    Line,
    /// What follows begins a paragraph.
    Paragraph,
    /// What follows is another cell of the same row.
    Cell,
}

/// The break before and after an element.
pub(super) fn break_of(name: &[u8]) -> Break {
    match name {
        b"p" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"blockquote" | b"pre" | b"ul"
        | b"ol" | b"dl" | b"table" | b"section" | b"article" | b"header" | b"footer" | b"main"
        | b"aside" | b"figure" | b"hr" | b"details" | b"fieldset" | b"form" => Break::Paragraph,
        b"br" | b"div" | b"li" | b"dt" | b"dd" | b"tr" | b"caption" | b"figcaption"
        | b"summary" | b"address" | b"center" | b"thead" | b"tbody" | b"option" | b"legend"
        | b"body" | b"title" => Break::Line,
        b"td" | b"th" => Break::Cell,
        _ => Break::None,
    }
}

/// Whether an element holds nothing a reader reads: code, menus, drawings, controls.
pub(super) fn is_left_out(name: &[u8]) -> bool {
    matches!(
        name,
        b"script"
            | b"style"
            | b"noscript"
            | b"template"
            | b"nav"
            | b"svg"
            | b"math"
            | b"iframe"
            | b"noframes"
            | b"noembed"
            | b"object"
            | b"canvas"
            | b"audio"
            | b"video"
            | b"select"
            | b"datalist"
            | b"textarea"
    )
}

/// Whether an element's start shows that a left out one around it was never meant to go on: pages
/// forget to close their menus.
pub(super) fn is_content(name: &[u8]) -> bool {
    matches!(name, b"main" | b"article" | b"h1" | b"body")
}

/// The level of a heading's tag.
pub(super) fn heading_level(name: &[u8]) -> Option<usize> {
    match name {
        [b'h', level @ b'1'..=b'6'] => Some((level - b'0') as usize),
        _ => None,
    }
}
