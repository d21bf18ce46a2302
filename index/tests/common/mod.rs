//! What the integration tests share.
#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses a part of it")]

#[path = "../../src/fixture.rs"]
mod fixture;

use std::ops::{ControlFlow, Range};
use std::path::Path;

use covey_index::{
    Collection, EncodeError, Encoder, EncoderId, Files, SearchOptions, SearchResult, UpdateOptions,
    UpdateReport,
};

pub use fixture::{WordEncoder, topics};

/// An encoder that gives too few numbers.
pub struct Broken(pub WordEncoder);

impl Encoder for Broken {
    fn id(&self) -> EncoderId {
        self.0.id()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let mut rows = self.0.encode(texts)?;
        rows.pop();
        Ok(rows)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

/// Updates a root with the defaults.
pub fn update(
    collection: &mut Collection,
    root: impl AsRef<Path>,
    files: &dyn Files,
    encoder: &dyn Encoder,
) -> UpdateReport {
    let options = UpdateOptions::default();
    collection
        .update(root.as_ref(), files, encoder, &options, &mut |_| ControlFlow::Continue(()))
        .expect("updates")
}

/// Searches for a text with the defaults.
pub fn ask(
    collection: &Collection,
    question: &str,
    k: usize,
    files: &dyn Files,
    encoder: &WordEncoder,
) -> SearchResult {
    let query = encoder.one(question);
    collection.search(&query, k, files, encoder, &SearchOptions::default()).expect("searches")
}

/// A PDF of one page with one line of text.
pub fn pdf(line: &str) -> Vec<u8> {
    let page = format!("BT /F1 12 Tf 72 720 Td ({line}) Tj ET");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}\nendstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
            .to_owned(),
    ];
    let mut file = String::from("%PDF-1.4\n");
    let mut table = String::new();
    for (i, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", file.len());
        file += &format!("{} 0 obj\n{object}\nendobj\n", i + 1);
    }
    let start = file.len();
    file += &format!("xref\n0 6\n0000000000 65535 f \n{table}");
    file += &format!("trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n");
    file.into_bytes()
}
