//! What holds for every format: a table of small files, and hostile ones.

use std::io::{Cursor, Write};
use std::path::Path;

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// A ZIP archive of these entries.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in entries {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        writer.start_file(*name, options).expect("starts");
        writer.write_all(text.as_bytes()).expect("writes");
    }
    writer.finish().expect("finishes").into_inner()
}

const STYLES: &str = r#"<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
    <w:style w:styleId="Sub"><w:name w:val="My own"/><w:pPr><w:outlineLvl w:val="1"/></w:pPr></w:style></w:styles>"#;
const CORE: &str = r#"<cp:coreProperties xmlns:dc="d" xmlns:cp="c"><dc:title>On bees</dc:title><dc:creator>Ada</dc:creator>
    <cp:keywords>honey; wax</cp:keywords><dcterms:created>2024-05-01T10:00:00Z</dcterms:created></cp:coreProperties>"#;
const WORD: &str = r#"<?xml version="1.0"?><w:document xmlns:w="w"><w:body>
    <w:p><w:pPr><w:pStyle w:val="Title"/></w:pPr><w:r><w:t>The Book</w:t></w:r></w:p>
    <w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Hives &amp; wax</w:t></w:r></w:p>
    <w:p><w:r><w:t xml:space="preserve">Some </w:t></w:r><w:r><w:t>text</w:t><w:tab/><w:t>here.</w:t><w:instrText>HYPERLINK</w:instrText></w:r></w:p>
    <w:p><w:pPr><w:pStyle w:val="Sub"/></w:pPr><w:r><w:t>Details</w:t></w:r></w:p>
    <w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc></w:tr>
    <w:tr><w:tc><w:p/></w:tc><w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
    <mc:AlternateContent><mc:Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Choice>
    <mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>
    </w:body></w:document>"#;

fn docx(body: &str) -> Vec<u8> {
    archive(&[
        ("word/document.xml", body),
        ("word/styles.xml", STYLES),
        ("docProps/core.xml", CORE),
    ])
}

const CONTAINER: &str =
    r#"<container><rootfiles><rootfile full-path="OEBPS/book.opf"/></rootfiles></container>"#;
const OPF: &str = r#"<package><metadata xmlns:dc="d"><dc:title>Bees</dc:title><dc:creator>Ada</dc:creator><dc:date>2012</dc:date>
    <dc:subject>honey</dc:subject></metadata><manifest><item id="b" href="two.xhtml" media-type="application/xhtml+xml"/>
    <item id="a" href="text/one%201.xhtml" media-type="application/xhtml+xml"/><item id="c" href="x.css" media-type="text/css"/></manifest>
    <spine><itemref idref="a"/><itemref idref="b"/><itemref idref="c"/><itemref idref="none"/></spine></package>"#;
const ONE: &str = r#"<html><head><title>x</title><script src="a.js"/></head><body><h1>First</h1><p>one</p></body></html>"#;

fn epub() -> Vec<u8> {
    archive(&[
        ("META-INF/container.xml", CONTAINER),
        ("OEBPS/book.opf", OPF),
        ("OEBPS/text/one 1.xhtml", ONE),
        ("OEBPS/two.xhtml", "<html><body><p>two &lt;more&gt;</p></body></html>"),
    ])
}

const NOTEBOOK: &str = r###"{"cells": [
    {"cell_type": "markdown", "source": ["# Setup\n", "Read the data."]},
    {"cell_type": "code", "source": "import bees\n", "outputs": [{"text": "printed"}]},
    {"cell_type": "markdown", "source": "## Plot"},
    {"cell_type": "code", "source": ["bees.plot()"]}, {"cell_type": "raw", "source": ""}],
    "metadata": {"language_info": {"name": "Python"}, "authors": [{"name": "Ada"}]}, "nbformat": 4}"###;

/// One file of each format, and what is made of it: text, sections' titles, facts of the file and
/// of its last section.
struct Case {
    name: &'static str,
    bytes: Vec<u8>,
    text: &'static str,
    titles: &'static [&'static str],
    facts: &'static [(&'static str, &'static str)],
    last: &'static [(&'static str, &'static str)],
}

fn cases() -> Vec<Case> {
    let case = |name, bytes: &[u8], text, titles, facts, last| Case {
        name,
        bytes: bytes.to_vec(),
        text,
        titles,
        facts,
        last,
    };
    vec![
        case("a.txt", b"plain text\n", "plain text\n", &[""], &[], &[]),
        case(
            "a.md",
            b"---\ntitle: T\ntags: [x, y]\n---\n# A\nbody\n",
            "---\ntitle: T\ntags: [x, y]\n---\n# A\nbody\n",
            &["", "A"],
            &[("tag", "x"), ("tag", "y"), ("title", "T")],
            &[],
        ),
        case(
            "a.html",
            b"<title>T</title><p>one<h2>Two</h2>three",
            "one\n\nTwo\n\nthree\n",
            &["T", "T › Two"],
            &[("title", "T")],
            &[],
        ),
        case(
            "a.docx",
            &docx(WORD),
            "The Book\n\nHives & wax\n\nSome text here.\n\nDetails\n\na b \nc \n\nbox\n\n",
            &["The Book", "The Book › Hives & wax", "The Book › Hives & wax › Details"],
            &[
                ("author", "Ada"),
                ("date", "2024-05-01T10:00:00Z"),
                ("tag", "honey"),
                ("tag", "wax"),
                ("title", "On bees"),
            ],
            &[],
        ),
        case(
            "a.epub",
            &epub(),
            "First\n\none\n\ntwo <more>\n\n",
            &["Bees › First", "Bees"],
            &[("author", "Ada"), ("date", "2012"), ("tag", "honey"), ("title", "Bees")],
            &[],
        ),
        case(
            "a.eml",
            b"From: Ada <ada@example.org>\nSubject: Hi\nDate: 1 May 2024 10:00:00 +0000\n\nbody\n",
            "Hi\n\nbody\n\n",
            &["Hi"],
            &[],
            &[
                ("author", "Ada"),
                ("author", "ada@example.org"),
                ("date", "2024-05-01T10:00:00Z"),
                ("from", "Ada"),
                ("from", "ada@example.org"),
                ("title", "Hi"),
            ],
        ),
        case(
            "a.mbox",
            b"From a Mon\nSubject: one\n\n1\n\nFrom b Tue\nSubject: two\n\n2\n",
            "one\n\n1\n\ntwo\n\n2\n\n",
            &["one", "two"],
            &[],
            &[("title", "two")],
        ),
        case(
            "a.ipynb",
            NOTEBOOK.as_bytes(),
            "# Setup\nRead the data.\n\nimport bees\n\n## Plot\n\nbees.plot()\n",
            &["Setup", "Setup › Plot"],
            &[("author", "Ada"), ("language", "Python")],
            &[],
        ),
        case(
            "a.csv",
            b"name,city,age\n\"Ada \"\"L\"\"\",London,36\n1,2,3\nBob,\"New\nYork\",\n",
            "Ada \"L\"\ncity: London\nage: 36\nBob\ncity: New\nYork\n",
            &["Ada \"L\"", "Bob"],
            &[],
            &[("city", "New York"), ("title", "Bob")],
        ),
        case("b.csv", b"x;y\n1;2\n3;4\n", "x, y\n", &[""], &[], &[]),
        case(
            "a.tsv",
            b"id\ttext\n7\tsome words\n",
            "some words\n",
            &[""],
            &[],
            &[("id", "7")],
        ),
        case(
            "a.jsonl",
            b"{\"_id\":\"7\",\"title\":\"T\\u00e9\",\"text\":\"one\\ntwo\",\"year\":2024,\"tags\":[\"x\"],\"deep\":{\"no\":1}}\n\n\
              not json\n{\"q\":\"why\",\"n\":[1,{\"a\":\"deep\"}]}\n{\"id\":5}\n[\"a\",\"b\"]\n",
            "Té\none\ntwo\nwhy\ndeep\na\nb\n",
            &["Té", "", ""],
            &[],
            &[],
        ),
    ]
}

fn read(name: &str, bytes: &[u8]) -> Result<Extracted, SkipReason> {
    let path = Path::new(name);
    extract(classify(path, bytes)?, path, bytes.to_vec())
}

#[test]
fn each_format_gives_its_text_sections_and_facts() {
    for case in cases() {
        let got = read(case.name, &case.bytes).expect(case.name);
        assert_eq!(got.text, case.text, "{}", case.name);
        let titles: Vec<&str> = got.sections.iter().map(|s| s.title.as_str()).collect();
        assert_eq!(titles, case.titles, "{}", case.name);
        assert_eq!(got.attributes.iter().collect::<Vec<_>>(), case.facts, "{}", case.name);
        let last = got.sections.last().expect("has one");
        assert_eq!(last.attributes.iter().collect::<Vec<_>>(), case.last, "{}", case.name);
        check(&got);
        let path = Path::new(case.name);
        let format = classify(path, &case.bytes).expect("has a format");
        assert_eq!(text(format, path, case.bytes).as_ref(), Ok(&got.text), "{}", case.name);
    }
}

#[test]
fn every_cut_and_flip_of_a_file_is_read_or_refused() {
    for case in cases() {
        for at in 0..case.bytes.len() {
            let mut flipped = case.bytes.clone();
            flipped[at] ^= 0x55;
            for bytes in [&case.bytes[..at], &flipped] {
                if let Ok(extracted) = read(case.name, bytes) {
                    check(&extracted);
                }
            }
        }
    }
}

#[test]
fn hostile_files_are_bounded() {
    let deep_json = "[".repeat(100_000);
    let deep_xml = "<w:p><w:r>".repeat(100_000) + "<w:t>bottom</w:t>";
    let wide_header = format!("{}\n{}", "\"a\nb\",".repeat(1000), "x,".repeat(1000));
    let bomb = "<w:t>".to_owned() + &"a".repeat(140 << 20);
    let chapters = format!("{CONTAINER}<!-- {} -->", "x".repeat(1 << 20));
    for (name, bytes, fine) in [
        ("a.jsonl", deep_json.clone().into_bytes(), false),
        ("a.ipynb", deep_json.into_bytes(), false),
        ("a.ipynb", br#"{"cells": 5}"#.to_vec(), false),
        ("a.docx", docx(&deep_xml), true),
        ("a.docx", docx(&bomb), false),
        ("a.docx", archive(&[("other", "x")]), false),
        ("a.epub", archive(&[("META-INF/container.xml", &chapters)]), false),
        ("a.csv", wide_header.into_bytes(), true),
        ("a.csv", b"\"never closed\nx,y\n".to_vec(), true),
        ("a.mbox", b"no mail at all".to_vec(), false),
        ("a.eml", b"\0\0\0".to_vec(), false),
        ("a.html", b"<p>\0binary\0".to_vec(), false),
    ] {
        let got = read(name, &bytes);
        assert_eq!(got.is_ok(), fine, "{name}: {:?}", got.err());
    }
    let ole = read("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").expect_err("is encrypted");
    assert_eq!(ole, SkipReason::Encrypted);
}

#[test]
fn a_book_under_a_key_is_encrypted() {
    let cipher = r#"<encryption><EncryptedData><CipherData><CipherReference URI="OEBPS/two.xhtml"/></CipherData></EncryptedData></encryption>"#;
    let book = archive(&[
        ("META-INF/container.xml", CONTAINER),
        ("META-INF/encryption.xml", cipher),
        ("OEBPS/book.opf", OPF),
        ("OEBPS/two.xhtml", "garbage"),
    ]);
    assert_eq!(read("a.epub", &book), Err(SkipReason::Encrypted));
}

const NAMES: [&str; 16] = [
    "a.txt", "a.md", "a.html", "a.docx", "a.epub", "a.eml", "a.mbox", "a.ipynb", "a.csv", "a.tsv",
    "a.jsonl", "a.rs", "a.py", "a.ts", "a.cpp", "a.pdf",
];

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        name in proptest::sample::select(&NAMES[..]),
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        if let Ok(extracted) = read(name, &bytes) {
            check(&extracted);
        }
    }

    #[test]
    fn any_text_of_likely_pieces_is_read_or_refused(
        name in proptest::sample::select(&NAMES[..]),
        text in "(<h1>|</h1>|<p>|<nav>|</nav>|<pre>|<title>|<!--|\\{\"text\":\"a\"\\}|\\{|\\}|\"|From a\n|Subject: s\n|\n|\n\n|# h\n|---\n|key: v\n|- x\n|,|;|fn f\\(\\) \\{|class A:|def g\\(\\):|/\\*|é|&amp;|word ){0,60}",
    ) {
        if let Ok(extracted) = read(name, text.as_bytes()) {
            check(&extracted);
        }
    }
}
