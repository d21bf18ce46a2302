use std::path::Path;

use super::super::{Format, SkipReason};

fn extract(format: Format, bytes: Vec<u8>) -> Result<String, SkipReason> {
    Ok(super::super::extract(format, Path::new("a.pdf"), bytes)?.text)
}

/// A PDF of these objects, numbered from 1; the first is the catalogue.
fn pdf(objects: &[&str]) -> Vec<u8> {
    let mut file = "%PDF-1.4\n".to_owned();
    let mut table = String::new();
    for (at, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", file.len());
        file += &format!("{} 0 obj\n{object}\nendobj\n", at + 1);
    }
    let (start, size) = (file.len(), objects.len() + 1);
    file += &format!("xref\n0 {size}\n0000000000 65535 f \n{table}");
    file += &format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF");
    file.into_bytes()
}

fn stream(dictionary: &str, content: &str) -> String {
    let length = content.len();
    format!("<< {dictionary} /Length {length} >>\nstream\n{content}\nendstream")
}

const CATALOGUE: &str = "<< /Type /Catalog /Pages 2 0 R >>";
const PAGES: &str = "<< /Type /Pages /Kids [3 0 R] /Count 1 >>";
const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>";
const PAGE: &str = "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /Contents 4 0 R \
    /Resources << /Font << /F 5 0 R >> /XObject << /X 6 0 R >> >> >>";

/// A page that says hello and then draws a form with this content and these resources.
fn page_with_form(content: &str, resources: &str) -> Vec<u8> {
    let page = stream("", "BT /F 12 Tf (Hello) Tj ET /X Do");
    let form = stream(&format!("/Type /XObject /Subtype /Form {resources}"), content);
    pdf(&[CATALOGUE, PAGES, PAGE, &page, FONT, &form])
}

/// Streams of which each draws the next a hundred times.
fn laughs(streams: usize) -> Vec<u8> {
    let form = |next: usize| {
        let resources = format!("/Resources << /XObject << /X {next} 0 R >> >>");
        stream(&resources, &"/X Do ".repeat(100))
    };
    let mut objects = [CATALOGUE, PAGES, PAGE].map(str::to_owned).to_vec();
    objects.push(stream("", "/X Do"));
    objects.push(FONT.to_owned());
    objects.extend((0..streams).map(|at| form(at + 7)));
    objects.push(stream("", "q Q"));
    pdf(&objects.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_broken_pdf_is_a_reason_and_not_a_panic() {
    for bytes in [&b"%PDF-1.7"[..], b"%PDF-1.4\n1 0 obj <<", b"%PDF-1.5\n%%EOF"] {
        let got = extract(Format::Pdf, bytes.to_vec());
        assert!(matches!(got, Err(SkipReason::ExtractionFailed(_) | SkipReason::Empty)), "{got:?}");
    }
}

#[test]
fn pages_and_what_they_draw_are_read() {
    let bytes = page_with_form("BT /F 12 Tf (there) Tj ET", "");
    let text = extract(Format::Pdf, bytes).expect("has text");
    assert!(text.contains("Hello") && text.contains("there"), "{text:?}");
    assert_eq!(extract(Format::Pdf, laughs(2)), Err(SkipReason::Empty), "much, and not too much");
}

#[test]
fn a_pdf_that_never_ends_is_a_reason_and_not_a_stack_overflow() {
    let rounds = "<< /Type /Pages /Kids [3 0 R] /Count 1 /Parent 2 0 R >>";
    for (bytes, why) in [
        (page_with_form("/X Do", ""), "a stream draws itself"),
        (
            page_with_form("/X Do", "/Resources << /XObject << /X 6 0 R >> >>"),
            "a stream draws itself",
        ),
        (pdf(&[CATALOGUE, rounds, PAGE, &stream("", ""), FONT, FONT]), "its page tree is too deep"),
        (laughs(8), "it asks for too much work"),
        (laughs(80), "its streams draw each other too deeply"),
    ] {
        let got = extract(Format::Pdf, bytes);
        assert_eq!(got, Err(SkipReason::ExtractionFailed(why.into())));
    }
}
