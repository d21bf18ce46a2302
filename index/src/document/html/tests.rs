use super::super::draft::Section;
use super::*;

fn read_page(markup: &[u8]) -> (String, Vec<Section>, Attributes) {
    let mut draft = Draft::new();
    let facts = page(markup, &mut draft).expect("is a page");
    let (text, sections) = draft.finish();
    (text, sections, facts)
}

#[test]
fn a_page_becomes_text_under_its_headings() {
    let markup = br#"<!DOCTYPE html><html lang=en><head><title>Bees &amp; wax</title>
        <meta name="author" content="Ada"><meta property=article:published_time content="2024-05-01T10:00:00+02:00">
        <meta name=keywords content="honey, wax"><style>p { color: red }</style><script>if (a < b) "</p>"</script></head>
        <body><nav><ul><li>Home<li>About</ul></nav><p>Before  the
        first &lt;heading&gt;.<h1>Hives</h1><p>One<br>two<ul><li>a<li>b</ul>
        <h2>Wax <em>and</em><br>honey</h2><table><tr><td>x<td>y<tr><td>z</table><pre>  keep
  this</pre><img alt="a bee"><svg><text>drawn</text></svg></body></html>"#;
    let (text, sections, facts) = read_page(markup);
    assert_eq!(
        text.trim_end(),
        "Before the first <heading>.\n\nHives\n\nOne\ntwo\n\n- a\n- b\n\nWax and honey\n\nx y\nz\n\n  keep\n  this\n\na bee"
    );
    let titles: Vec<&str> = sections.iter().map(|section| section.title.as_str()).collect();
    assert_eq!(titles, ["Bees & wax", "Hives", "Hives › Wax and honey"]);
    let got: Vec<_> = facts.iter().collect();
    let expected = [
        ("author", "Ada"),
        ("date", "2024-05-01T08:00:00Z"),
        ("language", "en"),
        ("tag", "honey"),
        ("tag", "wax"),
        ("title", "Bees & wax"),
    ];
    assert_eq!(got, expected);
}

#[test]
fn encodings_are_those_the_page_names() {
    for (markup, expected) in [
        (&b"<p>caf\xc3\xa9"[..], "café"),
        (b"<p>caf\xe9", "café"),
        (b"<meta charset=\"koi8-r\"><p>\xd4\xc5\xd3\xd4", "тест"),
        (b"<meta http-equiv=x content='text/html; charset=utf-16'><p>ok", "ok"),
        (b"\xff\xfe<\0p\0>\0h\0i\0", "hi"),
    ] {
        assert_eq!(read_page(markup).0.trim(), expected);
    }
}

#[test]
fn broken_pages_keep_their_text() {
    for (markup, expected) in [
        ("<nav><a>menu<h1>Title", "Title"),
        ("<h1>never <p>closed", "never \n\nclosed"),
        ("</p></div></h1>text", "text"),
        ("a<script>x", "a"),
        ("<title>only a title", ""),
        ("<", "<"),
        ("a &unknown; b", "a &unknown; b"),
        ("<script><nav></script>b", "b"),
        ("<nav><script></nav></script></nav>c", "c"),
    ] {
        assert_eq!(read_page(markup.as_bytes()).0.trim(), expected, "{markup}");
    }
}

#[test]
fn deep_and_wide_pages_are_read_in_one_go() {
    let deep = "<div><b>".repeat(200_000) + "bottom" + &"</b></div>".repeat(200_000);
    assert_eq!(read_page(deep.as_bytes()).0.trim(), "bottom");
    let headings = "<h1>a</h1>b".repeat(50_000);
    assert_eq!(read_page(headings.as_bytes()).1.len(), 50_000);
    let attributes = format!("<p {}>x", "a=b ".repeat(100_000));
    assert_eq!(read_page(attributes.as_bytes()).0.trim(), "x");
}
